"""Transcripts of clips, for models that read what was said beside what was heard.

A clip is known by its samples, as the model hears them: an edited or reversed clip is another one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tempo_attn.errors import TranscriptMissingError
from tempo_attn.families.shared.processors import Wave

EVERY_OTHER = "*"
"""Stands for all clips that are not named."""
NO_SPEECH = " "
"""DeSTA2.5's transcript of a clip in which its voice detector finds no speech."""
_HEARD = 30 * 16_000  # samples of Whisper's window: what follows is not heard


def clip_hash(wave: Wave) -> str:
    """Return the SHA-256 of a clip's first 30 s, as 32-bit floats.

    Args:
        wave: Mono samples at 16 kHz, (samples,).
    """
    heard = np.ascontiguousarray(wave[:_HEARD], dtype="<f4")
    return hashlib.sha256(heard.tobytes()).hexdigest()


@dataclass(frozen=True)
class Transcripts:
    """What is said in clips.

    Attributes:
        texts: Transcripts by `clip_hash`; blank where nobody speaks. `EVERY_OTHER` may stand for
            all clips that are not named. None: no clip has a transcript, by the user's choice.
    """

    texts: Mapping[str, str] | None = field(default=None)

    def of(self, wave: Wave) -> str:
        """Return a clip's transcript; of silence it is known without asking.

        Raises:
            TranscriptMissingError: The clip is not among them.
        """
        if self.texts is None or not np.any(wave):
            return NO_SPEECH
        name = clip_hash(wave)
        text = self.texts.get(name, self.texts.get(EVERY_OTHER))
        if text is None:
            raise TranscriptMissingError(
                f"{len(self.texts)} transcripts are given, and none is of the clip {name} "
                f"({len(wave) / 16_000:.2f} s); add it, or a row {EVERY_OTHER!r} with the "
                "transcript of all clips that are not named (blank: nobody speaks). Hashes are "
                "those of tempo_attn.families.desta.transcripts.clip_hash"
            )
        return text if text.strip() else NO_SPEECH

    @property
    def sha256(self) -> str | None:
        """The SHA-256 of all of them, whatever their order; None without any."""
        if self.texts is None:
            return None
        return hashlib.sha256(json.dumps(dict(self.texts), sort_keys=True).encode()).hexdigest()
