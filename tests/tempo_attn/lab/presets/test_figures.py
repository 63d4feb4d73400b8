"""The forest plot shows the numbers that it is given."""

import pytest

from tempo_attn.errors import ConfigError
from tempo_attn.lab.presets.figures import forest
from tests.support.drawing import bars, legend, ticks
from tests.support.drawn_data import MARKS, mark

NAN = float("nan")


def points(axes, marker):
    """(x, y, face) of every point with a marker, rounded."""
    return [
        (
            round(float(line.get_xdata()[0]), 6),
            float(line.get_ydata()[0]),
            line.get_markerfacecolor(),
        )
        for line in axes.lines
        if line.get_marker() == marker
    ]


def test_a_line_has_its_change_and_interval_in_points_and_its_null_below(drawn):
    (figure,) = drawn(forest, {"eo, aqa (n = 200)": MARKS})
    (axes,) = figure.axes
    assert axes.get_title() == "eo, aqa (n = 200)"
    assert ticks(axes, "y") == [one.label for one in MARKS]
    edits, nulls = points(axes, "o"), points(axes, "s")
    assert [x for x, _, _ in edits] == [2.0, -3.0, 1.0, 4.0]
    assert [round(y) for _, y, _ in edits] == [0, 1, 2, 3]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first one on top
    assert [x for x, _, _ in nulls] == [0.0, 0.0]
    assert all(edit[1] < null[1] < edit[1] + 0.5 for edit, null in zip(edits, nulls, strict=False))
    ends = [tuple(bar[:, 0].round(6)) for bar in bars(axes)]
    assert ends == [(-1, 5), (-1, 1), (-6, -1), (-1, 1), (0, 2), (0, 7)]
    heights = [bar[0, 1] for bar in bars(axes)]
    assert heights == sorted([*(y for _, y, _ in edits), *(y for _, y, _ in nulls)])


def test_a_null_far_beyond_is_an_arrow_with_its_change(drawn):
    (figure,) = drawn(forest, {"eo": MARKS})
    (axes,) = figure.axes
    ((x, y, _),) = points(axes, "<")
    assert axes.get_xlim()[0] < x < axes.get_xlim()[0] + 2
    (text,) = axes.texts
    assert (text.get_text(), text.get_position()[1]) == ("-60.0", y)
    assert axes.get_xlim()[0] > -10  # the edits can be seen


def test_what_was_chosen_on_these_items_is_hollow(drawn):
    (figure,) = drawn(forest, {"eo": MARKS})
    faces = [face for _, _, face in points(figure.axes[0], "o")]
    assert faces == ["black", "black", "black", "white"]
    assert "best layer, chosen on these items" in legend(figure)
    assert "random perturbation of the same size" in legend(figure)


def test_panels_share_their_lines_and_axes(drawn):
    (figure,) = drawn(forest, {"eo": MARKS, "ld": [mark(m.label, change=0.2) for m in MARKS]})
    left, right = figure.axes
    assert (left.get_xlim(), left.get_ylim()) == (right.get_xlim(), right.get_ylim())
    assert left.get_xlim()[1] > 20
    assert [x for x, _, _ in points(right, "o")] == [20.0] * 4


def test_an_unknown_interval_has_no_bar(drawn):
    (figure,) = drawn(forest, {"eo": [mark(interval=(NAN, NAN), null=None)]})
    assert bars(figure.axes[0]) == []


def test_no_change_at_all_has_an_axis_too(drawn):
    (figure,) = drawn(forest, {"eo": [mark(change=0.0, interval=(0.0, 0.0), null=None)]})
    low, high = figure.axes[0].get_xlim()
    assert low < -4 < 4 < high


@pytest.mark.parametrize(
    ("marks", "words"),
    [
        ({}, "nothing to draw"),
        ({"eo": []}, "nothing to draw"),
        ({"eo": MARKS, "ld": MARKS[:2]}, "panels have different lines"),
    ],
)
def test_nothing_that_can_be_drawn_is_an_error(marks, words, tmp_path):
    with pytest.raises(ConfigError, match=words):
        forest(marks, tmp_path / "presets")
