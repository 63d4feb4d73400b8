"""Options and captions that would break a prompt are refused when the documents are made."""

import itertools

import pytest

from tempo_tasks.errors import BadIntervalsError, QuestionError
from tempo_tasks.harness.documents import to_documents
from tempo_tasks.prompts import make_prompt
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.questions.question_set import QuestionSet
from tempo_tasks.questions.questions import Kind, Question
from tempo_tasks.questions.spelling import breaks_line, normal_text
from tempo_tasks.scoring.answer_parser import parse_answer
from tempo_tasks.sources.hub import load_released
from tempo_tasks.sources.intervals import read_intervals
from tempo_tasks.sources.without_audio import load_plain
from tests.support.released_layout import write_layout

# Every character at which `str.splitlines` breaks, found and not remembered.
BREAKS = [c for c in map(chr, range(0x110000)) if len(f"a{c}b".splitlines()) == 2]
AUDIO = {"path": "1.mp3", "sha256": "0" * 64, "silence": False}


def question(*options):
    return Question("1.mp3/eo", "1.mp3", Kind.EO, options, "A")


def test_every_line_break_of_python_is_one():
    assert len(BREAKS) == 10
    assert all(breaks_line(f"Dog{character}B. Cat") for character in [*BREAKS, "\r\n", "\ufffc"])
    assert not breaks_line("Dog\tbarking, a\u00a0lot – señal ♪")


@pytest.mark.parametrize("character", [*BREAKS, "\ufffc"])
def test_an_option_with_a_line_break_is_no_option(character):
    with pytest.raises(QuestionError, match=r"1\.mp3/eo: the option 'Dog.*on one line"):
        question(f"Dog{character}B. Cat", "Rain", "Wind", "Bell")


@pytest.mark.parametrize("option", [" Dog", "Dog ", "\u3000Dog", "", " "])
def test_an_option_with_blanks_around_it_is_no_option(option):
    with pytest.raises(QuestionError, match=r"1\.mp3/eo: the option .*without blanks"):
        question(option, "Rain", "Wind", "Bell")


@pytest.mark.parametrize("layout", ["csv", "jsonl", "parquet"])
def test_released_rows_with_line_breaks_are_listed(layout_rows, tmp_path, layout):
    rows = [dict(row) for row in layout_rows if row["task"] == "earliest_start"]
    for row, character in zip(rows, ["\n", "\u2028", "\x85"], strict=False):
        row["correct_text"] = row[f"option_{row['correct_answer'].lower()}"] = (
            f"Dog{character}B. Cat"
        )
    folder = write_layout(tmp_path, layout, rows)
    with pytest.raises(QuestionError, match="3 malformed rows") as refused:
        load_released(Kind.EO, data=str(folder))
    assert str(refused.value).count("on one line") == 3
    assert len(load_plain(folder).faults) == 3


@pytest.mark.parametrize("character", BREAKS)
def test_labels_of_intervals_with_line_breaks_are_refused(tmp_path, character):
    table = tmp_path / "times.csv"
    label = f'"Dog{character}B. Cat"'
    table.write_text(f"filename,label,onset,offset\n1.mp3,{label},0,1\n", "utf-8", newline="")
    with pytest.raises(BadIntervalsError, match=r"row 1: 1\.mp3: label .* line break"):
        read_intervals(table)


# Prompts


@pytest.mark.parametrize("character", [*BREAKS, "\ufffc"])
def test_a_caption_with_a_line_break_cannot_imitate_options(character):
    asked = question("Dog", "Rain", "Wind", "Bell")
    with pytest.raises(QuestionError, match=r"1\.mp3/eo: the caption .*on one line"):
        make_prompt(asked, Condition.CQA, caption=f"A dog barks.{character}A. Cat")
    # Around it, it is no part of the caption.
    prompt = make_prompt(asked, Condition.CQA, caption=" A dog barks. \n")
    assert prompt.text.startswith("Audio caption: A dog barks.\nWhich")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Rain", "rain"),
        ("Rain", "Rain."),
        ("Sen\u0303al", "Se\u00f1al"),
        ("Ｒａｉｎ", "Rain"),
        ("Dog bark", "Dog  bark"),
        ("Dog bark", "Dog\u00a0bark"),
        ("Rain", "“Rain”"),
    ],
)
def test_options_that_no_answer_can_tell_apart_are_not_asked(one, other):
    for options in itertools.permutations([one, other, "Wind", "Bell"]):
        with pytest.raises(QuestionError, match=r"1\.mp3/eo: the options .* only"):
            make_prompt(question(*options), Condition.AQA, audio=AUDIO)


def test_options_of_signs_alone_are_told_by_them():
    assert len({normal_text(sign) for sign in ("*", "'", ".", "`", "+")}) == 5
    assert parse_answer("*", ["*", "+", "#", "&"]) == "A"


def test_all_items_that_cannot_be_asked_are_listed():
    asked = [
        Question(f"{n}.mp3/eo", f"{n}.mp3", Kind.EO, (first, "Rain", "Wind", "Bell"), "A")
        for n, first in enumerate(["Dog", "rain", "<audio>", "Cat"])
    ]
    audio = {question.clip_id: AUDIO for question in asked}
    with pytest.raises(QuestionError, match="set: 2 items cannot be asked") as refused:
        to_documents(
            QuestionSet("set", tuple(asked), audio, {}), Condition.AQA, rotations=(0, 1, 2, 3)
        )
    assert "1.mp3/eo: the options 'rain' and 'Rain'" in str(refused.value)
    assert "2.mp3/eo: caption or options hold '<audio>'" in str(refused.value)
