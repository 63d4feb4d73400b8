"""AQA, CQA, ACQA and silence: what the model is given."""

import pytest

from tempo_tasks.errors import MissingCaptionError, PromptError, QuestionError
from tempo_tasks.prompts import PROMPT_VERSION, QUOTED, VARIANTS, PromptStyle, make_prompt
from tempo_tasks.questions.conditions import SUITE, Condition
from tempo_tasks.questions.questions import Kind, Question

QUESTION = Question("1.mp3/lo", "1.mp3", Kind.LO, ("Rain", "Siren", "Wind", "Piano"), "B", 2)
AUDIO = {"path": "1.mp3", "sha256": "0" * 64, "silence": False}
CAPTION = "Rain falls while a siren wails."
ASKED = (
    "Which sound event ends latest in the given audio?\n"
    "A. Rain\nB. Siren\nC. Wind\nD. Piano\n"
    "Answer with the option's letter from the given choices directly."
)


@pytest.mark.parametrize(
    ("condition", "text", "silence"),
    [
        (Condition.AQA, f"<audio>{ASKED}", [False]),
        (Condition.CQA, f"Audio caption: {CAPTION}\n{ASKED}", []),
        (Condition.ACQA, f"<audio>Audio caption: {CAPTION}\n{ASKED}", [False]),
        (Condition.SILENCE, f"<audio>{ASKED}", [True]),
    ],
)
def test_the_prompt_of_each_condition(condition, text, silence):
    prompt = make_prompt(QUESTION, condition, audio=AUDIO, caption=CAPTION)
    assert prompt.text == text
    assert [handle["silence"] for handle in prompt.audio] == silence
    assert AUDIO["silence"] is False  # the clip's own handle is left alone


def test_silence_is_the_same_prompt_with_the_same_length_of_audio():
    spoken = make_prompt(QUESTION, Condition.AQA, audio=AUDIO)
    silent = make_prompt(QUESTION, Condition.SILENCE, audio=AUDIO)
    assert silent.text == spoken.text
    assert silent.audio == ({**spoken.audio[0], "silence": True},)


@pytest.mark.parametrize("condition", [Condition.CQA, Condition.ACQA])
@pytest.mark.parametrize("caption", [None, "", "  "])
def test_caption_conditions_need_a_caption(condition, caption):
    with pytest.raises(MissingCaptionError, match=r"1\.mp3/lo.*`caption` column"):
        make_prompt(QUESTION, condition, audio=AUDIO, caption=caption)


@pytest.mark.parametrize("condition", [c for c in Condition if c is not Condition.CQA])
def test_the_others_need_audio(condition):
    with pytest.raises(QuestionError, match=r"1\.mp3/lo.*needs the clip's audio"):
        make_prompt(QUESTION, condition, caption=CAPTION)


def test_the_placeholder_cannot_be_smuggled_in():
    with pytest.raises(QuestionError, match="<audio>"):
        make_prompt(QUESTION, Condition.CQA, caption="A sound <audio> and another.")


# Phrasings


def styled(variant=1, condition=Condition.AQA, caption=CAPTION, **style):
    return make_prompt(
        QUESTION, condition, audio=AUDIO, caption=caption, style=PromptStyle(variant, **style)
    ).text


@pytest.mark.parametrize("condition", SUITE)
def test_the_first_phrasing_is_the_default_to_the_letter(condition):
    default = make_prompt(QUESTION, condition, audio=AUDIO, caption=CAPTION)
    assert styled(1, condition) == default.text
    assert PromptStyle(1).version == PROMPT_VERSION == "tempo-prompt-1"


def test_the_second_phrasing():
    assert styled(2) == (
        "<audio>Read the question and its four choices. Reply with one letter and nothing else.\n"
        "Question: Which sound event ends latest in the given audio?\n"
        "(A) Rain\n(B) Siren\n(C) Wind\n(D) Piano\n"
        "Answer:"
    )


def test_the_third_phrasing():
    assert styled(3) == (
        "<audio>Which sound event ends latest in the given audio?\n"
        "Pick the right one of these options and give only its letter.\n"
        "A) Rain\nB) Siren\nC) Wind\nD) Piano"
    )


def test_each_phrasing_has_a_version_of_its_own():
    versions = {PromptStyle(variant).version for variant in VARIANTS}
    assert len(versions) == len(VARIANTS) == 3


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("condition", [Condition.CQA, Condition.ACQA])
def test_where_the_caption_stands(variant, condition):
    audio = "<audio>" if condition.has_audio else ""
    line = f"Audio caption: {CAPTION}"
    plain = styled(variant).removeprefix("<audio>")
    before = styled(variant, condition)
    assert before == f"{audio}{line}\n{plain}"
    after = styled(variant, condition, caption_place="after").removeprefix(audio)
    # The same lines, and the caption's follows the last option's.
    lines = after.split("\n")
    place = lines.index(line)
    assert lines[:place] + lines[place + 1 :] == plain.split("\n")
    assert lines[place - 1].endswith("Piano")


def test_how_the_caption_is_announced():
    prompt = styled(1, Condition.CQA, caption="{}, {0} {x}", caption_wording="A {listener}: '{}'.")
    assert prompt.startswith("A {listener}: '{}, {0} {x}'.\nWhich")


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_caption_is_not_given_where_the_condition_has_none(variant):
    assert styled(variant, caption_place="after", caption_wording="x {}") == styled(variant)


@pytest.mark.parametrize(
    ("style", "message"),
    [
        ({"variant": 4}, r"prompt is 4.*\[1, 2, 3\]"),
        ({"caption_place": "behind"}, "caption_place is 'behind'.*'after'"),
        ({"caption_wording": "The caption:"}, "caption_wording is 'The caption:'"),
        ({"caption_wording": "{} and {}"}, "expected a text with one {}"),
        ({"caption_wording": None}, "caption_wording is None"),
    ],
)
def test_a_style_that_cannot_be_is_refused(style, message):
    with pytest.raises(PromptError, match=message):
        PromptStyle(**style)


def test_options_in_quotation_marks_have_no_letters():
    style = PromptStyle(QUOTED)
    assert make_prompt(QUESTION, Condition.AQA, audio=AUDIO, style=style).text == (
        "<audio>Which sound event ends latest in the given audio?\n"
        '"Rain", "Siren", "Wind", "Piano"\n'
        "Choose one of the options without any explanation."
    )
    assert style.version == "tempo-prompt-1/quoted"
    broken = Question("1/lo", "1", Kind.LO, ('Rain" or "Hail', "Siren", "Wind", "Piano"), "B", 2)
    with pytest.raises(QuestionError, match="quotation mark"):
        make_prompt(broken, Condition.AQA, audio=AUDIO, style=style)
