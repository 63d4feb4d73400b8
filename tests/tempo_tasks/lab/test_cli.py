"""The laboratory's commands as a user types them: help, options, mistakes, and a kill."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from tempo_attn.lab.run_folder.folder import read_run
from tempo_tasks import cli
from tempo_tasks.lab import tasks_to_items as lab_items
from tests.support.lab_commands import contents, tempo
from tests.support.paths import ROOT

COMMANDS = (
    *("sweep", "mass", "heads", "try-heads", "listen", "lens", "trace", "timeline", "steer"),
    *("choose", "compare", "presets", "merge"),
)
pytestmark = pytest.mark.usefixtures("loaded_once")
DATA = ["--tasks", "tempo_synth_eo_aqa", "--metadata", '{"synth_scenes": 2}']


# ------------------------------------------------------------------------------ help


def test_help_answers_without_loading_torch():
    script = f"""
import sys
from typer.testing import CliRunner
from tempo_tasks.cli import app
for name in {COMMANDS}:
    result = CliRunner().invoke(app, [name, "--help"])
    assert result.exit_code == 0
    print(result.output)
slow = {{"torch", "transformers", "lm_eval", "matplotlib", "scipy", "datasets"}}
assert not slow & set(sys.modules), slow & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for name in COMMANDS:
        assert f"Example: tempo {name} " in done.stdout
    for word in ("--model", "--tasks", "--limit", "--out", "--shard"):
        assert done.stdout.count(word) >= 2


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_in_the_help_is_a_command(name):
    command = get_command(cli.app).commands[name]
    (example,) = re.findall(r"Example: tempo (.+)", " ".join(command.help.split()))
    first, *arguments = shlex.split(example)
    assert first == name
    parameters = command.make_context(name, arguments).params
    assert parameters["out"] is None or not parameters["out"].is_absolute()
    if tasks := parameters.get("tasks"):
        assert len(lab_items.load_tasks(tasks.split(","), {"synth_scenes": 1})) == len(
            tasks.split(",")
        )


def test_the_overview_has_the_laboratory():
    output = CliRunner().invoke(cli.app, ["--help"]).output
    assert "Laboratory" in output
    assert all(re.search(rf"│ {name} ", output) for name in COMMANDS)


# ------------------------------------------------------------------------------ mistakes

