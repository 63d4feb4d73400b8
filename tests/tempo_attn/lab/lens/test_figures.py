"""The lens' figure shows the numbers that it is given."""

import numpy as np
import pytest

from tempo_attn.errors import ConfigError
from tempo_attn.lab.lens.figures import information_by_layer
from tests.support.drawing import bars, lines, panels, places
from tests.support.drawn_data import score, scores


def test_a_panel_for_each_kind_of_candidates_and_set_of_rows(drawn):
    (figure,) = drawn(information_by_layer, scores())
    sizes = "eo, aqa (n = 100, 80 right, 20 wrong)"
    first = [("rows: last", f"letters: {sizes}"), ("", f"labels: {sizes}")]
    assert places(figure) == [*first, ("rows: option", ""), ("", "")]


@pytest.mark.parametrize(("n_candidates", "chance"), [(4, 25), (5, 20)])
def test_lines_are_the_scores_in_percent_with_intervals_and_chance(drawn, n_candidates, chance):
    (figure,) = drawn(information_by_layer, scores(n_candidates=n_candidates))
    assert len(panels(figure)) == 4
    for axes in panels(figure):
        found = lines(axes)
        assert set(found) == {"all items", "right items", "wrong items", "chance"}
        for name, first in (("all items", 40), ("right items", 50), ("wrong items", 10)):
            np.testing.assert_allclose(found[name][:, 1], [first, first + 10, first + 20])
            np.testing.assert_allclose(found[name][:, 0], [0, 1, 2], atol=0.2)
        np.testing.assert_allclose(found["chance"], [[-0.5, chance], [2.5, chance]])
        assert len(bars(axes)) == 9
        np.testing.assert_allclose([bar[:, 1] for bar in bars(axes)], [[30, 60]] * 9)
        assert axes.get_ylim()[0] == 0


def test_differences_and_missing_intervals_are_left_out(drawn):
    rows = [*scores(low=None, high=None), score(0, "right - wrong", score=-0.5)]
    (figure,) = drawn(information_by_layer, rows)
    axes = panels(figure)[0]
    assert bars(axes) == []
    assert "right - wrong items" not in lines(axes)


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing to draw.*found the groups \['right - wrong'\]"):
        information_by_layer([score(group="right - wrong")], tmp_path / "lens")
