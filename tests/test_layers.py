"""The layers of the house: who may import whom, how long a file may be, what a folder says.

Sources are read, not imported, so imports inside functions and under `TYPE_CHECKING` count too.
Each rule is a function from the sources to the list of what breaks it; the tests at the end show
on small trees that each rule can fail.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.source_imports import (
    Import,
    Sources,
    circles,
    edges_between,
    project_sources,
    read_sources,
)

EXPERIMENTS = tuple(
    f"tempo_attn.lab.{name}"
    for name in (
        *("sweep", "mass", "heads", "try_heads", "listen", "lens", "trace", "timeline", "steer"),
        *("presets", "compare"),
    )
)
SHARED = tuple(
    f"tempo_attn.lab.{name}"
    for name in ("engine", "run_folder", "figures", "items", "item_records", "report")
)


@dataclass(frozen=True)
class Layer:
    """Modules that never import certain others; a name stands for all that lies below it.

    Attributes:
        name: What the test calls the rule.
        modules: Whose imports are looked at.
        never: What they must not import.
        todo: What to do about an import that breaks the rule.
        but: Modules of `never` that may be imported all the same.
        apart_from: Modules of `modules` that the rule is not about.
    """

    name: str
    modules: tuple[str, ...]
    never: tuple[str, ...]
    todo: str
    but: tuple[str, ...] = ()
    apart_from: tuple[str, ...] = ()

    def broken(self, sources: Sources) -> list[str]:
        """Every import that breaks the rule, with what to do."""
        return [
            f"{one}: {self.todo}"
            for one in (*sources.imports, *sources.outside)
            if below(sources.module_of(one.file), self.modules)
            and not below(sources.module_of(one.file), self.apart_from)
            and below(one.target, self.never)
            and not below(one.target, self.but)
        ]


LAYERS = (
    Layer(
        "tempo_attn-knows-no-benchmark",
        modules=("tempo_attn",),
        never=("tempo_tasks", "lm_eval"),
        todo="tempo_attn knows no benchmark and no harness. Move what needs both to tempo_tasks",
    ),
    Layer(
        "edits-know-no-laboratory",
        modules=("tempo_attn",),
        apart_from=("tempo_attn.lab",),
        never=("tempo_attn.lab",),
        todo="only tempo_attn/lab and tempo_tasks import the laboratory. Move what both need out "
        "of tempo_attn/lab, to the folder that it is about",
    ),
    Layer(
        "experiments-stand-on-the-engine",
        modules=SHARED,
        never=EXPERIMENTS,
        todo="all experiments share this module, so it knows none of them. Hand the experiment's "
        "part in as an argument, or move it here",
    ),
    *(
        Layer(
            f"{name}-stands-alone",
            modules=(f"tempo_attn.lab.{name}",),
            never=EXPERIMENTS,
            but=(f"tempo_attn.lab.{name}",),
            todo="an experiment imports no other. Move what both need to tempo_attn/lab/engine "
            "(or figures, or beside the folders)",
        )
        for name in ("sweep", "mass", "heads", "listen", "lens", "trace", "timeline", "steer")
    ),
    Layer(
        "statistics-know-no-laboratory",
        modules=("tempo_tasks.stats", "tempo_tasks.audit"),
        never=("tempo_attn.lab", "tempo_tasks.lab"),
        todo="stats and audit run no model. Move what they share with the laboratory out of it, "
        "as tempo_attn/statistics.py",
    ),
    Layer(
        "data-know-no-harness",
        modules=tuple(f"tempo_tasks.{name}" for name in ("sources", "stats", "audit")),
        never=("tempo_tasks.harness",),
        todo="sources give questions and stats read files, with or without the harness. Move what "
        "both need below the two",
    ),
    Layer(
        "the-laboratory-is-on-top",
        modules=tuple(f"tempo_tasks.{name}" for name in ("harness", "sources", "tiny")),
        never=("tempo_tasks.lab",),
        todo="tempo_tasks/lab builds on the harness. Move what both need below the two",
    ),
    Layer(
        "the-doctor-is-on-top",
        modules=("tempo_tasks",),
        apart_from=("tempo_tasks.doctor", "tempo_tasks.cli", "tempo_tasks.report"),
        never=("tempo_tasks.doctor",),
        todo="the doctor looks at what others build; nothing builds on it, but for the page that "
        "shows what it wrote",
    ),
    Layer(
        "sounds-and-scores-know-no-model",
        modules=("tempo_tasks.audio", "tempo_tasks.scoring"),
        never=("tempo_attn",),
        todo="audio decodes files and scoring reads answers, whoever gave them. Hand values over",
    ),
    Layer(
        "questions-know-nothing",
        modules=("tempo_tasks.questions",),
        never=("tempo_tasks", "tempo_attn"),
        but=("tempo_tasks.questions", "tempo_tasks.errors"),
        todo="questions imports nothing of ours but errors. Hand over values, or move the function "
        "to its caller",
    ),
)

# Imports that would close a circle when they were at the top of the file, and why they are not:
# (importer, imported): reason.
CIRCLES_ALLOWED = {
    (
        "_tempo_lalm_autoload",
        "tempo_tasks.harness.lm_eval_registration",
    ): "the start-up file calls it late, and it registers by the file's names",
    ("tempo_attn", "tempo_attn.model"): "public names, imported at their first use",
    ("tempo_attn.config", "tempo_attn.hub.push"): "push_to_hub, as PEFT's configurations have it",
    ("tempo_attn.config", "tempo_attn.hub.save"): "save_pretrained, likewise",
    ("tempo_attn.config", "tempo_attn.presets"): "AttnScaleConfig.mata() and the like",
}

MOST_LINES = 350
LONGER_ALLOWED: dict[str, str] = {}  # file: reason


def below(module: str, names: tuple[str, ...]) -> bool:
    """Whether a module is one of the names, or lies below one."""
    return any(f"{module}.".startswith(f"{name}.") for name in names)


def circles_left(sources: Sources) -> list[str]:
    """Circles that remain without the allowed imports, and allowed imports without a circle."""
    edges = edges_between(sources.imports, sources)
    in_circles = circles(edges)
    problems = []
    for (importer, imported), reason in CIRCLES_ALLOWED.items():
        if not any({importer, imported} <= set(circle) for circle in in_circles):
            problems.append(
                f"tests/test_layers.py allows {importer} to import {imported} ({reason}), which "
                "closes no circle: take it off CIRCLES_ALLOWED"
            )
        edges.get(importer, set()).discard(imported)
    for circle in circles(edges):
        inside = [
            str(one)
            for one in dict.fromkeys(sources.imports)
            if sources.module_of(one.file) in circle
            and one.target in circle
            and one.target in edges[sources.module_of(one.file)]
        ]
        problems.append(
            f"import circle of {', '.join(circle)}: move what both sides need to a module that "
            "imports neither. Its imports:\n    " + "\n    ".join(inside)
        )
    return problems


def too_long(sources: Sources) -> list[str]:
    """Files with more lines than a reader holds in mind, and allowances that are not needed."""
    problems = []
    for module, file in sources.files.items():
        n_lines = len(sources.text(module).splitlines())
        if n_lines > MOST_LINES and file not in LONGER_ALLOWED:
            problems.append(
                f"{file} has {n_lines} lines; expected at most {MOST_LINES}: split it by idea"
            )
        if n_lines <= MOST_LINES and file in LONGER_ALLOWED:
            problems.append(f"{file} has {n_lines} lines: take it off LONGER_ALLOWED")
    return problems


def undescribed_folders(sources: Sources) -> list[str]:
    """Folders of modules without an `__init__.py` that says what lives there."""
    folders = sorted({Path(file).parent for file in sources.files.values()} - {Path(".")})
    problems = []
    for folder in folders:
        file = (folder / "__init__.py").as_posix()
        module = sources.module_of(file)
        if module not in sources.files:
            problems.append(f"{file} is missing: say in its docstring what lives there")
        elif not ast.get_docstring(sources.tree(module)):
            problems.append(f"{file} has no docstring: say in it what lives there")
    return problems


# ------------------------------------------------------------------------------ this tree


@pytest.fixture(scope="module")
def sources() -> Sources:
    return project_sources()


def check(problems: list[str]) -> None:
    assert not problems, "\n" + "\n".join(dict.fromkeys(problems))


def test_all_files_are_read(sources):
    assert {"tempo_attn.config", "tempo_tasks.cli", "_tempo_lalm_autoload"} <= set(sources.files)
    assert len(sources.imports) > 1000


def test_every_layer_is_about_modules_that_exist(sources):
    """A rule about a folder that was renamed would pass for ever."""
    for layer in LAYERS:
        for name in (*layer.modules, *layer.never, *layer.but, *layer.apart_from):
            assert name in sources.files or name == "lm_eval", (
                f"the rule {layer.name} names {name}, which is not there: was it renamed?"
            )


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_layer(sources, layer):
    check(layer.broken(sources))


def test_no_circles(sources):
    check(circles_left(sources))


def test_no_long_files(sources):
    check(too_long(sources))


def test_every_folder_says_what_lives_there(sources):
    check(undescribed_folders(sources))


# ------------------------------------------------------------------------------ each rule can fail


def tree(root: Path, files: dict[str, str]) -> Sources:
    """The sources of a made-up tree; every folder has an `__init__` with a docstring."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        for folder in [path.parent, *path.parent.parents]:
            if folder == root:
                break
            (folder / "__init__.py").touch()
            if not (folder / "__init__.py").read_text():
                (folder / "__init__.py").write_text('"""Says what lives here."""\n')
    return read_sources(root)