MISTAKES = {
    "sweep --tasks nope": r"OptionError: unknown task 'nope'\. `lm_eval ls tasks` lists",
    "sweep --tasks tempo_synth_eo_aq": r"OptionError: .* Did you mean 'tempo_synth_eo_aqa', ",
    "sweep --tasks no,nope": r"OptionError: unknown task 'no' \(and 1 more\)",
    "sweep --tasks ,": r"OptionError: no task is named; expected such as tempo_synth_eo_aqa",
    'sweep DATA --metadata {"dta":1}': r"OptionError: --metadata: unknown 'dta'; .*mean 'data'",
    "sweep DATA --tasks tempo_synth_eo_cqa": r"OptionError: task tempo_synth_eo_cqa gives no audio",
    "mass DATA --tasks tempo_synth_cqa": r"OptionError: task tempo_synth_eo_cqa gives no audio",
    "sweep DATA --metadata {": r"OptionError: --metadata is not JSON: Expecting",
    "sweep DATA --metadata []": r"OptionError: --metadata \[\]: expected an object such as",
    "sweep DATA --shard 2/2": r"OptionError: --shard 2/2: expected i/n with i from 0 to n - 1",
    "sweep DATA --limit 0": r"OptionError: limit must be 1 or more; found 0",
    "sweep DATA --batch-size 0": r"OptionError: batch_size must be 1 or more; found 0",
    "sweep DATA --memory 0": r"OptionError: memory must be 1 or more; found 0",
    "sweep DATA --generate -1": r"OptionError: --generate -1: expected 0 items or more",
    "sweep DATA --edit scal=2": r"OptionError: --edit: unknown 'scal'; expected one of scale, ",
    "sweep DATA --edit scal=3": r"OptionError: .* Did you mean 'scale'",
    "sweep DATA --edit scale=-1": r"OptionError: strength is -1.0; expected 0 or more",
    "sweep DATA --edit scale=1": r"OptionError: scale 1, layer 0, last changes nothing",
    "sweep DATA --layers 6": r"OptionError: layers: layer 6 is out of range",
    "sweep DATA --layers first": r"OptionError: --layers first: cannot read 'first'",
    "sweep DATA --heads 4": r"OptionError: heads: head 4 of layer 0 is out of range",
    "sweep DATA --nulls some": r"OptionError: --nulls: unknown 'some'; expected one of sign, keys",
    "sweep DATA --engine quick": r"OptionError: --engine: unknown 'quick'; expected one of auto",
    "mass DATA --model ./nowhere": r"OptionError: model argument pretrained='./nowhere': no such",
    "mass DATA --device cudda": r"OptionError: model argument device='cudda': .*mean 'cuda'",
    "mass DATA --device cuda:9": r"OptionError: model argument device='cuda:9': .*torch sees",
    "sweep DATA --model-args long_audio=x": r"OptionError: model argument long_audio='x': expected",
    "sweep DATA --model-args dtype=float61": r"OptionError: model argument dtype=.*mean 'float64'",
    "sweep DATA --model-args dtpye=x": r"OptionError: unknown model argument 'dtpye'. Did you mean",
    "sweep DATA --model-args device=cpu": r"OptionError: device is among the model arguments",
    "sweep DATA --out full/thesis.tex": r"OptionError: --out full/thesis.tex: .* is a file",
    "sweep DATA --out full/thesis.tex/a/b": r"OptionError: --out .*thesis.tex is a file",
    "sweep DATA --source 9 --edit enrich=0.1": r"OptionError: layers: layer 9 is out of range",
    "sweep DATA --edit enrich=0.1": r"OptionError: mode 'enrich' needs the layers whose states",
    "sweep DATA --edit steer=1": r"OptionError: mode 'steer' moves .*: run `tempo steer --from TIM",
    "sweep DATA --edit steer": r"OptionError: --edit steer: say the strengths, as in steer=-1,1",
    "choose DATA --out edit --edit steer=1": r"OptionError: mode 'steer' moves states along",
    "steer DATA --from full --out o": r"RunFolderError: full/directions.*give the run folder",
    "steer DATA --from full --out o --strengths much": r"OptionError: --strengths much: 'much' is",
    "steer DATA --from full --out o --layers first": r"OptionError: --layers first: cannot read",
    "steer DATA --from full --out o --engine quick": r"OptionError: --engine: unknown 'quick'",
    "sweep DATA --model-args attn_scale=x": r"OptionError: attn_scale is among the model arg",
    "mass DATA --rows first": r"OptionError: --rows: unknown 'first'; expected one of last",
    "compare DATA --strengths much": r"OptionError: --strengths much: 'much' is not a number",
    "compare DATA --layers 9": r"OptionError: layers: layer 9 is out of range",
    "compare DATA --engine quick": r"OptionError: --engine: unknown 'quick'",
    "presets DATA --presets mat": r"OptionError: --presets: unknown 'mat'. Did you mean 'mata'\?",
    "presets DATA --presets mata --layers 9": r"OptionError: layers: layer 9 is out of range",
    "presets DATA --presets pai --layers 0,1": r"OptionError: --layers 0,1: expected one",
    "lens DATA --rows lst": r"OptionError: --rows: unknown 'lst'; .*Did you mean 'last'\?",
    "lens DATA --rows first": r"OptionError: --rows: unknown 'first'; expected one of last, ",
    "lens DATA --candidates words": r"OptionError: --candidates: unknown 'words'; expected one",
    "lens DATA --tasks tempo_synth_eo_cqa": r"OptionError: task tempo_synth_eo_cqa gives no audio",
    "listen DATA --rows first": r"OptionError: --rows: unknown 'first'; expected one of last",
    "listen DATA --rows last+last": r"OptionError: --rows is \['last', 'last'\]; expected every",
    "listen DATA --window 0": r"OptionError: --window 0.0: expected seconds, more than 0",
    "listen DATA --window nan": r"OptionError: --window nan: expected seconds, more than 0",
    "listen DATA --over-time 6": r"OptionError: over_time: the model has no layer 6; expected 0",
    "listen DATA --over-time 0-2": r"OptionError: over_time: 3 layers; expected 2 at most",
    "listen DATA --instruction-a Listen": r"OptionError: --instruction-b is missing",
    "listen DATA --instruction-a x --instruction-b {evnt}": r"OptionError: .*unknown {evnt}; expec",
    "listen DATA --instruction-a x --instruction-b {": r"OptionError: --instruction-b '{': ",
    "listen DATA --instruction-a x --instruction-b x": r"OptionError: .* are the same",
    "listen DATA --instruction-a <audio> --instruction-b x": r"OptionError: --instruction-a '<au",
    "listen --tasks tempo_synth_eo_silence": r"OptionError: task tempo_synth_eo_silence gives sil",
    "listen --tasks tempo_synth_eo_mirror": r"OptionError: task tempo_synth_eo_mirror gives mir",
    "listen --tasks tempo_synth_eo_cqa": r"OptionError: task tempo_synth_eo_cqa gives no audio",
    "trace DATA --corrupt noise": r"OptionError: --corrupt is 'noise'; expected one of 'silence'",
    "trace DATA --corrupt mirror": r"OptionError: --corrupt mirror needs items that have a mirr",
    "trace DATA --tasks tempo_synth_eo_silence": r"OptionError: task tempo_synth_eo_s",
    "trace DATA --direction back": r"OptionError: --direction: unknown 'back'; expected one of rec",
    "trace DATA --components mlps": r"OptionError: --components: unknown 'mlps'; expected one of",
    "trace DATA --groups last,": r"OptionError: --groups: unknown ''; expected one of text,",
    "trace DATA --layers 6": r"OptionError: layers: unknown \[6\]; expected some of \[-1, 0, 1, ",
    "trace DATA --layers 0+1": r"OptionError: --layers 0\+1: expected single layers such as 1,2 or",
    "trace DATA --layers first": r"OptionError: --layers first: cannot read 'first'",
    "trace DATA --method patch": r"OptionError: --method: unknown 'patch'; .*mean 'patching'",
    "trace DATA --single --method both": r"OptionError: attribution is of whole groups of positio",
    "trace DATA --engine quick": r"OptionError: --engine: unknown 'quick'; expected one of auto",
    "choose --out edit": r"OptionError: give either --tasks, to run a sweep first, or --from",
    "choose DATA --from run --out edit": r"OptionError: give either --tasks, .* or --from",
    "choose DATA --out edit --objective acc": r"OptionError: --objective: unknown 'acc'; .*y'",
    "choose DATA --out edit --folds 1": r"OptionError: folds is 1; expected 2 or more",
    "choose DATA --out edit --folds 3": r"OptionError: the items come from 2 clusters; expected",
    "choose DATA --out edit --kind e0": r"OptionError: --kind: unknown 'e0'; .*Did you mean 'eo'\?",
    "choose DATA --out edit --kind ld": r"OptionError: --kind ld: no task asks for it; they ask f",
    "choose DATA --out edit --tasks tempo_synth_eo_aqa,tempo_synth_eo_silence": r"OptionError: the",
    "choose DATA --out full/thesis.tex": r"OptionError: --out full/thesis.tex: .* is a file",
    "choose --from . --out edit": r"RunFolderError: \.: no run folder: it has no manifest.json",
    "merge nowhere --out whole": r"RunFolderError: nowhere: no run folder",
    "sweep DATA --out full": r"RunFolderError: full: is not empty and no run folder",
    "mass DATA --rows last+last": r"OptionError: --rows is \['last', 'last'\]; expected every",
    "lens DATA --rows last+last": r"OptionError: rows is .*; expected every value once",
    "mass DATA --shard 2/2": r"OptionError: --shard 2/2: expected i/n with i from 0 to n - 1",
    "lens DATA --shard x": r"OptionError: --shard x: expected i/n",
    "compare DATA --shard 3": r"OptionError: --shard 3: expected i/n",
    "presets DATA --shard 1/0": r"OptionError: --shard 1/0: expected i/n",
    "trace DATA --shard 1": r"OptionError: --shard 1: expected i/n",
    "compare DATA --strengths 1": r"OptionError: scale 1, layer 0, last changes nothing",
    "compare DATA --strengths -1": r"OptionError: strength is -1.0; expected 0 or more",
    "compare DATA --nulls sgn": r"OptionError: --nulls: unknown 'sgn'; .*mean 'sign'",
    "compare DATA --rows audio": r"OptionError: --rows: unknown 'audio'",
    "presets DATA --nulls some": r"OptionError: --nulls: unknown 'some'",
    "presets DATA --engine quick": r"OptionError: --engine: unknown 'quick'",
    "presets DATA --layers each": r"OptionError: --layers each: expected one set",
    "presets DATA --out full/thesis.tex": r"OptionError: --out full/thesis.tex: .* is a file",
    "choose DATA --out edit --edit scal=2": r"OptionError: --edit: unknown 'scal'",
    "choose DATA --out edit --layers 6": r"OptionError: layers: layer 6 is out of range",
    "choose DATA --out edit --rows first": r"OptionError: --rows: unknown 'first'",
    "choose DATA --out edit --heads 4": r"OptionError: heads: head 4 of layer 0 is out of range",
    "choose DATA --out edit --source x": r"OptionError: --source x: cannot read",
    "choose DATA --out edit --limit 0": r"OptionError: limit must be 1 or more; found 0",
    "choose DATA --out edit --metadata []": r"OptionError: --metadata \[\]: expected an object",
    "choose --from run --out edit --edit scal=2": r"OptionError: --edit: unknown 'scal'",
    "merge nowhere --out full/thesis.tex": r"OptionError: --out full/thesis.tex: .* is a file",
}
SHARED = {
    "--tasks nope": r"OptionError: unknown task 'nope'",
    "DATA --metadata {": r"OptionError: --metadata is not JSON: Expecting",
    'DATA --metadata {"dta":1}': r"OptionError: --metadata: unknown 'dta'",
    "DATA --limit 0": r"OptionError: limit must be 1 or more; found 0",
    "DATA --batch-size 0": r"OptionError: batch_size must be 1 or more; found 0",
    "DATA --model ./nowhere": r"OptionError: model argument pretrained='./nowhere': no such",
    "DATA --device cudda": r"OptionError: model argument device='cudda': .*mean 'cuda'",
    "DATA --model-args dtpye=x": r"OptionError: unknown model argument 'dtpye'. Did you mean",
}
"""Mistakes in options of all commands that run a model."""
MISTAKES |= {
    f"{command}{' --out edit' if command == 'choose' else ''} {mistake}": message
    for command in ("sweep", "mass", "listen", "lens", "trace", "choose", "compare", "presets")
    for mistake, message in SHARED.items()
}


