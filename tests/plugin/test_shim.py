"""The start-up module against small stand-ins for the harness, one fresh interpreter per test.

The stand-ins have what the module touches: a registry that loads the built-in models only while it
is empty, and a `TaskManager` that records its paths. The newer one reads entry points itself.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

REGISTRY = """
class Registry(dict):
    def register(self, name, target):
        self[name] = target
model_registry = Registry()
def get_model(name):
    if not model_registry:
        import lm_eval.models
    return model_registry[name]
"""
MODELS = """
from lm_eval.api.registry import model_registry
model_registry.register("hf", target="lm_eval.models.huggingface:HFLM")
"""
MANAGER = """
class TaskManager:
    def __init__(self, verbosity=None, include_path=None, include_defaults=True, metadata=None):
        self.include_path = include_path
        given = include_path if isinstance(include_path, (list, tuple)) else [include_path]
        self.paths = ["built-in"] * include_defaults + [str(p) for p in given if p]
"""
NEW_REGISTRY = (
    REGISTRY
    + """
import importlib.metadata as md
def load_plugins(group, registry):
    for entry in md.entry_points(group=group):
        if entry.name not in registry:
            registry.register(entry.name, target=entry)
def plugins():
    load_plugins("lm_eval.models", model_registry)
"""
)
NEW_MANAGER = (
    """
import importlib.metadata as md
TASKS_ENTRY_POINT_GROUP = "lm_eval.tasks"
def discover_plugin_task_paths():
    return list(md.entry_points(group=TASKS_ENTRY_POINT_GROUP))
