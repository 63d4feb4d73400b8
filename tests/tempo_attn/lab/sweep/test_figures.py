"""Pictures show the numbers they are given, can be read in grey and are the same every time."""

import subprocess
import sys
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from tempo_attn.errors import ConfigError
from tempo_attn.lab.figures.lines import layer_ticks, looks
from tempo_attn.lab.figures.sheets import chunks, save, style
from tempo_attn.lab.mass.figures import mass_by_layer
from tempo_attn.lab.sweep import figures as pictures
from tempo_attn.lab.sweep.effects import Effect, Null
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.modes import USUAL_FACTORS
from tests.support.paths import ROOT

NAN = float("nan")


def effect(layers=(0,), rows=("last",), mode="scale", strength=0.5, heads=None, **fields):
    """An effect of -2 points, with a random null of +1 point; `fields` replace its fields."""
    null = Null(
        change=0.01,
        interval=(-0.01, 0.03),
        fix_rate=None,
        break_rate=None,
        excess=-0.03,
        excess_interval=(-0.05, -0.01),
    )
    values = {
        "variant": Variant(layers=layers, rows=rows, mode=mode, strength=strength, heads=heads),
        "kind": "eo",
        "condition": "aqa",
        "n": 200,
        "n_clusters": 180,
        "control_accuracy": 0.5,
        "accuracy": 0.48,
        "change": -0.02,
        "interval": (-0.06, 0.02),
        "p": 0.3,
        "p_holm": 1.0,
        "fixed": 2,
        "broken": 6,
        "fix_rate": 0.02,
        "break_rate": 0.06,
        "switched": 4,
        "reguess": 0.25,
        "reguess_others": 0.33,
        "p_switched": 0.6,
        "mass_before": 0.3,
        "mass_after": 0.2,
        "entropy_before": 3.0,
        "entropy_after": 3.0,
        "margin_change": -0.1,
        "margin_interval": (-0.2, 0.0),
        "nulls": {"sign": null},
    }
    return Effect(**(values | fields))


def sweep(n_layers, *, kinds=("eo",), conditions=("aqa",), rows=(("last",),), **fields):
    """Effects of every layer and strength; the change tells both apart."""
    return [
        effect(
            (layer,),
            row_set,
            strength=strength,
            kind=kind,
            condition=condition,
            change=(layer - 2) / 100 + strength / 1000,
            **fields,
        )
        for condition in conditions
        for kind in kinds
        for row_set in rows
        for layer in range(n_layers)
        for strength in USUAL_FACTORS
    ]


def share(layer=0, group="all", rows="last", **fields):
    """A row of a share of 30 %; `fields` replace its values."""
    place = {"kind": "eo", "condition": "aqa", "group": group, "rows": rows, "layer": layer}
    return place | {"mass": 0.3, "low": 0.2, "high": 0.4, "n": 200} | fields


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """A function that draws a picture and returns its figures instead of writing them."""

    def draw(function, *args, **fields):
        figures = []

        def keep(some, path):
            figures.extend(some)
            return [path]

        for module in ("pictures", "lines"):
            monkeypatch.setattr(f"tempo_attn.lab.{module}.save_all", keep)
        function(*args, tmp_path / "picture", **fields)
        return figures

    return draw


def panels(figure):
    """The axes with something on them, without the colour bar."""
    return [axes for axes in figure.axes if axes.axison and axes.get_label() != "<colorbar>"]


