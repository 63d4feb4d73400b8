"""Families whose chats are no text: messages and waveforms become model inputs in one step.

Some models have no rendered prompt that a tokenizer could encode: the package that they come with
takes messages, with the waveforms in them, and returns token ids. The harness knows prompts as text
all the same: it names cached answers by it and groups questions by it. So here a rendered chat is
its messages as JSON, between two marks, and what follows the second one is the beginning of the
answer. It is read back where inputs are made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tempo_attn.errors import OptionError, UnsupportedInputError
from tempo_attn.families.base import Family, Message
from tempo_attn.families.shared.processors import Wave, message_parts

_OPEN, _CLOSE = "<tempo:chat>", "</tempo:chat>"
_AUDIO = {"type": "audio"}

Chat = list[dict[str, Any]]
"""Messages `{"role": str, "content": parts}`; a part is `{"type": "text", "text": str}` or
`{"type": "audio", "audio": wave}`. The last message is the assistant's where an answer has begun:
the model goes on with it."""


class ChatFamily(Family):
    """A family that makes inputs of messages and waveforms; subclasses say how, in `encode`."""

    text_prompts = False

    def encode(self, processor: Any, chats: Sequence[Chat]) -> Any:
        """Turn chats, with their waveforms in them, into model inputs, padded on the left.

        Args:
            processor: The family's processor.
            chats: One for each batch row.

        Returns:
            A BatchFeature with `input_ids` and `attention_mask`, (batch, tokens), and whatever else
            the model's forward takes.
        """
        raise NotImplementedError

    def chat(
        self,
        processor: Any,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        **template_args: Any,
    ) -> str:
        """See `Family.chat`: the messages themselves.

        Raises:
            OptionError: Template variables are given: there is no template.
        """
        if template_args:
            raise OptionError(
                f"a {self.name} model has no chat template that could take "
                f"{', '.join(sorted(template_args))}; leave chat_template_args and enable_thinking "
                "out of the model arguments"
            )
        parts = [{"role": m["role"], "content": _parts(str(m["content"]))} for m in messages]
        return _OPEN + json.dumps(parts, ensure_ascii=False) + _CLOSE

    def audio_marker(self, processor: Any) -> str:
        """See `Family.audio_marker`; in a text its quotation marks would be escaped."""
        return json.dumps(_AUDIO)

    def text_before_answer(self, prompt: str) -> str:
        """See `Family.text_before_answer`: the answer's own beginning; a turn is encoded apart."""
        last = read_chat(prompt)[-1]
        return plain_text(last["content"]) if last["role"] == "assistant" else ""

    def process(self, processor: Any, prompts: Sequence[str], waves: Sequence[Wave]) -> Any:
        """See `Family.process`."""
        chats, left = [read_chat(prompt) for prompt in prompts], iter(waves)
        for chat in chats:
            for message in chat:
                for part in message["content"]:
                    if part["type"] == "audio":
                        part["audio"] = next(left, None)
        heard = [p["audio"] for c in chats for m in c for p in m["content"] if "audio" in p]
        if len(heard) != len(waves) or any(wave is None for wave in heard):
            raise UnsupportedInputError(
                f"the prompts have {len(heard)} places for audio and there are {len(waves)} "
                "waveforms; expected one for each"
            )
        return self.encode(processor, chats)


def _parts(content: str) -> list[Mapping[str, str]]:
    return [_AUDIO if part["type"] == "audio" else part for part in message_parts(content)]


def plain_text(parts: Sequence[Mapping[str, Any]]) -> str:
    """Return the text of a message's parts."""
    return "".join(part["text"] for part in parts if part["type"] == "text")


def read_chat(prompt: str) -> Chat:
    """Read a chat that `ChatFamily.chat` wrote; its audio parts have no waveforms yet.

    Raises:
        UnsupportedInputError: The text is something else, or something stands before the chat.
    """
    try:
        if not prompt.startswith(_OPEN):
            raise ValueError("the mark in front of it is missing")
        read, end = json.JSONDecoder().raw_decode(prompt, len(_OPEN))
        if not prompt.startswith(_CLOSE, end):
            raise ValueError("the mark behind it is missing")
    except ValueError as error:
        raise UnsupportedInputError(
            f"the prompt is no chat as this model takes it ({error}): it begins {prompt[:80]!r}. "
            "Render messages by apply_chat_template, and add nothing in front"
        ) from error
    chat: Chat = read
    begun = prompt[end + len(_CLOSE) :]
    if begun:
        if chat[-1]["role"] != "assistant":
            chat.append({"role": "assistant", "content": []})
        chat[-1]["content"].append({"type": "text", "text": begun})
    return chat
