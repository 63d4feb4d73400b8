"""The figure of attention mass shows the numbers that it is given."""

import numpy as np
import pytest

from tempo_attn.errors import ConfigError
from tempo_attn.lab.mass.figures import mass_by_layer
from tests.support.drawing import bands, bars, legend, lines, panels, places
from tests.support.drawn_data import mass

NAN = float("nan")


def test_one_group_has_a_line_for_each_row_set(drawn):
    rows = [
        mass(layer, rows=query, kind=kind, mass=0.1 * layer)
        for kind in ("eo", "lo")
        for query in ("last", "keyword")
        for layer in (2, 1, 0)
    ]
    (figure,) = drawn(mass_by_layer, [*rows, mass(group="right - wrong", mass=-0.1)])
    assert places(figure) == [("", "eo, aqa (n = 200)"), ("", "lo, aqa (n = 200)")]
    assert legend(figure) == ["query rows: last", "query rows: keyword"]
    for axes in panels(figure):
        for xy in lines(axes).values():
            np.testing.assert_allclose(xy, [[0, 0], [1, 10], [2, 20]])
        assert bands(axes) == [pytest.approx((20, 40))] * 2
        assert axes.get_ylim()[0] == 0
    assert figure.get_supylabel() == "attention mass on audio, %"


def test_right_against_wrong_has_a_panel_for_each_row_set(drawn):
    sizes = {"right": 120, "wrong": 80, "all": 200}
    rows = [
        mass(layer, group, query, n=n, mass=n / 1000)
        for query in ("last", "option")
        for group, n in sizes.items()
        for layer in range(3)
    ]
    (figure,) = drawn(mass_by_layer, rows)
    title = "eo, aqa (n = 200, 120 right, 80 wrong)"
    assert places(figure) == [("query rows: last", title), ("query rows: option", "")]
    assert legend(figure) == ["right items", "wrong items", "all items"]
    for axes in panels(figure):
        for group, n in sizes.items():
            np.testing.assert_allclose(lines(axes)[f"{group} items"][:, 1], [n / 10] * 3)
        assert len(bands(axes)) == 2  # of right and wrong


def test_masses_without_intervals_are_lines(drawn):
    (figure,) = drawn(mass_by_layer, [mass(layer, low=None, high=NAN) for layer in range(3)])
    (axes,) = panels(figure)
    np.testing.assert_allclose(lines(axes)["query rows: last"][:, 1], [30, 30, 30])
    assert bands(axes) == bars(axes) == []


@pytest.mark.parametrize("rows", [[], [mass(group="right - wrong")]])
def test_no_masses_are_an_error(rows, tmp_path):
    with pytest.raises(ConfigError, match="nothing to draw"):
        mass_by_layer(rows, tmp_path / "mass")
