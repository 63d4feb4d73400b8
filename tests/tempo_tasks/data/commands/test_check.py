"""`tempo data check` on small tables: planted errors, exit status, JSON, several tables at once."""

import csv
import json
import math
import time

import pytest
import typer
from typer.testing import CliRunner

from tempo_attn.errors import OptionError
from tempo_tasks.cli import main
from tempo_tasks.data.check.run import check_sets, read_labels
from tempo_tasks.data.commands.check import check
from tempo_tasks.errors import (
    BadIntervalsError,
    DataUnavailableError,
    DataVersionError,
    TempoError,
)
from tempo_tasks.questions.events import Clip, Event
from tempo_tasks.questions.questions import Kind, Question, build_questions
from tempo_tasks.sources.without_audio import PlainSet

app = typer.Typer()
app.command()(check)

LABELS = ("Dog Barking", "Cat", "Rain", "Bell", "Wind", "Siren", "Horn", "Drum")
COLUMNS = ("filename", "question", "A", "B", "C", "D", "correct_label")


def made_clips(count=12):
    """Clips of four events that start, end and last at different times, 4 s apart."""
    clips = []
    for number in range(count):
        events = tuple(
            Event(LABELS[(number + 3 * place) % 8], ((2.0 * place, 9.0 + 6 * place),))
            for place in range(4)
        )
        clips.append(Clip(f"{number}.mp3", events))
    return clips


class Files:
    """Questions and intervals as lists of rows, and the check of what they are then."""

    def __init__(self, folder, kind=Kind.EO, count=12):
        self.folder = folder
        clips = made_clips(count)
        self.questions = [
            dict(zip(COLUMNS, (q.clip_id, q.text, *q.options, q.answer), strict=True))
            for q in build_questions(clips, kind, labels=LABELS)
        ]
        self.intervals = [
            {
                "filename": clip.id,
                "subclass": event.label,
                "intervals": f"[{event.onset:.2f}-{event.offset:.2f}]",
            }
            for clip in clips
            for event in clip.events
        ]

    def write(self):
        for name, rows in (("eo.csv", self.questions), ("times.csv", self.intervals)):
            with (self.folder / name).open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)

    def run(self, *arguments):
        self.write()
        return CliRunner().invoke(
            app,
            [
                str(self.folder / "eo.csv"),
                "--intervals",
                str(self.folder / "times.csv"),
                *arguments,
            ],
        )

    def found(self, *arguments):
        """Exit status, and (kind of finding, row) of the findings that are no mere note."""
        result = self.run("--json", *arguments)
        assert result.exit_code in (0, 1), result.exception
        findings = json.loads(result.stdout)["findings"]
        wrong = [(f["what"], f["row"]) for f in findings if f["severity"] == "disagreement"]
        return result.exit_code, wrong

    def refused(self, error, *arguments):
        """The message of the error that stops the check; the command line's main ends with 2."""
        result = self.run(*arguments)
        assert isinstance(result.exception, error)
        assert isinstance(result.exception, TempoError)
        return str(result.exception)

    def times(self, row):
        """The interval rows of the clip that a question row is about."""
        return [t for t in self.intervals if t["filename"] == self.questions[row]["filename"]]

    def time_of(self, row, letter):
        label = self.questions[row][letter]
        return next(t for t in self.times(row) if t["subclass"] == label)


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def other_letter(row):
    return next(letter for letter in "ABCD" if letter != row["correct_label"])


def swapped(row):
    """The row with the answer's label and another one swapped; the letter stays."""
    right, wrong = row["correct_label"], other_letter(row)
    return {**row, right: row[wrong], wrong: row[right]}


@pytest.mark.parametrize("kind", Kind)
def test_what_we_build_agrees(tmp_path, kind):
    assert Files(tmp_path, kind).found() == (0, [])


def test_a_changed_letter(files):
    row = files.questions[4]
    row["correct_label"] = other_letter(row)
    assert files.found() == (1, [("wrong_answer", 5), ("bad_distractor", 5)])


def test_the_answer_label_swapped_with_a_distractor_of_the_clip(files):
    files.questions[2] = swapped(files.questions[2])
    status, found = files.found()
    assert status == 1
    assert found[0] == ("wrong_answer", 3)
    assert set(found[1:]) == {("bad_distractor", 3)}


def test_a_margin_cut_by_a_changed_interval(files):
    row = files.questions[0]
    files.time_of(0, row["correct_label"])["intervals"] = "[1.50-9.00]"  # the next starts at 2.00
    assert files.found() == (1, [("small_margin", 1)])
    assert files.found("--margin", "0.5") == (0, [])
    assert files.found("--margin", "2.01")[1].count(("small_margin", 7)) == 1


