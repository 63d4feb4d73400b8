"""The forest plot shows the numbers it is given, can be read in grey and is always the same."""

import matplotlib
import pytest
from matplotlib.colors import to_rgb

from tempo_attn.errors import ConfigError
from tempo_attn.figures import style
from tempo_attn.lab.presets import figures as preset_picture
from tempo_attn.lab.presets.figures import Mark, forest

NAN = float("nan")


def mark(label="mata", change=0.02, interval=(-0.01, 0.05), null=0.0, **fields):
    ends = None if null is None else (null - 0.01, null + 0.01)
    return Mark(
        label=label, change=change, interval=interval, null=null, null_interval=ends, **fields
    )


MARKS = [
    mark(),
    mark("pai", -0.03, (-0.06, -0.01)),
    mark("knockout", 0.01, (0.0, 0.02), null=-0.6),
    mark("scaling 2: best of 6 layers", 0.04, (0.0, 0.07), null=None, hollow=True),
]


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """A function that draws panels and returns the figures instead of writing them."""

    def draw(panels):
        figures = []
        monkeypatch.setattr(preset_picture, "save_all", lambda some, path: figures.extend(some))
        forest(panels, tmp_path / "presets")
        return figures

    return draw


def points(axes, marker):
    return [
        (pytest.approx(float(line.get_xdata()[0])), float(line.get_ydata()[0]), line)
        for line in axes.lines
        if line.get_marker() == marker
    ]


def test_a_line_has_its_change_and_interval_in_points(drawn):
    (figure,) = drawn({"eo, aqa (n = 200)": MARKS})
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [m.label for m in MARKS]
    edits = points(axes, "o")
    assert [x for x, _, _ in edits] == [2.0, -3.0, 1.0, 4.0]
    heights = [y for _, y, _ in edits]
    assert heights == sorted(heights)
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first one on top
    bars = [tuple(seg[:, 0]) for c in axes.collections for seg in c.get_segments()]
    assert (pytest.approx(-1.0), pytest.approx(5.0)) in bars
    assert (pytest.approx(-6.0), pytest.approx(-1.0)) in bars


def test_the_null_is_a_grey_square_below_its_edit(drawn):
    (figure,) = drawn({"eo": MARKS})
    (axes,) = figure.axes
    squares = points(axes, "s")
    assert [x for x, _, _ in squares] == [0.0, 0.0]
    for (_, y, _), (_, above, edit) in zip(squares, points(axes, "o"), strict=False):
        assert above < y < above + 0.5
        assert edit.get_color() == "black"
    assert {line.get_color() for _, _, line in squares} == {"0.55"}


def test_a_null_far_beyond_is_an_arrow_with_its_change(drawn):
    (figure,) = drawn({"eo": MARKS})
    (axes,) = figure.axes
    ((_, y, arrow),) = points(axes, "<")
    assert axes.get_xlim()[0] < arrow.get_xdata()[0] < axes.get_xlim()[0] + 2
    (text,) = axes.texts
    assert text.get_text() == "-60.0"
    assert text.get_position()[1] == y
    assert axes.get_xlim()[0] > -10  # the edits can be seen


def test_what_was_chosen_on_these_items_is_hollow(drawn):
    (figure,) = drawn({"eo": MARKS})
    faces = [line.get_markerfacecolor() for _, _, line in points(figure.axes[0], "o")]
    assert faces == ["black", "black", "black", "white"]
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "best layer, chosen on these items" in words
    assert "random perturbation of the same size" in words


def test_panels_share_their_lines_and_axes(drawn):
    (figure,) = drawn({"eo": MARKS, "ld": [mark(m.label, change=0.2) for m in MARKS]})
    left, right = figure.axes
    assert left.get_xlim() == right.get_xlim()
    assert left.get_ylim() == right.get_ylim()
    assert left.get_xlim()[1] > 20


def test_all_colours_are_grey(drawn):
    (figure,) = drawn({"eo": MARKS})
    for line in figure.axes[0].lines:
        assert len({*to_rgb(line.get_color()), *to_rgb(line.get_markerfacecolor())}) <= 2
        assert len(set(to_rgb(line.get_color()))) == 1


def test_an_unknown_interval_has_no_bar(drawn):
    (figure,) = drawn({"eo": [mark(interval=(NAN, NAN), null=None)]})
    segments = [seg for c in figure.axes[0].collections for seg in c.get_segments()]
    assert segments == []


def test_no_change_at_all_has_an_axis_too(drawn):
    (figure,) = drawn({"eo": [mark(change=0.0, interval=(0.0, 0.0), null=None)]})
    low, high = figure.axes[0].get_xlim()
    assert low < -4 < 4 < high


def test_nothing_is_cut_off(drawn):
    (figure,) = drawn({f"kind {n}, aqa (n = 200, 100 clips)": MARKS for n in range(3)})
    with style():
        figure.draw_without_rendering()
        inside = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert min(inside.x0, inside.y0) >= 0
    assert inside.x1 <= width
    assert inside.y1 <= height


@pytest.mark.parametrize(
    ("panels", "words"),
    [
        ({}, "nothing to draw"),
        ({"eo": []}, "nothing to draw"),
        ({"eo": MARKS, "ld": MARKS[:2]}, "panels have different lines"),
    ],
)
def test_nothing_that_can_be_drawn_is_an_error(panels, words, tmp_path):
    with pytest.raises(ConfigError, match=words):
        forest(panels, tmp_path / "presets")


def test_the_same_bytes_every_time(tmp_path):
    one = forest({"eo": MARKS}, tmp_path / "one" / "presets")
    with matplotlib.rc_context({"axes.facecolor": "pink", "svg.hashsalt": None}):
        other = forest({"eo": MARKS}, tmp_path / "other" / "presets")
    assert [file.name for file in one] == ["presets.png", "presets.svg"]
    assert [a.read_bytes() for a in one] == [b.read_bytes() for b in other]
