"""A trace's pictures show the numbers they are given, with the same bytes every time."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure

from tempo_attn.errors import ConfigError
from tempo_attn.figures import style
from tempo_attn.lab.figures import lines
from tempo_attn.lab.figures.number_table import draw_cells, signed
from tempo_attn.lab.trace import figures as trace_picture
from tempo_attn.lab.trace.figures import rate_table, rates_by_layer
from tests.support.paths import ROOT

NAN = float("nan")
LAYERS = (-1, 0, 1)


def row(layer=0, group="last", **fields):
    """A rate of 40 % (30 to 50) with a null of -5 to 10 %; `fields` replace its values."""
    place = {"kind": "eo", "condition": "aqa", "direction": "recover", "component": "residual"}
    values = {
        "n": 20,
        "rate": 0.4,
        "low": 0.3,
        "high": 0.5,
        "null": 0.02,
        "null_low": -0.05,
        "null_high": 0.1,
        "twin": None,
        "twin_low": None,
        "twin_high": None,
        "twin_null": None,
        "twin_null_low": None,
        "twin_null_high": None,
        "attributed": None,
        "attributed_low": None,
        "attributed_high": None,
    }
    return place | {"layer": layer, "group": group} | values | fields


def table(**fields):
    """Rates that say where they are: 10, 20, 30 % by layer, and 1 % more in the second group."""
    return [
        row(layer, group, rate=(layer + 2) / 10 + at / 100, **fields)
        for at, group in enumerate(("option", "last"))
        for layer in LAYERS
    ]


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """A function that draws a picture and returns its figures instead of writing them."""

    def draw(function, *args, **fields):
        figures = []

        def keep(some, path):
            figures.extend(some)
            return [path]

        for module in (trace_picture, lines):
            monkeypatch.setattr(module, "save_all", keep)
        function(*args, tmp_path / "picture", **fields)
        return figures

    return draw


def panels(figure):
    """The axes with something on them, without the colour bar."""
    return [axes for axes in figure.axes if axes.axison and axes.get_label() != "<colorbar>"]


def cells(axes):
    """The texts by (line, column)."""
    found = {}
    for text in axes.texts:
        x, y = text.get_position()
        found[int(y), int(x)] = text
    return found


def texts(axes):
    return {at: text.get_text() for at, text in cells(axes).items()}


def ticks(axes, which):
    return [tick.get_text() for tick in getattr(axes, f"get_{which}ticklabels")()]


# ------------------------------------------------------------------------------ the table


def test_cells_have_rates_in_percent_by_layer_and_group(drawn):
    (figure,) = drawn(rate_table, table()[::-1])  # in any order
    (axes,) = panels(figure)
    assert ticks(axes, "x") == ["option", "last"]  # as the groups stand in the prompt
    assert ticks(axes, "y") == ["input", "0", "1"]
    found = {at: text.rstrip("*") for at, text in texts(axes).items()}
    assert found == {
        (0, 0): "+10",
        (1, 0): "+20",
        (2, 0): "+30",
        (0, 1): "+11",
        (1, 1): "+21",
        (2, 1): "+31",
    }
    assert figure.get_supxlabel() == "patched positions"
    assert figure.get_supylabel() == "behind layer"


def test_a_panel_for_each_kind_condition_direction_and_component(drawn):
    rows = [
        row(kind=kind, condition=condition, direction=direction, component=component, n=n)
        for kind, condition, n in (("eo", "aqa", 20), ("lo", "acqa", 31))
        for direction, component in (
            ("recover", "residual"),
            ("shift", "residual"),
            ("shift", "attention"),
        )
    ]
    for function in (rate_table, rates_by_layer):
        (figure,) = drawn(function, rows)
        found = panels(figure)
        assert len(found) == 6
        titles = [" ".join(axes.get_title().split()) for axes in found]
        assert titles == ["eo, aqa (n = 20)", "lo, acqa (n = 31)", "", "", "", ""]
        assert [" ".join(axes.get_ylabel().split()) for axes in found] == [
            "recovery rate, residual",
            "",
            "belief shift, residual",
            "",
            "belief shift, attention",
            "",
        ]


def test_numbers_stand_in_the_panel_that_they_are_of(drawn):
    rows = [
        row(kind=kind, component=component, rate=rate)
        for kind, component, rate in (
            ("eo", "residual", 0.1),
            ("lo", "residual", 0.2),
            ("eo", "mlp", 0.3),
            ("lo", "mlp", 0.4),
        )
    ]
    (figure,) = drawn(rate_table, rows)
    found = [texts(axes)[0, 0].rstrip("*") for axes in panels(figure)]
    assert found == ["+10", "+20", "+30", "+40"]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "+40*"),
        ({"low": -0.01}, "+40"),  # zero is in it
        ({"low": 0.0}, "+40"),
        ({"low": 0.08}, "+40"),  # the null reaches into it
        ({"low": 0.1}, "+40"),
        ({"low": 0.11}, "+40*"),
        ({"rate": -0.4, "low": -0.5, "high": -0.3}, "−40*"),
        ({"rate": -0.4, "low": -0.5, "high": -0.05}, "−40"),
        ({"rate": -0.4, "low": -0.5, "high": -0.06}, "−40*"),
        ({"rate": -0.4, "low": -0.5, "high": 0.2}, "−40"),
        ({"null_low": 0.6, "null_high": 0.7}, "+40*"),  # a random change brings more
        ({"null": None, "null_low": None, "null_high": None}, "+40*"),
        ({"null": None, "null_low": None, "null_high": None, "low": 0.0}, "+40"),
        ({"low": None, "high": None, "null_low": None, "null_high": None}, "+40"),  # one clip
        ({"rate": 0.004, "low": 0.003, "high": 0.005, "null_high": 0.0}, "0"),
        ({"rate": 0.006, "low": 0.003, "high": 0.008, "null_high": 0.0}, "+1*"),
        ({"rate": 1.0, "low": 1.0, "high": 1.0}, "+100*"),
    ],
)
def test_a_star_where_the_interval_is_clear_of_zero_and_of_the_null(drawn, fields, text):
    (figure,) = drawn(rate_table, [row(**fields)])
    (cell,) = panels(figure)[0].texts
    assert cell.get_text() == text
    assert cell.get_fontweight() == ("bold" if "*" in text else "normal")


def test_the_twins_table_has_the_twins_numbers_and_stars(drawn):
    twins = {"twin": -0.2, "twin_low": -0.3, "twin_high": -0.1, "twin_null": 0.0}
    rows = [
        row(0, **twins, twin_null_low=0.0, twin_null_high=0.1, low=-0.1),
        row(1, **twins, twin_null_low=-0.15, twin_null_high=0.1),
    ]
    (figure,) = drawn(rate_table, rows, value="twin")
    assert texts(panels(figure)[0]) == {(0, 0): "−20*", (1, 0): "−20"}


def test_attributed_rates_have_no_stars(drawn):
    """They have no null."""
    rows = [row(attributed=1.3, attributed_low=1.1, attributed_high=1.5, rate=None)]
    (figure,) = drawn(rate_table, rows, value="attributed")
    assert texts(panels(figure)[0]) == {(0, 0): "+130"}


def test_what_was_not_tried_is_left_out(drawn):
    """Nothing is written into the layer's input, which only the residual stream has."""
    rows = [*table(), row(0, "last", component="mlp"), row(1, "option", component="mlp", rate=None)]
    (figure,) = drawn(rate_table, rows)
    residual, mlp = panels(figure)
    assert len(residual.texts) == 6
    assert set(cells(mlp)) == {(1, 1)}
    values = np.ma.filled(mlp.collections[0].get_array(), NAN).reshape(3, 2)
    np.testing.assert_array_equal(np.isnan(values), [[1, 1], [1, 0], [1, 1]])