def lines(axes):
    """The named lines of a panel."""
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def legend_names(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def cells(axes):
    """The text of each cell by (layer's row, strength's column)."""
    found = {}
    for text in axes.texts:
        x, y = text.get_position()
        found[int(y), int(x)] = text
    return found


# --- change by layer


def test_a_line_has_the_changes_of_its_strength_in_percentage_points(drawn):
    (figure,) = drawn(pictures.layer_curves, sweep(6))
    (axes,) = panels(figure)
    line = lines(axes)["scale 0.5"]
    np.testing.assert_allclose(line.get_ydata(), [-1.95, -0.95, 0.05, 1.05, 2.05, 3.05])
    np.testing.assert_array_equal(np.round(line.get_xdata()), range(6))
    assert list(lines(axes))[1:] == [f"scale {s:g}" for s in USUAL_FACTORS]
    assert axes.get_title() == "eo, aqa (n = 200, 180 clips)"
    assert axes.get_ylabel() == "query rows: last"
    assert figure.get_supylabel() == "change of accuracy, percentage points"
    assert figure.get_supxlabel() == "layer"
    assert legend_names(figure)[:6] == [f"scale {s:g}" for s in USUAL_FACTORS]


def test_the_order_of_effects_does_not_matter_to_the_lines(drawn):
    (one,) = drawn(pictures.layer_curves, sweep(4))
    (other,) = drawn(pictures.layer_curves, sweep(4)[::-1])
    for name, line in lines(panels(one)[0]).items():
        np.testing.assert_array_equal(line.get_xydata(), lines(panels(other)[0])[name].get_xydata())


def test_intervals_of_one_layer_stand_side_by_side(drawn):
    (figure,) = drawn(pictures.layer_curves, sweep(6))
    bars = [c for c in panels(figure)[0].collections if hasattr(c, "get_segments")]
    assert len(bars) == len(USUAL_FACTORS)
    first = [bar.get_segments()[0] for bar in bars]
    for segment in first:
        np.testing.assert_allclose(segment[:, 1], [-6, 2])
    x = sorted(segment[0, 0] for segment in first)
    assert min(np.diff(x)) > 0.05
    assert -0.5 < x[0] < x[-1] < 0.5


def test_an_interval_beside_its_estimate_is_drawn_as_it_is(drawn):
    (figure,) = drawn(pictures.layer_curves, [effect(change=0.1, interval=(0.0, 0.05))])
    (bar,) = (c for c in panels(figure)[0].collections if hasattr(c, "get_segments"))
    np.testing.assert_allclose(bar.get_segments()[0][:, 1], [0, 5])


@pytest.mark.parametrize("interval", [(NAN, NAN), (None, None), None])
def test_an_unknown_interval_has_no_bar(drawn, interval):
    effects = [effect((0,)), effect((1,), interval=interval)]
    (figure,) = drawn(pictures.layer_curves, effects)
    (bar,) = (c for c in panels(figure)[0].collections if hasattr(c, "get_segments"))
    assert len(bar.get_segments()) == 1
    np.testing.assert_allclose(lines(panels(figure)[0])["scale 0.5"].get_ydata(), [-2, -2])


def test_the_null_is_a_grey_dashed_line_with_the_mean_in_a_band(drawn):
    def with_null(layer, strength, change):
        null = replace(effect().nulls["sign"], change=change, interval=(change - 0.02, change))
        return effect((layer,), strength=strength, nulls={"sign": null})

    effects = [with_null(0, 0.5, 0.01), with_null(0, 2.0, 0.03), with_null(1, 0.5, 0.0)]
    (figure,) = drawn(pictures.layer_curves, effects)
    (axes,) = panels(figure)
    line = lines(axes)["random sign (mean, 95 % intervals)"]
    np.testing.assert_allclose(line.get_xydata(), [[0, 2], [1, 0]])
    assert line.get_linestyle() == "--"
    assert len(set(to_rgb(line.get_color()))) == 1
    (band,) = (c for c in axes.collections if not hasattr(c, "get_segments"))
    corners = band.get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == pytest.approx((-2, 3))
    assert "random sign (mean, 95 % intervals)" in legend_names(figure)


def test_without_a_null_there_is_only_the_line_at_zero(drawn):
    (figure,) = drawn(pictures.layer_curves, [effect((0,), nulls={}), effect((1,), nulls={})])
    assert list(lines(panels(figure)[0])) == ["scale 0.5"]
    assert any(list(line.get_ydata()) == [0, 0] for line in panels(figure)[0].lines)


def test_the_other_null_is_drawn_where_it_is_asked_for(drawn):
    effects = [effect((layer,), nulls={"keys": effect().nulls["sign"]}) for layer in range(3)]
    (figure,) = drawn(pictures.layer_curves, effects, null="keys")
    assert "random keys (mean, 95 % intervals)" in legend_names(figure)


def test_panels_are_items_across_and_rows_down_with_the_same_axes(drawn):
    effects = sweep(3, kinds=("lo", "all", "eo"), rows=(("last",), ("last", "keyword")))
    (figure,) = drawn(pictures.layer_curves, effects)
    found = panels(figure)
    titles = ["lo, aqa", "eo, aqa", "all kinds, aqa"]
    assert [axes.get_title().partition(" (")[0] for axes in found] == [*titles, "", "", ""]
    labels = ["query rows: last", "", "", "query rows: last+keyword", "", ""]
    assert [axes.get_ylabel() for axes in found] == labels
    assert len({axes.get_ylim() for axes in found}) == 1
    assert len({axes.get_xlim() for axes in found}) == 1


def test_head_groups_have_their_own_panels(drawn):
    effects = [effect(heads=heads) for heads in (None, (0, 1, 2, 5))]
    (figure,) = drawn(pictures.layer_curves, effects)
    labels = [axes.get_ylabel().replace("\n", " ") for axes in panels(figure)]
    assert labels == ["query rows: last", "query rows: last, heads 0-2, 5"]


def test_few_edits_of_several_modes_share_a_panel(drawn):
    effects = [effect(), effect(strength=2.0), effect(mode="knockout", strength=None, nulls={})]
    (figure,) = drawn(pictures.layer_curves, effects)
    (axes,) = panels(figure)
    assert list(lines(axes))[1:] == ["scale 0.5", "scale 2", "knockout"]


def test_many_edits_of_several_modes_have_a_panel_for_each_mode(drawn):
    effects = sweep(2)
    effects += [replace(e, variant=replace(e.variant, mode="upweight")) for e in effects]
    effects += [effect((layer,), mode="knockout", strength=None) for layer in (0, 1)]
    (figure,) = drawn(pictures.layer_curves, effects)
    labels = [axes.get_ylabel().replace("\n", " ") for axes in panels(figure)]
    assert labels == [f"query rows: last, {m}" for m in ("scale", "upweight", "knockout")]
    names = [f"strength {strength:g}" for strength in USUAL_FACTORS]
    assert legend_names(figure)[:7] == [*names, "knockout"]
    one, other = (lines(axes)["strength 0.2"] for axes in panels(figure)[:2])
    assert one.get_color() == other.get_color()


def test_edits_of_several_layers_are_left_out(drawn):
    (figure,) = drawn(pictures.layer_curves, [effect((3,)), effect((4, 5)), effect((5,))])
    (axes,) = panels(figure)
    np.testing.assert_array_equal(lines(axes)["scale 0.5"].get_xdata(), [3, 5])


@pytest.mark.parametrize("function", [pictures.layer_curves, pictures.heat_map])
@pytest.mark.parametrize("effects", [[], [effect((0, 1))]])
def test_nothing_of_a_single_layer_is_an_error(function, effects, tmp_path):
    message = f"single layer; none of the {len(effects)} effects"
    with pytest.raises(ConfigError, match=message):
        function(effects, tmp_path / "picture")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "function", [pictures.layer_curves, pictures.heat_map, pictures.mass_against_change]
)
def test_effects_of_two_sweeps_are_an_error(function, tmp_path):
    with pytest.raises(ConfigError, match=r"scale 0\.5, layer 0, last.*twice for eo, aqa"):
        function([effect(), effect(change=0.5)], tmp_path / "picture")


