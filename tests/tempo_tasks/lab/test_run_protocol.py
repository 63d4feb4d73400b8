"""What the run of every command promises: killed it goes on, shards make the whole, none mix."""

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch

from tempo_attn.errors import RunMismatchError
from tempo_attn.lab.heads.run import HeadMeter
from tempo_attn.lab.lens.run import Lens
from tempo_attn.lab.listen.run import Listener
from tempo_attn.lab.mass.run import MassMeter
from tempo_attn.lab.run_folder.folder import read_run
from tempo_attn.lab.sweep.run import Sweeper
from tempo_attn.lab.timeline.run import StateReader
from tempo_attn.lab.trace.run import Tracer
from tempo_tasks.lab.choose import ChooseRequest, sweep_and_choose
from tempo_tasks.lab.compare import CompareRequest, run_compare
from tempo_tasks.lab.grid_request import parse_grid
from tempo_tasks.lab.instruments.heads import HeadsRequest, run_heads
from tempo_tasks.lab.instruments.listen import ListenRequest, run_listen
from tempo_tasks.lab.instruments.timeline import TimelineRequest, run_timeline
from tempo_tasks.lab.lens import LensRequest, run_lens
from tempo_tasks.lab.mass import MassRequest, run_mass
from tempo_tasks.lab.merge import run_merge
from tempo_tasks.lab.presets import PresetsRequest, run_presets
from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.sweep import SweepRequest, run_sweep
from tempo_tasks.lab.trace import TraceRequest, run_trace

pytestmark = pytest.mark.usefixtures("loaded_once")
TASKS = ["tempo_synth_eo_aqa"]
TWO_TASKS = ["tempo_synth_eo_aqa", "tempo_synth_eo_silence"]
MIRROR = ["tempo_synth_eo_mirror"]
RUN = {"manifest.json", "items.jsonl"}


def figures(*names):
    return {f"{name}.{kind}" for name in names for kind in ("png", "svg")}