@pytest.mark.parametrize(("rate", "most"), [(0.4, 100), (-1.3, 130), (1.3, 130), (-50.0, 200)])
def test_one_scale_of_colours_for_all_panels(drawn, rate, most):
    """100 % at least; beyond 200 % a number stands for itself."""
    (figure,) = drawn(rate_table, [row(rate=rate), row(kind="lo")])
    for axes in panels(figure):
        assert axes.collections[0].get_clim() == (-most, most)
    (bar,) = [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]
    assert bar.get_ylim() == (-most, most)
    assert bar.get_ylabel() == "%"


@pytest.mark.parametrize("value", ["rate", "twin", "attributed"])
@pytest.mark.parametrize("rows", [[], [row(rate=None)]])
def test_nothing_to_draw_is_an_error(rows, value, tmp_path):
    with pytest.raises(ConfigError, match=f"nothing to draw: no row has a '{value}'"):
        rate_table(rows, tmp_path / "trace", value=value)
    with pytest.raises(ConfigError, match="nothing to draw: no row has a 'rate'"):
        rates_by_layer(rows, tmp_path / "trace")
    assert not list(tmp_path.iterdir())


def test_many_layers_and_groups_fit(drawn):
    groups = ("text", "early", "keyword", "option", "late", "last", "audio")
    rows = [row(layer, group, rate=-1.0) for layer in range(-1, 40) for group in groups]
    (figure,) = drawn(rate_table, rows)
    with style():
        figure.draw_without_rendering()
    (axes,) = panels(figure)
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        boxes = [label.get_window_extent() for label in labels]
        assert not any(a.overlaps(b) for a, b in pairwise(boxes))
    by_row = [cells(axes)[3, column].get_window_extent() for column in range(7)]
    assert not any(a.overlaps(b) for a, b in pairwise(by_row))


# ------------------------------------------------------------------------------ lines


