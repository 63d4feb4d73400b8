"""Why a clip is refused: too long, silent once mixed down, unusual, or damaged; and the limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tempo_tasks.errors import (
    AntiphaseAudioError,
    LongAudioError,
    UnreadableAudioError,
    UnsupportedAudioError,
)

MAX_CHANNELS = 6
MAX_RATE = 96_000  # Hz
# Seconds: an MP3 without gapless data is longer than its source by encoder delay and padding.
_PADDING = 0.1
# Of the loudest channel's RMS: -60 dB. The mean of channels that share nothing loses 3 dB for two
# and 8 dB for six; one that loses a thousandth's worth has cancelled, up to rounding and dither.
_CANCELLED = 1e-3


@dataclass(frozen=True, slots=True)
class AudioLimits:
    """What counts as a recording of sound events.

    Any rate and channel count up to the bounds is resampled and averaged to mono. Beyond them a
    mean over channels or a resampled ultrasound is more likely a mistake than a wish.

    Attributes:
        max_channels: Most channels that are averaged; 6 admits 5.1 surround; None for no bound.
        max_rate: Highest sampling rate that is resampled, in Hz; None for no bound.
        min_seconds: Shorter audio gives the model no audio token.
        max_seconds: What the model can hear; None for no bound.
    """

    max_channels: int | None = MAX_CHANNELS
    max_rate: int | None = MAX_RATE
    min_seconds: float = 0.0
    max_seconds: float | None = None


DEFAULT_LIMITS = AudioLimits()


def damaged(path: Path, what: str) -> UnreadableAudioError:
    """Return the error for a file that is not whole or contradicts itself."""
    return UnreadableAudioError(f"{path}: {what}")


def refuse_long(path: Path, seconds: float, limits: AudioLimits) -> None:
    """Raise LongAudioError for audio that the model cannot hear to its end."""
    if limits.max_seconds is not None and seconds > limits.max_seconds + _PADDING:
        raise LongAudioError(
            f"{path}: {seconds:.2f} s, and the model hears at most {limits.max_seconds:g} s; use a "
            "model with a longer window, shorter clips, or long_audio=truncate among the model "
            "arguments (recorded in the results)"
        )


def refuse_unusual(path: Path, channels: int, rate: int, limits: AudioLimits) -> None:
    """Raise UnsupportedAudioError for channels or a rate beyond the limits."""
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


def refuse_cancelled(
    path: Path, channels: npt.NDArray[np.float32], mono: npt.NDArray[np.float32]
) -> None:
    """Raise AntiphaseAudioError where channels cancel each other in their mean.

    Args:
        path: The file, for the message.
        channels: Samples of each channel, (samples, channels).
        mono: The mean over the channels, (samples,).
    """
    if channels.shape[1] == 1 or not len(mono):
        return
    # The sum over channels is quick to have, and settles it for all files but those in question.
    flat = channels.reshape(-1)
    with np.errstate(over="ignore"):  # damaged floats: infinity is as good
        if np.dot(mono, mono) >= _CANCELLED**2 * np.dot(flat, flat) > 0:
            return
    loudest = float(np.sqrt(np.square(channels, dtype=np.float64).mean(axis=0).max()))
    left = float(np.sqrt(np.square(mono, dtype=np.float64).mean()))
    if left < _CANCELLED * loudest:
        raise AntiphaseAudioError(
            f"{path}: its {channels.shape[1]} channels cancel each other: their mean has an RMS of "
            f"{left:.1e}, the loudest channel {loudest:.1e}, so the model would hear silence. "
            "Write one channel to a file of its own (ffmpeg: -af 'pan=mono|c0=c0'), or turn the "
            "polarity of the other round"
        )
