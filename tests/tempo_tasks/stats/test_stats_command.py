"""`tempo stats` as a command: what it prints, writes and refuses."""

import csv
import json
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from tempo_attn.errors import OptionError
from tempo_tasks.errors import SamplesNotFoundError
from tempo_tasks.stats.columns import SECTIONS
from tempo_tasks.stats.report import make_report
from tempo_tasks.stats.runs import read_runs
from tempo_tasks.stats.statistics_output import markdown, write_report
from tempo_tasks.stats.stats_command import add_commands
from tests.support.sample_files import answers, write_run

PATTERNS = {"aqa": "111011101110", "silence": "010000100000"}


@pytest.fixture
def run(tmp_path):
    tasks = {
        f"tempo_synth_{kind}_{condition}": answers(pattern, kind)
        for kind in ("eo", "lo", "ld")
        for condition, pattern in PATTERNS.items()
    }
    return write_run(tmp_path / "run", tasks, model="org/model|<b>[red]")


def call(*arguments):
    app = typer.Typer()
    app.callback()(lambda: None)  # with a second command, `stats` is a subcommand as in `tempo`
    add_commands(app)
    return CliRunner().invoke(app, ["stats", *map(str, arguments)], catch_exceptions=False)


def test_the_tables_are_printed_in_a_readable_order(run):
    result = call(run)
    assert result.exit_code == 0
    titles = [result.output.index(t) for t in ("Accuracy (95 %", "Conditions on", "by stratum")]
    assert titles == sorted(titles)
    assert "with 36 items in 12 clusters a difference under" in result.output
    assert "75.0" in result.output


def test_json_alone_is_printed(run, tmp_path):
    result = call(run, "--json", "--level", "0.9", "--out", tmp_path / "out")
    report = json.loads(result.stdout)
    assert report["level"] == 0.9
    assert report["accuracy"][0]["accuracy"] == 0.75
    assert report == json.loads((tmp_path / "out" / "statistics.json").read_text())


def test_the_files_hold_the_same_numbers(run, tmp_path):
    out = tmp_path / "new" / "out"
    assert call(run, "--out", out).exit_code == 0
    names = sorted(path.name for path in out.iterdir())
    tables = ("accuracy", "conditions", "strata")
    expected = [f"statistics_{table}.csv" for table in tables]
    assert names == sorted(["statistics.json", "statistics.md", *expected])
    report = json.loads((out / "statistics.json").read_text())
    for table in tables:
        with (out / f"statistics_{table}.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [row["n"] for row in rows] == [str(row["n"]) for row in report[table]]
        assert list(rows[0]) == list(report[table][0])
    page = (out / "statistics.md").read_text()
    assert page == markdown(report)
    macro = report["accuracy"][-1]
    assert f"{100 * macro['low']:.1f} to {100 * macro['high']:.1f}" in page


def test_names_of_others_break_neither_table_nor_page(run, tmp_path):
    page = markdown(make_report(read_runs([str(run)])))
    assert "org/model\\|&lt;b>[red]" in page
    rows = [line for line in page.splitlines() if line.startswith("| org")]
    assert {line.replace("\\|", "").count("|") for line in rows[:8]} == {13}
    assert "[red]" in call(run).output


def test_an_older_reports_tables_do_not_stay_behind(run, tmp_path):
    out = tmp_path / "out"
    call(run, "--out", out)
    assert (out / "statistics_conditions.csv").exists()
    alone = write_run(tmp_path / "alone", {"tempo_eo_aqa": answers("110")})
    call(alone, "--out", out)
    assert not (out / "statistics_conditions.csv").exists()


def test_every_section_has_a_table_and_every_cell_a_text(run):
    report = make_report(read_runs([str(run)]))
    assert {section.name for section in SECTIONS} == {
        name for name, value in report.items() if isinstance(value, list)
    } - {"runs", "notes", "power"}
    for section in SECTIONS:
        for row in report[section.name]:
            assert all(column.cell(row) for column in section.columns)


def test_the_same_runs_give_the_same_bytes(run, tmp_path):
    call(run, "--out", tmp_path / "one")
    call(run, "--out", tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_mistake_is_an_error_of_ours(tmp_path):
    with pytest.raises(SamplesNotFoundError, match="--log_samples"):
        call(tmp_path)


def test_a_file_in_the_folders_place_is_an_error(run, tmp_path):
    (tmp_path / "taken").write_text("x")
    with pytest.raises(OptionError, match="taken is a file; expected a folder"):  # before any work
        call(run, "--out", tmp_path / "taken")
    with pytest.raises(OptionError, match="taken: cannot be written to"):
        write_report(make_report(read_runs([str(run)])), tmp_path / "taken")


def test_the_command_of_the_installation_ends_with_2_and_the_message(tmp_path):
    command = [sys.executable, "-m", "tempo_tasks", "stats", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "SamplesNotFoundError" in done.stderr
    assert "--log_samples" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_loads_nothing_heavy():
    code = (
        "import sys, tempo_tasks.stats.stats_command\n"
        "print([m for m in ('numpy', 'scipy', 'statsmodels', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