def test_one_layer_and_one_strength_are_enough(drawn):
    (figure,) = drawn(pictures.layer_curves, [effect((7,))])
    (axes,) = panels(figure)
    assert list(axes.get_xticks()) == [7]
    assert axes.get_xlim() == (6.5, 7.5)
    null = lines(axes)["random sign (mean, 95 % intervals)"]
    assert np.ptp(null.get_xdata()) > 0.5  # a single point could not be seen


# --- sheets


def tick_boxes(axes, axis):
    ticks = getattr(axes, f"get_{axis}ticklabels")()
    boxes = [tick.get_window_extent() for tick in ticks if tick.get_text() and tick.get_visible()]
    return [box for box in boxes if box.width]


def test_eighty_layers_have_ticks_that_do_not_touch(drawn):
    (figure,) = drawn(pictures.layer_curves, sweep(80, kinds=("eo", "lo")))
    with style():
        figure.draw_without_rendering()
    for axes in panels(figure):
        boxes = tick_boxes(axes, "x")
        assert len(boxes) == 8
        assert not any(a.padded(2).overlaps(b) for a, b in combinations(boxes, 2))


def test_eighty_layers_fit_a_heat_map(drawn):
    (figure,) = drawn(pictures.heat_map, sweep(80, p_holm=0.01))
    with style():
        figure.draw_without_rendering()
    (axes,) = panels(figure)
    boxes = tick_boxes(axes, "y")
    assert len(boxes) == 80
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    numbers = [text.get_window_extent() for text in axes.texts]
    by_row = sorted(numbers, key=lambda box: (round(box.y0), box.x0))
    assert not any(a.overlaps(b) for a, b in pairwise(by_row))


