"""From a question and a condition to a prompt, by an explicit, versioned template.

The paper does not print its prompt, so ours is recorded with the results. Two further phrasings,
and other places and wordings of the caption, tell how much a score owes to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tempo_attn import AUDIO_PLACEHOLDER
from tempo_tasks.audio import Handle, silenced_handle
from tempo_tasks.errors import MissingCaptionError, PromptError, QuestionError
from tempo_tasks.questions.choice_items import ChoiceItem, letters_of
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.questions.questions import LETTERS, Question
from tempo_tasks.questions.spelling import breaks_line, normal_text

PROMPT_VERSION = "tempo-prompt-1"
# Other benchmarks: phrasing 1 around their own sentence and two to eight options, or a time.
CHOICE_PROMPT_VERSION = "tempo-choice-prompt-1"
SECONDS_INSTRUCTION = "Answer with a number of seconds and nothing else."
INSTRUCTION = "Answer with the option's letter from the given choices directly."
CAPTION_WORDING = "Audio caption: {}"
CAPTION_PLACES = ("before", "after")


@dataclass(frozen=True, slots=True)
class _Phrasing:
    """What stands around a question and its options, each on lines of its own.

    Attributes:
        question: Holds the question's sentence at `{}`, unchanged in all phrasings.
        option: Holds a letter and an option.
        joined: What stands between options: by default each has its own line, where captions and
            instructions do not imitate the list.
        before: Before the question.
        between: Between question and options.
        after: After the options.
    """

    question: str
    option: str
    before: str = ""
    between: str = ""
    after: str = ""
    joined: str = "\n"


# The order differs too: question, options, instruction; instruction, question, options; question,
# instruction, options. The audio stays first, for no text before it hears it, and the options stay
# after the question, where edits of attention look for them.
_PHRASINGS = {
    1: _Phrasing(question="{}", option="{}. {}", after=INSTRUCTION),
    2: _Phrasing(
        before="Read the question and its four choices. Reply with one letter and nothing else.",
        question="Question: {}",
        option="({}) {}",
        after="Answer:",
    ),
    3: _Phrasing(
        question="{}",
        between="Pick the right one of these options and give only its letter.",
        option="{}) {}",
    ),
}
VARIANTS = tuple(_PHRASINGS)
QUOTED = 0
"""The phrasing without letters, as the authors of DeSTA2.5-Audio recommend it."""
_PHRASINGS[QUOTED] = _Phrasing(
    question="{}",
    option='"{1}"',
    joined=", ",
    after="Choose one of the options without any explanation.",
)
OPTIONS_FORMS = ("lettered", "quoted")


@dataclass(frozen=True, slots=True)
class PromptStyle:
    """How a question is put into words; the default is the benchmark's.

    Attributes:
        variant: The phrasing: 1 (default), 2 or 3; or `QUOTED`, whose options have no letters.
        caption_place: "before" the question or "after" the options.
        caption_wording: What is said of the caption, which stands at `{}`.

    Raises:
        PromptError: There is no such variant or place, or the wording has not one `{}`.
    """

    variant: int = 1
    caption_place: str = "before"
    caption_wording: str = CAPTION_WORDING

    def __post_init__(self) -> None:
        if self.variant not in _PHRASINGS:
            raise PromptError(
                f"prompt is {self.variant!r}; expected one of the phrasings {list(VARIANTS)}"
            )
        if self.caption_place not in CAPTION_PLACES:
            raise PromptError(
                f"caption_place is {self.caption_place!r}; expected 'before' (the question) or "
                "'after' (the options)"
            )
        wording = self.caption_wording
        if not isinstance(wording, str) or wording.count("{}") != 1:
            raise PromptError(
                f"caption_wording is {wording!r}; expected a text with one {{}} where the caption "
                f"goes, such as {CAPTION_WORDING!r}"
            )

    @property
    def version(self) -> str:
        """What the results name as `prompt_version`."""
        if self.variant == QUOTED:
            return f"{PROMPT_VERSION}/quoted"
        return PROMPT_VERSION if self.variant == 1 else f"{PROMPT_VERSION}/variant-{self.variant}"


DEFAULT_STYLE = PromptStyle()


@dataclass(frozen=True, slots=True)
class Prompt:
    """One user turn, before any model's chat template.

    Attributes:
        text: The turn, with `<audio>` where the waveform stands.
        audio: Lazy handles, one for each placeholder (none or one).
    """

    text: str
    audio: tuple[Handle, ...]


def make_prompt(
    question: Question,
    condition: Condition,
    *,
    audio: Handle | None = None,
    caption: str | None = None,
    style: PromptStyle = DEFAULT_STYLE,
) -> Prompt:
    """Turn a question into a prompt under a condition.

    Args:
        question: What is asked.
        condition: AQA gives the audio, CQA the caption, ACQA both, silence zeros of the audio's
            length, mirror the audio of the clip's mirrored twin (see `questions.mirror`).
        audio: The clip's lazy handle, for mirror its twin's; needed by all conditions but CQA.
        caption: The clip's caption; needed by CQA and ACQA.
        style: The phrasing, and where and how a caption is given.

    Raises:
        MissingCaptionError: CQA or ACQA without a caption.
        QuestionError: Audio is missing; a text holds the audio placeholder; the caption is not on
            one line, so that it could imitate the list of options; an option breaks the quotation
            marks of `QUOTED`; or options are the same but for
            case, blanks, punctuation and normal form, so that no answer could tell them apart.
    """
    _refuse_alike(question)
    if style.variant == QUOTED and any('"' in option for option in question.options):
        raise QuestionError(
            f"{question.id}: an option of {list(question.options)} holds a quotation mark, and "
            "this phrasing has options between such marks; expected options without any"
        )
    lines = _asked(question, _PHRASINGS[style.variant])
    if condition.has_caption:
        if not (caption and caption.strip()):
            raise MissingCaptionError(
                f"{question.id}: condition {condition.value} needs a caption and the clip has "
                "none; give the data a `caption` column or run the aqa and silence tasks"
            )
        if breaks_line(caption.strip()):
            raise QuestionError(
                f"{question.id}: the caption {caption!r} has a line break in it; write it on one "
                "line, so that it cannot be taken for the question's own lines"
            )
        # By `replace`: a caption or a wording may hold further braces.
        given = style.caption_wording.replace("{}", caption.strip())
        lines["caption_before" if style.caption_place == "before" else "caption_after"] = given
    text = "\n".join(lines[part] for part in _ORDER if lines.get(part))
    if AUDIO_PLACEHOLDER in text:
        raise QuestionError(
            f"{question.id}: caption or options hold {AUDIO_PLACEHOLDER!r}, which marks the audio "
            "in a prompt; expected other words"
        )
    if not condition.has_audio:
        return Prompt(text, ())
    if audio is None:
        raise QuestionError(f"{question.id}: condition {condition.value} needs the clip's audio")
    handle = silenced_handle(audio, condition is Condition.SILENCE)
    return Prompt(AUDIO_PLACEHOLDER + text, (handle,))


_ORDER = ("caption_before", "before", "question", "between", "options", "caption_after", "after")


def _refuse_alike(question: Question) -> None:
    first: dict[str, str] = {}
    for option in question.options:
        other = first.setdefault(normal_text(option), option)
        if other is not option:
            raise QuestionError(
                f"{question.id}: the options {other!r} and {option!r} differ in case, blanks, "
                "punctuation or Unicode form only; expected four that an answer can tell apart"
            )


def _asked(question: Question, phrasing: _Phrasing) -> dict[str, str]:
    """Return the parts of a prompt that every condition has; empty ones are left out of it."""
    return _parts(question.text, question.options, LETTERS, phrasing)


def _parts(
    text: str, options: Sequence[str], letters: Sequence[str], phrasing: _Phrasing
) -> dict[str, str]:
    lines = [
        phrasing.option.format(letter, option)
        for letter, option in zip(letters, options, strict=True)
    ]
    return {
        "before": phrasing.before,
        "question": phrasing.question.format(text),
        "between": phrasing.between,
        "options": phrasing.joined.join(lines),
        "after": phrasing.after,
    }


def choice_text(item: ChoiceItem) -> str:
    """Return what is asked of an item of another benchmark, without its clips.

    With options it is phrasing 1 around the item's own sentence; see `CHOICE_PROMPT_VERSION`.

    Raises:
        QuestionError: The text holds the audio placeholder.
    """
    if item.seconds is not None:
        text = f"{item.question}\n{SECONDS_INSTRUCTION}"
    else:
        parts = _parts(item.question, item.options, letters_of(item.options), _PHRASINGS[1])
        text = "\n".join(parts[part] for part in _ORDER if parts.get(part))
    if AUDIO_PLACEHOLDER in text:
        raise QuestionError(
            f"{item.id}: question or options hold {AUDIO_PLACEHOLDER!r}, which marks the audio in "
            "a prompt; expected other words"
        )
    return text


def choice_prompt(item: ChoiceItem, audio: Sequence[Handle]) -> Prompt:
    """Turn an item of another benchmark into a prompt.

    Several clips stand on lines of their own before the question, as "clip 1:" and so on.

    Args:
        item: What is asked.
        audio: Handles of its clips, in the order in which they are heard.

    Raises:
        QuestionError: See `choice_text`.
    """
    text = choice_text(item)
    if len(audio) == 1:
        return Prompt(AUDIO_PLACEHOLDER + text, tuple(audio))
    heard = [f"clip {place}: {AUDIO_PLACEHOLDER}\n" for place in range(1, len(audio) + 1)]
    return Prompt("".join(heard) + text, tuple(audio))
