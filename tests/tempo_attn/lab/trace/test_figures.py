"""A trace's figures show the numbers that they are given."""

import numpy as np
import pytest

from tempo_attn.errors import ConfigError
from tempo_attn.lab.trace.figures import rate_table, rates_by_layer
from tests.support.drawing import bands, cells, colours, legend, lines, panels, places, ticks
from tests.support.drawn_data import rate, rates

NAN = float("nan")


def test_cells_have_rates_in_percent_by_layer_and_group(drawn):
    (figure,) = drawn(rate_table, rates()[::-1])  # in any order
    (axes,) = panels(figure)
    assert ticks(axes, "x") == ["option", "last"]  # as the groups stand in the prompt
    assert ticks(axes, "y") == ["input", "0", "1"]
    found = {at: text.rstrip("*") for at, text in cells(axes).items()}
    expected = {(0, 0): "+10", (1, 0): "+20", (2, 0): "+30"}
    assert found == expected | {(0, 1): "+11", (1, 1): "+21", (2, 1): "+31"}
    np.testing.assert_allclose(colours(axes, (3, 2)), [[10, 11], [20, 21], [30, 31]])
    assert figure.get_supxlabel() == "patched positions"


def test_a_panel_for_each_kind_condition_direction_and_component(drawn):
    kinds = (("eo", "aqa", 20), ("lo", "acqa", 31))
    parts = (("recover", "residual"), ("shift", "residual"), ("shift", "attention"))
    rows = [
        rate(kind=k, condition=c, direction=d, component=p, n=n, rate=at / 10 + n / 100)
        for k, c, n in kinds
        for at, (d, p) in enumerate(parts)
    ]
    for function in (rate_table, rates_by_layer):
        (figure,) = drawn(function, rows)
        assert places(figure) == [
            ("recovery rate, residual", "eo, aqa (n = 20)"),
            ("", "lo, acqa (n = 31)"),
            ("belief shift, residual", ""),
            ("", ""),
            ("belief shift, attention", ""),
            ("", ""),
        ]
        if function is rate_table:
            found = [cells(axes)[0, 0].rstrip("*") for axes in panels(figure)]
        else:
            found = [f"{lines(axes)['last'][0, 1]:+.0f}" for axes in panels(figure)]
        assert found == ["+20", "+31", "+30", "+41", "+40", "+51"]


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
    ],
)
def test_a_star_where_the_interval_is_clear_of_zero_and_of_the_null(drawn, fields, text):
    (figure,) = drawn(rate_table, [rate(**fields)])
    (cell,) = panels(figure)[0].texts
    assert cell.get_text() == text
    assert cell.get_fontweight() == ("bold" if "*" in text else "normal")


def test_the_twins_table_has_the_twins_numbers_and_stars(drawn):
    twins = {"twin": -0.2, "twin_low": -0.3, "twin_high": -0.1, "twin_null": 0.0}
    rows = [
        rate(0, **twins, twin_null_low=0.0, twin_null_high=0.1, low=-0.1),
        rate(1, **twins, twin_null_low=-0.15, twin_null_high=0.1),
    ]
    (figure,) = drawn(rate_table, rows, value="twin")
    assert cells(panels(figure)[0]) == {(0, 0): "−20*", (1, 0): "−20"}


def test_attributed_rates_have_no_stars(drawn):
    """They have no null."""
    rows = [rate(attributed=1.3, attributed_low=1.1, attributed_high=1.5, rate=None)]
    (figure,) = drawn(rate_table, rows, value="attributed")
    assert cells(panels(figure)[0]) == {(0, 0): "+130"}


def test_what_was_not_tried_is_left_out(drawn):
    """Nothing is written into the layer's input, which only the residual stream has."""
    mlp = [rate(0, "last", component="mlp"), rate(1, "option", component="mlp", rate=None)]
    (figure,) = drawn(rate_table, [*rates(), *mlp])
    first, second = panels(figure)
    assert len(cells(first)) == 6
    assert set(cells(second)) == {(1, 1)}
    np.testing.assert_array_equal(np.isnan(colours(second, (3, 2))), [[1, 1], [1, 0], [1, 1]])


@pytest.mark.parametrize(("value", "most"), [(0.4, 100), (-1.3, 130), (1.3, 130), (-50.0, 200)])
def test_one_scale_of_colours_for_all_panels(drawn, value, most):
    """100 % at least; beyond 200 % a number stands for itself."""
    (figure,) = drawn(rate_table, [rate(rate=value), rate(kind="lo")])
    assert {axes.collections[0].get_clim() for axes in panels(figure)} == {(-most, most)}


@pytest.mark.parametrize("value", ["rate", "twin", "attributed"])
@pytest.mark.parametrize("rows", [[], [rate(rate=None)]])
def test_nothing_to_draw_is_an_error(rows, value, tmp_path):
    with pytest.raises(ConfigError, match=f"nothing to draw: no row has a '{value}'"):
        rate_table(rows, tmp_path / "trace", value=value)
    with pytest.raises(ConfigError, match="nothing to draw: no row has a 'rate'"):
        rates_by_layer(rows, tmp_path / "trace")
    assert not list(tmp_path.iterdir())


def test_lines_are_the_rates_by_layer_with_bands(drawn):
    (figure,) = drawn(rates_by_layer, rates()[::-1])
    (axes,) = panels(figure)
    assert legend(figure) == list(lines(axes)) == ["option", "last"]
    np.testing.assert_allclose(lines(axes)["option"], [[-1, 10], [0, 20], [1, 30]])
    np.testing.assert_allclose(lines(axes)["last"], [[-1, 11], [0, 21], [1, 31]])
    assert bands(axes) == [pytest.approx((30, 50))] * 2
    assert "−1: what enters the first one" in figure.get_supxlabel()


def test_one_clip_has_lines_without_bands(drawn):
    (figure,) = drawn(rates_by_layer, rates(low=None, high=None))
    (axes,) = panels(figure)
    assert len(lines(axes)) == 2
    assert not axes.collections
