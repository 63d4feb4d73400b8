"""The figures of a sweep show the numbers that they are given."""

from dataclasses import replace

import numpy as np
import pytest

from tempo_attn.errors import ConfigError
from tempo_attn.lab.sweep import figures
from tempo_attn.modes import USUAL_FACTORS
from tests.support.drawing import bands, bars, cells, colours, legend, lines, panels, places, ticks
from tests.support.drawn_data import effect, sweep

NAN = float("nan")
RANDOM = "random sign (mean, 95 % intervals)"

# ------------------------------------------------------------------------------ change by layer


@pytest.mark.parametrize("order", [1, -1])
def test_a_line_has_the_changes_of_its_strength_in_percentage_points(drawn, order):
    (figure,) = drawn(figures.layer_curves, sweep(6)[::order])
    (axes,) = panels(figure)
    found = lines(axes)
    assert sorted(found) == sorted([RANDOM, *(f"scale {s:g}" for s in USUAL_FACTORS)])
    for strength in USUAL_FACTORS:
        xy = found[f"scale {strength:g}"]
        np.testing.assert_array_equal(np.round(xy[:, 0]), range(6))
        np.testing.assert_allclose(xy[:, 1], np.arange(-2, 4) + strength / 10)
    assert places(figure) == [("query rows: last", "eo, aqa (n = 200, 180 clusters)")]
    assert figure.get_supylabel() == "change of accuracy, percentage points"
    assert figure.get_supxlabel() == "layer"
    assert legend(figure)[:6] == [f"scale {s:g}" for s in USUAL_FACTORS]


def test_intervals_are_bars_side_by_side(drawn):
    (figure,) = drawn(figures.layer_curves, sweep(6))
    first = [bar for bar in bars(panels(figure)[0]) if abs(bar[0, 0]) < 0.5]
    assert len(first) == len(USUAL_FACTORS)
    for bar in first:
        np.testing.assert_allclose(bar[:, 1], [-6, 2])
    assert min(np.diff(sorted(bar[0, 0] for bar in first))) > 0.05


@pytest.mark.parametrize(
    ("interval", "ends"),
    [((0.0, 0.05), [[0, 5]]), ((NAN, NAN), []), ((None, None), []), (None, [])],
)
def test_an_interval_is_drawn_as_it_is_or_not_at_all(drawn, interval, ends):
    """A percentile interval need not hold its estimate."""
    (figure,) = drawn(figures.layer_curves, [effect(change=0.1, interval=interval)])
    (axes,) = panels(figure)
    np.testing.assert_allclose([bar[:, 1] for bar in bars(axes)], ends)
    np.testing.assert_allclose(lines(axes)["scale 0.5"][:, 1], [10])


@pytest.mark.parametrize("null", ["sign", "keys"])
def test_the_null_is_the_mean_in_a_band_from_its_lowest_to_its_highest_end(drawn, null):
    def with_null(layer, strength, change):
        found = replace(effect().nulls["sign"], change=change, interval=(change - 0.02, change))
        other = replace(found, change=0.5)
        nulls = {null: found, {"sign": "keys", "keys": "sign"}[null]: other}
        return effect((layer,), strength=strength, nulls=nulls)

    effects = [with_null(0, 0.5, 0.01), with_null(0, 2.0, 0.03), with_null(1, 0.5, 0.0)]
    (figure,) = drawn(figures.layer_curves, effects, null=null)
    (axes,) = panels(figure)
    name = f"random {null} (mean, 95 % intervals)"
    np.testing.assert_allclose(lines(axes)[name], [[0, 2], [1, 0]])
    assert bands(axes) == [pytest.approx((-2, 3))]
    assert name in legend(figure)


def test_a_null_of_one_layer_is_wide_enough_to_be_seen(drawn):
    (figure,) = drawn(figures.layer_curves, [effect((7,))])
    (axes,) = panels(figure)
    assert np.ptp(lines(axes)[RANDOM][:, 0]) > 0.5
    assert list(axes.get_xticks()) == [7]


def test_without_a_null_there_is_only_the_line_at_zero(drawn):
    (figure,) = drawn(figures.layer_curves, [effect((0,), nulls={}), effect((1,), nulls={})])
    (axes,) = panels(figure)
    assert list(lines(axes)) == ["scale 0.5"]
    assert any(list(line.get_ydata()) == [0, 0] for line in axes.lines)


MANY = [
    replace(e, variant=replace(e.variant, mode=m)) for m in ("scale", "upweight") for e in sweep(1)
]
KNOCKOUT = effect(mode="knockout", strength=None, nulls={})


@pytest.mark.parametrize(
    ("effects", "labels", "names"),
    [
        pytest.param(
            [effect(heads=heads) for heads in (None, (0, 1, 2, 5))],
            ["last", "last, heads 0-2, 5"],
            ["scale 0.5"],
            id="head groups",
        ),
        pytest.param(
            [effect(), effect(strength=2.0), KNOCKOUT],
            ["last"],
            ["scale 0.5", "scale 2", "knockout"],
            id="few edits share a panel",
        ),
        pytest.param(
            [*MANY, KNOCKOUT],
            ["last, scale", "last, upweight", "last, knockout"],
            [*(f"strength {s:g}" for s in USUAL_FACTORS), "knockout"],
            id="many have one a mode",
        ),
    ],
)
def test_what_shares_a_panel(drawn, effects, labels, names):
    (figure,) = drawn(figures.layer_curves, effects)
    assert [label for label, _ in places(figure)] == [f"query rows: {label}" for label in labels]
    assert legend(figure) == [*names, RANDOM]
    shown = [name for axes in panels(figure) for name in lines(axes) if name != RANDOM]
    assert len(shown) == len(effects) if len(labels) == 3 else set(shown) == set(names)


