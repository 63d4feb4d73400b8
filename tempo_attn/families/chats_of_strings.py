"""Chat templates that take a message's content as one string, with the audio marker in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tempo_attn import AUDIO_PLACEHOLDER
from tempo_attn.families.base import Message


def chat_of_strings(
    processor: Any,
    messages: Sequence[Message],
    marker: str,
    *,
    add_generation_prompt: bool,
    chat_template: str | None = None,
    **template_args: Any,
) -> str:
    """Render messages as `Family.chat` does, for a template that knows no lists of parts.

    Args:
        processor: The family's processor.
        messages: `{"role": ..., "content": str}`; `<audio>` in a content marks audio.
        marker: What stands for audio in a rendered prompt.
        add_generation_prompt: End where the assistant's answer begins.
        chat_template: The template; default: the processor's.
        template_args: Further variables of the template.
    """
    texts = [
        {**m, "content": str(m["content"]).replace(AUDIO_PLACEHOLDER, marker)} for m in messages
    ]
    rendered = processor.tokenizer.apply_chat_template(
        texts,
        chat_template=chat_template or processor.chat_template,
        add_generation_prompt=add_generation_prompt,
        continue_final_message=not add_generation_prompt,
        tokenize=False,
        **template_args,
    )
    return str(rendered)
