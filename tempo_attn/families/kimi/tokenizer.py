"""Kimi-Audio's text tokenizer, out of the file `tiktoken.model` and without any remote code.

The checkpoint's own class wraps tiktoken and takes other arguments than a tokenizer of
transformers. This one gives the same ids, and can do what the harness asks of tokenizers. Where the
special tokens are is code there, and a table here: they follow the merges.
"""

from __future__ import annotations

from base64 import b64decode
from itertools import count
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import TikTokenConverter
from transformers.utils.hub import cached_file

from tempo_attn.errors import OptionError

FILE = "tiktoken.model"
MESSAGE_END = "<|im_msg_end|>"
MEDIA_BEGIN = "<|im_media_begin|>"
MEDIA_END = "<|im_media_end|>"
BLANK = "<|im_kimia_text_blank|>"
TEXT_END = "<|im_kimia_text_eos|>"
USER = "<|im_kimia_user_msg_start|>"
ASSISTANT = "<|im_kimia_assistant_msg_start|>"
ANSWER_IN_TEXT = "<|im_kimia_speech_ct_id|>"

_NAMED = {
    0: "[BOS]",
    1: "[EOS]",
    2: MESSAGE_END,
    3: "<|im_user_msg_start|>",
    4: "<|im_assistant_msg_start|>",
    9: "[EOT]",
    18: MEDIA_BEGIN,
    20: MEDIA_END,
    23: BLANK,
    24: TEXT_END,
    27: USER,
    28: ASSISTANT,
    32: ANSWER_IN_TEXT,
    33: "<|im_kimia_speech_ctd_id|>",
}
_N_SPECIAL = 421
_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def special_tokens() -> list[str]:
    """Return the special tokens, in the order of their ids."""
    reserved = (f"<|reserved_token_{number}|>" for number in count())
    return [_NAMED.get(place) or next(reserved) for place in range(_N_SPECIAL)]


class _Converter(TikTokenConverter):
    @staticmethod
    def load_tiktoken_bpe(tiktoken_url: str) -> dict[bytes, int]:
        """Read the file without tiktoken, which would keep a copy of it under its path."""
        lines = Path(tiktoken_url).read_bytes().splitlines()
        pairs = (line.split() for line in lines if line.strip())
        return {b64decode(token): int(rank) for token, rank in pairs}


def read_tokenizer(file: str | Path) -> PreTrainedTokenizerFast:
    """Read a file `tiktoken.model`; a text ends with `<|im_kimia_text_eos|>`."""
    special = special_tokens()
    kind: Any = _Converter
    converter = kind(str(file), pattern=_PATTERN, extra_special_tokens=special)
    return PreTrainedTokenizerFast(
        tokenizer_object=converter.converted(),
        eos_token=TEXT_END,
        pad_token=special[-1],
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def load_tokenizer(pretrained: str, **kwargs: Any) -> PreTrainedTokenizerFast:
    """Load a checkpoint's tokenizer.

    Args:
        pretrained: Folder or Hub id.
        kwargs: Where in the repository it is: `revision` and others of `cached_file`.

    Raises:
        OptionError: The checkpoint has no `tiktoken.model`.
    """
    try:
        return read_tokenizer(str(cached_file(pretrained, FILE, **kwargs)))
    except OSError as error:
        raise OptionError(
            f"{pretrained} has no {FILE}, which Kimi-Audio's tokenizer is read from; take a "
            "complete checkpoint, such as moonshotai/Kimi-Audio-7B-Instruct"
        ) from error