@pytest.mark.parametrize(
    ("function", "effects"),
    [
        (pictures.layer_curves, sweep(1)),
        (pictures.heat_map, [effect()]),
        (pictures.heat_map, sweep(6, kinds=("eo", "lo", "ld"))),
        (pictures.mass_against_change, [effect()]),
        (mass_by_layer, [share(rows=rows) for rows in ("last", "keyword", "option")]),
    ],
)
def test_nothing_is_cut_off(drawn, function, effects):
    (figure,) = drawn(function, effects)
    with style():
        figure.draw_without_rendering()
        inside = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert inside.x0 >= 0
    assert inside.y0 >= 0
    assert inside.x1 <= width
    assert inside.y1 <= height
    for legend in figure.legends:
        assert not legend.get_window_extent().overlaps(figure._supylabel.get_window_extent())


def test_a_long_title_stays_over_its_panel(drawn):
    effects = sweep(2, kinds=("all", "eo"), conditions=("presence-matched silence",), n=12345)
    (figure,) = drawn(pictures.heat_map, effects)
    with style():
        figure.draw_without_rendering()
    one, other = (axes.title.get_window_extent() for axes in panels(figure))
    assert not one.overlaps(other)


def test_many_panels_are_split_into_numbered_files(tmp_path):
    effects = [effect(condition=condition, nulls={}) for condition in "abcdefghijklmnopqrstu"]
    files = pictures.layer_curves(effects, tmp_path / "layers.v1")
    names = [f"layers.v1-{number}.{kind}" for number in (1, 2) for kind in ("png", "svg")]
    assert [file.name for file in files] == names
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(names)


def test_a_hundred_and_twelve_panels_are_all_drawn_once(drawn):
    effects = [
        effect(rows=(row_set,), kind=kind, condition=condition, nulls={})
        for condition in "abcd"
        for kind in ("eo", "lo", "ld", "all")
        for row_set in "1234567"
    ]
    figures = drawn(pictures.mass_against_change, effects)
    found = [axes for figure in figures for axes in panels(figure)]
    assert len(found) == 112
    assert all(len(panels(figure)) <= 16 for figure in figures)
    assert all(max(figure.get_size_inches()) < 16 for figure in figures)
    assert len({axes.get_ylim() for axes in found}) == 1


def test_panels_of_one_row_set_fill_several_lines(drawn):
    effects = sweep(2, conditions="abcdefg")
    (figure,) = drawn(pictures.layer_curves, effects)
    titles = [axes.get_title()[:5] for axes in panels(figure)]
    assert titles == [f"eo, {condition}" for condition in "abcdefg"]
    with style():
        figure.draw_without_rendering()
    # Those with nothing below them have the layers' numbers.
    assert [bool(tick_boxes(axes, "x")) for axes in panels(figure)] == [False] * 3 + [True] * 4