def tables(*names):
    return {f"{name}.{kind}" for name in names for kind in ("csv", "json")}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A command on 8 items in batches of 3, 3 and 2.

    Attributes:
        run: Runs it; returns an outcome.
        request: What it is asked for.
        worker: The class whose `run_batch` computes its records.
        files: The tables and figures that it writes.
        beside: What its records are beside: folders of the run.
        others: Requests that make another run, by what the message says of them.
        tasks: Its tasks.
        scenes: Rendered scenes.
        before: Batches that it runs in another folder first.
        shards: Records of each shard, where a run is divided.
    """

    run: Callable
    request: object
    worker: type
    files: set[str]
    beside: set[str] = field(default_factory=set)
    others: Mapping[str, object]
    tasks: list[str] = field(default_factory=lambda: TASKS)
    scenes: int = 8
    before: tuple[int, ...] = ()
    # Three batches dealt to four shards: the last has nothing to do.
    shards: tuple[int, ...] = (3, 3, 2, 0)

    def __call__(self, out, request=None, **changes):
        settings = Settings(
            tasks=self.tasks, metadata={"synth_scenes": self.scenes}, batch_size=3, out=out
        )
        return self.run(replace(settings, **changes), request or self.request)


def chosen(settings, request):
    """`tempo choose` on tasks: its sweep lies in a folder of its own, and it has no shards."""
    grid, how = request
    sweep_and_choose(replace(settings, out=None), grid, replace(how, out=settings.out))


GRID = parse_grid(["scale=0,2"], "0,3", ["last,option"])
SWEEP = SweepRequest(grid=GRID, n_generated=5)
TIMELINE = TimelineRequest(probes=["ridge"], baselines=[], folds=2)
LISTEN = ListenRequest(
    rows=[("last",)], over_time=[0], instructions=["Listen for {event}.", "Listen for {other}."]
)
LENS = LensRequest(rows=["last", "option"])
COMPARE = CompareRequest(strengths=[2.0], layers=[(3,)], rows=[("keyword", "last")], nulls=())
TRACE = TraceRequest(layers=[1, 4], groups=["option", "last"])
TWINS = TraceRequest(
    corrupt="mirror",
    directions=["recover", "shift"],
    layers=[4],
    groups=["last"],
    method="both",
    nulls=False,
)
PRESETS = PresetsRequest(names=["mata", "adaptvis"])
CHOOSE = (
    parse_grid(["scale=0,3"], "0,3", ["last"], nulls="none"),
    ChooseRequest(out=Path(), folds=3, objective="margin"),
)
ENGINE = r'settings\.engine: the folder has "auto", this run has "full"'
VARIANTS = r"settings\.variants: "
CASES = {
    "sweep": Case(
        run=run_sweep,
        request=SWEEP,
        worker=Sweeper,
        files=tables("effects") | {"summary.json"} | figures("layers", "heatmap"),
        others={
            ENGINE: replace(SWEEP, engine="full"),
            r"settings\.n_generated: the folder has 5, this run has 4": replace(
                SWEEP, n_generated=4
            ),
            VARIANTS: replace(SWEEP, grid=parse_grid(["scale=0,3"], "0,3", ["last,option"])),
        },
    ),
    "mass": Case(
        run=run_mass,
        request=MassRequest(rows=[("last",), ("option", "keyword")]),
        worker=MassMeter,
        files=tables("mass") | figures("mass"),
        others={r"settings\.rows": MassRequest(rows=[("last",)])},
        tasks=TWO_TASKS,
        scenes=4,
    ),
    "heads": Case(
        run=run_heads,
        request=HeadsRequest(rows=[("last",), ("option",)]),
        worker=HeadMeter,
        files=tables("heads") | {"summary.json"} | figures("heads"),
        others={r"settings\.rows": HeadsRequest(rows=[("last",)])},
        tasks=TWO_TASKS,
        scenes=4,
    ),
    "listen": Case(
        run=run_listen,
        request=LISTEN,
        worker=Listener,
        files=tables("listen", "best") | {"summary.json"} | figures("listen"),
        others={
            r"settings\.rows": replace(LISTEN, rows=[("keyword",)]),
            r"settings\.window": replace(LISTEN, window=0.5),
            r"settings\.over_time": replace(LISTEN, over_time=[1]),
            r"settings\.instructions": replace(LISTEN, instructions=[]),
        },
    ),
    "lens": Case(
        run=run_lens,
        request=LENS,
        worker=Lens,
        files=tables("lens", "critical") | {"summary.json"} | figures("lens"),
        others={
            r"settings\.rows": replace(LENS, rows=["last"]),
            r"settings\.candidates": replace(LENS, candidates=["letters"]),
        },
        tasks=TWO_TASKS,
        scenes=4,
    ),
    "trace": Case(
        run=run_trace,
        request=TRACE,
        worker=Tracer,
        files=tables("trace") | {"summary.json"} | figures("trace", "trace-layers"),
        others={
            r"settings\.sites: layers": replace(TRACE, layers=[1, 3]),
            # Records have the order of the groups.
            r"settings\.sites: groups": replace(TRACE, groups=["last", "option"]),
            r"settings\.sites: components": replace(TRACE, components=["mlp"]),
            r"settings\.sites: nulls": replace(TRACE, nulls=False),
            r'settings\.method: the folder has "patching", this run has "both"': replace(
                TRACE, method="both"
            ),
            r"settings\.single: the folder has false, this run has true": replace(
                TRACE, single=True
            ),
            r"settings\.directions": replace(TRACE, directions=["shift"]),
            ENGINE: replace(TRACE, engine="full"),
        },
    ),
    "trace of twins": Case(
        run=run_trace,
        request=TWINS,
        worker=Tracer,
        files=tables("trace")
        | {"summary.json"}
        | figures("trace", "trace-layers", "trace-twin", "attribution"),
        others={r'settings\.corrupt: the folder has "mirror"': replace(TWINS, corrupt="silence")},
        tasks=MIRROR,
        shards=(5, 3),
    ),
    "timeline": Case(
        run=run_timeline,
        request=TIMELINE,
        worker=StateReader,
        files=tables("timeline", "paths")
        | {"summary.json", "directions.safetensors"}
        | figures("timeline", "paths"),
        others={
            r"settings\.folds: the folder has 2, this run has 3": replace(TIMELINE, folds=3),
            r"settings\.relative": replace(TIMELINE, relative=True),
            r"settings\.sources": replace(TIMELINE, baselines=["silence"]),
        },
        scenes=8,
        beside={"states"},
    ),
    "compare": Case(
        run=run_compare,
        request=COMPARE,
        worker=Sweeper,
        files=tables("effects") | {"summary.json"} | figures("mass"),
        others={
            ENGINE: replace(COMPARE, engine="full"),
            VARIANTS: replace(COMPARE, strengths=[3.0]),
        },
        before=(3, 3, 2),
        shards=(5, 3),
    ),
    "presets": Case(
        run=run_presets,
        request=PRESETS,
        worker=Sweeper,
        files=tables("effects", "presets") | {"summary.json"} | figures("presets"),
        others={
            ENGINE: replace(PRESETS, engine="full"),
            r"settings\.presets": replace(PRESETS, names=["mata"]),
            VARIANTS: replace(PRESETS, nulls=()),
        },
    ),
    "choose": Case(
        run=chosen,
        request=CHOOSE,
        worker=Sweeper,
        files={"choice.json"},
        others={VARIANTS: (replace(CHOOSE[0], layers=[(0,)]), CHOOSE[1])},
    ),
}
SLOW = ("trace of twins", "heads", "listen", "timeline")
SETTINGS_DIFFER = {
    r"settings\.seed: the folder has 0, this run has 1": {"seed": 1},
    r"settings\.limit: the folder has null, this run has 4": {"limit": 4},
    r"settings\.batch_size: the folder has 3, this run has 2": {"batch_size": 2},
    r"settings\.memory: the folder has 67108864, this run has 1048576": {"memory": 2**20},
    r"settings\.metadata\.synth_scenes: the folder has": {"metadata": {"synth_scenes": 3}},
    r"settings\.tasks: the folder has": {"tasks": ["tempo_synth_lo_aqa"]},
    r"fingerprints\.model\.arguments\.max_length: ": {"model_args": {"max_length": 99}},
    r"shard: the folder has null, this run has \[0, 2\]": {"shard": (0, 2)},
}


DRAWN = {
    "listen": ("listen_table",),
    "sweep": ("layer_curves", "heat_map"),
    "compare": ("mass_against_change",),
    "mass": ("mass_by_layer",),
    "heads": ("score_table",),
    "lens": ("information_by_layer",),
    "timeline": ("scores_by_layer", "paths_by_layer"),
    "trace": ("rate_table", "rates_by_layer"),
    "presets": ("forest",),
}


@pytest.fixture
def no_figures(monkeypatch):
    """They take longer than all else, and a second call draws them again."""
    for command, functions in DRAWN.items():
        for function in functions:
            monkeypatch.setattr(f"tempo_attn.lab.{command}.write.{function}", lambda *_, **__: [])


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in CASES],
)
def name(request):
    return request.param


@pytest.fixture
def one_of_a_command(name):
    """What is the same however a trace is corrupted is shown once."""
    if name == "trace of twins":
        pytest.skip("as for any trace")


@pytest.fixture(scope="module")
def case(name):
    return CASES[name]


@pytest.fixture(scope="module")
def whole(case, tmp_path_factory, loaded_once):
    """A finished run."""
    torch.set_num_threads(1)  # the number of threads is a part of the manifest
    folder = tmp_path_factory.mktemp("protocol") / "run"
    case(folder)
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    """A copy of it, with what lies beside it."""
    shutil.copytree(whole.parent, tmp_path / "copy")
    return tmp_path / "copy" / "run"


def contents(folder, leave_out=()):
    """The bytes of all files but the locks, those in folders of it included."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and path.name not in leave_out
    }


