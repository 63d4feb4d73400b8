"""The command `tempo data render`, and what `tempo data cite` prints of its folder."""

import json

import pytest
from typer.testing import CliRunner

from tempo_tasks.cli import app
from tests.support.recorded_sounds import recording, write_folder, write_rows, write_wav

RUN = CliRunner()


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("render")
    out = folder / "out"
    words = ["data", "render", "--sounds", str(write_folder(folder / "bank", each=1)), "-o"]
    words += [str(out), "--set", "quartets", "--clips", "4", "--licence", "CC0", "-q"]
    return words, RUN.invoke(app, words), out


def test_it_says_how_to_go_on_and_does_nothing_twice(rendered):
    words, done, out = rendered
    assert done.exit_code == 0, done.output
    assert f"TEMPO_DATA={out} lm_eval --model lalm --tasks tempo_hard" in done.output
    again = RUN.invoke(app, words)
    assert "complete already; nothing was changed" in again.output


def test_the_manifest_is_printed_as_json_and_names_no_folder(rendered):
    words, _, out = rendered
    printed = json.loads(RUN.invoke(app, [*words, "--json"]).stdout)
    assert printed["complete_before"] is True
    assert {row["licence"] for row in printed["recordings"]} == {"CC0"}
    assert str(out.parent) not in (out / "manifest.json").read_text()


def test_check_asks_for_the_lead_that_the_manifest_tells(rendered):
    _, _, out = rendered
    done = RUN.invoke(app, ["data", "check", str(out)])
    assert done.exit_code == 0, done.output
    assert RUN.invoke(app, ["data", "check", str(out), "--margin", "3"]).exit_code == 1


def test_cite_names_each_recording_with_its_licence(rendered):
    _, _, out = rendered
    done = RUN.invoke(app, ["data", "cite", str(out)])
    assert done.exit_code == 0, done.output
    assert "4 recordings are heard in out:\n  CC0: 4" in done.output
    assert "/0.wav: " in done.output
    assert "@software{tempo_lalm" in done.output


def test_cite_shows_a_hostile_author_as_text(tmp_path):
    rows = []
    for number, label in enumerate(("Rain", "Siren", "Whistle", "Crickets")):
        write_wav(tmp_path / f"{number}.wav", recording(label))
        rows.append((f"{number}.wav", label, "\x1b[2J[red]evil"))
    table = write_rows(tmp_path / "t.csv", ("filename", "label", "author"), rows)
    out = str(tmp_path / "out")
    words = ["data", "render", "--sounds", str(table), "-o", out, "--set", "quartets", "-q"]
    assert RUN.invoke(app, [*words, "--clips", "4"]).exit_code == 0
    done = RUN.invoke(app, ["data", "cite", out])
    assert "\x1b" not in done.output
    assert "0.wav: Rain, ?[2J[red]evil, unknown licence" in done.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--events", "many"], "--events many: expected a number"),
        (["--level", "loud"], "--level loud: expected dB"),
        (["--set", "quartet"], "Did you mean 'quartets'"),
    ],
)
def test_wrong_options_exit_with_2(rendered, words, told):
    given, _, _ = rendered
    done = RUN.invoke(app, [*given[:4], "-o", "nowhere", *words])
    assert done.exit_code != 0
    assert told in str(done.exception or "") + done.output
