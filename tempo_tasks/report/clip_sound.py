"""A clip as Ogg Vorbis, small and the same bytes every time, and what is seen of it.

Vorbis rather than Opus: libsndfile writes it about twelve times as fast, browsers that play the
one play the other, and every sampling rate is allowed.
"""

from __future__ import annotations

import base64
import io
import struct
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from tempo_tasks.audio import DEFAULT_LIMITS, Handle, Wave, read_audio
from tempo_tasks.audio.ogg import checksum

RATE = 16_000
"""Of the sound on the page, in Hz."""
COMPRESSION = 0.9
"""libsndfile's compression level, 0 to 1; this gives about 30 kbit/s."""
COLUMNS = 192
"""Points in time of a picture."""
BANDS = 40
_LOWEST = -60.0
"""Of a spectrogram, in dB below its loudest point."""
_WINDOW = 1024


def read_clip(handle: Handle) -> Wave:
    """Return a clip's waveform, (samples,), at `RATE`; errors are those of `read_audio`."""
    return read_audio(handle, RATE, DEFAULT_LIMITS)


def to_ogg(wave: Wave) -> bytes:
    """Return a waveform at `RATE` as Ogg Vorbis; equal waveforms give equal bytes."""
    import soundfile

    out = io.BytesIO()
    peak = float(np.abs(wave).max(initial=0.0))
    with soundfile.SoundFile(
        out, "w", RATE, 1, "VORBIS", format="OGG", compression_level=COMPRESSION
    ) as file:
        file.write(wave / peak if peak > 1 else wave)  # what is over 1 would be cut off
    return with_serial(out.getvalue(), 1)


def with_serial(content: bytes, serial: int) -> bytes:
    """Return an Ogg stream with another serial number, of which libsndfile draws a random one."""
    pages, place = [], 0
    while place < len(content):
        count = content[place + 26]
        size = 27 + count + sum(content[place + 27 : place + 27 + count])
        page = content[place : place + 14] + struct.pack("<I", serial)
        page += content[place + 18 : place + size]
        pages.append(page[:22] + struct.pack("<I", checksum(page)) + page[26:])
        place += size
    return b"".join(pages)


def picture(wave: Wave) -> dict[str, Any]:
    """Return what the page draws of a waveform at `RATE`.

    Returns:
        `seconds`; `peaks`, base64 of `COLUMNS` bytes, the largest amplitude in each part of the
        clip, 255 being its loudest point; `bands`, base64 of `COLUMNS` x `BANDS` bytes, column by
        column, the lowest mel band first: 0 is `_LOWEST` dB or less, 255 the loudest.
    """
    edges = np.linspace(0, len(wave), COLUMNS + 1).astype(int)
    starts = np.minimum(edges[:-1], len(wave) - 1)
    peaks = np.maximum.reduceat(np.abs(wave), starts)
    return {
        "seconds": round(len(wave) / RATE, 3),
        "peaks": _bytes(peaks / max(float(peaks.max()), 1e-9)),
        "bands": _bytes(_mel_bands(wave)),
    }


def _mel_bands(wave: Wave) -> npt.NDArray[np.floating[Any]]:
    """Return the loudness of mel bands, (columns, bands), from 0 to 1."""
    padded = np.pad(wave, _WINDOW // 2)
    centres = np.linspace(0, len(wave) - 1, COLUMNS).astype(int)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[centres]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), axis=1)) ** 2
    levels = 10 * np.log10(power @ _mel_weights().T + 1e-10)
    scaled: npt.NDArray[np.floating[Any]] = np.clip((levels - levels.max()) / -_LOWEST + 1, 0, 1)
    return scaled


@lru_cache(maxsize=1)
def _mel_weights() -> npt.NDArray[np.floating[Any]]:
    import librosa

    weights: npt.NDArray[np.floating[Any]] = librosa.filters.mel(
        sr=RATE, n_fft=_WINDOW, n_mels=BANDS
    )
    return weights


def _bytes(shares: npt.NDArray[np.floating[Any]]) -> str:
    return base64.b64encode(np.round(255 * shares).astype(np.uint8).tobytes()).decode("ascii")