def arguments_of(command):
    parts = command.split(" ")
    return [word for part in parts for word in (DATA if part == "DATA" else [part])]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder to be in, with one in it that is not a run's."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


# How many clusters there are is known once the data are loaded.
LATE = ("choose DATA --out edit --folds 3",)


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_one_line_before_anything_is_loaded(
    command, elsewhere, request, monkeypatch, capsys
):
    if command not in LATE:
        request.getfixturevalue("nothing_loads")
    assert tempo(monkeypatch, *arguments_of(command)) == 2
    # After the progress bars.
    *_, line = capsys.readouterr().err.splitlines()
    assert re.match(MISTAKES[command], line)
    assert sorted(path.name for path in elsewhere.rglob("*")) == ["full", "thesis.tex"]


TRACEBACKS = {
    "sweep DATA --seed -1 --edit knockout --layers 0": "seed",
    "choose DATA --seed -1 --out edit": "seed",
    'sweep --tasks tempo_synth_eo_aqa --metadata {"synth_scenes":"few"}': "synth_scenes",
    'sweep --tasks tempo_synth_eo_aqa --metadata {"synth_scenes":0}': "synth_scenes",
    "sweep DATA --model nowhere/at-all": "nowhere/at-all",
    "sweep DATA --model /nowhere/at/all": "/nowhere/at/all",
    "sweep DATA --model-args pretrained=a/b": "--model",
    "sweep DATA --model-args dtype=float12": "float12",
    "sweep DATA --model-args nonsense=1": "nonsense",
}