def ways_to_import(target: str) -> Iterator[str]:
    """Sources that import a module at the top, in a function, for types, by folder, relatively."""
    folder, _, name = target.rpartition(".")
    yield f"import {target}\n"
    yield f"from {target} import something\n"
    yield f"def late():\n    from {folder} import {name}\n" if folder else f"import {name}\n"
    yield f"if TYPE_CHECKING:\n    from {target} import Something\n"


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_a_layer_can_be_broken(tmp_path, layer):
    for number, never in enumerate(layer.never):
        if below(never, layer.but):  # an experiment may import its own modules
            continue
        for way, text in enumerate(ways_to_import(f"{never}.made_up")):
            root = tmp_path / f"{number}-{way}"
            importer = layer.modules[0].replace(".", "/") + "/importer.py"
            made = tree(root, {importer: text, f"{never.replace('.', '/')}/made_up.py": ""})
            (problem,) = layer.broken(made)
            assert problem.startswith(f"{importer}:")
            assert f"imports {never}.made_up" in problem
            assert problem.endswith(layer.todo)


def test_what_a_layer_allows_passes(tmp_path):
    made = tree(
        tmp_path,
        {
            "tempo_attn/lab/sweep/run.py": "from tempo_attn.lab.sweep import grid\n",
            "tempo_attn/lab/sweep/grid.py": "from tempo_attn.lab.engine.plan import Plan\n",
            "tempo_attn/lab/engine/plan.py": "from tempo_attn.config import Config\n",
            "tempo_attn/config.py": "import torch\n",
            "tempo_tasks/errors.py": "",
            "tempo_tasks/questions/events.py": "from tempo_tasks.errors import DataError\n",
            "tempo_tasks/lab/cli.py": "import tempo_attn.lab.sweep.run\n",
        },
    )
    assert [problem for layer in LAYERS for problem in layer.broken(made)] == []
    assert circles(edges_between(made.imports, made)) == []
    assert too_long(made) == undescribed_folders(made) == []


