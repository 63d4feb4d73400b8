"""What the doctor plays and asks: a scene of its own, or a user's clip, at three lengths."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile

from tempo_attn.errors import OptionError
from tempo_tasks.audio import AudioLimits, Handle, Wave, file_handle, read_audio
from tempo_tasks.doctor.diagnosis import Number
from tempo_tasks.harness.documents import to_documents
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.questions.question_set import QuestionSet
from tempo_tasks.questions.questions import Kind, build_questions
from tempo_tasks.sources.synth.scene import MARGIN, draw_scene, render, scene_name
from tempo_tasks.sources.synth.sounds import LABELS, RATE

SPLIT = "doctor"
"""The split of the scene: no other has it, so no model was trained or scored on it."""
_SHARES = (1.0, 0.61, 0.23)
"""Lengths of the clips, of what the window permits."""


class Hearer(Protocol):
    """What is asked of a model to make clips for it.

    Attributes:
        limits: What audio is accepted.
    """

    limits: AudioLimits

    @property
    def sampling_rate(self) -> int:
        """Sampling rate of the model's input, in Hz."""

    @property
    def window_seconds(self) -> float:
        """The longest audio that it hears, in seconds."""


@contextmanager
def three_clips(
    lm: Hearer, clip: Path | None
) -> Iterator[tuple[list[Handle], Mapping[str, Number]]]:
    """Make a clip at three lengths, the longest first, and remove them at the end.

    Args:
        lm: The model.
        clip: An audio file; None for a rendered scene of the project's.

    Yields:
        The clips, and what they are, for the results.
    """
    wave, rate = _scene() if clip is None else (_users(lm, clip), lm.sampling_rate)
    whole = len(wave) / rate
    longest = min(whole, lm.window_seconds)
    told: dict[str, Number] = {
        "name": "a rendered scene" if clip is None else clip.name,
        "seconds": round(longest, 3),
        "cut_from_seconds": round(whole, 3) if longest < whole else None,
    }
    with tempfile.TemporaryDirectory(prefix="tempo-doctor-") as folder:
        handles = []
        for number, share in enumerate(_SHARES):
            seconds = min(longest, max(share * longest, lm.limits.min_seconds + 0.01))
            path = Path(folder) / f"clip-{number}.wav"
            soundfile.write(path, wave[: int(seconds * rate)], rate, subtype="PCM_16")
            handles.append(file_handle(path))
        yield handles, told


def documents_about(handle: Handle) -> list[dict[str, Any]]:
    """Return an EO, an LO and an LD question about the doctor's scene as harness documents.

    Args:
        handle: What is listened to.
    """
    clip = draw_scene(scene_name(SPLIT, 0)).clip
    rows: list[dict[str, Any]] = []
    for number, kind in enumerate(Kind):
        asked = build_questions([clip], kind, seed=0, margin=MARGIN, labels=LABELS)
        of_kind = QuestionSet(SPLIT, tuple(asked), {clip.id: handle}, {})
        # The right answers are other letters, so that answers differ where a model hears.
        rows += to_documents(of_kind, Condition.AQA, rotations=(number,))
    return rows


def check_clip(clip: Path | None) -> None:
    """Check, before a model is loaded, that a sound file can be read and is not silent.

    Raises:
        OptionError: It is silent.
        TempoError: It cannot be read; see `tempo_tasks.audio.read_audio`.
    """
    # Of what a model takes, nothing is known yet.
    if clip is not None and not read_audio(file_handle(clip), RATE, AudioLimits(None, None)).any():
        raise OptionError(
            f"--clip {clip}: it is silent, so it cannot tell whether a model hears; name a file "
            "with sound, or leave --clip out"
        )


def _scene() -> tuple[Wave, int]:
    return np.asarray(render(draw_scene(scene_name(SPLIT, 0))), dtype=np.float32), RATE


def _users(lm: Hearer, clip: Path) -> Wave:
    # What is longer than the window is cut here, and said so.
    limits = AudioLimits(lm.limits.max_channels, lm.limits.max_rate, lm.limits.min_seconds)
    return read_audio(file_handle(clip), lm.sampling_rate, limits)