def named(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_lines_are_the_rates_by_layer_with_bands(drawn):
    (figure,) = drawn(rates_by_layer, table()[::-1])
    (axes,) = panels(figure)
    found = named(axes)
    assert list(found) == ["option", "last"]
    np.testing.assert_allclose(found["option"].get_xydata(), [[-1, 10], [0, 20], [1, 30]])
    np.testing.assert_allclose(found["last"].get_xydata(), [[-1, 11], [0, 21], [1, 31]])
    bands = [band.get_paths()[0].vertices[:, 1] for band in axes.collections]
    assert [(band.min(), band.max()) for band in bands] == [pytest.approx((30, 50))] * 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["option", "last"]
    assert "−1: what enters the first one" in figure.get_supxlabel()
    assert list(axes.get_xticks()) == [-1, 0, 1]


def test_one_clip_has_lines_without_bands(drawn):
    (figure,) = drawn(rates_by_layer, table(low=None, high=None))
    (axes,) = panels(figure)
    assert len(named(axes)) == 2
    assert not axes.collections


def test_lines_can_be_told_apart_without_colour(drawn):
    groups = ("text", "early", "keyword", "option", "late", "last", "audio")
    rows = [row(layer, group) for group in groups for layer in LAYERS]
    (figure,) = drawn(rates_by_layer, rows)
    found = named(panels(figure)[0]).values()
    assert len({(line.get_marker(), str(line._dash_pattern)) for line in found}) == 7


# ------------------------------------------------------------------------------ cells


@pytest.fixture
def axes():
    return Figure().subplots()


def test_cells_are_numbers_marks_and_names(axes):
    values = np.array([[12.34, -5.06], [NAN, 0.04], [-0.04, 99.96]])
    marked = np.array([[True, False], [True, False], [False, True]])
    draw_cells(axes, values, most=100, columns=["a", "b"], lines=["x", "y", "z"], marked=marked)
    assert texts(axes) == {
        (0, 0): "+12.3*",
        (0, 1): "−5.1",
        (1, 1): "0.0",
        (2, 0): "0.0",
        (2, 1): "+100.0*",
    }
    assert ticks(axes, "x") == ["a", "b"]
    assert ticks(axes, "y") == ["x", "y", "z"]
    assert [cell.get_fontweight() for cell in axes.texts].count("bold") == 2
    assert {cell.get_position() for cell in axes.texts} == {
        (0.5, 0.5),
        (1.5, 0.5),
        (1.5, 1.5),
        (0.5, 2.5),
        (1.5, 2.5),
    }


def test_colours_are_as_large_as_the_numbers(axes):
    """Red below zero, white at it, blue above; dark ones have white numbers."""
    values = np.array([[-100.0, -10.0, 0.0, 10.0, 100.0]])
    mesh = draw_cells(
        axes,
        values,
        most=100,
        columns=list("abcde"),
        lines=["x"],
        marked=np.zeros((1, 5), dtype=bool),
        decimals=0,
    )
    assert mesh.get_clim() == (-100, 100)
    colours = mesh.to_rgba(values[0])[:, :3]
    red_minus_blue = colours[:, 0] - colours[:, 2]
    assert (np.diff(np.sign(red_minus_blue.round(2))) <= 0).all()
    assert red_minus_blue[0] > 0.2
    assert red_minus_blue[-1] < -0.2
    assert colours[2].min() > 0.9
    assert [cell.get_color() for cell in axes.texts] == ["white", *["black"] * 3, "white"]


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (3.14, 1, "+3.1"),
        (-3.14, 1, "−3.1"),
        (-3.14, 0, "−3"),
        (3.14, 2, "+3.14"),
        (0.0, 0, "0"),
        (-0.0, 1, "0.0"),
        (0.04, 1, "0.0"),
        (-0.4, 0, "0"),
        (-0.04, 2, "−0.04"),
        (-0.6, 0, "−1"),
        (100.0, 0, "+100"),
    ],
)
def test_signs_and_decimals(value, decimals, text):
    assert signed(value, decimals) == text


# ------------------------------------------------------------------------------ files


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(tmp_path):
    here = tmp_path / "here"
    files = [*rate_table(table(), here / "trace"), *rates_by_layer(table(), here / "layers")]
    assert [file.name for file in files] == [
        "trace.png",
        "trace.svg",
        "layers.png",
        "layers.svg",
    ]
    script = """
import sys
import matplotlib
matplotlib.rcParams["font.size"] = 20
from pathlib import Path
from tests.tempo_attn.lab.trace.test_figures import rate_table, rates_by_layer, table
rate_table(table(), Path(sys.argv[1]) / "trace")
rates_by_layer(table(), Path(sys.argv[1]) / "layers")
"""
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "there")],
        check=True,
        cwd=ROOT,
    )
    for file in files:
        assert file.read_bytes() == (tmp_path / "there" / file.name).read_bytes()