def test_relative_imports_are_followed(tmp_path):
    made = tree(
        tmp_path,
        {
            "tempo_attn/lab/sweep/run.py": "from .grid import Grid\nfrom ..items import Item\n",
            "tempo_attn/lab/sweep/grid.py": "from . import run\n",
            "tempo_attn/lab/items.py": "from .. import lab\n",
        },
    )
    assert [str(one) for one in made.imports] == [
        "tempo_attn/lab/items.py:1 imports tempo_attn.lab",
        "tempo_attn/lab/sweep/grid.py:1 imports tempo_attn.lab.sweep.run",
        "tempo_attn/lab/sweep/run.py:1 imports tempo_attn.lab.sweep.grid",
        "tempo_attn/lab/sweep/run.py:2 imports tempo_attn.lab.items",
    ]
    assert Import("tempo_attn/lab/sweep/grid.py", 1, "tempo_attn.lab.sweep.run") in made.imports


@pytest.mark.parametrize("text", list(ways_to_import("tempo_attn.one")))
def test_a_circle_is_seen(tmp_path, text, monkeypatch):
    monkeypatch.setitem(globals(), "CIRCLES_ALLOWED", {})
    files = {
        "tempo_attn/one.py": "from tempo_attn.two import a\n",
        "tempo_attn/two.py": "from tempo_attn.three import b\n",
        "tempo_attn/three.py": text,
        "tempo_attn/four.py": "from tempo_attn.one import c\n",
    }
    (problem,) = circles_left(tree(tmp_path, files))
    assert problem.startswith("import circle of tempo_attn.one, tempo_attn.three, tempo_attn.two:")
    assert "tempo_attn/one.py:1 imports tempo_attn.two" in problem
    assert "four" not in problem


