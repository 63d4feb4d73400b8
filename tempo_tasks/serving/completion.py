"""A server's answer, read strictly: what is malformed is no answer, and is asked for again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tempo_attn.files.strict_json import parse_json
from tempo_tasks.serving.trouble import Trouble

MAX_BYTES = 2**24
"""A larger answer is none: one to a question about a clip has some hundred bytes."""


@dataclass(frozen=True, kw_only=True)
class Completion:
    """One answer.

    Attributes:
        text: What the model said.
        finish: Why it stopped, in the server's word.
        model: What the server calls the model that answered.
        first_tokens: Log-probabilities of the likeliest first tokens, by the tokens' text, the
            likeliest first; None where the server gives none.
        prompt_tokens: Tokens of the prompt; None where the server does not count.
        audio_tokens: Those of them that are audio; None likewise.
        completion_tokens: Generated tokens; None likewise.
    """

    text: str
    finish: str
    model: str
    first_tokens: tuple[tuple[str, float], ...] | None
    prompt_tokens: int | None
    audio_tokens: int | None
    completion_tokens: int | None


def read_completion(content: bytes, content_type: str) -> Completion:
    """Read the body of an answer to a chat request.

    Raises:
        Trouble: It is none.
    """
    answer = read_object(content, content_type)
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        raise Trouble("bad answer", f"an answer without choices: {_start(content)}")
    choice = choices[0]
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise Trouble("bad answer", f"a choice without a message: {_start(content)}")
    text = message.get("content")
    if text is not None and not isinstance(text, str):
        raise Trouble("bad answer", f"a message whose content is no text: {_start(content)}")
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details")
    return Completion(
        text=text or "",
        finish=str(choice.get("finish_reason")),
        model=str(answer.get("model")),
        first_tokens=_first_tokens(choice.get("logprobs"), content),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        audio_tokens=_count(details.get("audio_tokens")) if isinstance(details, dict) else None,
        completion_tokens=_count(usage.get("completion_tokens")),
    )


def read_object(content: bytes, content_type: str) -> dict[str, Any]:
    """Read a JSON object from an answer's body.

    Raises:
        Trouble: It is none.
    """
    if len(content) > MAX_BYTES:
        raise Trouble("bad answer", f"an answer of {len(content):,} bytes")
    try:
        found = parse_json(content, finite=True)
    except (ValueError, RecursionError) as error:
        raise Trouble(
            "bad answer",
            f"the server answered {content_type[:60] or 'without a content type'}, and no JSON "
            f"({str(error)[:120]}): {_start(content)}",
        ) from error
    if not isinstance(found, dict):
        raise Trouble("bad answer", f"an answer that is no JSON object: {_start(content)}")
    return found


def _first_tokens(logprobs: Any, content: bytes) -> tuple[tuple[str, float], ...] | None:
    """Return the log-probabilities of the first position; None where there are none."""
    positions = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(positions, list) or not positions or not isinstance(positions[0], Mapping):
        return None
    first = positions[0]
    listed = first.get("top_logprobs")
    listed = listed if isinstance(listed, list) and listed else [first]
    found: dict[str, float] = {}
    for entry in listed:
        token = entry.get("token") if isinstance(entry, dict) else None
        logprob = entry.get("logprob") if isinstance(entry, dict) else None
        if not isinstance(token, str) or isinstance(logprob, bool):
            raise Trouble("bad answer", f"log-probabilities without tokens: {_start(content)}")
        if not isinstance(logprob, int | float) or not math.isfinite(logprob):
            raise Trouble("bad answer", f"a log-probability that is no number: {_start(content)}")
        # Two tokens of the same text: the likelier one is what greedy generation would take.
        found[token] = max(float(logprob), found.get(token, -math.inf))
    return tuple(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def _count(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if whole else None


def _start(content: bytes) -> str:
    return repr(content[:160].decode("utf-8", "replace"))
