"""`tempo plot`: what is drawn, that it can be read without colour, and what is refused."""

import json
import re
import shutil

import pytest
import typer
from matplotlib.figure import Figure
from PIL import Image
from typer.testing import CliRunner

from tempo_attn.errors import OptionError, RunFolderError
from tempo_tasks.errors import SamplesNotFoundError
from tempo_tasks.plots import accuracy_figure
from tempo_tasks.plots.accuracy_figure import accuracy_by_condition
from tempo_tasks.plots.plot_command import add_commands
from tempo_tasks.stats.accuracy import accuracy_rows
from tempo_tasks.stats.runs import read_runs
from tests.support.drawing import assert_nothing_is_cut_off
from tests.support.sample_files import answers, write_run

PATTERNS = {"aqa": "111011101110", "cqa": "110011001100", "silence": "010000100000"}
HOSTILE = "org/model <b>$\\frac$ \u96e8\x1b[31m & " + "long" * 30


def write(folder, *, model="org/model", patterns=PATTERNS, data="f00d", end=""):
    tasks = {
        f"tempo_synth_{kind}_{condition}{end}": answers(pattern, kind)
        for kind in ("eo", "lo", "ld")
        for condition, pattern in patterns.items()
    }
    return write_run(folder, tasks, model=model, data=data)


@pytest.fixture
def two(tmp_path):
    other = {condition: pattern[::-1] for condition, pattern in PATTERNS.items()}
    return [
        write(tmp_path / "one"),
        write(tmp_path / "two", model=HOSTILE, patterns=other | {"aqa": "111111111110"}),
    ]