def outside(case, folder):
    """The files but those that records are beside."""
    files = contents(folder)
    return [path for path in files if not case.beside & set(Path(path).parts)]


def without_figures(files):
    return {name: data for name, data in files.items() if name[-4:] not in (".png", ".svg")}


def run_folder(folder):
    """Where its manifest is: `tempo choose` has its sweep in a folder of its own."""
    return folder / "sweep" if (folder / "sweep").exists() else folder


def nothing_more(monkeypatch, case):
    def fail(self, items):
        raise AssertionError(f"{len(items)} items are computed again")

    monkeypatch.setattr(case.worker, "run_batch", fail)


def test_a_run_has_its_files(whole, case, name):
    expected = RUN if name == "choose" else RUN | case.files | case.beside
    assert {path.name for path in run_folder(whole).iterdir() if path.name[0] != "."} == expected
    assert case.files <= set(contents(whole))
    assert len(read_run(run_folder(whole)).records) == 8


@pytest.mark.usefixtures("one_of_a_command")
def test_a_second_call_computes_nothing_and_changes_no_byte(whole, copy, case, monkeypatch):
    nothing_more(monkeypatch, case)
    monkeypatch.setattr("tempo_tasks.lab.run_variants.generate", None)
    outcome = case(copy)
    assert outcome is None or {path.name for path in outcome.files} == case.files
    assert contents(copy) == contents(whole)


