"""Which tokens of a prompt are the question's keywords and the names of its options.

Both are found in the prompt's text. What cannot be told from the text is an error, never a guess;
giving the question's exact text settles it.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from tempo_attn.errors import PositionError
from tempo_attn.prompts.decoded_text import PromptText, Span
from tempo_attn.prompts.option_lists import OptionBlock, normal_name, option_blocks

# U+FFFC is what a prompt's text has for audio, padding and special tokens: it ends everything.
# Closing quotes and brackets belong to the sentence that they end.
_BORDER = re.compile(r"[.?!:][\"'”’)\]]*(?=\s)|[。？！：]|[\n\ufffc]+")
_ASKS = re.compile(r"[?？][\"'”’)\]\s\ufffc]*\Z")


def keyword_rows(
    prompt: PromptText, keywords: Sequence[str], *, question: str | None = None
) -> list[int]:
    """Return the tokens of keywords in the question, in order; none where it has no keyword.

    Without `question`, the question is the sentence of the last keyword before the last options.
    In a prompt without options, keywords must stand in one sentence only.

    Args:
        prompt: The decoded prompt.
        keywords: Words or phrases; matched as whole words, whatever their case.
        question: The question's exact text (whitespace apart); its last occurrence counts.

    Raises:
        PositionError: The question is not in the prompt, or several sentences could be the
            question; or a keyword is blank.
    """
    text = prompt.words()
    phrases = (keywords,) if isinstance(keywords, str) else keywords
    found = {
        match.span() for phrase in phrases for match in phrase_pattern(phrase, re.I).finditer(text)
    }
    if question is not None:
        start, end = _question_span(text, question)
    elif blocks := option_blocks(text):
        start, end = _sentence_before(text, blocks, found)
    else:
        start, end = _only_sentence(text, found)
    return prompt.rows(span for span in found if start <= span[0] < end)


def option_rows(
    prompt: PromptText, *, options: Sequence[str] | None = None, question: str | None = None
) -> list[int]:
    """Return the tokens of the options' names, in order, without letters and punctuation.

    Args:
        prompt: The decoded prompt.
        options: The names in the prompt's order. Default: what stands in the prompt's last list of
            options, or in the first one after `question`; no tokens where there is none.
        question: The question's exact text (whitespace apart); its last occurrence counts.

    Raises:
        PositionError: The question or an option is not in the prompt, or options without letters
            or quotes occur more than once.
    """
    return prompt.rows(option_spans(prompt, options=options, question=question))


def option_spans(
    prompt: PromptText, *, options: Sequence[str] | None = None, question: str | None = None
) -> Sequence[Span]:
    """Return the characters of each option's name, in the prompt's order; see `option_rows`."""
    text = prompt.words()
    after = None if question is None else _question_span(text, question)[1]
    blocks = option_blocks(text, after or 0)
    block = None if not blocks else blocks[-1 if after is None else 0]
    if options is None:
        return block.names if block else ()
    return _named_options(text, tuple(options), block, after)


# ---------------------------------------------------------------------- the question


def _question_span(text: str, question: str) -> Span:
    pattern = phrase_pattern(question, whole_words=False)
    spans = [match.span() for match in pattern.finditer(text)]
    if not spans:
        raise PositionError(
            f"the question {question!r} is not in the prompt, which ends {_shown(text[-300:])!r}; "
            "pass the question as the prompt has it (only whitespace may differ)"
        )
    return spans[-1]


def _sentences(text: str, start: int, end: int) -> list[Span]:
    borders = (match.end() for match in _BORDER.finditer(text, start, end))
    return list(pairwise([start, *borders, end]))


def _holding(sentences: list[Span], found: set[Span]) -> list[Span]:
    begins = sorted(span[0] for span in found)
    return [(a, b) for a, b in sentences if bisect_left(begins, a) < bisect_left(begins, b)]


def _sentence_before(text: str, blocks: list[OptionBlock], found: set[Span]) -> Span:
    """Return the last sentence with a keyword before the last options (empty if there is none)."""
    last = blocks[-1]
    # In a few-shot prompt, what stands before an earlier list of options is another question.
    first = max((block.end for block in blocks if block.end <= last.start), default=0)
    holding = _holding(_sentences(text, first, last.start), found)
    after = _holding(_sentences(text, last.end, len(text)), found)
    # A caption may stand between the question and its options, or the question after them.
    asking = [span for span in holding + after if _ASKS.search(text[slice(*span)])]
    if asking and asking[-1] not in holding[-1:]:
        raise _ambiguous(text, list(dict.fromkeys([*holding[-1:], asking[-1]])))
    return holding[-1] if holding else (last.start, last.start)


def _only_sentence(text: str, found: set[Span]) -> Span:
    holding = _holding(_sentences(text, 0, len(text)), found)
    if len(holding) > 1:
        raise _ambiguous(text, holding)
    return holding[0] if holding else (0, 0)


def _ambiguous(text: str, sentences: list[Span]) -> PositionError:
    shown = "; ".join(repr(_shown(text[slice(*span)])) for span in sentences[:4])
    return PositionError(
        f"it cannot be told where the question is; found keywords in {shown}; expected them in one "
        "sentence, before the options. Pass `question=` with the question's exact text"
    )


def _shown(text: str) -> str:
    """Return a passage as a message shows it."""
    text = re.sub(r"[\s\ufffc]+", " ", text).strip()
    return text if len(text) <= 120 else f"...{text[-117:]}"


# ---------------------------------------------------------------------- the options


def _named_options(
    text: str, options: tuple[str, ...], block: OptionBlock | None, after: int | None
) -> Sequence[Span]:
    """Return where options of known names are."""
    if block and [normal_name(text[slice(*span)]) for span in block.names] == [
        *map(normal_name, options)
    ]:
        return block.names
    starts = [block.start] if block else []
    starts += [after] if after is not None else []
    if not starts:
        return _only_places(text, options)
    found = [_in_order(text, options, start) for start in starts]
    spans = max(found, key=len)
    if len(spans) < len(options):
        raise _missing(options, len(spans), text[starts[found.index(spans)] :])
    return spans


def _only_places(text: str, options: Sequence[str]) -> list[Span]:
    """Return where the options are in a prompt that nowhere tells where to look for them."""
    first = _in_order(text, options, 0, cases=(re.I,))
    if len(first) < len(options):
        raise _missing(options, len(first), text)
    later = (
        _in_order(text, options[number:], start + 1, cases=(re.I,))
        for number, (start, _) in enumerate(first)
    )
    if any(number + len(spans) == len(options) for number, spans in enumerate(later)):
        raise PositionError(
            f"the options {list(options)} occur more than once and the prompt has no list with "
            "letters or quotes; pass `question=` with the exact text of the question before them"
        )
    return first


def _missing(options: Sequence[str], number: int, text: str) -> PositionError:
    return PositionError(
        f"option {options[number]!r} is not in the prompt, or not after the question and the "
        f"options before it; expected {list(options)} in this order, found {_shown(text)!r}. Pass "
        "the options as the prompt has them"
    )


def _in_order(
    text: str, names: Sequence[str], start: int, *, cases: Sequence[int] = (0, re.I)
) -> list[Span]:
    """Return the first places of names that follow each other, while there are any.

    Args:
        text: The text that is searched.
        names: The names that are searched for, in this order.
        start: The character at which the search begins.
        cases: Flags of the regular expression, the preferred ones first.
    """
    spans: list[Span] = []
    for name in names:
        places = (phrase_pattern(name, flags).search(text, start) for flags in cases)
        place = next(filter(None, places), None)
        if place is None:
            break
        spans.append(place.span())
        start = place.end()
    return spans


def phrase_pattern(phrase: str, flags: int = 0, *, whole_words: bool = True) -> re.Pattern[str]:
    """Return the pattern of a phrase; any whitespace matches any other.

    Some tokenizers normalise text, so the phrase's normal forms match too.
    """
    if not phrase.strip():
        raise PositionError(
            f"found the blank phrase {phrase!r} among keywords, options or question; expected "
            "text. Leave it out"
        )
    forms = [phrase, *(unicodedata.normalize(form, phrase) for form in ("NFC", "NFKC", "NFD"))]
    bodies = []
    for words in dict.fromkeys(tuple(form.split()) for form in forms):
        body = r"\s+".join(map(re.escape, words))
        left = r"(?<!\w)" if whole_words and re.match(r"\w", words[0]) else ""
        right = r"(?!\w)" if whole_words and re.search(r"\w\Z", words[-1]) else ""
        bodies.append(f"{left}{body}{right}")
    return re.compile("|".join(bodies), flags)
