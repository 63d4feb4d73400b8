"""Keyword and option rows are the tokens of those words, whatever the tokenizer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempo_attn.errors import PositionError
from tempo_attn.prompts.keyword_and_option_rows import keyword_rows, option_rows
from tempo_tasks.prompts import INSTRUCTION, make_prompt
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.questions.questions import Kind, Question
from tests.support.tiny_tokenizers import AUDIO, CLOSE, KINDS, OPEN, Kit, Reading, byte_level, kit

KEYWORDS = ("earliest", "latest", "longest")
OPTIONS = ("Rain", "Dog bark", "Siren", "Piano")


@pytest.fixture(scope="session", params=list(KINDS))
def read(request: pytest.FixtureRequest) -> Kit:
    return kit(request.param)


def keywords(reading: Reading, question: str | None = None) -> list[str]:
    return reading.words(keyword_rows(reading.prompt, KEYWORDS, question=question))


def options(reading: Reading, names: tuple[str, ...] | None = None, **where: str) -> list[str]:
    return reading.words(option_rows(reading.prompt, options=names, **where))


def question(kind: Kind, options: tuple[str, ...] = OPTIONS) -> Question:
    first, second, third, fourth = options
    return Question("1/q", "1", kind, (first, second, third, fourth), "B", 2)


def listed(asked: str, options: tuple[str, ...] = OPTIONS, after: str = INSTRUCTION) -> str:
    lines = [f"{letter}. {name}" for letter, name in zip("ABCDEFGH", options, strict=False)]
    return "\n".join([asked, *lines, after])


# ---------------------------------------------------------------------- our prompt

HOSTILE = (
    "The latest news is read. Which song is the longest, and which the earliest? A. Smith and "
    'B. Jones say "latest", "longest". Rain is the earliest sound: latest at Siren.'
)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("condition", list(Condition))
def test_our_prompt_gives_the_keyword_and_four_names(read, kind, condition):
    text = make_prompt(question(kind), condition, audio={"path": "1"}, caption=HOSTILE).text
    before, _, turn = text.rpartition("<audio>")
    assert not before
    audio = [AUDIO] if condition.has_audio else []
    reading = read(
        40, OPEN, "system\nFind the latest event.", CLOSE, OPEN, *audio, turn, CLOSE, OPEN, "reply"
    )
    assert keywords(reading) == keywords(reading, kind.text) == [kind.keyword]
    assert options(reading) == list(OPTIONS)
    assert options(reading, OPTIONS) == options(reading, question=kind.text) == list(OPTIONS)


def test_left_padding_moves_the_rows_and_nothing_else(read):
    turn = listed(Kind.LO.text)
    alone, padded = read(AUDIO, turn), read(777, AUDIO, turn)
    for rows in (lambda p: keyword_rows(p, KEYWORDS), option_rows):
        assert rows(padded.prompt) == [row + 777 for row in rows(alone.prompt)]
        assert rows(alone.prompt)


def test_a_caption_behind_the_question_or_the_options_does_not_count(read):
    reading = read(listed(Kind.EO.text), "\nThe longest rain was the latest.", CLOSE)
    assert keywords(reading) == ["earliest"]
    assert options(reading) == list(OPTIONS)


def test_capitals_and_several_keywords_of_one_question(read):
    reading = read(listed("Is the LATEST sound, or the Longest, Rain?"), CLOSE)
    assert keywords(reading) == ["LATEST", "Longest"]


def test_keywords_inside_options_and_other_words_do_not_count(read):
    names = ("Latest news", "Earliest bird song", "The longest day", "Rain")
    reading = read(
        listed("Of the greatest, prelatest or lateststyle sounds, which ends latest?", names)
    )
    assert keywords(reading) == ["latest"]
    assert options(reading) == list(names)


def test_a_keyword_of_several_words(read):
    reading = read(listed("Which sound lasts  longest in time?"))
    rows = keyword_rows(reading.prompt, ["lasts longest"])
    assert [" ".join(words.split()) for words in reading.words(rows)] == ["lasts longest"]
    assert keyword_rows(reading.prompt, ["longest", "lasts longest"]) == rows
    assert len(keyword_rows(reading.prompt, "longest")) < len(rows)


def test_the_last_of_several_examples_counts(read):
    shots = [listed(Kind.EO.text, ("Cat", "Wind", "Bell", "Door"), "Answer: A. Cat\n\n")] * 2
    reading = read(*shots, listed(Kind.LD.text, OPTIONS, "Answer:"))
    assert keywords(reading) == ["longest"]
    assert options(reading) == list(OPTIONS)
    given = read(*shots[:1], listed(Kind.LD.text, OPTIONS, "Answer:"))
    assert options(given, question=Kind.EO.text) == ["Cat", "Wind", "Bell", "Door"]
    # A last question without a keyword is not answered with an earlier one's.
    plain = read(*shots, listed("Which sound event is loudest?", OPTIONS, "Answer:"))
    assert keywords(plain) == []


# ---------------------------------------------------------------------- forms of options


@pytest.mark.parametrize(
    "form",
    [
        "A. Rain\nB. Dog bark\nC. Siren\nD. Piano",
        "A) Rain\n\nB) Dog bark,\n\nC) Siren;\n\nD) Piano.",
        "  (A) Rain\n  (B) Dog bark\n  (C) Siren\n  (D) Piano",
        "A: Rain\r\nB: Dog bark\r\nC: Siren\r\nD: Piano",
        "(A) Rain (B) Dog bark (C) Siren (D) Piano",
        "(A) Rain, (B) Dog bark, (C) Siren, or (D) Piano.",
        "A. Rain B. Dog bark C. Siren D. Piano",
        "A) Rain; B) Dog bark; C) Siren; D) Piano. Answer with a letter.",
        'Choose the answer from: "Rain", "Dog bark", "Siren", "Piano".',
        "Choose one of ['Rain', 'Dog bark', 'Siren', 'Piano'] as the driver's choice",
        "Is it “Rain”, “Dog bark”, “Siren” or “Piano”",
        "A. Rain\nB. Dog bark\nC. Siren\nD. Piano\nAnswer with A, B, C or D.",
        "A. Rain\nB. Dog bark\nC. Siren\nD. Piano\nReply (A), (B), (C) or (D), or A. or B.",
        'A. Rain\nB. Dog bark\nC. Siren\nD. Piano\nSay "A", "B", "C" or "D"; "yes", "no".',
    ],
)
@pytest.mark.parametrize("gap", ["\n", " "])
def test_the_forms_of_options(read, form, gap):
    # On the question's own line, letters at the beginning of later lines still count.
    reading = read("Caption: the latest song.\n", AUDIO, f"Which event starts earliest?{gap}{form}")
    assert keywords(reading) == ["earliest"]
    assert options(reading) == list(OPTIONS)


def test_names_may_hold_letters_full_stops_and_quotes(read):
    names = ("Vitamin A. sound", "St. Bernard (dog)", 'Say "yes", "no"', "Plan B. horn")
    reading = read(listed(Kind.LO.text, names), CLOSE)
    assert options(reading) == list(names)
    quoted = read(listed(Kind.LO.text, ('"Rain"', "'Siren'.", "“Dog bark”")), CLOSE)
    assert options(quoted) == ["Rain", "Siren", "Dog bark"]
    inline = read("Which ends latest? (A) Plan B. horn (B) Mr. A. Doe (C) St. Bernard", CLOSE)
    assert options(inline) == ["Plan B. horn", "Mr. A. Doe", "St. Bernard"]


@pytest.mark.parametrize(
    "instruction",
    [
        "Answer with A, B, C or D.",
        "Answer with (A) or (B).",
        "Answer A. or B.",
        'Answer with "A", "B", "C" or "D".',
        "A. Smith sings.",
        "A. Rain\nB) Siren",
        "A. Rain\nC. Siren",
        "A. Rain\nas heard\nB. Siren",
    ],
)
def test_an_instruction_is_no_list_of_options(read, instruction):
    reading = read(f"{Kind.EO.text}\n{instruction}", CLOSE)
    assert options(reading) == []
    assert keywords(reading) == ["earliest"]


@pytest.mark.parametrize("shape", ["{}\nA. {}\nB. {}", '{} Choose: "{}", "{}"', "{} (A) {} (B) {}"])
def test_names_that_are_not_ascii(read, shape):
    names = ["Café door", "犬の鳴き声"]
    reading = read(AUDIO, shape.format("Which – naïve 🐶 – ends latest?", *names), CLOSE)
    assert keywords(reading) == ["latest"]
    assert options(reading) == names
    assert options(reading, ("Cafe\u0301 door", "犬の鳴き声")) == names


# ---------------------------------------------------------------------- question and options given


def test_a_given_question_settles_it(read):
    caption = "Which is latest? Rain is earliest. A. Rain\nB. Siren"
    asked = "Now: the earliest event. Not the longest event."
    text = f"{caption}\nNow: the  earliest event.\nNot the longest event. Rain, Siren\n{caption}"
    reading = read(AUDIO, text, CLOSE)
    assert keywords(reading, asked) == ["earliest", "longest"]
    rows = option_rows(reading.prompt, options=("Rain", "Siren"), question=asked)
    assert reading.words(rows) == ["Rain", "Siren"]
    twice = read(f"{Kind.LO.text} {Kind.LO.text} Caption: the latest.")
    assert len(keywords(twice, Kind.LO.text)) == 1
    assert keyword_rows(twice.prompt, ["event"], question=Kind.LO.text)[0] > len(twice.ids) // 3


def test_a_question_that_is_not_there_is_an_error(read):
    reading = read(listed(Kind.LO.text), CLOSE)
    with pytest.raises(PositionError, match=r"starts earliest.*is not in the prompt.*directly"):
        keywords(reading, Kind.EO.text)
    with pytest.raises(PositionError, match="blank phrase"):
        options(reading, question=" ")


def test_given_options_in_a_plain_sentence(read):
    reading = read("Rain, dog bark and siren.\n", "Which ends latest: rain, Dog, dog bark?", CLOSE)
    names = ("Rain", "Dog", "Dog bark")
    asked = "Which ends latest"
    assert "".join(options(reading, names, question=asked)).lower() == "raindogdog bark"
    with pytest.raises(PositionError, match=r"\['Rain', 'Dog'\] occur more than once.*question="):
        options(reading, ("Rain", "Dog"))
    with pytest.raises(PositionError, match="'Piano' is not in the prompt"):
        options(reading, ("Rain", "Piano"), question=asked)


def test_given_options_that_are_part_of_what_is_listed(read):
    caption = "Siren and Dog, then Rain and Dog and Siren."
    reading = read(listed(f"{Kind.LO.text}\n{caption}", ("hot rain or Rain (heavy)", "Dog, far")))
    for where in ({}, {"question": Kind.LO.text}):
        rows = option_rows(reading.prompt, options=("Rain", "Dog"), **where)
        assert reading.words(rows) == ["Rain", "Dog"]
        assert set(rows) < set(option_rows(reading.prompt))
    with pytest.raises(PositionError, match="'Siren' is not in the prompt"):
        options(reading, ("Rain", "Siren"))


def test_normal_forms_of_what_is_given_match(read):
    reading = read("Is the café latest: Café door, siren?", CLOSE)
    asked = "Is the cafe\u0301 latest"
    assert keywords(reading, asked) == ["latest"]
    assert options(reading, ("Cafe\u0301 door", "siren"), question=asked) == ["Café door", "siren"]


def test_given_options_are_not_the_letters_before_them(read):
    reading = read(listed("Which note is latest?", ("A", "C", "B")), CLOSE)
    rows = option_rows(reading.prompt, options=("A", "C", "B"))
    assert rows == option_rows(reading.prompt)
    assert reading.words(rows) == ["A", "C", "B"]


# ---------------------------------------------------------------------- never a guess


@pytest.mark.parametrize(
    "text",
    [
        "The latest news. Which sound ends latest?",
        listed(f"{Kind.EO.text}\nCaption: the latest news is read."),
        listed("Caption: the latest news.") + f"\n{Kind.EO.text}",
    ],
)
def test_several_possible_questions_are_an_error(read, text):
    with pytest.raises(PositionError, match=r"cannot be told .*latest.*; .*`question="):
        keywords(read(AUDIO, text, CLOSE))


def test_a_question_behind_its_options_is_an_error(read):
    reading = read(listed("Listen.", after=f"\n{Kind.EO.text}"), CLOSE)
    with pytest.raises(PositionError, match=r"found keywords in 'Which sound event starts"):
        keywords(reading)
    assert keywords(reading, Kind.EO.text) == ["earliest"]
    assert options(reading) == list(OPTIONS)


def test_nothing_found_is_nothing(read):
    reading = read(AUDIO, "Describe the audio.", CLOSE)
    assert keywords(reading) == []
    assert options(reading) == []
    assert keywords(read(AUDIO)) == []
    assert keywords(read(listed("Which is first?", ("Latest news", "Rain")))) == []


# ---------------------------------------------------------------------- any names

WORDS = st.text(st.characters(categories=("L", "Nd"), max_codepoint=0x2FFF), min_size=1).filter(
    lambda word: word.casefold() not in ("or", "and", *KEYWORDS)
)
NAMES = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)


@settings(max_examples=25)
@given(
    names=st.lists(NAMES, min_size=2, max_size=6, unique=True),
    kind=st.sampled_from(Kind),
    padding=st.integers(0, 9),
)
def test_random_names_are_read_exactly(read, names, kind, padding):
    reading = read(padding, listed(kind.text, tuple(names)), CLOSE)
    text = reading.prompt.words()
    start = text.index(kind.text) + len(kind.text)
    # What the tokenizer itself makes of a name counts: it may normalise characters.
    wanted = [line.split(". ", 1)[1].strip() for line in text[start:].split("\n")[1:-1]]
    assert options(reading) == wanted
    assert keywords(reading) == [kind.keyword]


def test_words_are_found_when_split_over_tokens():
    reading = Kit(byte_level(merges=0))(AUDIO, listed(Kind.LD.text), CLOSE)
    rows = keyword_rows(reading.prompt, KEYWORDS)
    assert len(rows) == len("longest")
    assert reading.words(rows) == ["longest"]
