"""The lens' picture shows the numbers it is given, in grey too, with the same bytes every time."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from tempo_attn import figures as panels
from tempo_attn.errors import ConfigError
from tempo_attn.lab.lens.figures import information_by_layer
from tests.support.paths import ROOT


def row(layer=0, group="all", rows="last", candidates="letters", **fields):
    place = {"kind": "eo", "condition": "aqa", "candidates": candidates, "rows": rows}
    values = {"score": 0.4, "low": 0.3, "high": 0.6, "n": 200, "n_candidates": 4}
    return place | {"group": group, "layer": layer} | values | fields


def table(**fields):
    sizes = {"all": 100, "right": 80, "wrong": 20}
    return [
        row(layer, group, rows, candidates, score=score + layer / 10, n=sizes[group], **fields)
        for candidates in ("letters", "labels")
        for rows in ("last", "option")
        for group, score in (("all", 0.4), ("right", 0.5), ("wrong", 0.1))
        for layer in range(3)
    ]


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draws a table and returns the figures."""

    def draw(rows):
        figures = []

        def keep(figure, path):
            figures.append(figure)
            return []

        monkeypatch.setattr(panels, "save", keep)
        information_by_layer(rows, tmp_path / "lens")
        return figures

    return draw


def axes_of(figure: Figure):
    return [axes for axes in figure.axes if axes.lines]


def lines_of(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_a_panel_for_each_kind_of_candidates_and_set_of_rows(drawn):
    (figure,) = drawn(table())
    found = axes_of(figure)
    assert len(found) == 4
    assert [axes.get_ylabel() for axes in found] == ["rows: last", "", "rows: option", ""]
    titles = [" ".join(axes.get_title().split()) for axes in found]
    assert titles == [
        "letters: eo, aqa (n = 100, 80 right, 20 wrong)",
        "labels: eo, aqa (n = 100, 80 right, 20 wrong)",
        "",
        "",
    ]


def test_lines_are_the_scores_in_percent_with_intervals_and_chance(drawn):
    (figure,) = drawn(table())
    for axes in axes_of(figure):
        lines = lines_of(axes)
        assert set(lines) == {"all items", "right items", "wrong items", "chance"}
        for name, first in (("all items", 40), ("right items", 50), ("wrong items", 10)):
            assert lines[name].get_ydata() == pytest.approx([first, first + 10, first + 20])
            assert lines[name].get_xdata() == pytest.approx([0, 1, 2], abs=0.2)
        assert list(lines["chance"].get_ydata()) == [25, 25]
        assert list(lines["chance"].get_xdata()) == [-0.5, 2.5]
        assert lines["chance"].get_marker() == ""
        heights = [path.vertices[:, 1] for bars in axes.collections for path in bars.get_paths()]
        assert len(heights) == 9
        assert np.allclose(heights, [30, 60])
        assert axes.get_ylim()[0] == 0


def test_chance_is_that_of_the_number_of_candidates(drawn):
    (figure,) = drawn(table(n_candidates=5))
    assert list(lines_of(axes_of(figure)[0])["chance"].get_ydata()) == [20, 20]


def test_lines_can_be_told_apart_without_colour(drawn):
    (figure,) = drawn(table())
    lines = lines_of(axes_of(figure)[0])
    looks = {(line.get_marker(), str(line._dash_pattern)) for line in lines.values()}
    assert len(looks) == 4
    shades = [np.dot(matplotlib_rgb(line), [0.299, 0.587, 0.114]) for line in lines.values()]
    assert max(shades) < 0.75


def matplotlib_rgb(line):
    from matplotlib.colors import to_rgb

    return to_rgb(line.get_color())


def test_differences_and_missing_intervals_are_left_out(drawn):
    rows = [*table(low=None, high=None), row(0, "right - wrong", score=-0.5)]
    (figure,) = drawn(rows)
    axes = axes_of(figure)[0]
    assert not axes.collections
    assert "right - wrong items" not in lines_of(axes)


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing to draw.*found the groups \['right - wrong'\]"):
        information_by_layer([row(group="right - wrong")], tmp_path / "lens")


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(tmp_path):
    files = information_by_layer(table(), tmp_path / "here" / "lens")
    assert [file.name for file in files] == ["lens.png", "lens.svg"]
    script = """
import sys
import matplotlib
matplotlib.rcParams["font.size"] = 20
from pathlib import Path
from tests.tempo_attn.lab.lens.test_figures import table
from tempo_attn.lab.lens.figures import information_by_layer
information_by_layer(table(), Path(sys.argv[1]))
"""
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "there" / "lens")],
        check=True,
        cwd=ROOT,
    )
    for file in files:
        assert file.read_bytes() == (tmp_path / "there" / file.name).read_bytes()