def test_a_tie_by_a_changed_interval(files):
    files.time_of(0, files.questions[0]["correct_label"])["intervals"] = "[2.00-9.00]"
    assert files.found("--margin", "0") == (1, [("tie", 1), ("bad_distractor", 1)])


def test_a_doubled_row(files):
    files.questions.insert(7, files.questions[3])
    assert files.found() == (1, [("same_row", 8)])


def test_a_question_doubled_in_another_order(files):
    row = files.questions[3]
    files.questions.append({**swapped(row), "correct_label": other_letter(row)})
    assert files.found() == (1, [("same_question", 13)])


@pytest.mark.parametrize("spelled", [str.lower, str.upper, lambda text: text.replace(" ", "_")])
def test_an_option_in_another_spelling(files, spelled):
    number, letter = next(
        (number, letter)
        for number, row in enumerate(files.questions)
        for letter in "ABCD"
        if row[letter] == "Dog Barking" and row["correct_label"] != letter
    )
    files.questions[number][letter] = spelled("Dog Barking")
    assert files.found() == (1, [("spelling", number + 1)])
    assert files.found("--repair") == (0, [])
    notes = json.loads(files.run("--repair", "--json").stdout)["findings"]
    assert [note["what"] for note in notes if note["row"]] == ["repair"]


def test_the_intervals_of_a_clip_removed(files):
    name = files.questions[5]["filename"]
    files.intervals = [row for row in files.intervals if row["filename"] != name]
    assert files.found() == (1, [("no_intervals", 6)])


def test_the_answers_event_removed(files):
    files.intervals.remove(files.time_of(5, files.questions[5]["correct_label"]))
    assert files.found() == (1, [("absent_answer", 6)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"correct_label": "E"}, "A, B, C or D"),
        ({"correct_label": "a"}, "A, B, C or D"),
        ({"filename": ""}, "filename"),
        ({"question": "Which sound is loudest?"}, "Which sound is loudest"),
        ({"A": "", "B": "Cat"}, "expected text"),
    ],
)
def test_a_malformed_row_is_a_disagreement_with_its_row(files, change, message):
    files.questions[9].update(change)
    assert files.found() == (1, [("malformed_row", 10)])
    (finding,) = (
        f
        for f in json.loads(files.run("--json").stdout)["findings"]
        if f["what"] == "malformed_row"
    )
    assert message in finding["found"]
    assert finding["table"] == "eo.csv"
    assert "1 rows are no question" in files.run().stdout


@pytest.mark.parametrize(
    ("interval", "message"),
    [
        ("[nan-3.00]", "nan"),
        ("[3.00-NaN]", "nan"),
        ("[-1.00-3.00]", "-1-3"),
        ("[8.00-3.00]", "ends before it starts"),
        ("[8.00]", "onset-offset"),
        ("8.00-9.00", r"expected ["),
    ],
)
def test_a_time_that_cannot_be_stops_the_check_with_its_row(files, interval, message):
    files.intervals[6]["intervals"] = interval
    refusal = files.refused(BadIntervalsError)
    assert "row 7: " in refusal
    assert message in refusal


def test_a_reversed_interval_is_repaired_where_that_is_wanted(files):
    files.intervals[6]["intervals"] = "-".join(
        reversed(files.intervals[6]["intervals"].strip("[]").split("-"))
    ).join("[]")
    result = files.run("--repair")
    assert result.exit_code == 0
    assert "turned round" in result.stdout
    assert "note: repair (times.csv row 7)" in result.stdout


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_of_the_questions(files, column):
    for row in files.questions:
        del row[column]
    assert "expected" in files.refused(DataVersionError)


@pytest.mark.parametrize("column", ["filename", "subclass", "intervals"])
def test_a_missing_column_of_the_intervals(files, column):
    for row in files.intervals:
        del row[column]
    assert "columns" in files.refused(DataVersionError)


def test_missing_files(files, tmp_path):
    assert "nowhere.csv" in files.refused(
        DataUnavailableError, "--intervals", str(tmp_path / "nowhere.csv")
    )
    assert "nowhere" in files.refused(DataUnavailableError, str(tmp_path / "nowhere"))
    assert "nowhere.txt" in files.refused(
        DataUnavailableError, "--labels", str(tmp_path / "nowhere.txt")
    )


