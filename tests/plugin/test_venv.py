"""The installed plugin in real virtual environments, with every launcher. No network.

The wheel is built from the source distribution of a clean checkout: what is not committed is not
tested here.
"""

import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.venvs import Env, build_wheel, clean_checkout, make_env

pytestmark = pytest.mark.slow

TASK = "tempo_synth_eo_aqa"
RUN = ("--model", "lalm", "--tasks", TASK, "--limit", "2", "--batch_size", "2")


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clean_checkout(tmp_path_factory.mktemp("checkout") / "tempo")


@pytest.fixture(scope="session")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(checkout, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of its own for the session: scenes are rendered once, and not into the user's."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def installed(wheel: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Env:
    env = make_env(tmp_path_factory.mktemp("wheel"))
    env.pip("install", "--no-deps", str(wheel))
    return env


@pytest.fixture(scope="module")
def editable(checkout: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Env:
    env = make_env(tmp_path_factory.mktemp("editable"))
    env.pip("install", "--no-deps", "--no-build-isolation", "-e", str(checkout))
    return env


def test_the_environment_does_not_have_the_project_by_itself(tmp_path: Path) -> None:
    code = "import importlib.util as u, importlib.metadata as m\n"
    code += "print(u.find_spec('tempo_tasks'), u.find_spec('_tempo_lalm_autoload'))\n"
    code += "print(list(m.distributions(name='tempo-lalm')), u.find_spec('lm_eval') is None)"
    assert make_env(tmp_path).run("python", "-c", code).stdout == "None None\n[] False\n"


def test_the_wheel_has_the_tasks_the_weights_and_the_start_up_files(installed: Env) -> None:
    package = installed.site / "tempo_tasks"
    assert (package / "task_yamls" / "__init__.py").exists()
    assert list((package / "task_yamls").rglob("*.yaml"))
    assert list((package / "tiny" / "embedded").glob("*.safetensors"))
    assert list((package / "tiny" / "embedded").glob("*.json"))
    assert {"tempo_lalm.pth", "tempo_lalm.start"} <= {p.name for p in installed.site.iterdir()}


def test_an_editable_install_copies_nothing_but_the_start_up_files(editable: Env) -> None:
    names = {p.name for p in editable.site.iterdir() if "tempo" in p.name}
    names = {n for n in names if not n.endswith(".dist-info")}
    start = {"_tempo_lalm_autoload.py", "tempo_lalm.pth", "tempo_lalm.start"}
    assert names == {*start, "_tempo_lalm.pth"}


@pytest.mark.parametrize("kind", ["installed", "editable"])
def test_the_plain_command(kind: str, request: pytest.FixtureRequest) -> None:
    env: Env = request.getfixturevalue(kind)
    assert f"|{TASK}" in env.run("lm_eval", *RUN).stdout


@pytest.mark.parametrize(
    "command",
    [
        ("lm-eval", "run"),
        ("python", "-m", "lm_eval"),
        ("python", "-I", "-m", "lm_eval", "run"),
        ("accelerate", "launch", "--cpu", "--num_processes", "1", "-m", "lm_eval"),
        ("python", "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "lm_eval"),
    ],
    ids=["lm-eval run", "python -m", "python -I -m", "accelerate launch", "two processes"],
)
def test_other_launchers(installed: Env, command: tuple[str, ...]) -> None:
    out = installed.run(*command, *RUN, env={"ACCELERATE_USE_CPU": "true"}).stdout
    assert out.count(f"|{TASK}") == 1


def test_simple_evaluate_in_an_isolated_interpreter(installed: Env) -> None:
    code = (
        "import lm_eval\n"
        f"results = lm_eval.simple_evaluate(model='lalm', tasks=['{TASK}'], limit=2)\n"
        "print('tasks:', *results['results'])\n"
        "from lm_eval.api.registry import get_model\n"
        "print('models:', get_model('hf').__name__, get_model('dummy').__name__)"
    )
    out = installed.run("python", "-I", "-c", code).stdout
    assert f"tasks: {TASK}\n" in out
    assert "models: HFLM DummyLM\n" in out


@pytest.mark.parametrize("kind", ["installed", "editable"])
def test_validate_knows_our_tasks_and_the_built_in_ones(
    kind: str, request: pytest.FixtureRequest
) -> None:
    env: Env = request.getfixturevalue(kind)
    names = (
        "tempo_eo_aqa,tempo_synth_ld_silence,tempo_synth_eo_aqa_ll,tempo,arc_easy,hellaswag,mmlu"
    )
    assert "All tasks found and valid" in env.run("lm_eval", "validate", "--tasks", names).stdout


def test_ls_lists_our_tasks_and_include_path_overrides_them(installed: Env, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"task: {TASK}\ndataset_path: json\noutput_type: generate_until\n")
    out = installed.run("lm_eval", "ls", "tasks", "--include_path", str(tmp_path)).stdout
    places = {line.split("|")[1].strip(): line for line in out.splitlines() if line.count("|") > 2}
    assert str(mine) in places[TASK]
    assert str(installed.site / "tempo_tasks" / "task_yamls") in places["tempo_synth_lo_aqa"]
    assert "lm_eval/tasks/" in places["arc_easy"]


def test_the_environment_variable_switches_it_off(installed: Env) -> None:
    off = {"TEMPO_NO_AUTOLOAD": "1"}
    done = installed.run("lm_eval", "validate", "--tasks", TASK, env=off, check=False)
    assert done.returncode == 1
    assert f"Tasks not found: {TASK}" in done.stdout
    code = "from tempo_tasks.harness.lm_eval_registration import register; register()\n"
    code += "from lm_eval.tasks import TaskManager\n"
    code += f"print('{TASK}' in TaskManager(include_defaults=False).all_tasks)"
    assert installed.run("python", "-c", code, env=off).stdout == "True\n"


def test_processes_that_are_spawned_have_it_too(installed: Env) -> None:
    script = installed.root / "work" / "spawn.py"
    script.parent.mkdir(exist_ok=True)
    script.write_text(
        "import multiprocessing as mp, sys\n"
        "def hooked(_): return any(hasattr(f, '_tempo_lalm') for f in sys.meta_path)\n"
        "if __name__ == '__main__':\n"
        "    with mp.get_context('spawn').Pool(1) as pool: print(pool.map(hooked, [0]))\n"
    )
    assert installed.run("python", str(script)).stdout == "[True]\n"


@pytest.mark.parametrize("editable", [False, True], ids=["wheel", "editable"])
def test_uninstalling_leaves_nothing_behind(
    editable: bool, wheel: Path, checkout: Path, tmp_path: Path
) -> None:
    env = make_env(tmp_path)
    before = env.listing()
    what = ["--no-build-isolation", "-e", str(checkout)] if editable else [str(wheel)]
    env.pip("install", "--no-deps", *what)
    code = "import tempo_attn, tempo_tasks.prompts; "
    code += "import tempo_tasks.harness.lm_eval_registration as r; r.register()"
    env.run("python", "-c", code)
    assert env.listing() != before
    env.pip("uninstall", "--yes", "tempo-lalm")
    assert env.listing() == before
    assert env.run("python", "-c", "pass").stderr == ""


def test_a_checkout_that_was_removed_disturbs_nothing(wheel: Path, tmp_path: Path) -> None:
    copy = clean_checkout(tmp_path / "copy")
    env = make_env(tmp_path)
    env.pip("install", "--no-deps", "--no-build-isolation", "-e", str(copy))
    copy.rename(tmp_path / "elsewhere")
    assert env.run("python", "-c", "pass").stderr == ""
    code = "import lm_eval.models as m; from lm_eval.tasks import TaskManager\n"
    code += "TaskManager(include_defaults=False); print('hf' in m.MODEL_MAPPING)"
    done = env.run("python", "-c", code)
    assert done.stdout == "True\n"
    assert done.stderr.count("RuntimeWarning: tempo-lalm could not add") == 1


@pytest.mark.network
def test_a_full_installation_with_the_constraints(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True, symlinks=True)
    python = str(tmp_path / "env" / "bin" / "python")
    constraints = str(ROOT / "constraints.txt")
    command = [python, "-m", "pip", "install", "-q", "-c", constraints]
    subprocess.run([*command, "torch"], check=True)
    subprocess.run([*command, str(wheel)], check=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    program = str(tmp_path / "env" / "bin" / "lm_eval")
    done = subprocess.run(
        [program, *RUN],
        env=kept,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        text=True,
    )
    assert f"|{TASK}" in done.stdout