def call(*arguments):
    app = typer.Typer()
    app.callback()(lambda: None)
    add_commands(app)
    return CliRunner().invoke(app, ["plot", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn, in place of the files."""
    kept = []
    monkeypatch.setattr(accuracy_figure, "save_all", lambda drawn, path: kept.extend(drawn) or [])
    return kept


def drawn(figures, tmp_path, *runs):
    accuracy_by_condition(accuracy_rows(read_runs([str(run) for run in runs])), tmp_path / "x")
    (figure,) = figures
    return figure


def test_every_format_is_written_with_the_same_bytes(two, tmp_path):
    for name in ("first", "again"):
        result = call(*two, "-o", tmp_path / name)
        assert result.exit_code == 0
    files = sorted((tmp_path / "first").iterdir())
    assert [file.name for file in files] == ["accuracy.pdf", "accuracy.png", "accuracy.svg"]
    for file in files:
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()
    pdf = files[0].read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert b"CreationDate" not in pdf
    assert b"Type3" not in pdf  # journals refuse such letters
    assert Image.open(files[1]).size > (1000, 300)
    assert not list(tmp_path.glob("*.partial"))


def test_only_the_formats_asked_for(two, tmp_path):
    call(two[0], "-o", tmp_path / "out", "--format", "PDF, svg")
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"accuracy.pdf", "accuracy.svg"}


def test_what_is_drawn_is_what_statistics_say(two, tmp_path, figures):
    rows = accuracy_rows(read_runs([str(two[0])]))
    figure = drawn(figures, tmp_path, two[0])
    assert [axes.get_title() for axes in figure.axes] == [
        *("earliest onset", "latest offset", "longest duration", "mean of the kinds")
    ]
    for axes, kind in zip(figure.axes, ("eo", "lo", "ld", "macro"), strict=True):
        of_kind = [row for row in rows if row["kind"] == kind]
        names = [label.get_text() for label in axes.get_xticklabels()]
        assert names == ["AQA", "CQA", "silence"]
        points = axes.lines[1]
        assert list(points.get_ydata()) == [100 * row["accuracy"] for row in of_kind]
        ends = [segment[:, 1].tolist() for segment in axes.collections[0].get_segments()]
        assert ends == [[100 * row["low"], 100 * row["high"]] for row in of_kind]
        assert list(axes.lines[0].get_ydata()) == [25, 25]
        assert f"n = {of_kind[0]['n']}" in [text.get_text() for text in axes.texts]
    assert "95 % intervals" in figure.get_supylabel()


def test_runs_are_told_apart_without_colour(tmp_path, figures):
    runs = [write(tmp_path / str(number), model=f"m{number}") for number in range(8)]
    figure = drawn(figures, tmp_path, *runs)
    marks = [(m.get_marker(), m.get_markerfacecolor() == "white") for m in figure.axes[0].lines[1:]]
    assert len(set(marks)) == 8
    places = [mark.get_xdata()[0] for mark in figure.axes[0].lines[1:]]
    assert places == sorted(places)
    assert max(places) < 0.5  # before the next condition's


@pytest.mark.parametrize("count", [1, 2, 8])
def test_nothing_is_cut_off(tmp_path, figures, count):
    runs = [write(tmp_path / str(at), model=f"{at} {HOSTILE}") for at in range(count)]
    figure = drawn(figures, tmp_path, *runs)
    assert_nothing_is_cut_off(figure)


@pytest.mark.filterwarnings("error::UserWarning")
def test_hostile_names_are_inert(two, tmp_path):
    call(two[1], "-o", tmp_path / "out", "--format", "svg")
    text = (tmp_path / "out/accuracy.svg").read_text(encoding="utf-8")
    assert "<b>" not in text
    assert "\x1b" not in text


def test_other_scorings_have_panels_of_their_own(tmp_path, figures):
    write(tmp_path / "run")
    write(tmp_path / "run", patterns={"aqa": "1110"}, end="_prompt2")
    figure = drawn(figures, tmp_path, tmp_path / "run")
    labels = {axes.get_ylabel() for axes in figure.axes} - {""}
    assert labels == {"tempo_synth", "tempo_synth, prompt2"}


def test_one_cluster_has_no_interval(tmp_path, figures):
    tasks = {"tempo_synth_eo_aqa": answers("1", "eo")}
    figure = drawn(figures, tmp_path, write_run(tmp_path / "run", tasks, model="m"))
    assert list(figure.axes[0].collections[0].get_segments()) == []


def test_runs_of_different_data_are_not_compared(two, tmp_path):
    other = write(tmp_path / "other", model="x", data="beef")
    with pytest.raises(OptionError, match="other data in 'x' than in 'org/model'"):
        call(two[0], other, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        (["--format", "jpg"], OptionError, "'jpg' is none; expected some of png, svg, pdf"),
        (["--format", ""], OptionError, "is none"),
        (["--level", "95"], OptionError, "level"),
    ],
)
def test_wrong_options_are_told(two, tmp_path, options, error, told):
    with pytest.raises(error, match=re.escape(told)):
        call(two[0], "-o", tmp_path / "out", *options)


def test_no_samples(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/results_2026-01-01T00-00-00.0.json").write_text("{}")
    with pytest.raises(SamplesNotFoundError, match="results without samples"):
        call(tmp_path / "run", "-o", tmp_path / "out")


def test_a_failed_drawing_leaves_the_old_files(two, tmp_path, monkeypatch):
    call(two[0], "-o", tmp_path / "out")
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}

    def fail(*_arguments, **_fields):
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        call(two[1], "-o", tmp_path / "out")
    assert before == {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    assert not list(tmp_path.glob(".*.partial"))


# ---------------------------------------------------------------------- the laboratory's runs


@pytest.fixture(scope="module")
def mass_run(tmp_path_factory):
    from tempo_tasks.cli import app

    folder = tmp_path_factory.mktemp("lab") / "my run"
    arguments = ["--tasks", "tempo_synth_eo_aqa", "--limit", "4", "--out", str(folder)]
    arguments += ["--metadata", json.dumps({"synth_scenes": 12})]
    result = CliRunner().invoke(app, ["mass", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return folder


def test_a_run_of_the_laboratory_is_drawn_by_its_own_figures(mass_run, two, tmp_path):
    before = {file: file.read_bytes() for file in mass_run.iterdir() if file.is_file()}
    result = call(mass_run, two[0], f"again={mass_run}", "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        f"{name}.{kind}"
        for name in ("accuracy", "my_run-mass", "again-mass")
        for kind in ("png", "svg", "pdf")
    }
    # The same picture as in the run's folder, which is as it was.
    for kind in ("png", "svg"):
        here = tmp_path / "out" / f"my_run-mass.{kind}"
        assert here.read_bytes() == (mass_run / f"mass.{kind}").read_bytes()
    assert before == {file: file.read_bytes() for file in mass_run.iterdir() if file.is_file()}


def test_an_unfinished_run_is_refused(mass_run, tmp_path):
    shutil.copytree(mass_run, tmp_path / "part")
    items = tmp_path / "part/items.jsonl"
    items.write_bytes(b"".join(items.read_bytes().splitlines(keepends=True)[:1]))
    with pytest.raises(RunFolderError, match="not finished, 3 of 4 items are missing"):
        call(tmp_path / "part", "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_runs_of_one_name_are_refused(mass_run, tmp_path):
    with pytest.raises(OptionError, match="would be called 'my_run', as others are"):
        call(mass_run, mass_run, "-o", tmp_path / "out")
