"""Handles to waveforms, one by one or all of them once before inference."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr  # type: ignore[import-untyped]
from tqdm import tqdm

from tempo_tasks.audio.decode import decode
from tempo_tasks.audio.handles import (
    Handle,
    content_of,
    is_reversed,
    is_silenced,
    read_content,
    silenced_handle,
)
from tempo_tasks.audio.refusals import DEFAULT_LIMITS, AudioLimits
from tempo_tasks.errors import BadClipsError, EmptyAudioError, TempoError

Wave = npt.NDArray[np.float32]
_NAMED = 5  # silent clips named in the warning

_log = logging.getLogger(__name__)


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
        AntiphaseAudioError: The channels cancel each other in their mean.
        UnsupportedAudioError: More channels or a higher rate than `limits` allows.
        LongAudioError: Longer than `limits` allows.
    """
    path = Path(handle["path"])
    wave, own_rate = decode(path, read_content(handle), limits)
    seconds = len(wave) / own_rate
    if seconds < limits.min_seconds or seconds * rate < 1:
        raise EmptyAudioError(
            f"{path}: {len(wave)} samples ({seconds:.3f} s); the model needs at least "
            f"{limits.min_seconds or 1 / rate:.3f} s"
        )
    if own_rate != rate:
        wave = soxr.resample(wave, own_rate, rate, quality="HQ")
    return as_heard(wave, handle)


def as_heard(wave: Wave, handle: Handle) -> Wave:
    """Return what is heard of a file's waveform: itself, reversed, or zeros of its length.

    Args:
        wave: The file's, at the wanted rate.
        handle: Says what is to be heard.
    """
    if is_silenced(handle):
        return np.zeros(len(wave), dtype=np.float32)
    if is_reversed(handle):
        # After resampling, so that it is the forward wave to the last bit, only flipped.
        wave = wave[::-1]
    return np.ascontiguousarray(wave, dtype=np.float32)


def check_audio(
    handles: Iterable[Handle],
    rate: int,
    limits: AudioLimits,
    *,
    progress: bool = True,
    read: Callable[[Handle], Wave] | None = None,
) -> set[str]:
    """Decode every distinct file once, before inference.

    Args:
        handles: The clips.
        rate: See `read_audio`.
        limits: See `read_audio`.
        progress: Whether to show how far it is.
        read: What decodes a handle, where the waveforms are kept; default: `read_audio`.

    Returns:
        Paths of the files that are silent in all channels; a warning says how many there are.

    Raises:
        TempoError: The one bad clip's own error.
        BadClipsError: Several are bad; the message lists all of them.
    """
    distinct = {content_of(handle): handle for handle in handles}
    bad: list[TempoError] = []
    silent: set[str] = set()
    for handle in tqdm(distinct.values(), desc="Checking audio", disable=not progress):
        try:
            # What the file holds, also where a condition puts silence in its place.
            plain = silenced_handle(handle, False)
            wave = read_audio(plain, rate, limits) if read is None else read(plain)
        except TempoError as error:
            bad.append(error)
            continue
        if not wave.any():
            silent.add(handle["path"])
    if len(bad) == 1:
        raise bad[0]
    if bad:
        listed = "\n".join(f"  {type(error).__name__}: {error}" for error in bad)
        raise BadClipsError(
            f"{len(bad)} of {len(distinct)} clips cannot be used; nothing was run:\n{listed}"
        )
    if silent:
        named = ", ".join(Path(path).name for path in sorted(silent)[:_NAMED])
        more = ", ..." if len(silent) > _NAMED else ""
        _log.warning(
            "%d of %d clips are silent in all channels (%s%s): they are scored as they are",
            len(silent),
            len(distinct),
            named,
            more,
        )
    return silent
