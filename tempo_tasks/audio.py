"""Audio as lazy handles: small JSON-able dicts that are decoded only when a batch needs them.

A handle is `{"path": str, "sha256": str, "silence": bool}`, with `"reversed": True` where the clip
is to be heard backwards. It is what the harness passes around, hashes for its cache and writes into
the samples; memory does not grow with the number of clips.
"""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr  # type: ignore[import-untyped]
from tqdm import tqdm

from tempo_tasks import mp3
from tempo_tasks.errors import (
    AudioNotFoundError,
    BadClipsError,
    EmptyAudioError,
    LongAudioError,
    NonFiniteAudioError,
    TempoError,
    UnreadableAudioError,
    UnsupportedAudioError,
)

# Those whose truncation can be told; libsndfile reads what is there of any other, without a word.
_FORMATS = ("WAV", "WAVEX", "FLAC", "MP3", "MPEG", "OGG")
_EXPECTED = "expected WAV, FLAC, MP3, Ogg Vorbis or Opus"

Handle = Mapping[str, Any]
Wave = npt.NDArray[np.float32]
MAX_CHANNELS = 6
MAX_RATE = 96_000  # Hz
# Seconds: an MP3 without gapless data is longer than its source by encoder delay and padding.
_PADDING = 0.1


@dataclass(frozen=True, slots=True)
class AudioLimits:
    """What counts as a recording of sound events.

    Any rate and channel count up to the bounds is resampled and averaged to mono. Beyond them a
    mean over channels or a resampled ultrasound is more likely a mistake than a wish.

    Attributes:
        max_channels: 6 admits 5.1 surround; None for no bound.
        max_rate: In Hz; None for no bound.
        min_seconds: Shorter audio gives the model no audio token.
        max_seconds: What the model can hear; None for no bound.
    """

    max_channels: int | None = MAX_CHANNELS
    max_rate: int | None = MAX_RATE
    min_seconds: float = 0.0
    max_seconds: float | None = None


DEFAULT_LIMITS = AudioLimits()


def make_handle(path: str | Path, sha256: str) -> dict[str, Any]:
    """Return the handle of a file whose hash is known."""
    return {"path": str(path), "sha256": sha256, "silence": False}


def reversed_handle(handle: Handle) -> dict[str, Any]:
    """Return the handle of the same clip heard backwards.

    No other handle has the key `reversed`: the harness's caches name a request by its handles'
    JSON, and answers that were cached before there was such a key are to be found again.
    """
    return {**handle, "reversed": True}


def file_handle(path: str | Path) -> dict[str, Any]:
    """Return the handle of an audio file, with the hash of its bytes.

    Raises:
        AudioNotFoundError: There is no such file.
    """
    path = Path(path).absolute()
    return make_handle(path, _sha256(_read_bytes(path)))


def read_audio(handle: Handle, rate: int, limits: AudioLimits = DEFAULT_LIMITS) -> Wave:
    """Decode a handle to mono float32 at `rate` Hz.

    Args:
        handle: A lazy handle; with `silence` true, zeros of the same length are returned, with
            `reversed` true the samples in reversed order.
        rate: Wanted sampling rate, in Hz.
        limits: What is accepted.

    Returns:
        Waveform, (samples,).

    Raises:
        AudioNotFoundError: The file does not exist.
        UnreadableAudioError: Truncated, corrupt, or not the bytes that were indexed.
        EmptyAudioError: No samples, or fewer than the model needs.
        NonFiniteAudioError: NaN or infinity among the samples.
        UnsupportedAudioError: More channels or a higher rate than `limits` allows.
        LongAudioError: Longer than `limits` allows.
    """
    path = Path(handle["path"])
    content = _read_bytes(path)
    expected = handle.get("sha256")
    if expected and _sha256(content) != expected:
        raise UnreadableAudioError(
            f"{path}: its content changed since it was indexed "
            f"(SHA-256 {_sha256(content)[:12]}..., expected {expected[:12]}...); "
            "restore the file, or index the data anew"
        )
    wave, own_rate = _decode(path, content, limits)
    seconds = len(wave) / own_rate
    if seconds < limits.min_seconds or seconds * rate < 1:
        raise EmptyAudioError(
            f"{path}: {len(wave)} samples ({seconds:.3f} s); the model needs at least "
            f"{limits.min_seconds or 1 / rate:.3f} s"
        )
    if own_rate != rate:
        wave = soxr.resample(wave, own_rate, rate, quality="HQ")
    if handle.get("silence"):
        return np.zeros(len(wave), dtype=np.float32)
    if handle.get("reversed"):
        # After resampling, so that it is the forward wave to the last bit, only flipped.
        wave = wave[::-1]
    return np.ascontiguousarray(wave, dtype=np.float32)


