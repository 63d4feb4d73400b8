"""Chat templates of text models: a message's content is one string, with audio tokens in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tempo_attn import AUDIO_PLACEHOLDER
from tempo_attn.families.base import Family, Message


def render_strings(
    tokenizer: Any, chat: Sequence[Message], add_generation_prompt: bool, **template_args: Any
) -> str:
    """Return a chat as a tokenizer's template renders it.

    Args:
        tokenizer: The tokenizer.
        chat: Messages whose contents are strings.
        add_generation_prompt: Whether the assistant's turn is opened; else the last turn is open.
        template_args: Variables of the template, or another `chat_template`.
    """
    rendered = tokenizer.apply_chat_template(
        chat,
        add_generation_prompt=add_generation_prompt,
        continue_final_message=not add_generation_prompt,
        tokenize=False,
        **template_args,
    )
    return str(rendered)


class StringChatFamily(Family):
    """A family whose templates take strings; one that drops them is given lists of parts."""

    def template(self, processor: Any) -> str | None:
        """Return the chat template; None: the tokenizer's own."""
        return getattr(processor, "chat_template", None)

    def chat(
        self,
        processor: Any,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        **template_args: Any,
    ) -> str:
        """See `Family.chat`."""
        marker = self.audio_marker(processor)
        contents = [str(m["content"]).replace(AUDIO_PLACEHOLDER, marker) for m in messages]
        rendered = render_strings(
            processor.tokenizer,
            [{**m, "content": text} for m, text in zip(messages, contents, strict=True)],
            add_generation_prompt,
            chat_template=self.template(processor),
            **template_args,
        )
        # A template that goes through a list's parts finds none in a string, and says nothing.
        if all(text.strip() in rendered for text in contents):
            return rendered
        template_args = {"chat_template": self.template(processor), **template_args}
        return super().chat(
            processor, messages, add_generation_prompt=add_generation_prompt, **template_args
        )
