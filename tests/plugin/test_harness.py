"""The plugin with the real harness, in this process, and the project's own files about itself."""

import re
import sys
from collections.abc import Iterator
from importlib import reload
from pathlib import Path
from typing import Any

import pytest

import _tempo_lalm_autoload as shim
import tempo_tasks
from tempo_tasks.harness import lm_eval_registration as registration
from tempo_tasks.harness.lm_eval_registration import register
from tempo_tasks.paths import task_yamls_dir
from tests.support.paths import ROOT

lm_eval_tasks = pytest.importorskip("lm_eval.tasks")


@pytest.fixture(scope="module")
def index() -> Iterator[dict[str, Any]]:
    """All names of the plugin and of one built-in folder; indexing all 14,000 takes seconds."""
    register()
    import lm_eval.tasks.manager as manager

    with pytest.MonkeyPatch.context() as patch:
        built_in = Path(manager.__file__ or "").parent
        patch.setattr(manager, "__file__", str(built_in / "arc" / "manager.py"))
        yield manager.TaskManager().task_index


def test_our_model_and_the_built_in_ones_resolve() -> None:
    register()
    from lm_eval.api.registry import get_model, model_registry

    assert {"lalm", "lalm-api", "hf", "dummy", "vllm", "local-completions"} <= set(model_registry)
    assert get_model("dummy").__name__ == "DummyLM"


def test_our_tasks_and_the_built_in_ones_are_indexed(index: dict[str, Any]) -> None:
    assert {"arc_easy", "arc_challenge"} <= set(index)
    assert {"tempo_eo_aqa", "tempo_synth_ld_silence", "tempo_synth_eo_aqa_ll", "tempo"} <= set(
        index
    )


def test_every_task_file_of_ours_is_indexed_from_our_folder(index: dict[str, Any]) -> None:
    ours = {n: e for n, e in index.items() if n.startswith("tempo")}
    files = {Path(e.yaml_path) for e in ours.values() if e.yaml_path}
    assert {f.parent for f in files} <= {p.parent for p in task_yamls_dir().rglob("*.yaml")}


def test_include_path_overrides_our_task(tmp_path: Path) -> None:
    register()
    mine = tmp_path / "mine.yaml"
    mine.write_text("task: tempo_synth_eo_aqa\ndataset_path: json\noutput_type: generate_until\n")
    manager = lm_eval_tasks.TaskManager(include_path=str(tmp_path), include_defaults=False)
    assert manager.task_index["tempo_synth_eo_aqa"].yaml_path == mine
    assert "tempo_synth_lo_aqa" in manager.all_tasks
    assert manager.include_path == str(tmp_path)


def test_this_harness_does_not_serve_us_by_itself() -> None:
    """When this fails, the harness reads entry points: see whether the start-up file is needed."""
    modules = ("lm_eval.tasks.manager", "lm_eval.tasks", "lm_eval.api.registry")
    assert all(list(registration._code_objects(name)) for name in modules)
    assert not registration._served_upstream("lm_eval.tasks", "tempo", modules)


def test_the_start_up_module_survives_being_loaded_again() -> None:
    reload(shim)
    shim.install()
    assert sum(hasattr(finder, "_tempo_lalm") for finder in sys.meta_path) == 1


def test_the_two_start_up_files_call_the_same_function() -> None:
    assert (ROOT / "tempo_lalm.start").read_text() == "_tempo_lalm_autoload:install\n"
    line = "import _tempo_lalm_autoload; _tempo_lalm_autoload.install()\n"
    assert (ROOT / "tempo_lalm.pth").read_text() == line


def test_the_entry_points_name_what_is_registered() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    for name, target in registration.MODELS.items():
        assert f'{name} = "{target}"' in project
    assert f'{registration.TASKS_ENTRY_POINT} = "tempo_tasks.task_yamls"' in project


def test_the_versions_agree() -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {tempo_tasks.__version__}\n" in citation


def test_every_dependency_is_in_the_constraints_at_or_above_its_floor() -> None:
    from packaging.requirements import Requirement

    text = (ROOT / "constraints.txt").read_text()
    pinned = dict(re.findall(r"^([\w.-]+)==([^+\s]+)$", text, re.MULTILINE))
    pinned = {name.lower().replace("_", "-"): version for name, version in pinned.items()}
    listed = re.search(
        r"^dependencies = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.S | re.M
    )
    assert listed
    for line in re.findall(r'"(.+?)"', listed[1]):
        requirement = Requirement(line)
        version = pinned[requirement.name.lower().replace("_", "-")]
        assert requirement.specifier.contains(version), line
    assert "/" not in text.replace("# ", "").split("\n", 3)[3], "no paths among the versions"
