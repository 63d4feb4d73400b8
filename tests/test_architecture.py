"""docs/architecture.md says what is so: its tree, its arrows, its paths and its functions."""

import re
from pathlib import Path

import pytest

from tests.support.architecture import (
    function_problems,
    graph_problems,
    graphs_of,
    left_out_paths,
    path_problems,
    tree_paths,
    unshown,
)
from tests.support.paths import ROOT
from tests.support.source_imports import (
    PACKAGES,
    START_UP,
    Sources,
    circles,
    project_sources,
    read_sources,
)
from tests.test_layers import CIRCLES_ALLOWED

# Each package's own text; what they import is imported at first use.
PACKAGE_FILES = tuple(f"{name}/__init__.py" for name in (*PACKAGES, "tempo_attn/lab"))


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def sources() -> Sources:
    return project_sources()


def check(problems: list[str]) -> None:
    assert not problems, "\n" + "\n".join(problems)


# Folders that import each other, in files that make no circle; the page says why.
KNOW_EACH_OTHER = {
    "The edit": [["config", "hub"]],
    "The laboratory": [],
    "The benchmark": [["scoring", "stats"]],
}


@pytest.mark.parametrize("name", KNOW_EACH_OTHER)
def test_the_folders_are_layers(page, name):
    (graph,) = [graph for graph in graphs_of(page) if graph.name == name]
    edges: dict[str, set[str]] = {node: set() for node in graph.nodes.values()}
    for start, end in graph.edges:
        edges[start].add(end)
    assert circles(edges) == KNOW_EACH_OTHER[name], "folders import in a circle"


@pytest.mark.parametrize("name", KNOW_EACH_OTHER)
def test_arrows_are_the_imports(page, sources, name):
    (graph,) = [graph for graph in graphs_of(page) if graph.name == name]
    check(graph_problems(graph, sources))


def test_every_import_between_folders_is_shown_by_a_graph(page, sources):
    shown = [one for one in sources.imports if not _allowed(sources, one)]
    left_out = (*left_out_paths(page), *PACKAGE_FILES, START_UP)
    check(unshown(graphs_of(page), Sources(ROOT, sources.files, shown), left_out))


def _allowed(sources, one):
    return (sources.module_of(one.file), one.target) in CIRCLES_ALLOWED


def test_the_tree_has_every_folder_of_the_source(page, sources):
    shown = tree_paths(page)
    assert [path for path in shown if not (ROOT / path).is_dir()] == []
    folders = {Path(file).parent.as_posix() for file in sources.files.values()} - {"."}
    assert sorted(folders - set(shown)) == [], "add these folders to the tree, with a line each"


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_path_is_there(page):
    check(path_problems((ROOT / page).read_text(encoding="utf-8"), ROOT, page))


def test_every_function_is_there(page, sources):
    check(function_problems(page, ROOT, sources))


def test_the_three_ways_and_the_table_are_as_long_as_promised(page):
    for way in ("From a clip to", "From a configuration to", "From a sweep's variant to"):
        section = page.partition(f"## {way}")[2].partition("\n## ")[0]
        assert len(re.findall(r"^\d+\. ", section, re.MULTILINE)) >= 6, way
        assert len(re.findall(r"` → `", section)) >= 8, way
    rows = [line for line in page.partition("## To change X")[2].splitlines() if "|" in line]
    assert len(rows) - 2 >= 30
    assert all("`" in row.split("|")[2] for row in rows[2:])


# ------------------------------------------------------------------------------ each check can fail

PAGE = """# Made up

## Layers

```mermaid
flowchart TD
    one["tempo_attn/one"]
    rest["tempo_attn/{two,three.py}"]
    one --> rest
```
"""


@pytest.fixture
def made(tmp_path) -> Path:
    files = {
        "tempo_attn/one/a.py": "from tempo_attn.two.b import work\n",
        "tempo_attn/two/b.py": "def work():\n    pass\n\nclass Tool:\n    def use(self): ...\n",
        "tempo_attn/three.py": "import tempo_attn.two.b\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_page_that_is_right_passes(made):
    (graph,) = graphs_of(PAGE)
    sources = read_sources(made)
    assert graph.name == "Layers"
    assert graph_problems(graph, sources) == []
    assert unshown([graph], sources, ()) == []
    text = "`tempo_attn/two/b.py` → `work` and `tempo_attn/two/b.py` → `Tool.use`"
    assert path_problems(text, made, "x") == function_problems(text, made, sources) == []


def test_missing_and_surplus_arrows_are_named(made):
    (made / "tempo_attn/three.py").write_text("def late():\n    from tempo_attn.one import a\n")
    (made / "tempo_attn/one/a.py").write_text("")
    (graph,) = graphs_of(PAGE)
    missing, surplus, every = graph_problems(graph, read_sources(made))
    assert "add `rest --> one` (tempo_attn/three.py:2 imports tempo_attn.one.a)" in missing
    assert "remove `one --> rest`" in surplus
    assert every.endswith("    rest --> one")


def test_a_node_without_files_and_an_import_without_nodes_are_named(made):
    (graph,) = graphs_of(PAGE.replace("three.py", "four.py"))
    assert (
        "shows tempo_attn/four.py, which holds no" in graph_problems(graph, read_sources(made))[0]
    )
    (problem,) = unshown([graph], read_sources(made), ())
    assert "tempo_attn/three.py:1 imports tempo_attn.two.b" in problem
    assert unshown([graph], read_sources(made), ("tempo_attn/two",)) == []


def test_paths_and_functions_that_moved_are_named_with_where_they_are(made):
    (problem,) = path_problems("`tempo_attn/one/b.py`", made, "x.md")
    assert problem.startswith("x.md names tempo_attn/one/b.py")
    assert problem.endswith("does not exist; did you mean tempo_attn/two/b.py?")
    (problem,) = function_problems("`tempo_attn/one/a.py` → `work`", made, read_sources(made))
    assert "names work in tempo_attn/one/a.py" in problem
    assert problem.endswith("there is tempo_attn/two/b.py")