def test_an_allowed_circle_is_allowed_and_wanted(tmp_path, monkeypatch):
    monkeypatch.setitem(
        globals(), "CIRCLES_ALLOWED", {("tempo_attn.two", "tempo_attn.one"): "late"}
    )
    files = {
        "tempo_attn/one.py": "from tempo_attn.two import a\n",
        "tempo_attn/two.py": "def late():\n    from tempo_attn.one import b\n",
    }
    assert circles_left(tree(tmp_path, files)) == []
    (tmp_path / "tempo_attn/two.py").write_text("")
    (problem,) = circles_left(read_sources(tmp_path))
    assert "take it off CIRCLES_ALLOWED" in problem


def test_a_long_file_is_seen(tmp_path, monkeypatch):
    files = {"tempo_attn/long.py": "x = 1\n" * 351, "tempo_attn/short.py": "x = 1\n" * 350}
    made = tree(tmp_path, files)
    assert too_long(made) == [
        "tempo_attn/long.py has 351 lines; expected at most 350: split it by idea"
    ]
    allowed = {"tempo_attn/long.py": "a table", "tempo_attn/short.py": "no longer"}
    monkeypatch.setitem(globals(), "LONGER_ALLOWED", allowed)
    assert too_long(made) == ["tempo_attn/short.py has 350 lines: take it off LONGER_ALLOWED"]


@pytest.mark.parametrize(("text", "message"), [(None, "is missing"), ("x = 1\n", "no docstring")])
def test_a_folder_that_says_nothing_is_seen(tmp_path, text, message):
    made = tree(tmp_path, {"tempo_attn/lab/run.py": ""})
    assert undescribed_folders(made) == []
    init = tmp_path / "tempo_attn/lab/__init__.py"
    init.unlink() if text is None else init.write_text(text)
    (problem,) = undescribed_folders(read_sources(tmp_path))
    assert problem.startswith("tempo_attn/lab/__init__.py")
    assert message in problem


def test_pytest_leaves_no_folder_of_tests_out(request):
    """By default it does not look into folders named "build", and one of ours holds tests."""
    left_out = request.config.getini("norecursedirs")
    folders = {file.parent for file in (ROOT / "tests").rglob("test_*.py")}
    parts = {part for folder in folders for part in folder.relative_to(ROOT).parts}
    assert [part for part in parts if any(fnmatch(part, name) for name in left_out)] == []
