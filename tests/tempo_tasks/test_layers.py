"""Which parts of `tempo_tasks` may import which: read off the source, also inside functions."""

import ast
from pathlib import Path

import pytest

import tempo_attn
import tempo_tasks

PACKAGES = {
    package.__name__: Path(package.__file__).parent for package in (tempo_attn, tempo_tasks)
}


def modules():
    for name, folder in PACKAGES.items():
        for file in folder.rglob("*.py"):
            parts = (name, *file.relative_to(folder).with_suffix("").parts)
            yield ".".join(parts).removesuffix(".__init__"), file


MODULES = dict(modules())


def imported(file):
    """All modules of ours that a file imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield from [inner if inner in MODULES else node.module] * (
                    inner in MODULES or node.module in MODULES
                )


IMPORTS = {name: set(imported(file)) - {name} for name, file in MODULES.items()}


def below(folder):
    return {name for name in MODULES if f"{name}.".startswith(f"{folder}.")}


def test_questions_know_nothing_of_ours_but_errors():
    for name in below("tempo_tasks.questions"):
        assert IMPORTS[name] <= below("tempo_tasks.questions") | {"tempo_tasks.errors"}, name
    assert IMPORTS["tempo_tasks.errors"] == {"tempo_attn.errors"}


@pytest.mark.parametrize(
    ("folder", "never"),
    [
        ("tempo_tasks.stats", "tempo_attn.lab"),
        ("tempo_tasks.audit", "tempo_attn.lab"),
        ("tempo_tasks.scoring", "tempo_attn"),
        ("tempo_tasks.audio", "tempo_attn"),
        ("tempo_tasks.sources", "tempo_attn.lab"),
        *((f"tempo_tasks.{name}", "tempo_tasks.lab") for name in ("stats", "audit", "harness")),
        *((f"tempo_tasks.{name}", "tempo_tasks.harness") for name in ("sources", "stats", "audit")),
    ],
)
def test_what_a_folder_never_imports(folder, never):
    assert below(folder)
    assert below(never)
    for name in below(folder):
        assert not IMPORTS[name] & below(never), name


def test_the_benchmark_has_no_circle_of_imports():
    """Of modules: what imports nothing that is left is taken away until nothing is left."""
    left = {
        name: IMPORTS[name] & below("tempo_tasks")
        for name in below("tempo_tasks") - below("tempo_tasks.lab")
    }
    left = {name: others - below("tempo_tasks.lab") for name, others in left.items()}
    while free := [name for name, others in left.items() if not others & left.keys()]:
        for name in free:
            del left[name]
    assert not left
