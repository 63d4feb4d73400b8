"""The laboratory's commands as a user types them: help, options, mistakes, and a kill."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from tempo_attn.lab.run_folder.folder import read_run
from tempo_attn.lab.sweep.choose import choose
from tempo_tasks import cli
from tempo_tasks.lab import compare as lab_compare
from tempo_tasks.lab import lens_verb, trace_verb, verbs
from tempo_tasks.lab import tasks_to_items as lab_items
from tempo_tasks.lab.outcome import Outcome
from tests.support import sweep_results
from tests.support.paths import ROOT

COMMANDS = ("sweep", "share", "lens", "trace", "fit", "compare", "merge")
MODULES = {"compare": lab_compare, "lens": lens_verb, "trace": trace_verb}
"""Where a command's work is done, if not in `verbs`."""
pytestmark = pytest.mark.usefixtures("loaded_once")
DATA = ["--tasks", "tempo_synth_eo_aqa", "--metadata", '{"synth_scenes": 2}']


def tempo(monkeypatch, *arguments):
    """Run `tempo` in this process and return its exit status."""
    monkeypatch.setattr(sys, "argv", ["tempo", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code or 0


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


# ------------------------------------------------------------------------------ options


@pytest.fixture
def told(monkeypatch):
    """What the verbs are told by the command line; none of them runs."""
    calls = []
    for name in COMMANDS:
        module = MODULES.get(name, verbs)
        monkeypatch.setattr(module, name, lambda *args, **kwargs: calls.append((args, kwargs)))
    return calls


def test_options_of_a_sweep(told, monkeypatch):
    typed = (
        "sweep --tasks tempo_eo_aqa,tempo_lo_aqa --model a/b --model-args dtype=bfloat16,revision=x"
        " --edit scale=0.5 --edit knockout --layers 0-3 --rows last --rows option --heads each"
        " --nulls none --limit 7 --out folder --device cpu --batch-size 2 --memory 3 --shard 1/4"
        " --seed 5 --way full --generate 9"
    )
    assert tempo(monkeypatch, *typed.split(), "--metadata", '{"data": "a folder"}') == 0
    (((settings, requested), more),) = told
    assert settings.tasks == ["tempo_eo_aqa", "tempo_lo_aqa"]
    assert settings.model == "a/b"
    assert settings.model_args == {"dtype": "bfloat16", "revision": "x"}
    assert settings.metadata == {"data": "a folder"}
    assert (settings.limit, settings.device, settings.seed) == (7, "cpu", 5)
    assert (settings.batch_size, settings.memory, settings.shard) == (2, 3 << 20, (1, 4))
    assert settings.out == Path("folder")
    assert (requested.edits, requested.rows) == (["scale=0.5", "knockout"], ["last", "option"])
    assert (requested.layers, requested.heads, requested.nulls) == ("0-3", "each", "none")
    assert more == {"way": "full", "n_generated": 9}


def test_a_sweep_of_nothing_but_tasks(told, monkeypatch):
    """All layers, six strengths, three sets of rows, with random signs: the issue's sweep."""
    assert tempo(monkeypatch, "sweep", "--tasks", "tempo_synth_eo_aqa") == 0
    (((settings, requested), more),) = told
    variants = requested.grid(4).variants(n_layers=6, n_heads=4)
    assert sum(variant.role == "edit" for variant in variants) == 6 * 6 * 3
    assert {variant.rows for variant in variants} == {("last",), ("keyword",), ("option",)}
    assert (settings.model, settings.limit, settings.shard, settings.out) == (None,) * 4
    assert more["way"] == "auto"
    assert more["n_generated"] > 0


def test_options_of_the_others(told, monkeypatch, tmp_path):
    assert tempo(monkeypatch, "share", *DATA, "--rows", "keyword+last,option") == 0
    assert told.pop()[0][1] == [("keyword", "last"), ("option",)]
    arguments = ["--strengths", "0.2,3", "--layers", "0,2+3", "--rows", "last", "--nulls", "none"]
    assert tempo(monkeypatch, "compare", *DATA, *arguments, "--way", "fast") == 0
    assert told.pop()[1] == {
        "strengths": (0.2, 3.0),
        "layers": [(0,), (2, 3)],
        "rows": [("last",)],
        "nulls": [],
        "way": "fast",
    }
    assert tempo(monkeypatch, "compare", *DATA) == 0
    assert told.pop()[1]["rows"] == [("last",), ("keyword",), ("keyword", "last"), ("option",)]
    assert tempo(monkeypatch, "merge", "a", "b", "--out", "c") == 0
    assert told.pop()[0] == ([Path("a"), Path("b")], Path("c"))


def test_what_was_written_is_told(told, monkeypatch, capsys):
    outcome = Outcome(Path("runs/one"), [Path("runs/one/effects.csv"), Path("runs/one/a.png")])
    monkeypatch.setattr(verbs, "merge", lambda runs, out: outcome)
    tempo(monkeypatch, "merge", "a", "--out", "b")
    assert capsys.readouterr().out == "In runs/one: effects.csv, a.png\n"
    monkeypatch.setattr(verbs, "share", lambda *_: Outcome(Path("part"), []))
    tempo(monkeypatch, "share", *DATA, "--shard", "0/2")
    told_of = capsys.readouterr().out
    assert told_of.startswith("In part: ")
    assert "tempo merge makes the tables" in told_of


@pytest.mark.parametrize("name", ["runs[2]/a[b]c", "runs [/x]"])
def test_a_folder_is_told_as_it_is(name, monkeypatch, capsys):
    monkeypatch.setattr(verbs, "merge", lambda runs, out: Outcome(Path(name), []))
    tempo(monkeypatch, "merge", "a", "--out", "b")
    assert name in capsys.readouterr().out


# ------------------------------------------------------------------------------ fit


def chosen(helps):
    """What `tempo fit` chooses from 20 items, half of them wrong, that one edit makes right."""
    edit = sweep_results.edit(2.0)
    plain = [0, 1] * 10
    return choose(sweep_results.sweep({edit.control: plain, edit: [0] * 20 if helps else plain}))


def test_fit_ends_with_status_1_where_no_edit_helps(monkeypatch, capsys):
    monkeypatch.setattr(verbs, "fit", lambda *_, **__: (chosen(helps=False), None))
    assert tempo(monkeypatch, "fit", "--from", "run", "--out", "edit") == 1
    output = " ".join(capsys.readouterr().out.split())
    assert "no edit: none is better than leaving the model alone" in output
    assert "Nothing is written" in output


def test_fit_says_what_it_chose_and_how_to_evaluate_it(monkeypatch, capsys):
    seen = {}

    def fit(settings, requested, **more):
        seen.update(more, settings=settings, requested=requested)
        return chosen(helps=True), Path("edit")

    monkeypatch.setattr(verbs, "fit", fit)
    typed = "fit --from run --out edit --folds 4 --objective margin --kind eo --seed 3"
    assert tempo(monkeypatch, *typed.split()) == 0
    assert seen == {
        "settings": None,
        "requested": None,
        "run": Path("run"),
        "out": Path("edit"),
        "folds": 4,
        "objective": "margin",
        "kind": "eo",
        "seed": 3,
    }
    output = " ".join(capsys.readouterr().out.split())
    assert "Chosen on all 20 items of 20 clips: scale 2, layer 3, last" in output
    assert "+50.0 points" in output
    assert "lm_eval --model lalm --model_args attn_scale=edit" in output


def test_fit_on_tasks(monkeypatch):
    seen = []

    def fit(*args, **_):
        seen.extend(args)
        return chosen(helps=True), Path("edit")

    monkeypatch.setattr(verbs, "fit", fit)
    assert tempo(monkeypatch, "fit", *DATA, "--out", "edit", "--layers", "2", "--limit", "9") == 0
    settings, requested = seen
    assert (settings.tasks, settings.limit) == (["tempo_synth_eo_aqa"], 9)
    assert (requested.layers, requested.nulls) == ("2", "none")


# ------------------------------------------------------------------------------ mistakes

MISTAKES = {
    "sweep --tasks nope": r"ConfigError: unknown task 'nope'\. `lm_eval ls tasks` lists",
    "sweep --tasks tempo_synth_eo_aq": r"ConfigError: .* Did you mean 'tempo_synth_eo_aqa', ",
    "sweep --tasks no,nope": r"ConfigError: unknown task 'no' \(and 1 more\)",
    "sweep --tasks ,": r"ConfigError: no task is named; expected such as tempo_synth_eo_aqa",
    'sweep DATA --metadata {"dta":1}': r"ConfigError: --metadata: unknown 'dta'; .*mean 'data'",
    "sweep DATA --tasks tempo_synth_eo_cqa": r"ConfigError: task tempo_synth_eo_cqa gives no audio",
    "share DATA --tasks tempo_synth_cqa": r"ConfigError: task tempo_synth_eo_cqa gives no audio",
    "sweep DATA --metadata {": r"ConfigError: --metadata is no JSON: Expecting",
    "sweep DATA --metadata []": r"ConfigError: --metadata \[\]: expected an object such as",
    "sweep DATA --shard 2/2": r"ConfigError: --shard 2/2: expected i/n with i from 0 to n - 1",
    "sweep DATA --limit 0": r"ConfigError: limit must be 1 or more; found 0",
    "sweep DATA --batch-size 0": r"ConfigError: batch_size must be 1 or more; found 0",
    "sweep DATA --memory 0": r"ConfigError: memory must be 1 or more; found 0",
    "sweep DATA --generate -1": r"ConfigError: --generate -1: expected 0 items or more",
    "sweep DATA --edit scal=2": r"ConfigError: --edit: unknown 'scal'; expected one of scale, ",
    "sweep DATA --edit scal=3": r"ConfigError: .* Did you mean 'scale'",
    "sweep DATA --edit scale=-1": r"ConfigError: strength is -1.0; expected 0 or more",
    "sweep DATA --edit scale=1": r"ConfigError: scale 1, layer 0, last changes nothing",
    "sweep DATA --layers 6": r"ConfigError: layers: layer 6 is out of range",
    "sweep DATA --layers first": r"ConfigError: --layers first: cannot read 'first'",
    "sweep DATA --heads 4": r"ConfigError: heads: head 4 of layer 0 is out of range",
    "sweep DATA --nulls some": r"ConfigError: --nulls: unknown 'some'; expected one of sign, keys",
    "sweep DATA --way quick": r"ConfigError: --way: unknown 'quick'; expected one of auto, fast",
    "share DATA --model ./nowhere": r"ConfigError: model argument pretrained='./nowhere': no such",
    "share DATA --device cudda": r"ConfigError: model argument device='cudda': .*mean 'cuda'",
    "share DATA --device cuda:9": r"ConfigError: model argument device='cuda:9': .*torch sees",
    "sweep DATA --model-args long_audio=x": r"ConfigError: model argument long_audio='x': expected",
    "sweep DATA --model-args dtype=float61": r"ConfigError: model argument dtype=.*mean 'float64'",
    "sweep DATA --model-args dtpye=x": r"ConfigError: unknown model argument 'dtpye'. Did you mean",
    "sweep DATA --model-args device=cpu": r"ConfigError: device is among the model arguments",
    "sweep DATA --out full/thesis.tex": r"ConfigError: --out full/thesis.tex: .* is a file",
    "sweep DATA --out full/thesis.tex/a/b": r"ConfigError: --out .*thesis.tex is a file",
    "sweep DATA --source 9 --edit enrich=0.1": r"ConfigError: layers: layer 9 is out of range",
    "sweep DATA --edit enrich=0.1": r"ConfigError: mode 'enrich' needs the layers whose states",
    "sweep DATA --model-args attn_scale=x": r"ConfigError: attn_scale is among the model arg",
    "share DATA --rows first": r"ConfigError: --rows: unknown 'first'; expected one of last",
    "compare DATA --strengths much": r"ConfigError: --strengths much: 'much' is no number",
    "compare DATA --layers 9": r"ConfigError: layers: layer 9 is out of range",
    "compare DATA --way quick": r"ConfigError: --way: unknown 'quick'",
    "compare DATA --presets mat": r"ConfigError: --presets: unknown 'mat'. Did you mean 'mata'\?",
    "compare DATA --presets mata --layers 9": r"ConfigError: layers: layer 9 is out of range",
    "compare DATA --presets pai --layers 0,1": r"ConfigError: --layers with --presets: expected on",
    "lens DATA --rows lst": r"ConfigError: rows is 'lst'; .*Did you mean 'last'\?",
    "lens DATA --rows first": r"ConfigError: rows is 'first'; expected one of 'last', ",
    "lens DATA --candidates words": r"ConfigError: candidates is 'words'; expected one of",
    "lens DATA --tasks tempo_synth_eo_cqa": r"ConfigError: task tempo_synth_eo_cqa gives no audio",
    "trace DATA --corrupt noise": r"ConfigError: --corrupt is 'noise'; expected one of 'silence'",
    "trace DATA --corrupt mirror": r"ConfigError: --corrupt mirror needs items that have a mirr",
    "trace DATA --tasks tempo_synth_eo_silence": r"ConfigError: task tempo_synth_eo_s",
    "trace DATA --direction back": r"ConfigError: --direction: unknown 'back'; expected one of rec",
    "trace DATA --components mlps": r"ConfigError: components: unknown \['mlps'\]; expected some o",
    "trace DATA --groups last,": r"ConfigError: groups: unknown \[''\]; expected some of \['text',",
    "trace DATA --layers 6": r"ConfigError: layers: unknown \[6\]; expected some of \[-1, 0, 1, ",
    "trace DATA --layers 0+1": r"ConfigError: --layers 0\+1: expected single layers such as 1,2 or",
    "trace DATA --layers first": r"ConfigError: --layers first: cannot read 'first'",
    "trace DATA --method patch": r"ConfigError: method is 'patch'; .*Did you mean 'patching'\?",
    "trace DATA --single --method both": r"ConfigError: attribution is of whole groups of positio",
    "trace DATA --way quick": r"ConfigError: --way: unknown 'quick'; expected one of auto, fast",
    "fit --out edit": r"ConfigError: give either --tasks, to run a sweep first, or --from",
    "fit DATA --from run --out edit": r"ConfigError: give either --tasks, .* or --from",
    "fit DATA --out edit --objective acc": r"ConfigError: objective is 'acc'; .*mean 'accuracy'\?",
    "fit DATA --out edit --folds 1": r"ConfigError: folds is 1; expected 2 or more",
    "fit DATA --out edit --folds 3": r"ConfigError: the items come from 2 clusters; expected at",
    "fit DATA --out edit --kind e0": r"ConfigError: --kind is 'e0'; .*Did you mean 'eo'\?",
    "fit DATA --out edit --kind ld": r"ConfigError: --kind ld: no task asks for it; they ask f",
    "fit DATA --out edit --tasks tempo_synth_eo_aqa,tempo_synth_eo_silence": r"ConfigError: the ta",
    "fit DATA --out full/thesis.tex": r"ConfigError: --out full/thesis.tex: .* is a file",
    "fit --from . --out edit": r"RunFolderError: \.: no run folder: it has no manifest.json",
    "merge nowhere --out whole": r"RunFolderError: nowhere: no run folder",
    "sweep DATA --out full": r"RunFolderError: full: is not empty and no run folder",
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


@pytest.fixture
def nothing_loads(monkeypatch):
    """No model is loaded and no data are: no scene is rendered."""

    def fail(*args, **kwargs):
        raise AssertionError("something is loaded")

    monkeypatch.setattr("tempo_tasks.lab.study.LALM", fail)
    monkeypatch.setattr(lab_items, "load_tasks", fail)


# How many clips there are is known once the data are loaded.
LATE = ("fit DATA --out edit --folds 3",)


@pytest.mark.parametrize("command", [command for command in MISTAKES if command not in LATE])
def test_a_mistake_is_told_of_before_anything_is_loaded(
    command, elsewhere, nothing_loads, monkeypatch, capsys
):
    assert tempo(monkeypatch, *arguments_of(command)) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert re.match(MISTAKES[command], line)


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_ends_with_status_2_and_one_line(command, elsewhere, monkeypatch, capsys):
    assert tempo(monkeypatch, *arguments_of(command)) == 2
    # Behind the progress bars.
    *_, line = capsys.readouterr().err.splitlines()
    assert re.match(MISTAKES[command], line)
    assert sorted(path.name for path in elsewhere.rglob("*")) == ["full", "thesis.tex"]


TRACEBACKS = {
    "sweep DATA --seed -1 --edit knockout --layers 0": "seed",
    "fit DATA --seed -1 --out edit": "seed",
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


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith(".")}


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