def test_missing_panels_leave_a_hole(drawn):
    effects = [effect(), effect(kind="lo"), effect(rows=("option",), kind="lo")]
    (figure,) = drawn(pictures.layer_curves, effects)
    assert len(figure.axes) == 4
    assert [axes.get_ylabel() for axes in panels(figure)] == [
        "query rows: last",
        "",
        "query rows: option",
    ]


@pytest.mark.parametrize(
    ("layers", "ticks"),
    [
        ([3], [3]),
        (range(6), [0, 1, 2, 3, 4, 5]),
        ([0, 8, 16, 24], [0, 8, 16, 24]),
        (range(32), [0, 5, 10, 15, 20, 25, 30]),
        (range(10, 90), [10, 20, 30, 40, 50, 60, 70, 80]),
        ([0, 1, 2, 40], [0, 5, 10, 15, 20, 25, 30, 35, 40]),
    ],
)
def test_layer_ticks(layers, ticks):
    assert layer_ticks(layers) == ticks


def test_chunks_are_about_as_long():
    assert chunks("abcdefghi", 4) == [["a", "b", "c"], ["d", "e", "f"], ["g", "h", "i"]]


def test_lines_can_be_told_apart_in_grey():
    found = list(looks([f"scale {strength}" for strength in USUAL_FACTORS]).values())
    grey = [float(np.dot(look.color[:3], [0.299, 0.587, 0.114])) for look in found]
    assert min(np.diff(grey)) > 0.05
    assert grey[-1] < 0.75  # and seen on white
    assert len({look.marker for look in found}) == len({str(look.dashes) for look in found}) == 6


# --- layers and strengths


def test_cells_have_signed_numbers_and_stars(drawn):
    effects = [
        effect((2,), strength=0.5, change=-0.125, p_holm=0.049),
        effect((2,), strength=2.0, change=0.031, p_holm=0.05),
        effect((7,), strength=2.0, change=-0.0001, p_holm=NAN),
    ]
    (figure,) = drawn(pictures.heat_map, effects)
    (axes,) = panels(figure)
    texts = cells(axes)
    assert {at: text.get_text() for at, text in texts.items()} == {
        (0, 0): "−12.5*",
        (0, 1): "+3.1",
        (1, 1): "0.0",
    }
    assert texts[0, 0].get_fontweight() == "bold"
    assert texts[0, 1].get_fontweight() == "normal"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0.5", "2"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["2", "7"]
    assert axes.get_ylabel().replace("\n", " ") == "query rows: last, scale"
    (mesh,) = axes.collections
    assert mesh.get_clim() == (-12.5, 12.5)
    np.testing.assert_allclose(
        np.ma.filled(mesh.get_array(), NAN).reshape(2, 2), [[-12.5, 3.1], [NAN, -0.01]]
    )


def test_dark_cells_have_light_numbers(drawn):
    effects = [effect((0,), change=-0.3), effect((1,), change=0.3), effect((2,), change=0.01)]
    (figure,) = drawn(pictures.heat_map, effects)
    texts = cells(panels(figure)[0])
    assert [texts[layer, 0].get_color() for layer in range(3)] == ["white", "white", "black"]


def test_the_colour_bar_is_labelled_and_the_same_on_all_sheets(drawn):
    effects = sweep(40, rows=(("last",), ("keyword",), ("option",)))
    figures = drawn(pictures.heat_map, effects)
    assert len(figures) == 3
    bars = [axes for f in figures for axes in f.axes if axes.get_label() == "<colorbar>"]
    assert {bar.get_ylabel() for bar in bars} == {"change of accuracy, percentage points"}
    low, high = {bar.get_ylim() for bar in bars}.pop()
    assert (low, high) == pytest.approx((-37.2, 37.2))
    assert len({bar.get_ylim() for bar in bars}) == 1


def test_modes_have_their_own_tables(drawn):
    effects = [effect(), effect(mode="knockout", strength=None), effect(mode="upweight")]
    (figure,) = drawn(pictures.heat_map, effects)
    labels = [axes.get_ylabel().replace("\n", " ") for axes in panels(figure)]
    assert labels == [f"query rows: last, {m}" for m in ("scale", "knockout", "upweight")]
    ticks = [[tick.get_text() for tick in axes.get_xticklabels()] for axes in panels(figure)]
    assert ticks == [["0.5"], ["knockout"], ["0.5"]]