def test_without_intervals_nothing_can_be_checked(files):
    files.write()
    result = CliRunner().invoke(app, [str(files.folder / "eo.csv")])
    assert isinstance(result.exception, DataUnavailableError)
    assert "--intervals" in str(result.exception)


@pytest.mark.parametrize("margin", ["nan", "-1", "soon"])
def test_the_command_line_refuses_a_margin_that_cannot_be(files, margin):
    assert files.run("--margin", margin).exit_code == 2


@pytest.mark.parametrize("margin", [math.nan, math.inf, -1.0])
def test_a_margin_that_cannot_be(margin):
    with pytest.raises(OptionError, match="expected seconds, 0 or more"):
        check_sets([], margin=margin)


def test_labels_from_a_file(files):
    letter = other_letter(files.questions[0])
    files.questions[0][letter] = "Whirring"
    (files.folder / "labels.txt").write_text("\nHum\n  Whirring \n")
    unknown = json.loads(files.run("--json").stdout)["findings"]
    assert ("unknown_option", 1) in [(f["what"], f["row"]) for f in unknown]
    named = json.loads(files.run("--json", "--labels", str(files.folder / "labels.txt")).stdout)[
        "findings"
    ]
    assert "unknown_option" not in [f["what"] for f in named]


@pytest.mark.parametrize(
    ("content", "message"), [(b"\n \n", "no label"), (b"\xff\xfe\xfa", "no text in UTF-8")]
)
def test_a_file_without_labels(tmp_path, content, message):
    (tmp_path / "labels.txt").write_bytes(content)
    with pytest.raises(DataVersionError, match=message):
        read_labels(tmp_path / "labels.txt")


def test_json_and_the_file_hold_everything(files):
    files.questions[4]["correct_label"] = other_letter(files.questions[4])
    result = files.run("--json", "--out", str(files.folder / "deep" / "check.json"))
    plain = json.loads(result.stdout)
    assert json.loads((files.folder / "deep" / "check.json").read_text()) == plain
    assert plain["agrees"] is False
    assert plain["settings"]["questions"] == [str(files.folder / "eo.csv")]
    (kind,) = plain["kinds"]
    assert (kind["kind"], kind["items"], kind["agree"]) == ("eo", 12, 11)
    assert kind["required_margin"] == [1.0]
    assert kind["options_in_clip"] == {"0": 0, "1": 0, "2": 0, "3": 0, "4": 12}
    assert kind["findings"] == {"wrong_answer": 1, "bad_distractor": 1}
    assert sum(kind["letters"].values()) == 12
    leads = [item["margin"] for item in plain["items"]]
    assert kind["smallest_margin"] == min(leads) < 0
    assert kind["median_margin"] == 2.0
    assert [item["agrees"] for item in plain["items"]] == [row != 4 for row in range(12)]
    assert plain["items"][4]["disagreements"] == ["wrong_answer", "bad_distractor"]


def test_the_screen_shows_the_first_findings_and_where_all_are(files):
    files.questions[4]["correct_label"] = other_letter(files.questions[4])
    result = files.run()
    assert result.exit_code == 1
    assert "11 of 12 items agree" in result.stdout
    assert "2 disagreements, 0 notes" in result.stdout
    assert "more findings" not in result.stdout
    files.questions *= 3
    text = files.run().stdout
    shown = [line for line in text.splitlines() if line.startswith(("disagreement:", "note:"))]
    assert len(shown) == 20
    findings = json.loads(files.run("--json").stdout)["findings"]
    assert f"... and {len(findings) - 20} more findings: --json / --out" in text
    assert shown[0].startswith("disagreement:")


def test_findings_count_for_their_kind_and_notes_for_no_disagreement(files, tmp_path):
    (tmp_path / "other").mkdir()
    late = Files(tmp_path / "other", Kind.LO)
    late.questions[2][other_letter(late.questions[2])] = "Whirring"
    late.write()
    files.questions[4]["correct_label"] = other_letter(files.questions[4])
    plain = json.loads(files.run("--json", str(tmp_path / "other" / "eo.csv")).stdout)
    eo, lo = plain["kinds"]
    assert eo["findings"] == {"wrong_answer": 1, "bad_distractor": 1}
    assert lo["findings"] == {"unknown_option": 1, "left_out": 1}
    assert (eo["agree"], lo["agree"]) == (11, 12)


def test_brackets_in_a_label_are_no_markup(files):
    letter = other_letter(files.questions[0])
    files.questions[0][letter] = "[red]Hum[/red]"
    assert "[red]Hum[/red]" in files.run().stdout


