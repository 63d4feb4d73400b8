"""Voxtral's tokenizer in small: the first tokens of a real tekken file, and its audio section.

mistral-common ships tekken files of its text models. A byte-level BPE cut after some rank is a
whole one, so the cut encodes as a tokenizer of Mistral's does, with fewer merges.
"""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from transformers.utils.import_utils import is_mistral_common_available

SIZE = 1000
_NAMES = {24: "[AUDIO]", 25: "[BEGIN_AUDIO]", 34: "[TRANSCRIBE]"}  # as in Voxtral's file
_N_SPECIAL = 40


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tempo-tekken-")


@cache
def tekken_file(mels: int, *, audio: bool = True) -> Path:
    """Write the file; of Voxtral's kind, or (without `audio`) of a text model's."""
    if not is_mistral_common_available():
        pytest.skip("transformers needs a newer mistral-common, and Pillow, for its backend")
    import mistral_common
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    real = sorted((Path(str(mistral_common.__file__)).parent / "data").glob("tekken_24*.json"))
    whole: dict[str, Any] = json.loads(real[0].read_text())
    known = {token["rank"]: token["token_str"] for token in Tekkenizer.DEPRECATED_SPECIAL_TOKENS}
    names = {rank: getattr(name, "value", name) for rank, name in known.items()} | _NAMES
    cut: dict[str, Any] = {
        "config": whole["config"]
        | {
            "version": "v7",
            "num_vocab_tokens": SIZE - _N_SPECIAL,
            "default_vocab_size": SIZE,
            "default_num_special_tokens": _N_SPECIAL,
        },
        "vocab": whole["vocab"][: SIZE - _N_SPECIAL],
        "special_tokens": [
            {"rank": rank, "token_str": names.get(rank, f"<SPECIAL_{rank}>"), "is_control": True}
            for rank in range(_N_SPECIAL)
        ],
    }
    if audio:
        cut["audio"] = {
            "sampling_rate": 16000,
            "frame_rate": 12.5,
            "audio_encoding_config": {"num_mel_bins": mels, "hop_length": 160, "window_size": 400},
            "chunk_length_s": 30.0,
        }
    file = Path(_folder().name, "audio" if audio else "text", "tekken.json")
    file.parent.mkdir()
    file.write_text(json.dumps(cut))
    return file