@pytest.mark.parametrize("command", TRACEBACKS)
def test_a_mistake_that_others_find_ends_like_ours(command, elsewhere, monkeypatch, capsys):
    assert tempo(monkeypatch, *arguments_of(command)) == 2
    assert TRACEBACKS[command] in capsys.readouterr().err


def test_a_folder_of_another_run_is_refused_with_what_differs(elsewhere, monkeypatch, capsys):
    rest = ["--layers", "0", "--edit", "knockout", "--rows", "last", "--limit", "1"]
    assert tempo(monkeypatch, "sweep", *DATA, *rest, "--out", "run", "--generate", 0) == 0
    assert "In run: effects.csv, effects.json, summary.json" in capsys.readouterr().out
    assert tempo(monkeypatch, "sweep", *DATA, *rest, "--out", "run", "--seed", 1) == 2
    error = capsys.readouterr().err
    assert "RunMismatchError: run: holds another run" in error
    assert "  settings.seed: the folder has 0, this run has 1\n" in error
    assert "Traceback" not in error


def test_what_typer_refuses(monkeypatch, capsys):
    assert tempo(monkeypatch, "sweep") == 2
    assert "Missing option '--tasks'" in capsys.readouterr().err
    assert tempo(monkeypatch, "merge", "--out", "x") == 2
    assert "Missing argument" in capsys.readouterr().err