def test_no_change_at_all_has_colours_too(drawn):
    (figure,) = drawn(pictures.heat_map, [effect(change=0.0), effect((1,), change=NAN)])
    (axes,) = panels(figure)
    assert {at: text.get_text() for at, text in cells(axes).items()} == {(0, 0): "0.0"}
    assert axes.collections[0].get_clim() == (-1, 1)


# --- share by layer


def test_one_group_has_a_line_for_each_row_set(drawn):
    rows = [
        share(layer, rows=query, kind=kind, mass=0.1 * layer)
        for kind in ("eo", "lo")
        for query in ("last", "keyword")
        for layer in (2, 1, 0)
    ]
    (figure,) = drawn(mass_by_layer, rows)
    found = panels(figure)
    assert [axes.get_title() for axes in found] == ["eo, aqa (n = 200)", "lo, aqa (n = 200)"]
    assert legend_names(figure) == ["query rows: last", "query rows: keyword"]
    np.testing.assert_allclose(
        lines(found[0])["query rows: keyword"].get_xydata(), [[0, 0], [1, 10], [2, 20]]
    )
    bands = [c.get_paths()[0].vertices[:, 1] for c in found[0].collections]
    assert [(band.min(), band.max()) for band in bands] == [pytest.approx((20, 40))] * 2
    assert found[0].get_ylim()[0] == 0
    assert figure.get_supylabel() == "attention mass on audio, %"


def test_right_against_wrong_has_a_panel_for_each_row_set(drawn):
    sizes = {"right": 120, "wrong": 80, "all": 200}
    rows = [
        share(layer, group, query, n=n)
        for query in ("last", "option")
        for group, n in sizes.items()
        for layer in range(3)
    ]
    (figure,) = drawn(mass_by_layer, rows)
    found = panels(figure)
    assert [axes.get_ylabel() for axes in found] == ["query rows: last", "query rows: option"]
    assert found[0].get_title() == "eo, aqa (n = 200, 120 right, 80 wrong)"
    assert legend_names(figure) == ["right items", "wrong items", "all items"]
    right, wrong, everything = (lines(found[0])[f"{group} items"] for group in sizes)
    assert (right.get_linestyle(), wrong.get_linestyle()) == ("-", "--")
    assert right.get_marker() != wrong.get_marker()
    assert len(set(to_rgb(everything.get_color()))) == 1
    assert len(found[0].collections) == 2  # bands of right and wrong


def test_shares_without_intervals_are_lines(drawn):
    rows = [share(layer, low=None, high=NAN) for layer in range(3)]
    (figure,) = drawn(mass_by_layer, rows)
    np.testing.assert_allclose(
        lines(panels(figure)[0])["query rows: last"].get_ydata(), [30, 30, 30]
    )


def test_differences_of_shares_are_no_shares(drawn):
    (figure,) = drawn(mass_by_layer, [share(), share(group="right - wrong", mass=-0.1)])
    assert legend_names(figure) == ["query rows: last"]
    assert panels(figure)[0].get_ylim()[0] == 0


@pytest.mark.parametrize("rows", [[], [share(group="right - wrong")]])
def test_no_shares_are_an_error(rows, tmp_path):
    with pytest.raises(ConfigError, match="nothing to draw"):
        mass_by_layer(rows, tmp_path / "share")


# --- change against mass


def test_a_point_is_the_change_of_mass_and_of_accuracy(drawn):
    effects = [
        effect(mass_before=0.3, mass_after=0.5, change=0.1),
        effect(mode="upweight", mass_before=0.3, mass_after=0.25, change=-0.1),
        effect((1, 2), mode="upweight", mass_before=0.2, mass_after=0.25, change=0.0),
        effect((5,), mass_before=None),
    ]
    (figure,) = drawn(pictures.mass_against_change, effects)
    (axes,) = panels(figure)
    found = lines(axes)
    np.testing.assert_allclose(found["scale"].get_xydata(), [[20, 10]])
    np.testing.assert_allclose(found["upweight"].get_xydata(), [[-5, -10], [5, 0]])
    assert found["scale"].get_marker() != found["upweight"].get_marker()
    assert {line.get_linestyle() for line in found.values()} == {"None"}
    assert figure.get_supxlabel().startswith("change of attention mass on audio")


