"""Audio files to samples by libsndfile, and whether that was all of them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from tempo_tasks.audio import flac, mp3, ogg, wav
from tempo_tasks.audio.container import Container
from tempo_tasks.audio.quiet import quiet
from tempo_tasks.audio.refusals import (
    AudioLimits,
    damaged,
    refuse_cancelled,
    refuse_long,
    refuse_unusual,
)
from tempo_tasks.audio.tags import after_tags
from tempo_tasks.errors import (
    EmptyAudioError,
    NonFiniteAudioError,
    TempoError,
    UnreadableAudioError,
)

# Formats whose truncation can be seen; libsndfile reads what is there of any other, without a word.
_FORMATS = ("WAV", "WAVEX", "RF64", "W64", "FLAC", "MP3", "MPEG", "OGG")
_EXPECTED = "expected WAV, FLAC, MP3, Ogg Vorbis or Opus"
# Frames read at once: what a damaged header announces is no reason to ask for that much memory.
_BLOCK = 1 << 22


def decode(path: Path, content: bytes, limits: AudioLimits) -> tuple[npt.NDArray[np.float32], int]:
    """Decode to mono at the file's own rate.

    Args:
        path: The file, for messages; libsndfile does not see it.
        content: The bytes of the file.
        limits: What is accepted.

    Returns:
        Waveform, (samples,), and its rate in Hz.

    Raises:
        UnreadableAudioError: Truncated or corrupt, of a format that does not tell its length, or
            less was decoded than the file says it holds.
        EmptyAudioError: The file has no bytes.
        NonFiniteAudioError: NaN or infinity among the samples.
        AntiphaseAudioError: The channels cancel each other.
        UnsupportedAudioError: More channels or a higher rate than `limits` allows.
        LongAudioError: Longer than `limits` allows.
    """
    if not content:
        raise EmptyAudioError(f"{path}: the file is empty; expected audio")
    try:
        with quiet():
            frames, rate = _read(path, _inspect(path, content), limits)
    except TempoError:
        raise
    except soundfile.LibsndfileError as error:
        # Not str(error): that holds the address of our buffer.
        raise damaged(path, f"cannot be decoded ({error.error_string}); {_EXPECTED}") from None
    except Exception as error:  # whatever a damaged file makes a decoder do
        kind = type(error).__name__
        raise damaged(path, f"cannot be decoded ({kind}: {error}); {_EXPECTED}") from error
    with np.errstate(over="ignore", invalid="ignore"):
        mono = frames.mean(axis=1)
    if not np.isfinite(mono).all():
        # Finite samples can be too large for their sum.
        count = int((~np.isfinite(frames)).sum()) or int((~np.isfinite(mono)).sum())
        raise NonFiniteAudioError(f"{path}: {count} samples are NaN or infinite; repair the file")
    refuse_cancelled(path, frames, mono)
    return mono, rate


def _inspect(path: Path, content: bytes) -> Container:
    """Read what the file says of its length."""
    bare = content[after_tags(content) :]
    if wav.is_wav(bare):
        return wav.inspect(path, bare)
    if bare[:4] == b"OggS":
        return ogg.inspect(path, bare)
    if bare[:4] == b"fLaC":
        return flac.inspect(path, bare)
    return mp3.inspect(path, content)


def _read(path: Path, holds: Container, limits: AudioLimits) -> tuple[npt.NDArray[np.float32], int]:
    """Decode all there is, (samples, channels), unless that is less than announced."""
    with soundfile.SoundFile(_Memory(holds.content)) as file:
        rate, announced = file.samplerate, file.frames
        if file.format not in _FORMATS:
            raise UnreadableAudioError(f"{path}: {file.format_info}; {_EXPECTED}")
        refuse_unusual(path, file.channels, rate, limits)
        refuse_long(path, announced / rate, limits)
        blocks = list(_blocks(file))
        frames = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    expected = announced
    if holds.seconds is not None:
        expected = max(announced, round(holds.seconds * rate))
    if len(frames) < expected - round(holds.spare * rate):
        raise damaged(
            path,
            f"truncated: {len(frames)} of {expected} announced samples "
            f"({len(frames) / rate:.2f} of {expected / rate:.2f} s); copy it again",
        )
    return frames, rate


def _blocks(file: soundfile.SoundFile) -> Iterator[npt.NDArray[np.float32]]:
    while True:
        block = file.read(_BLOCK, dtype="float32", always_2d=True)
        yield block
        if len(block) < _BLOCK:
            return


class _Memory(io.BytesIO):
    """A file in memory; a seek to before its beginning does nothing, as damaged files ask for.

    An exception would not reach the caller: it would be printed where C called Python.
    """

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return super().seek(offset, whence)
        except (ValueError, OverflowError):
            return self.tell()
