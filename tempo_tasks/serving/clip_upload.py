"""Waveforms as parts of a chat message."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import soundfile

from tempo_tasks.audio import Wave

_FULL_SCALE = 2**15


def audio_part(wave: Wave, rate: int, *, audio_format: str, kind: str) -> dict[str, Any]:
    """Return a waveform as a part of a chat message's content.

    Args:
        wave: Mono, (samples,) float32.
        rate: Its sampling rate, in Hz.
        audio_format: "wav" (16-bit) or "wav_float" (32-bit).
        kind: "input_audio", or "audio_url" for a data URL.
    """
    data = base64.b64encode(wav_bytes(wave, rate, audio_format)).decode()
    if kind == "audio_url":
        return {"type": "audio_url", "audio_url": {"url": f"data:audio/wav;base64,{data}"}}
    return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}


def wav_bytes(wave: Wave, rate: int, audio_format: str) -> bytes:
    """Return a WAV file; a waveform that was decoded from 16 bits is the same to the last bit."""
    file = io.BytesIO()
    if audio_format == "wav_float":
        soundfile.write(file, wave, rate, format="WAV", subtype="FLOAT")
    else:
        # libsndfile would scale by 32,767, and divides by 32,768 when it reads.
        whole = np.clip(np.rint(wave * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1)
        soundfile.write(file, whole.astype(np.int16), rate, format="WAV", subtype="PCM_16")
    return file.getvalue()