def test_strengths_at_one_place_are_joined_in_order(drawn):
    effects = [effect(strength=s, mass_after=0.3 + 0.1 * s) for s in (2.0, 0.5, 1.5)]
    (figure,) = drawn(pictures.mass_against_change, effects)
    line = lines(panels(figure)[0])["scale"]
    assert line.get_linestyle() != "None"
    np.testing.assert_allclose(line.get_xdata(), [5, 15, 20])


@pytest.mark.parametrize("effects", [[], [effect(mass_after=None)], [effect(mass_before=NAN)]])
def test_no_mass_is_an_error(effects, tmp_path):
    with pytest.raises(ConfigError, match="mass_before, mass_after"):
        pictures.mass_against_change(effects, tmp_path / "mass")


# --- files


def test_both_files_are_there_and_nothing_else(tmp_path):
    files = pictures.heat_map([effect()], tmp_path / "new" / "heat")
    assert files == [tmp_path / "new" / "heat.png", tmp_path / "new" / "heat.svg"]
    assert sorted((tmp_path / "new").iterdir()) == files
    with Image.open(files[0]) as image:
        assert image.info["dpi"] == pytest.approx((150, 150), abs=0.1)
        assert "Creation Time" not in image.info
    svg = files[1].read_text(encoding="utf-8")
    assert "<dc:date>" not in svg
    assert "<text" not in svg  # letters are outlines


SCRIPT = """
import sys
from pathlib import Path
sys.path[:0] = [{root!r}]
import matplotlib
matplotlib.rcParams.update({{"axes.facecolor": "pink", "svg.fonttype": "none"}})
from tests.tempo_attn.lab.sweep.test_figures import draw_all
draw_all(Path({folder!r}))
"""


def draw_all(folder: Path) -> dict[str, bytes]:
    effects = [effect((layer,)) for layer in (0, 1)]
    files = [
        *pictures.layer_curves(effects, folder / "layers"),
        *pictures.heat_map(effects, folder / "heat"),
        *mass_by_layer([share(0), share(1)], folder / "share"),
        *pictures.mass_against_change(effects, folder / "mass"),
    ]
    return {file.name: file.read_bytes() for file in files}


def test_another_process_with_other_settings_writes_the_same_bytes(tmp_path):
    first = draw_all(tmp_path / "one")
    assert draw_all(tmp_path / "one") == first
    script = SCRIPT.format(root=str(ROOT), folder=str(tmp_path / "other"))
    subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", script],
        check=True,
        cwd=ROOT,
        env={"PYTHONHASHSEED": "7", "PATH": "", "MPLCONFIGDIR": str(tmp_path)},
    )
    other = {name: (tmp_path / "other" / name).read_bytes() for name in first}
    assert len(first) == 8
    assert [name for name in first if first[name] != other[name]] == []


def test_settings_outside_are_left_alone(tmp_path):
    with matplotlib.rc_context({"font.size": 13.0, "svg.hashsalt": None}):
        before = dict(matplotlib.rcParams)
        pictures.layer_curves([effect()], tmp_path / "layers")
        assert dict(matplotlib.rcParams) == before


def test_a_failed_drawing_leaves_the_old_files(tmp_path, monkeypatch):
    files = save(Figure(), tmp_path / "picture")
    before = [file.read_bytes() for file in files]

    def fail(*_args, **_fields):
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        save(Figure(), tmp_path / "picture")
    assert [file.read_bytes() for file in files] == before
    assert sorted(tmp_path.iterdir()) == files


def test_importing_needs_no_matplotlib():
    code = "import sys, tempo_attn.lab.sweep.figures; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