def test_edits_of_several_layers_are_left_out(drawn):
    (figure,) = drawn(figures.layer_curves, [effect((3,)), effect((4, 5)), effect((5,))])
    np.testing.assert_array_equal(lines(panels(figure)[0])["scale 0.5"][:, 0], [3, 5])


@pytest.mark.parametrize("function", [figures.layer_curves, figures.heat_map])
@pytest.mark.parametrize("effects", [[], [effect((0, 1))]])
def test_nothing_of_a_single_layer_is_an_error(function, effects, tmp_path):
    with pytest.raises(ConfigError, match=f"single layer; none of the {len(effects)} effects"):
        function(effects, tmp_path / "figure")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "function", [figures.layer_curves, figures.heat_map, figures.mass_against_change]
)
def test_effects_of_two_sweeps_are_an_error(function, tmp_path):
    with pytest.raises(ConfigError, match=r"scale 0\.5, layer 0, last.*twice for eo, aqa"):
        function([effect(), effect(change=0.5)], tmp_path / "figure")


# ------------------------------------------------------------------------------ layers, strengths


def test_cells_have_signed_numbers_stars_and_colours(drawn):
    effects = [
        effect((2,), strength=0.5, change=-0.125, p_holm=0.049),
        effect((2,), strength=2.0, change=0.031, p_holm=0.05),
        effect((7,), strength=2.0, change=-0.0001, p_holm=NAN),
        effect((7,), strength=0.5, change=NAN),
    ]
    (figure,) = drawn(figures.heat_map, effects)
    (axes,) = panels(figure)
    assert cells(axes) == {(0, 0): "−12.5*", (0, 1): "+3.1", (1, 1): "0.0"}
    bold = {text.get_text() for text in axes.texts if text.get_fontweight() == "bold"}
    assert bold == {"−12.5*"}
    assert (ticks(axes, "x"), ticks(axes, "y")) == (["0.5", "2"], ["2", "7"])
    assert places(figure)[0][0] == "query rows: last, scale"
    np.testing.assert_allclose(colours(axes, (2, 2)), [[-12.5, 3.1], [NAN, -0.01]])
    assert axes.collections[0].get_clim() == (-12.5, 12.5)


def test_colours_mean_the_same_on_all_sheets(drawn):
    effects = [
        effect((layer,), (rows,), change=layer / 100)
        for rows in ("last", "keyword", "option")
        for layer in range(40)
    ]
    sheets = drawn(figures.heat_map, effects)
    found = [bar for sheet in sheets for bar in sheet.axes if bar.get_label() == "<colorbar>"]
    assert len(found) == 3
    for bar in found:
        assert bar.get_ylim() == pytest.approx((-39, 39))
    assert {bar.get_ylabel() for bar in found} == {figures.CHANGE}


def test_modes_have_their_own_tables(drawn):
    effects = [effect(), effect(mode="knockout", strength=None), effect(mode="upweight")]
    (figure,) = drawn(figures.heat_map, effects)
    modes = ("scale", "knockout", "upweight")
    assert [label for label, _ in places(figure)] == [f"query rows: last, {m}" for m in modes]
    assert [ticks(axes, "x") for axes in panels(figure)] == [["0.5"], ["knockout"], ["0.5"]]


# ------------------------------------------------------------------------------ change, mass


def test_a_point_is_the_change_of_mass_and_of_accuracy(drawn):
    effects = [
        effect(mass_before=0.3, mass_after=0.5, change=0.1),
        effect(mode="upweight", mass_before=0.3, mass_after=0.25, change=-0.1),
        effect((1, 2), mode="upweight", mass_before=0.2, mass_after=0.25, change=0.0),
        effect((5,), mass_before=None),
    ]
    (figure,) = drawn(figures.mass_against_change, effects)
    (axes,) = panels(figure)
    np.testing.assert_allclose(lines(axes)["scale"], [[20, 10]])
    np.testing.assert_allclose(lines(axes)["upweight"], [[-5, -10], [5, 0]])
    assert {line.get_linestyle() for line in axes.lines if line.get_label() == "scale"} == {"None"}
    assert figure.get_supxlabel().startswith("change of attention mass on audio")


def test_strengths_at_one_place_are_joined_in_order(drawn):
    effects = [effect(strength=s, mass_after=0.3 + 0.1 * s) for s in (2.0, 0.5, 1.5)]
    (figure,) = drawn(figures.mass_against_change, effects)
    (axes,) = panels(figure)
    np.testing.assert_allclose(lines(axes)["scale"][:, 0], [5, 15, 20])
    assert {line.get_linestyle() for line in axes.lines if line.get_label() == "scale"} == {"-"}


@pytest.mark.parametrize("effects", [[], [effect(mass_after=None)], [effect(mass_before=NAN)]])
def test_no_mass_is_an_error(effects, tmp_path):
    with pytest.raises(ConfigError, match="mass_before, mass_after"):
        figures.mass_against_change(effects, tmp_path / "mass")
