"""The task files: committed as generated, indexed by the harness, metrics that exist."""

import importlib.util
import itertools

import pytest
import yaml
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

from tempo_tasks import scoring
from tempo_tasks.paths import task_yamls_dir
from tempo_tasks.prompts import VARIANTS
from tempo_tasks.questions.conditions import SUITE
from tempo_tasks.questions.questions import Kind
from tempo_tasks.sources.benchmarks.description import described_sets

FOLDER = task_yamls_dir()
WAYS = ("", "_ll")
ASKED = ("", "_rot", *(f"_prompt{number}" for number in VARIANTS))
SUFFIXES = [*("".join(both) for both in itertools.product(ASKED, WAYS)), "_text"]
COMPLETE, HARD = ("tempo", "tempo_synth"), ("tempo_hard", "tempo_synth_hard")
CELLS = [f"{kind.value}_{condition.value}" for condition in SUITE for kind in Kind]
TASKS = {
    *(f"{source}_{cell}{suffix}" for source in COMPLETE for cell in CELLS for suffix in SUFFIXES),
    *(f"{source}_{cell}{suffix}" for source in HARD for cell in CELLS for suffix in WAYS),
    # Reversed order leaves the longest duration what it was.
    *(f"{source}_{k}_mirror{way}" for source in COMPLETE for k in ("eo", "lo") for way in WAYS),
}


def is_other(name):
    """Whether a task or group is about another benchmark; those have tests of their own."""
    return any(name.startswith(f"tempo_{benchmark}") for benchmark in described_sets())


@pytest.fixture(scope="module")
def generated():
    spec = importlib.util.spec_from_file_location("generator", FOLDER / "_generate_configs.py")
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks its module up by name.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(importlib.sys.modules, "generator", module)
        spec.loader.exec_module(module)
        yield module.files()


@pytest.fixture(scope="module")
def manager():
    return TaskManager(include_defaults=False, include_path=FOLDER)


def test_the_committed_files_are_the_generated_ones(generated):
    committed = {
        path.relative_to(FOLDER).as_posix(): path.read_text(encoding="utf-8")
        for path in FOLDER.rglob("*.yaml")
    }
    hint = "run `python task_yamls/_generate_configs.py`"
    assert sorted(committed) == sorted(generated), hint
    assert [name for name in generated if committed[name] != generated[name]] == [], hint


def test_every_task_is_there(manager):
    assert {name for name in manager.all_subtasks if not is_other(name)} == TASKS
    assert len(TASKS) == 2 * 12 * 11 + 2 * 12 * 2 + 8


def test_a_file_is_named_after_its_task(manager):
    for path in FOLDER.rglob("*.yaml"):
        if path.parent != FOLDER:
            config = yaml.safe_load(path.read_text())
            assert path.stem == config.get("task" if "dataset_kwargs" in config else "") or (
                path.stem == f"_{config['group']}"
            )


def leaves(manager, group):
    children = manager.task_index[group].cfg["task"]
    for child in children:
        yield from leaves(manager, child) if child in manager.all_groups else [child]


@pytest.mark.parametrize("source", COMPLETE)
@pytest.mark.parametrize("suffix", ["", "_ll", "_text", "_rot", "_rot_ll"])
def test_groups_hold_their_cells(manager, source, suffix):
    assert list(leaves(manager, f"{source}{suffix}")) == [
        f"{source}_{cell}{suffix}" for cell in CELLS
    ]
    assert list(leaves(manager, f"{source}_cqa{suffix}")) == [
        f"{source}_{kind.value}_cqa{suffix}" for kind in Kind
    ]


@pytest.mark.parametrize("source", HARD)
@pytest.mark.parametrize("way", WAYS)
def test_hard_groups_hold_their_cells(manager, source, way):
    assert list(leaves(manager, f"{source}{way}")) == [f"{source}_{cell}{way}" for cell in CELLS]
    assert manager.task_index[f"{source}_silence{way}"]


@pytest.mark.parametrize("source", COMPLETE)
@pytest.mark.parametrize("way", WAYS)
def test_groups_of_prompts_average_over_the_three(manager, source, way):
    def three(cell):
        return [f"{source}_{cell}_prompt{number}{way}" for number in VARIANTS]

    assert list(leaves(manager, f"{source}_lo_acqa_prompts{way}")) == three("lo_acqa")
    every = [name for cell in CELLS for name in three(cell)]
    assert list(leaves(manager, f"{source}_prompts{way}")) == every
    assert len(list(leaves(manager, f"{source}_aqa_prompts{way}"))) == 9


def test_a_group_averages_metrics_that_its_tasks_have(manager):
    for group in manager.all_groups:
        wanted = {m["metric"] for m in manager.task_index[group].cfg["aggregate_metric_list"]}
        if not is_other(group):
            assert {"acc", "acc_temporal", "acc_chance_corrected"} <= wanted
        for name in leaves(manager, group):
            assert wanted <= {m["metric"] for m in manager.task_index[name].cfg["metric_list"]}


def doc(**more):
    options = ["Rain", "Siren", "Wind", "Piano"]
    base = {"id": "q", "pair": "q", "group": "g", "clip": "c", "options": options, "answer": "B"}
    other = {"letters": list("ABCD"), "answer_text": "Siren", "categories": [], "seconds": 1.0}
    other["right_letters"] = ["B"]
    return {**base, **other, "n_present": 2, **more}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("_*.yaml")), ids=lambda path: path.stem)
def test_what_a_task_returns_is_what_its_file_declares(path):
    config = load_yaml(path)
    if path.stem in ("_base", "_benchmark"):
        return
    generates = config["output_type"] == "generate_until"
    result = ["B"] if generates else [(-1.0, False)] * 4
    values = config["process_results"](doc(), result)
    declared = [metric["metric"] for metric in config["metric_list"]]
    assert sorted(values) == sorted(declared)
    assert len(declared) == len(set(declared))
    for metric in config["metric_list"]:
        if metric["aggregation"] != "mean":
            metric["aggregation"]([values[metric["metric"]]] * 2)  # takes what it is handed
            assert getattr(scoring, metric["aggregation"].__name__) is metric["aggregation"]


def test_cells_are_asked_as_their_names_say(manager):
    for name in TASKS:
        asked = dict(manager.task_index[name].cfg["dataset_kwargs"])
        sources = {"tempo": "released", "tempo_synth": "synth"}
        sources |= {"tempo_hard": "hard", "tempo_synth_hard": "synth_hard"}
        prefix = max((s for s in sources if name.startswith(f"{s}_")), key=len)
        kind, condition, *rest = name.removeprefix(f"{prefix}_").split("_")
        rest = [part for part in rest if part not in ("ll", "text")]
        expected = {"source": sources[prefix], "kind": kind, "condition": condition}
        if rest == ["rot"]:
            expected["rotations"] = True
        elif rest:
            expected["prompt"] = int(rest[0].removeprefix("prompt"))
        assert asked == expected
