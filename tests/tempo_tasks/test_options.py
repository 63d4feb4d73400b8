"""Commands of the benchmark: a wrong option is one message, before anything is read or rendered.

The laboratory's are in `lab/test_lab_cli.py`, those of `tempo run` in `harness/test_cli.py`.
"""

import re
import sys

import pytest
from typer.testing import CliRunner

from tempo_attn.did_you_mean import did_you_mean
from tempo_tasks import cli

MISTAKES = {
    "demo --output folder": r"OptionError: --output folder: folder is a folder; expected a file",
    "demo --output file/x.json": r"OptionError: --output file/x.json: .*file is a file",
    "audit tempo_synth --out file": r"OptionError: --out file: file is a file; expected a folder",
    "audit tempo_synth --sigma -1": r"OptionError: sigma is -1.0; expected seconds",
    "audit tempo_synth --reach 900": r"OptionError: accuracy is 900 %; expected between 0 and 100",
    "audit tempo_synth --sigma much": r"OptionError: --sigma 'much': expected numbers",
    "audit tempo_synth --train none.txt": r"DataUnavailableError: there is no list .*none.txt",
    "audit tempo_syth": r"DataUnavailableError: tempo_syth: .*Did you mean 'tempo_synth'",
    "stats nowhere --level 7": r"OptionError: level is 7.0; expected a share from 0.5",
    "stats nowhere --out file": r"OptionError: --out file: file is a file; expected a folder",
    "data check tempo_synth --labels none.txt": r"DataUnavailableError: .*none.txt",
    "data check tempo_sinth": r"DataUnavailableError: tempo_sinth: .*Did you mean 'tempo_synth'",
    "data build --out file --intervals i.csv": r"OptionError: --out file: file is a file",
    "data build --out x --intervals i.csv --kinds e0": r"OptionError: .*Did you mean 'eo'\?",
    "data build --out x --intervals i.csv --per-clip 0": r"OptionError: --per-clip 0: expected 1",
    "data build --out x --intervals i.csv --min-events -3": r"OptionError: --min-events -3: exp",
    "data build --out x --intervals i.csv --min-present 7": r"OptionError: --min-present 7: ex",
    "data build --out x --intervals i.csv --size 0": r"OptionError: --size 0: expected at least",
    "data build --out x --intervals i.csv --margin 0": r"OptionError: --margin 0.0: expect",
    "data build --out x --tacos folder --split tset": r"OptionError: .*mean 'test'\?",
    "data download tacoss": r"OptionError: no source 'tacoss'; .*Did you mean 'tacos'\?",
    "data cite tempoo": r"OptionError: nothing to cite under 'tempoo'; .*mean 'tempo'\?",
    "data info tempo_synth_eo_aq": r"DataUnavailableError: .*Did you mean 'tempo_synth_eo_aqa',",
    "report nowhere -o page.pdf": r"OptionError: --out page.pdf: expected the name of a page",
    "report nowhere --max-audio -1": r"OptionError: --max-audio is -1.0; expected megabytes",
    "report nowhere -o folder/x/y.html --level 3": r"OptionError: level is 3.0; expected a share",
    "report nowhere -o file/r.html": r"OptionError: --out file/r.html: .*file is a file",
    "plot nowhere -o figures --format pgn": r"OptionError: --format pgn: .*Did you mean 'png'\?",
    "plot nowhere -o file": r"OptionError: -o file: file is a file; expected a folder",
    "score none.csv --data synth -o x --condition aqa": r"DataUnavailableError: .*none.csv",
    "score file --data synth -o x --condition aqua": r"OptionError: .*Did you mean 'aqa'",
    "score file --data synth -o file --condition aqa": r"OptionError: -o file: file is a file",
    "submit nowhere -o bundle --audit a.json --no-audit": r"OptionError: --audit and --no-audit",
    "submit nowhere -o bundle --yes": r"OptionError: --yes, --private and --create-pr are for",
    "submit nowhere -o folder/b.zip --push me/x": r"OptionError: --push sends a folder, and",
    "submit nowhere -o b --push me/x/y": r"ConfigError: 'me/x/y': not a repository's name; exp",
    "submit nowhere -o bundle": r"SamplesNotFoundError: nowhere: no such folder or results",
    "validate nowhere": r"BundleError: nowhere: no such folder or zip",
    "leaderboard nowhere -o file": r"OptionError: --out file: file is a file; expected a folder",
    "push nowhere me/x": r"ConfigError: nowhere: no such folder; save the adapters there first",
    "push folder me/x": r"ConfigError: .*attn_scale_config.json: no such file; the folder fol",
    "push folder me/x/y": r"ConfigError: 'me/x/y': not a repository's name; expected 'owner/na",
}


@pytest.fixture
def nothing_is_read(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)

    def fail(*args, **kwargs):
        raise AssertionError("scenes are rendered")

    for name in ("testset.load_synth", "quartets.load_synth_hard"):
        monkeypatch.setattr(f"tempo_tasks.sources.synth.{name}", fail)


@pytest.mark.parametrize("command", MISTAKES)
def test_a_wrong_option_is_one_message(command, nothing_is_read, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tempo", *command.split()])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(MISTAKES[command], line)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


@pytest.mark.parametrize(
    "command",
    [
        *("demo --batch-size 0", "demo --scenes 0", "swep", "data chek"),
        "data check tempo_synth --out .",
    ],
)
def test_what_the_command_line_itself_refuses(command):
    result = CliRunner().invoke(cli.app, command.split())
    assert result.exit_code == 2
    assert re.search("Invalid value for|Did you mean", result.output)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("scal", " Did you mean 'scale'?"),
        ("SCALE", " Did you mean 'scale'?"),
        ("acc", " Did you mean 'accuracy'?"),
        ("e0", " Did you mean 'eo'?"),
        ("scaled", " Did you mean 'scale' or 'scales'?"),
        ("", ""),
        ("xyz", ""),
        (3, ""),
        ("s" * 10**6, ""),
    ],
)
def test_the_nearest_names(name, said):
    assert did_you_mean(name, ["scale", "accuracy", "eo", "scales"], 2).startswith(said[:-1])
    assert bool(did_you_mean(name, ["scale", "accuracy", "eo", "scales"])) == bool(said)
