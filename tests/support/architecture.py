"""What docs/architecture.md says of the tree: its Mermaid graphs, paths, and functions by file."""

import ast
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from tests.support.source_imports import Import, Sources

# `name["a/path"]`; several paths share a node by braces: `name["a/{one,two}"]`.
_NODE = re.compile(r'^\s*(\w+)\["([^"]+)"\]\s*$', re.MULTILINE)
_EDGE = re.compile(r"^\s*(\w+)\s*-->\s*(\w+(?:\s*&\s*\w+)*)\s*$", re.MULTILINE)
# `path` alone, or `path` followed by an arrow and `function` or `Class.method`.
_PATH = re.compile(r"`([\w./-]+/[\w./-]*|[\w-]+\.(?:py|md|toml|txt|cff|pth|start)|Makefile)`")
_FUNCTION = re.compile(r"`([\w./-]+\.py)` → `([\w.]+)(?:\([^`]*\))?`")

Edges = set[tuple[str, str]]


@dataclass(frozen=True)
class Graph:
    """A Mermaid graph of the page.

    Attributes:
        name: The heading above it.
        nodes: Path -> id of the node that shows it; a path stands for what lies below it.
        edges: Pairs of ids; the first imports the second.
    """

    name: str
    nodes: dict[str, str]
    edges: Edges

    def node_of(self, file: str) -> str | None:
        """The node that shows a file, by its longest path; None where the graph leaves it out."""
        shown = [p for p in self.nodes if file == p or file.startswith(f"{p}/")]
        return self.nodes[max(shown, key=len)] if shown else None


def graphs_of(page: str) -> list[Graph]:
    """The Mermaid graphs of a page of Markdown."""
    graphs = []
    for block in re.finditer(r"```mermaid\n(.*?)```", page, re.DOTALL):
        headings = re.findall(r"^#+ (.*)$", page[: block.start()], re.MULTILINE)
        text = block.group(1)
        nodes = {path: name for name, label in _NODE.findall(text) for path in _expanded(label)}
        edges = {
            (start, end.strip()) for start, ends in _EDGE.findall(text) for end in ends.split("&")
        }
        graphs.append(Graph(headings[-1] if headings else "", nodes, edges))
    return graphs


def _expanded(label: str) -> list[str]:
    head, brace, rest = label.partition("{")
    if not brace:
        return [label]
    inside, _, tail = rest.partition("}")
    return [f"{head}{part.strip()}{tail}" for part in inside.split(",")]


def measured(graph: Graph, sources: Sources) -> dict[tuple[str, str], list[Import]]:
    """The imports between the nodes of a graph, by edge."""
    found: dict[tuple[str, str], list[Import]] = {}
    for one in sources.imports:
        ends = graph.node_of(one.file), graph.node_of(sources.files[one.target])
        if None not in ends and ends[0] != ends[1]:
            found.setdefault((str(ends[0]), str(ends[1])), []).append(one)
    return found


def graph_problems(graph: Graph, sources: Sources) -> list[str]:
    """Edges of a graph that no import stands for, and imports that it has no edge for."""
    real = measured(graph, sources)
    problems = [
        f"{graph.name}: add `{start} --> {end}` ({real[start, end][0]})"
        for start, end in sorted(set(real) - graph.edges)
    ]
    problems += [
        f"{graph.name}: remove `{start} --> {end}`, no file of {start} imports one of {end}"
        for start, end in sorted(graph.edges - set(real))
    ]
    problems += [
        f"{graph.name}: the node {name} shows {path}, which holds no source file"
        for path, name in graph.nodes.items()
        if not any(f == path or f.startswith(f"{path}/") for f in sources.files.values())
    ]
    if problems:
        problems.append(f"{graph.name}: all edges as measured:\n{mermaid_edges(real)}")
    return problems


def mermaid_edges(edges: dict[tuple[str, str], list[Import]]) -> str:
    """Edges as lines of Mermaid, those from one node together."""
    starts = sorted({start for start, _ in edges})
    ends = {start: sorted(end for first, end in edges if first == start) for start in starts}
    return "\n".join(f"    {start} --> {' & '.join(ends[start])}" for start in starts)


def unshown(graphs: list[Graph], sources: Sources, left_out: tuple[str, ...]) -> list[str]:
    """Imports between folders whose two ends no single graph shows.

    Args:
        graphs: The graphs of the page.
        sources: The files and their imports.
        left_out: Files and folders that everyone may import and that import no other folder.
    """

    def is_left_out(file: str) -> bool:
        return any(file == path or file.startswith(f"{path}/") for path in left_out)

    problems = []
    for one in sources.imports:
        target = sources.files[one.target]
        if is_left_out(target) or Path(one.file).parent == Path(target).parent:
            continue
        if not any(graph.node_of(one.file) and graph.node_of(target) for graph in graphs):
            problems.append(f"no graph of docs/architecture.md shows that {one}")
    return list(dict.fromkeys(problems))


def left_out_paths(page: str) -> list[str]:
    """The paths in the paragraph that says what the graphs leave out."""
    (paragraph,) = re.findall(r"^Left out of the graphs.*?\n\n", page, re.DOTALL | re.MULTILINE)
    return [path.rstrip("/") for path in _PATH.findall(paragraph)]


def path_problems(page: str, root: Path, name: str) -> list[str]:
    """Paths named in the page that are not in the tree, with the nearest that are.

    A bare file name need only be the name of some file.
    """
    known = [path.relative_to(root).as_posix() for path in root.rglob("*") if _is_ours(path, root)]
    problems = []
    for path in dict.fromkeys(_PATH.findall(page)):
        if (root / path).exists():
            continue
        same_name = [other for other in known if Path(other).name == Path(path).name]
        if same_name and "/" not in path:
            continue  # a name that several folders use
        near = same_name or get_close_matches(path, known, 2)
        hint = f"; did you mean {' or '.join(near[:3])}?" if near else ""
        problems.append(f"{name} names {path}, which does not exist{hint}")
    return problems


def _is_ours(path: Path, root: Path) -> bool:
    return not any(part.startswith(".") for part in path.relative_to(root).parts)


def function_problems(page: str, root: Path, sources: Sources) -> list[str]:
    """Functions named as `file` → `function` that the file does not define, and who does."""
    homes: dict[str, list[str]] = {}
    for module, file in sources.files.items():
        for name in definitions(sources.tree(module)):
            homes.setdefault(name, []).append(file)
    problems = []
    for file, name in dict.fromkeys(_FUNCTION.findall(page)):
        if file in homes.get(name, ()):
            continue
        other = homes.get(name) or get_close_matches(name, homes, 2)
        hint = f"; there is {' and '.join(other[:3])}" if other else ""
        problems.append(f"docs/architecture.md names {name} in {file}, which has none{hint}")
    return problems


def definitions(tree: ast.Module) -> set[str]:
    """Functions and classes of a file by name, methods as `Class.method`."""
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{m.name}" for m in node.body if isinstance(m, ast.FunctionDef)}
    return names


def tree_paths(page: str) -> list[str]:
    """The paths of the text tree: two spaces of indentation a level, a name, blanks, a remark."""
    (block,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    paths: list[str] = []
    above: list[str] = []
    for line in block.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0].rstrip("/")
        above = [*above[:depth], name]
        paths.append("/".join(above))
    return paths
