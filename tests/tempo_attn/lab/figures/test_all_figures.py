"""What holds for every figure of the laboratory: files, bytes, sheets, and nothing left behind."""

import subprocess
import sys

import matplotlib
import pytest
from matplotlib.figure import Figure

from tempo_attn.figures import chunks, save, save_all, saving_as, sheets
from tempo_attn.lab.figures.lines import layer_ticks, looks
from tempo_attn.lab.figures.number_table import signed
from tempo_attn.lab.mass.figures import mass_by_layer
from tempo_attn.lab.sweep import figures
from tests.support.drawing import assert_nothing_is_cut_off, panels, places
from tests.support.drawn_data import FIGURES, draw, mass, sweep
from tests.support.paths import ROOT

# Importing what draws costs no matplotlib; the user's settings do not show.
SCRIPT = """
import sys
from pathlib import Path
from tests.support.drawn_data import FIGURES, draw
assert "matplotlib" not in sys.modules
import matplotlib
matplotlib.rcParams.update({"axes.facecolor": "pink", "svg.fonttype": "none", "font.size": 20})
for name in FIGURES:
    draw(name, Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A folder where another process, with other settings, has drawn everything."""
    folder = tmp_path_factory.mktemp("elsewhere")
    subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", SCRIPT, str(folder)],
        check=True,
        cwd=ROOT,
        # The list of fonts is taken over: to make it anew takes longer than to draw.
        env={
            "PYTHONHASHSEED": "7",
            "PATH": "",
            "MPLCONFIGDIR": matplotlib.get_cachedir(),
            "PYTHONPATH": "",
        },
    )
    return folder


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_has_the_same_bytes_in_another_process(name, elsewhere, tmp_path):
    with matplotlib.rc_context({"font.size": 13.0, "svg.hashsalt": None}):
        before = dict(matplotlib.rcParams)
        files = draw(name, tmp_path / "new")
        assert dict(matplotlib.rcParams) == before  # the user's settings are left alone
    assert files == [tmp_path / "new" / f"{name}.png", tmp_path / "new" / f"{name}.svg"]
    assert sorted((tmp_path / "new").iterdir()) == files
    assert "<dc:date>" not in files[1].read_text(encoding="utf-8")
    for file in files:
        assert file.read_bytes() == (elsewhere / file.name).read_bytes()


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_cut_off(name, drawn):
    function, data = FIGURES[name]
    (figure,) = drawn(function, data)
    assert_nothing_is_cut_off(figure)


def test_a_failed_drawing_leaves_the_old_files(tmp_path, monkeypatch):
    files = save(Figure(), tmp_path / "figure")
    before = [file.read_bytes() for file in files]

    def fail(*_args, **_fields):
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        save(Figure(), tmp_path / "figure")
    assert [file.read_bytes() for file in files] == before
    assert sorted(tmp_path.iterdir()) == files


# ------------------------------------------------------------------------------ sheets


def test_several_sheets_are_numbered_files(tmp_path):
    files = save_all([Figure((1, 1)), Figure((1, 1))], tmp_path / "layers.v1")
    names = [f"layers.v1-{number}.{kind}" for number in (1, 2) for kind in ("png", "svg")]
    assert [file.name for file in files] == names
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(names)


@pytest.mark.parametrize("labels", ["1234567", "1"])
def test_many_panels_are_all_there_once(labels):
    panels = [(label, title) for label in labels for title in "abcdefghijklmnopqrstu"]
    found = list(sheets(panels, (2.9, 2.5)))
    assert sorted(panel for _, on_sheet in found for panel in on_sheet) == sorted(panels)
    for figure, on_sheet in found:
        assert len(on_sheet) <= 16
        assert max(figure.get_size_inches()) < 16


def test_panels_are_items_across_and_rows_down_with_a_hole_where_there_is_none(drawn):
    effects = sweep(2, kinds=("lo", "all"), rows=(("last",), ("last", "keyword")))
    effects = [e for e in effects if (e.kind, len(e.variant.rows)) != ("lo", 2)]
    (figure,) = drawn(figures.layer_curves, effects)
    assert len(figure.axes) == 4
    assert places(figure) == [
        ("query rows: last", "lo, aqa (n = 200, 180 clusters)"),
        ("", "all kinds, aqa (n = 200, 180 clusters)"),
        ("query rows: last+keyword", ""),
    ]
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in panels(figure)}) == 1


def test_panels_of_one_row_set_fill_several_lines(drawn):
    (figure,) = drawn(mass_by_layer, [mass(condition=name) for name in "abcdefg"])
    assert [title[:5] for _, title in places(figure)] == [f"eo, {name}" for name in "abcdefg"]


def test_chunks_are_about_as_long():
    assert chunks("abcdefghi", 4) == [["a", "b", "c"], ["d", "e", "f"], ["g", "h", "i"]]


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


def test_lines_differ_without_colour_and_in_grey():
    found = list(looks([f"line {number}" for number in range(7)]).values())
    assert len({(look.marker, str(look.dashes)) for look in found}) == 7
    grey = [
        sum(c * w for c, w in zip(look.color, (0.299, 0.587, 0.114), strict=False))
        for look in found
    ]
    assert grey == sorted(grey)
    assert grey[-1] < 0.75  # and is seen on white


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (3.14, 1, "+3.1"),
        (-3.14, 0, "−3"),
        (3.14, 2, "+3.14"),
        (-0.0, 1, "0.0"),
        (0.04, 1, "0.0"),
        (-0.4, 0, "0"),
        (-0.04, 2, "−0.04"),
        (-0.6, 0, "−1"),
    ],
)
def test_signs_and_decimals(value, decimals, text):
    assert signed(value, decimals) == text


def test_other_formats_may_be_asked_for(tmp_path):
    for folder in (tmp_path / "one", tmp_path / "two"):
        with saving_as(("pdf",)):
            (file,) = save(Figure(), folder / "figure")
        assert file == folder / "figure.pdf"
    assert (tmp_path / "one/figure.pdf").read_bytes() == (tmp_path / "two/figure.pdf").read_bytes()
    assert [file.suffix for file in save(Figure(), tmp_path / "figure")] == [".png", ".svg"]
    for wrong in ((), ("jpg",)):
        with pytest.raises(ValueError, match="expected some of"), saving_as(wrong):
            pass