def test_disagreements_come_first(files):
    files.questions[0][other_letter(files.questions[0])] = "Whirring"
    files.questions[11]["correct_label"] = other_letter(files.questions[11])
    findings = json.loads(files.run("--json").stdout)["findings"]
    severities = [finding["severity"] for finding in findings]
    assert severities == sorted(severities)
    assert set(severities) == {"disagreement", "note"}


def test_several_tables_are_checked_together(files, tmp_path):
    (tmp_path / "other").mkdir()
    late = Files(tmp_path / "other", Kind.LO)
    late.write()
    assert files.found(str(tmp_path / "other" / "eo.csv")) == (0, [])
    both = json.loads(files.run("--json", str(tmp_path / "other" / "eo.csv")).stdout)
    assert [kind["kind"] for kind in both["kinds"]] == ["eo", "lo"]
    assert [kind["items"] for kind in both["kinds"]] == [12, 12]
    # Two files of one name are told apart.
    assert {item["table"] for item in both["items"]} == {
        str(tmp_path / "eo.csv"),
        str(tmp_path / "other" / "eo.csv"),
    }


def test_a_question_that_stands_in_two_tables(files, tmp_path):
    files.write()
    copy = tmp_path / "copy.csv"
    lines = (tmp_path / "eo.csv").read_text().splitlines()
    copy.write_text("\n".join([lines[0], lines[3]]))
    plain = json.loads(files.run("--json", str(copy)).stdout)
    (finding,) = (f for f in plain["findings"] if f["severity"] == "disagreement")
    assert (finding["what"], finding["table"], finding["row"]) == ("same_row", "copy.csv", 1)
    assert finding["found"].endswith("eo.csv row 3")
    assert [i["table"] for i in plain["items"] if not i["agrees"]] == ["copy.csv"]


def test_a_folder_with_its_own_intervals(files, tmp_path):
    files.write()
    folder = tmp_path / "release"
    folder.mkdir()
    (tmp_path / "eo.csv").rename(folder / "questions.csv")
    text = (tmp_path / "times.csv").read_text()
    (folder / "intervals.csv").write_text(text + "0.mp3,Hum,[3.00-3.00]\n")
    result = CliRunner().invoke(app, [str(folder), "--json"])
    assert result.exit_code == 0
    plain = json.loads(result.stdout)
    assert {item["table"] for item in plain["items"]} == {"release/questions.csv"}
    repairs = [f for f in plain["findings"] if f["what"] == "repair"]
    assert {(f["table"], f["row"]) for f in repairs} == {("intervals.csv", 49)}
    assert "no length and is dropped" in repairs[0]["found"]


@pytest.mark.parametrize("name", ["tempo_synth", "tempo_synth_hard"])
def test_our_rendered_scenes_agree(name):
    result = CliRunner().invoke(app, [name, "--json"])
    assert result.exit_code == 0
    plain = json.loads(result.stdout)
    assert [kind["items"] for kind in plain["kinds"]] == [400, 400, 400]
    assert {tuple(kind["required_margin"]) for kind in plain["kinds"]} == {(1.0,)}
    assert plain["items"][0]["row"] is None
    assert not [f for f in plain["findings"] if f["severity"] == "disagreement"]


def test_ten_thousand_questions_in_seconds():
    clip = made_clips(1)[0]
    clips = {f"{n}.mp3": Clip(f"{n}.mp3", clip.events) for n in range(10_000)}
    (first,) = build_questions([clip], Kind.EO, labels=LABELS)
    asked = tuple(
        Question(f"{name}/eo", name, Kind.EO, first.options, first.answer) for name in clips
    )
    started = time.process_time()
    result = check_sets([PlainSet("many", asked, clips=clips)])
    assert len(result.items) == 10_000
    assert result.agrees
    assert time.process_time() - started < 30  # about 1 s; quadratic would be minutes


@pytest.mark.parametrize(
    ("plant", "status"), [(None, 0), ("letter", 1), ("interval", 2), ("column", 2)]
)
def test_the_exit_status_of_the_command(files, plant, status, monkeypatch, capsys):
    if plant == "letter":
        files.questions[0]["correct_label"] = other_letter(files.questions[0])
    elif plant == "interval":
        files.intervals[0]["intervals"] = "[nan-1]"
    elif plant == "column":
        files.questions = [{k: v for k, v in row.items() if k != "D"} for row in files.questions]
    files.write()
    table, times = str(files.folder / "eo.csv"), str(files.folder / "times.csv")
    monkeypatch.setattr("sys.argv", ["tempo", "data", "check", table, "--intervals", times])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == status
    assert "Traceback" not in capsys.readouterr().err