"""
    + MANAGER
)
# Comments and docstrings that speak of entry_points and "lm_eval.tasks" decide nothing.
TALKATIVE_MANAGER = '"""entry_points(group="lm_eval.tasks") is not read here."""\n' + MANAGER


class Site:
    """A folder like site-packages, with the start-up module, its package and a harness."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        package = folder / "tempo_tasks"
        (package / "harness").mkdir(parents=True)
        for name in ("_tempo_lalm_autoload.py", "tempo_tasks/paths.py"):
            shutil.copy(ROOT / name, folder / name)
        shutil.copy(ROOT / "tempo_tasks/harness/lm_eval_registration.py", package / "harness")
        self.write("tempo_tasks/__init__.py", "")
        self.write("tempo_tasks/harness/__init__.py", "")
        self.write(
            "tempo_tasks/errors.py", "class TaskFilesMissingError(FileNotFoundError):\n    pass\n"
        )
        self.yamls = package / "task_yamls"
        self.write("tempo_tasks/task_yamls/tempo.yaml", "group: tempo\n")
        self.harness(REGISTRY, MODELS, MANAGER)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def harness(self, registry: str, models: str, manager: str) -> None:
        self.write("lm_eval/__init__.py", "")
        self.write("lm_eval/api/__init__.py", "")
        self.write("lm_eval/api/registry.py", registry)
        self.write("lm_eval/models/__init__.py", models)
        self.write("lm_eval/tasks/__init__.py", "from lm_eval.tasks.manager import TaskManager\n")
        self.write("lm_eval/tasks/manager.py", manager)

    def installed(self) -> None:
        """Adds what pip writes for our entry points."""
        entries = "[lm_eval.models]\nlalm = tempo_tasks.harness.lalm:LALM\n"
        entries += "lalm-api = tempo_tasks.serving.lalm_api:LALMApi\n\n"
        entries += "[lm_eval.tasks]\ntempo = tempo_tasks.task_yamls\n"
        self.write("tempo_lalm-0.1.0.dist-info/entry_points.txt", entries)
        self.write("tempo_lalm-0.1.0.dist-info/METADATA", "Name: tempo-lalm\nVersion: 0.1.0\n")

    def as_checkout(self) -> None:
        """Moves the task files next to the package, where a checkout has them."""
        self.yamls = self.yamls.rename(self.folder / "task_yamls")

    def run(self, code: str, *options: str, start: bool = True, **env: str) -> str:
        """Output and warnings of `code` in an interpreter of its own, which must not fail.

        -S: without the site-packages of the tests, and without a start-up file that is there.
        """
        first = f"import sys; sys.path.insert(0, {str(self.folder)!r}); import _tempo_lalm_autoload"
        first += "; _tempo_lalm_autoload.install()\n" if start else "\n"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("TEMPO_", "PYTHON"))}
        done = subprocess.run(
            [sys.executable, "-S", *options, "-c", first + code],
            env={**kept, **env},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


MODEL_NAMES = (
    "from lm_eval.api.registry import get_model, model_registry\n"
    "get_model('hf'); print(*model_registry, 'tempo_tasks.harness.lalm' in sys.modules)"
)
TASK_PATHS = "from lm_eval.tasks import TaskManager; print(*TaskManager({}).paths)"


def test_the_model_joins_the_built_in_ones_and_is_not_imported(site: Site) -> None:
    assert site.run(MODEL_NAMES) == "hf lalm lalm-api False\n"


def test_a_model_of_this_name_that_is_already_there_is_left_alone(site: Site) -> None:
    site.harness(REGISTRY, MODELS + "model_registry.register('lalm', target='mine')", MANAGER)
    code = "import lm_eval.models as m; print(m.model_registry['lalm'])"
    assert site.run(code) == "mine\n"


def test_tasks_come_after_the_built_in_ones_and_before_include_path(site: Site) -> None:
    assert site.run(TASK_PATHS.format("")) == f"built-in {site.yamls}\n"
    assert site.run(TASK_PATHS.format("None, 'x'")) == f"built-in {site.yamls} x\n"
    assert site.run(TASK_PATHS.format("include_path=('x', 'y')")) == f"built-in {site.yamls} x y\n"
    assert site.run(TASK_PATHS.format("include_defaults=False")) == f"{site.yamls}\n"


def test_the_task_folder_of_a_checkout_is_found(site: Site) -> None:
    site.as_checkout()
    assert site.run(TASK_PATHS.format("")) == f"built-in {site.folder / 'task_yamls'}\n"


def test_the_callers_include_path_is_kept_as_given(site: Site) -> None:
    code = "from lm_eval.tasks import TaskManager as T; print([T(include_path=p).include_path for p"
    assert site.run(f"{code} in (None, 'x', ['x'])])") == "[None, 'x', ['x']]\n"


def test_our_folder_in_include_path_is_not_indexed_twice(site: Site) -> None:
    given = f"include_path=['x', {str(site.yamls)!r}]"
    assert site.run(TASK_PATHS.format(given)) == f"built-in x {site.yamls}\n"


def test_a_wrong_call_fails_in_the_harness_own_words(site: Site) -> None:
    code = "from lm_eval.tasks import TaskManager\ntry: TaskManager(nonsense=1)\n"
    out = site.run(code + "except TypeError as e: print(e)")
    assert "unexpected keyword argument 'nonsense'" in out
    assert "RuntimeWarning" not in out


def test_installing_twice_and_reloading_change_nothing(site: Site) -> None:
    code = (
        "_tempo_lalm_autoload.install()\n"
        "print(sum(hasattr(f, '_tempo_lalm') for f in sys.meta_path))\n"
        "import importlib, lm_eval.models, lm_eval.tasks.manager as m\n"
        "importlib.reload(m); importlib.reload(lm_eval.models)\n"
        "from tempo_tasks.harness import lm_eval_registration as r; r.add_tasks(m)\n"
        "print(*m.TaskManager().paths)"
    )
    assert site.run(code) == f"1\nbuilt-in {site.yamls}\n"


def test_the_loaders_are_as_they_were(site: Site) -> None:
    code = (
        "import importlib.util, lm_eval.models as m; loader = m.__spec__.loader\n"
        "print(type(loader).__name__, 'exec_module' in vars(loader))\n"
        "print(importlib.util.find_spec('lm_eval.models') is m.__spec__)"
    )
    assert site.run(code) == "SourceFileLoader False\nTrue\n"


def test_starting_imports_nothing(site: Site) -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "import _tempo_lalm_autoload; _tempo_lalm_autoload.install()\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=site.folder, capture_output=True)
    # Nothing but itself; or nothing, where the tests' own environment has it installed.
    assert done.stdout.decode().strip() in ("_tempo_lalm_autoload", "")


@pytest.mark.parametrize(
    ("value", "names"), [("1", "hf"), ("0", "hf lalm lalm-api"), ("", "hf lalm lalm-api")]
)
def test_the_environment_variable_switches_it_off(site: Site, value: str, names: str) -> None:
    assert site.run(MODEL_NAMES, TEMPO_NO_AUTOLOAD=value) == f"{names} False\n"


def test_it_can_be_switched_off_before_the_harness_is_imported(site: Site) -> None:
    code = "import os; os.environ['TEMPO_NO_AUTOLOAD'] = '1'\n"
    assert site.run(code + MODEL_NAMES) == "hf False\n"
    assert site.run(code + TASK_PATHS.format("")) == "built-in\n"


@pytest.mark.parametrize("options", [(), ("-W", "error")])
@pytest.mark.parametrize(
    ("break_it", "code", "says"),
    [
        ("registry", "import lm_eval.models; print('on')", "cannot import name 'model_registry'"),
        ("manager", "import lm_eval.tasks; print('on')", "takes no include_path"),
        ("yamls", TASK_PATHS.format("") + "; print('on')", "TaskFilesMissingError: the task files"),
        ("loader", "import lm_eval.models; print('on')", "cannot be hooked"),
    ],
)
def test_a_fault_is_a_warning(
    site: Site, break_it: str, code: str, says: str, options: tuple[str, ...]
) -> None:
    if break_it == "registry":
        site.harness("", "", MANAGER)
    elif break_it == "manager":
        site.harness(REGISTRY, MODELS, "class TaskManager:\n    def __init__(self): pass\n")
    elif break_it == "yamls":
        shutil.rmtree(site.yamls)
    else:  # a loader that is a class, as of frozen modules: not to be changed for all of them
        code = (
            "from importlib.machinery import BuiltinImporter, ModuleSpec\n"
            "class Frozen(BuiltinImporter):\n"
            "    create_module = staticmethod(lambda spec: None)\n"
            "    exec_module = staticmethod(lambda module: None)\n"
            "    def find_spec(name, path=None, target=None):\n"
            "        return ModuleSpec(name, Frozen) if name == 'lm_eval.models' else None\n"
            "sys.meta_path.insert(1, Frozen)\n"
        ) + code
    out = site.run(code, *options)
    assert "on\n" in out
    assert says in out
    assert out.count("RuntimeWarning: tempo-lalm could not add its model or tasks") == 1
    assert "TEMPO_NO_AUTOLOAD=1" in out


def test_it_stands_aside_where_the_harness_reads_entry_points(site: Site) -> None:
    site.installed()
    site.harness(NEW_REGISTRY, MODELS, NEW_MANAGER)
    assert site.run(MODEL_NAMES) == "hf False\n"
    assert site.run(TASK_PATHS.format("")) == "built-in\n"


def test_it_serves_where_the_harness_reads_entry_points_but_cannot_find_ours(site: Site) -> None:
    site.harness(NEW_REGISTRY, MODELS, NEW_MANAGER)  # a checkout on PYTHONPATH: no entry points
    assert site.run(MODEL_NAMES) == "hf lalm lalm-api False\n"
    assert site.run(TASK_PATHS.format("")) == f"built-in {site.yamls}\n"
    site.installed()
    site.as_checkout()  # an editable install: the tasks' entry point leads nowhere
    assert site.run(TASK_PATHS.format("")) == f"built-in {site.yamls}\n"


def test_it_serves_the_tasks_where_the_harness_reads_models_only(site: Site) -> None:
    site.installed()
    site.harness(NEW_REGISTRY, MODELS, TALKATIVE_MANAGER)
    assert site.run(MODEL_NAMES) == "hf False\n"
    assert site.run(TASK_PATHS.format("")) == f"built-in {site.yamls}\n"


REGISTER = (
    "from tempo_tasks.harness.lm_eval_registration import register; register(); print(register())\n"
)


def test_register_does_the_same_without_the_start_up_module(site: Site) -> None:
    code = REGISTER + MODEL_NAMES.rpartition(",")[0] + ")\n" + TASK_PATHS.format("")
    out = site.run(code, start=False, TEMPO_NO_AUTOLOAD="1")
    assert out == f"{site.yamls}\nhf lalm lalm-api\nbuilt-in {site.yamls}\n"


def test_register_works_after_the_harness_was_imported_and_used(site: Site) -> None:
    code = "from lm_eval.tasks import TaskManager; TaskManager()\n" + REGISTER
    out = site.run(code + "print(*TaskManager().paths)", start=False)
    assert out == f"{site.yamls}\nbuilt-in {site.yamls}\n"


def test_register_raises_what_the_start_up_module_only_warns_of(site: Site) -> None:
    shutil.rmtree(site.yamls)
    code = "from tempo_tasks.harness.lm_eval_registration import register\ntry: register()\n"
    out = site.run(code + "except FileNotFoundError as e: print(e)", start=False)
    assert "the task files of tempo-lalm are missing" in out
