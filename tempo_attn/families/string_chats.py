"""Chat templates of text models: a message's content is one string, with audio tokens in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tempo_attn import AUDIO_PLACEHOLDER
from tempo_attn.families.base import Message


def chat_of_strings(
    processor: Any,
    messages: Sequence[Message],
    marker: str,
    add_generation_prompt: bool,
    template_args: dict[str, Any],
) -> str:
    """Render a chat as `Family.chat` does, with `marker` written into the text for each audio."""
    contents = [str(m["content"]).replace(AUDIO_PLACEHOLDER, marker) for m in messages]
    rendered = processor.tokenizer.apply_chat_template(
        [{**m, "content": content} for m, content in zip(messages, contents, strict=True)],
        chat_template=getattr(processor, "chat_template", None),
        add_generation_prompt=add_generation_prompt,
        continue_final_message=not add_generation_prompt,
        tokenize=False,
        **template_args,
    )
    return str(rendered)
