"""Contexts of the harness as chat messages: text with `<audio>` where a clip stands.

With --apply_chat_template the harness asks the model class for the whole chat as one text; here it
is the messages as JSON, for it is the server that applies a template.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tempo_attn import AUDIO_PLACEHOLDER
from tempo_attn.errors import AudioNotDeliveredError
from tempo_tasks.errors import PromptError

_RENDERED = '[{"role": '


def chat_text(history: Sequence[dict[str, Any]]) -> str:
    """Return a chat as one text; `messages_of` reads it."""
    messages = [{"role": m["role"], "content": m["content"]} for m in history]
    return json.dumps(messages, ensure_ascii=False)


def render(context: str, n_clips: int) -> str:
    """Return a context as `chat_text`: one user turn, unless the harness has rendered it already.

    Raises:
        AudioNotDeliveredError: It has another number of placeholders than clips.
        PromptError: It does not end with the user's turn.
    """
    messages = _read(context) or [{"role": "user", "content": context}]
    count = sum(message["content"].count(AUDIO_PLACEHOLDER) for message in messages)
    if count != n_clips:
        raise AudioNotDeliveredError(
            f"a prompt has {count} `{AUDIO_PLACEHOLDER}` for {n_clips} clip(s); expected one in "
            f"the task's text for each clip. The prompt begins: {context[:120]!r}"
        )
    if messages[-1]["role"] != "user":
        raise PromptError(
            f"a chat ends with the turn of {messages[-1]['role']!r}: a server answers the user's "
            "turn only. Leave gen_prefix out of the task"
        )
    return chat_text(messages)


def _read(context: str) -> list[dict[str, str]] | None:
    if not context.startswith(_RENDERED):
        return None
    try:
        messages = json.loads(context)
    except ValueError:
        return None
    fits = all(
        isinstance(message, dict) and isinstance(message.get("content"), str)
        for message in messages
    )
    return messages if fits else None


def messages_of(chat: str, parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages that are sent.

    Args:
        chat: What `render` returned.
        parts: The clips, one for each placeholder, in order.
    """
    left = list(parts)
    messages = []
    for message in json.loads(chat):
        pieces = message["content"].split(AUDIO_PLACEHOLDER)
        if len(pieces) == 1:
            messages.append(message)
            continue
        content: list[dict[str, Any]] = []
        for number, piece in enumerate(pieces):
            if number:
                content.append(left.pop(0))
            if piece:
                content.append({"type": "text", "text": piece})
        messages.append({"role": message["role"], "content": content})
    return messages


def without_clips(chat: str) -> str:
    """Return a chat without its placeholders."""
    return chat.replace(AUDIO_PLACEHOLDER, "")
