"""Chats with audio as mistral-common encodes them: a file's content in, token ids out.

The content is made in memory, of 32-bit samples, so nothing is rounded on the way.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import soundfile

from tempo_attn.errors import NoAudioTokenError, UnsupportedInputError
from tempo_attn.families.shared.chats import Chat, plain_text
from tempo_attn.families.shared.processors import Wave, where


def check_tokenizer(config: Any, tokenizer: Any, audio_token_id: int) -> None:
    """Check that a tokenizer is mistral-common's, and one that knows audio.

    Raises:
        NoAudioTokenError: It is not, or its audio token is another one.
    """
    mistral = getattr(tokenizer, "tokenizer", None)
    encoder: Any = getattr(getattr(mistral, "instruct_tokenizer", None), "audio_encoder", None)
    if encoder is None:
        raise NoAudioTokenError(
            f"{where(config)}: the tokenizer {type(tokenizer).__name__} cannot encode audio; use "
            "the tekken.json of the model's own checkpoint, which has a section `audio`"
        )
    if int(encoder.audio_token) != audio_token_id:
        raise NoAudioTokenError(
            f"{where(config)}: the audio token is {encoder.audio_token} in the tokenizer and "
            f"{audio_token_id} in the configuration; use a checkpoint whose tokenizer and "
            "configuration belong together"
        )


def encode_chats(processor: Any, chats: Sequence[Chat], rate: int) -> Any:
    """Encode chats by a processor of transformers that has mistral-common inside.

    Args:
        processor: The processor.
        chats: One for each batch row.
        rate: Samples a second of their waveforms.

    Raises:
        UnsupportedInputError: mistral-common refuses a chat, or some chats have an answer that has
            begun and others have none.
    """
    begun = {chat[-1]["role"] == "assistant" for chat in chats}
    if len(begun) > 1:
        raise UnsupportedInputError(
            "some prompts of the batch end with the beginning of an answer and others do not; give "
            "them in batches of one kind"
        )
    try:
        return processor.apply_chat_template(
            [[_message(message, rate) for message in chat] for chat in chats],
            continue_final_message=begun.pop(),
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
    except ValueError as error:
        raise UnsupportedInputError(
            f"mistral-common refuses a chat of the batch: {error}"
        ) from error


def _message(message: dict[str, Any], rate: int) -> dict[str, Any]:
    if message["role"] != "user":
        return {"role": message["role"], "content": plain_text(message["content"])}
    parts = [
        {"type": "audio", "base64": _file(part["audio"], rate)} if "audio" in part else part
        for part in message["content"]
    ]
    return {"role": "user", "content": parts}


def _file(wave: Wave, rate: int) -> str:
    """Return a waveform as the content of a WAV file with 32-bit samples, as a data URL."""
    content = io.BytesIO()
    soundfile.write(content, wave, rate, format="WAV", subtype="FLOAT")
    return "data:audio/wav;base64," + base64.b64encode(content.getvalue()).decode("ascii")
