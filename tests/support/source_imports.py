"""Which source file imports which, read with `ast`: nothing of the project is executed."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.support.paths import ROOT

PACKAGES = ("tempo_attn", "tempo_tasks")
START_UP = "_tempo_lalm_autoload.py"  # runs at every start of the interpreter


@dataclass(frozen=True)
class Import:
    """One import of one of the files by another."""

    file: str  # path under the root, with slashes
    line: int
    target: str  # dotted name of the imported module (a file or a folder's `__init__`)

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.target}"


@dataclass
class Sources:
    """The files below a root, their modules and the imports between them.

    Attributes:
        root: The folder that holds the packages.
        files: Dotted module name -> path of its file under the root.
        imports: Every import of one of these modules by another, wherever it stands: at the top,
            inside a function or under `TYPE_CHECKING`.
        outside: Every import of a module that is none of these, by its full dotted name.
    """

    root: Path
    files: dict[str, str] = field(default_factory=dict)
    imports: list[Import] = field(default_factory=list)
    outside: list[Import] = field(default_factory=list)
    _trees: dict[str, ast.Module] = field(default_factory=dict)

    def text(self, module: str) -> str:
        """The source of one module."""
        return (self.root / self.files[module]).read_text(encoding="utf-8")

    def tree(self, module: str) -> ast.Module:
        """The parsed source of one module."""
        if module not in self._trees:
            self._trees[module] = ast.parse(self.text(module))
        return self._trees[module]

    def is_folder(self, module: str) -> bool:
        """Whether the module is a folder's `__init__`."""
        return self.files[module].endswith("__init__.py")

    def module_of(self, file: str) -> str:
        """The dotted name of the module in one file."""
        parts = list(Path(file).with_suffix("").parts)
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def read_sources(root: Path = ROOT, packages: Iterable[str] = PACKAGES) -> Sources:
    """Reads the packages below `root`, and the start-up file where there is one."""
    sources = Sources(root)
    paths = [path for package in packages for path in sorted((root / package).rglob("*.py"))]
    paths += [root / START_UP] if (root / START_UP).is_file() else []
    for path in paths:
        file = path.relative_to(root).as_posix()
        sources.files[sources.module_of(file)] = file
    for module, file in sources.files.items():
        for line, name in _imported(sources, module):
            target = _longest_known(sources, name)
            if target is None:
                sources.outside.append(Import(file, line, name))
            elif target != module:
                sources.imports.append(Import(file, line, target))
    return sources


@cache
def project_sources() -> Sources:
    """The sources of this project, read once a session."""
    return read_sources()


def _imported(sources: Sources, module: str) -> list[tuple[int, str]]:
    """Line and full name of everything that one module imports, names of objects included."""
    imported = []
    for node in ast.walk(sources.tree(module)):
        if isinstance(node, ast.Import):
            imported += [(node.lineno, name.name) for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")
                above = above[: len(above) - node.level + sources.is_folder(module)]
                base = ".".join([*above, base] if base else above)
            imported += [(node.lineno, f"{base}.{name.name}") for name in node.names]
    return imported


def _longest_known(sources: Sources, name: str) -> str | None:
    """The module that a dotted name leads to: the longest beginning that is one of ours."""
    while name not in sources.files:
        name, dot, _ = name.rpartition(".")
        if not dot:
            return None
    return name


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Import circles, each as the sorted list of the nodes that reach one another."""
    reach = {node: _reached(edges, node) for node in edges}
    groups = {
        tuple(sorted(other for other in reach[node] if node in reach.get(other, ())))
        for node in edges
        if node in reach[node]
    }
    return [list(group) for group in sorted(groups)]


def _reached(edges: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for target in edges.get(waiting.pop(), ()):
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return seen


def edges_between(imports: Iterable[Import], sources: Sources) -> dict[str, set[str]]:
    """Module -> the modules that it imports."""
    edges: dict[str, set[str]] = {module: set() for module in sources.files}
    for one in imports:
        edges[sources.module_of(one.file)].add(one.target)
    return edges