@pytest.mark.usefixtures("one_of_a_command")
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    whole, case, tmp_path, monkeypatch, no_figures
):
    run_batch, sizes, before = case.worker.run_batch, [], list(case.before)

    def interrupted(self, items):
        sizes.append(len(items))
        if len(sizes) == len(before) + 3:
            raise KeyboardInterrupt
        return run_batch(self, items)

    monkeypatch.setattr(case.worker, "run_batch", interrupted)
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        case(folder)
    assert len(read_run(run_folder(folder)).records) == 6
    assert {Path(path).name for path in outside(case, folder)} == RUN
    case(folder)
    assert sizes == [*before, 3, 3, 2, 2]
    assert contents(folder) == without_figures(contents(whole))


@pytest.mark.usefixtures("one_of_a_command")
@pytest.mark.parametrize(("lines_left", "bytes_more"), [(7, 40), (5, 40)])
def test_a_batch_that_was_written_in_part_is_completed(
    whole, copy, case, name, lines_left, bytes_more, no_figures
):
    """Killed while it wrote: the last line is broken, or one before, after which nothing is."""
    if lines_left == 5 and name not in ("sweep", "mass"):
        pytest.skip("records are read by one reader")
    for path in outside(case, copy):
        if Path(path).name not in RUN:
            (copy / path).unlink()
    items = run_folder(copy) / "items.jsonl"
    lines = items.read_bytes().splitlines(keepends=True)
    items.write_bytes(b"".join(lines[:lines_left]) + lines[lines_left][:bytes_more])
    case(copy)
    assert contents(copy) == without_figures(contents(whole))


def test_shards_put_together_are_one_run(whole, case, name, tmp_path, monkeypatch, no_figures):
    if name == "choose":
        pytest.skip("it has no --shard")
    parts = [tmp_path / f"part-{number}" for number in range(len(case.shards))]
    for number, part in enumerate(parts):
        assert case(part, shard=(number, len(parts))).files == []
        assert set(outside(case, part)) == RUN
    assert tuple(len(read_run(part).records) for part in parts) == case.shards
    merged = tmp_path / "merged"
    outcome = run_merge(parts[::-1], merged)
    assert {path.name for path in outcome.files} == set(without_figures(dict.fromkeys(case.files)))
    # Records are in the order of the items, not in that of finding them.
    assert contents(merged, ["items.jsonl"]) == without_figures(contents(whole, ["items.jsonl"]))
    assert read_run(merged) == read_run(whole)
    if not case.before:  # the unsharded command finds it finished
        nothing_more(monkeypatch, case)
        case(merged)


def test_another_request_does_not_mix(whole, case):
    before = contents(whole)
    for message, request in case.others.items():
        with pytest.raises(RunMismatchError) as caught:
            case(whole, request)
        assert "two must not mix; choose another --out" in str(caught.value)
        assert re.search(
            rf"\n  {message.split(': ')[0] if 'sites' in message else message}", str(caught.value)
        )
    assert contents(whole) == before


@pytest.mark.parametrize("message", SETTINGS_DIFFER)
def test_other_settings_do_not_mix(whole, case, name, message):
    changes = SETTINGS_DIFFER[message]
    if "seed" not in changes and name not in ("sweep", "mass"):
        pytest.skip("all settings are compared by one function")
    before = contents(whole)
    with pytest.raises(RunMismatchError) as caught:
        case(whole, **changes)
    assert "two must not mix; choose another --out" in str(caught.value)
    assert re.search(rf"\n  {message}", str(caught.value))
    assert contents(whole) == before


@pytest.mark.parametrize(
    ("function", "field"),
    [
        ("model_fingerprint", "fingerprints.model.weights"),
        ("code_fingerprint", "fingerprints.code"),
    ],
)
def test_another_model_or_program_does_not_mix(whole, case, function, field, monkeypatch):
    monkeypatch.setattr(f"tempo_tasks.lab.study.{function}", lambda *_: "another")
    with pytest.raises(RunMismatchError, match=rf'(?s)What differs:.*{field}: .* has "another"'):
        case(whole)


@pytest.mark.usefixtures("one_of_a_command")
def test_without_out_the_folder_is_named_after_the_run(
    case, name, tmp_path, monkeypatch, no_figures
):
    if name not in ("sweep", "lens"):
        pytest.skip("the name is made in one place")
    monkeypatch.chdir(tmp_path)
    folders = [case(None, limit=2, seed=seed).folder for seed in (0, 0, 1)]
    assert folders[0] == folders[1] != folders[2]
    for folder in folders:
        assert folder.parent == Path("runs")
        manifest = json.loads((folder / "manifest.json").read_text())
        assert folder.name.startswith(f"{manifest['command']}-")
        assert set(contents(folder)) >= RUN
