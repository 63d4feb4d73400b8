"""The log-probabilities of single letters among the likeliest first tokens of an answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from tempo_attn.errors import OptionError
from tempo_tasks.errors import LogprobsError
from tempo_tasks.serving.completion import Completion

_BLANKS = " \t\r\n\u2581\u0120"  # two of them stand for a blank in vocabularies


class LetterScores(NamedTuple):
    """What an answer says of some letters.

    Attributes:
        answers: (log-probability, is the likeliest token) of each letter, in their order.
        floored: How many letters were not listed and got the last one's log-probability.
    """

    answers: list[tuple[float, bool]]
    floored: int


def letter_scores(
    completion: Completion, letters: Sequence[str], *, missing: str = "error"
) -> LetterScores:
    """Read the log-probabilities of letters.

    A letter may be a token with or without a blank before it, and both may be listed. In process a
    continuation is one token, so one of the two is taken, for all letters alike: the one whose
    tokens are the likelier ones together.

    Args:
        completion: The answer.
        letters: What is looked for: one character each, blanks around it aside.
        missing: "error", or "floor" for the log-probability of the last token that is listed.

    Raises:
        OptionError: Other continuations than single characters.
        LogprobsError: The server gives no log-probabilities, or a letter is not among them.
    """
    wanted = [letter.strip() for letter in letters]
    if wrong := [text for text, bare in zip(letters, wanted, strict=True) if len(bare) != 1]:
        raise OptionError(
            f"lalm-api scores single letters by likelihood, and {wrong[0][:60]!r} is none: a "
            "server tells the log-probabilities of first tokens only. Take a task by generation"
        )
    if completion.first_tokens is None:
        raise LogprobsError(
            "the server gives no log-probabilities: tasks by likelihood (those with _ll) cannot "
            "be scored through it; take those by generation"
        )
    listed = dict(completion.first_tokens)
    exact = {letter: listed.get(letter) for letter in wanted}
    blank: dict[str, float | None] = dict.fromkeys(wanted)
    for token, logprob in completion.first_tokens:
        bare = token.strip(_BLANKS)
        if token != bare and bare in blank and blank[bare] is None:
            blank[bare] = logprob
    found = max((exact, blank), key=_weight)
    absent = [letter for letter in wanted if found[letter] is None]
    if absent and (missing == "error" or len(absent) == len(set(wanted))):
        shown = ", ".join(repr(token) for token, _ in completion.first_tokens[:8])
        raise LogprobsError(
            f"the letter {absent[0]} is not among the {len(listed)} likeliest first tokens "
            f"({shown}, ...). Ask for more with top_logprobs (vLLM: --max-logprobs), take the task "
            "by generation, or missing_letters=floor for an upper bound in its place (counted in "
            "the results)"
        )
    floor = completion.first_tokens[-1][1]
    best = max(listed.values())
    answers = []
    for letter in wanted:
        value = found[letter]
        # Below all that is listed: a letter that is listed must stay the likelier one.
        score = math.nextafter(floor, -math.inf) if value is None else value
        answers.append((score, value is not None and value == best))
    return LetterScores(answers, len(absent))


def _weight(found: dict[str, float | None]) -> float:
    return sum(math.exp(value) for value in found.values() if value is not None)