# ------------------------------------------------------------------------------ killed


@pytest.mark.slow
def test_kill_9_and_the_same_command_again_give_the_bytes_of_an_unbroken_run(tmp_path):
    command = [
        sys.executable, "-m", "tempo_tasks", "sweep",
        "--tasks", "tempo_synth_eo_aqa,tempo_synth_ld_silence",
        "--metadata", json.dumps({"synth_scenes": 10}),
        "--edit", "scale=0.5,2", "--edit", "knockout", "--nulls", "sign,keys", "--layers", "0,3",
        "--batch-size", "2", "--generate", "6", "--out",
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

    def start(out):
        return subprocess.Popen(
            [*command, str(out)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    first = start(unbroken)
    _, errors = first.communicate(timeout=300)
    assert first.returncode == 0, errors[-3000:]
    items = broken / "items.jsonl"
    for n_lines in (3, 11):  # killed twice: soon, and somewhere in the middle
        process = start(broken)
        while not items.exists() or items.read_bytes().count(b"\n") < n_lines:
            assert process.poll() is None, process.communicate()[1][-3000:]
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert n_lines <= len(read_run(broken).records) < 20
        assert set(contents(broken)) == {"manifest.json", "items.jsonl"}
    last = start(broken)
    _, errors = last.communicate(timeout=300)
    assert last.returncode == 0, errors[-3000:]
    assert contents(broken) == contents(unbroken)
    assert len(contents(broken)) == 2 + 3 + 4