def check_audio(
    handles: Iterable[Handle], rate: int, limits: AudioLimits, *, progress: bool = True
) -> None:
    """Decode every distinct file once, before inference.

    Raises:
        TempoError: The one bad clip's own error.
        BadClipsError: Several are bad; the message lists all of them.
    """
    distinct = {(handle["path"], handle.get("sha256")): handle for handle in handles}
    bad: list[TempoError] = []
    for handle in tqdm(distinct.values(), desc="Checking audio", disable=not progress):
        try:
            read_audio(handle, rate, limits)
        except TempoError as error:
            bad.append(error)
    if len(bad) == 1:
        raise bad[0]
    if bad:
        listed = "\n".join(f"  {type(error).__name__}: {error}" for error in bad)
        raise BadClipsError(
            f"{len(bad)} of {len(distinct)} clips cannot be used; nothing was run:\n{listed}"
        )


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise AudioNotFoundError(
            f"{path}: no such audio file; check the data folder or download it again"
        ) from None
    except OSError as error:
        raise UnreadableAudioError(f"{path}: cannot be read: {error.strerror}") from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _decode(path: Path, content: bytes, limits: AudioLimits) -> tuple[Wave, int]:
    """Decode to mono at the file's own rate."""
    if not content:
        raise EmptyAudioError(f"{path}: the file is empty; expected audio")
    _refuse_truncated_wav(path, content)
    content, spare = _whole_mp3(path, content)
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            channels, rate, announced = file.channels, file.samplerate, file.frames
            if file.format not in _FORMATS:
                raise UnreadableAudioError(f"{path}: {file.format_info}; {_EXPECTED}")
            _refuse_unusual(path, channels, rate, limits)
            _refuse_long(path, announced / rate, limits)
            frames = file.read(dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        # Not str(error): that holds the address of our buffer.
        raise UnreadableAudioError(
            f"{path}: cannot be decoded ({error.error_string}); {_EXPECTED}"
        ) from None
    if len(frames) < announced - spare:
        raise UnreadableAudioError(
            f"{path}: truncated: {len(frames)} of {announced} announced samples; copy it again"
        )
    _refuse_truncated_ogg(path, content)
    if not np.isfinite(frames).all():
        count = int((~np.isfinite(frames)).sum())
        raise NonFiniteAudioError(f"{path}: {count} samples are NaN or infinite; repair the file")
    return frames.mean(axis=1), rate


def _refuse_truncated_wav(path: Path, content: bytes) -> None:
    # libsndfile reads what is there of a cut file without a word; the data chunk's length tells.
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return
    place = 12
    while place + 8 <= len(content):
        name = content[place : place + 4]
        (size,) = struct.unpack("<I", content[place + 4 : place + 8])
        # Writers to a pipe leave 0 or 0xFFFFFFFF: the length is unknown, not wrong.
        if name == b"data":
            there = len(content) - place - 8
            if size not in (0, 0xFFFFFFFF) and size > there:
                raise UnreadableAudioError(
                    f"{path}: truncated: {there} of {size} announced bytes; copy it again"
                )
            return
        place += 8 + size + size % 2
    raise UnreadableAudioError(f"{path}: truncated: a WAV file without audio data; copy it again")


def _refuse_truncated_ogg(path: Path, content: bytes) -> None:
    # The last page of a stream is marked as such; a cut file ends before it, or within it.
    if content[:4] != b"OggS":
        return
    place = content.rfind(b"OggS")
    page = content[place:]
    whole = len(page) >= 27 and len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])
    if not whole or not page[5] & 0x04:
        raise UnreadableAudioError(
            f"{path}: truncated: its last Ogg page is missing; copy it again"
        )


def _whole_mp3(path: Path, content: bytes) -> tuple[bytes, int]:
    """Return an MP3 file with its length in it, and how many samples a decoder may fall short.

    Anything else is returned as it is.
    """
    stream = mp3.scan(content)
    if stream is None:
        return content, 0
    # Some encoders count the frame with the header, too.
    announced = stream.announced or 0
    if stream.cut or stream.frames < announced - 1:
        raise UnreadableAudioError(
            f"{path}: truncated: {stream.frames} whole frames"
            f"{f' of {announced} announced' if announced else ''}; copy it again"
        )
    if stream.announced is None:
        content = mp3.with_length(content, stream)
    return content, 3 * mp3.SAMPLES_PER_FRAME


def _refuse_long(path: Path, seconds: float, limits: AudioLimits) -> None:
    if limits.max_seconds is not None and seconds > limits.max_seconds + _PADDING:
        raise LongAudioError(
            f"{path}: {seconds:.2f} s, and the model hears at most {limits.max_seconds:g} s; use a "
            "model with a longer window, shorter clips, or long_audio=truncate among the model "
            "arguments (recorded in the results)"
        )


def _refuse_unusual(path: Path, channels: int, rate: int, limits: AudioLimits) -> None:
    if limits.max_channels is not None and channels > limits.max_channels:
        raise UnsupportedAudioError(
            f"{path}: {channels} channels; at most {limits.max_channels} are averaged to mono. "
            "Mix the file down, or raise max_channels among the model arguments"
        )
    if limits.max_rate is not None and rate > limits.max_rate:
        raise UnsupportedAudioError(
            f"{path}: {rate} Hz; at most {limits.max_rate} Hz is resampled. Resample the file, or "
            "raise max_rate among the model arguments"
        )
