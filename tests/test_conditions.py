"""AQA, CQA, ACQA and silence: what the model is given."""

import pytest

from tempo_tasks.conditions import Condition, make_prompt
from tempo_tasks.errors import MissingCaptionError, QuestionError
from tempo_tasks.questions import Kind, Question

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
