"""What the generic family can find out about a processor before a model is loaded."""

from __future__ import annotations

import inspect
from typing import Any

from tempo_attn import AUDIO_PLACEHOLDER
from tempo_attn.errors import UnsupportedModelError
from tempo_attn.families.base import Family
from tempo_attn.families.shared.processors import where

_OWN = "it needs a family of its own: see docs/families.md"


def check_processor(config: Any, processor: Any, family: str) -> None:
    """Check that a processor takes audio.

    Raises:
        UnsupportedModelError: It does not.
    """
    name = type(processor).__name__
    extractor = getattr(processor, "feature_extractor", None)
    if getattr(extractor, "sampling_rate", None) is None:
        raise UnsupportedModelError(
            f"{where(config)}: the family {family} needs a processor with audio, and {name} has no "
            f"feature extractor with a sampling rate; name one with processor=..., or {_OWN}"
        )
    if "audio" not in inspect.signature(type(processor).__call__).parameters:
        raise UnsupportedModelError(
            f"{where(config)}: the family {family} needs a processor that takes `audio=`, and "
            f"{name} does not; {_OWN}"
        )


def check_template(config: Any, processor: Any, family: Family) -> None:
    """Check that a processor's chat template writes a marker for each clip, and the question.

    Raises:
        UnsupportedModelError: It does not, or there is no template.
    """
    counts, question = [], "What is heard?"
    for n_clips in range(3):
        content = AUDIO_PLACEHOLDER * n_clips + question
        try:
            rendered = family.chat(processor, [{"role": "user", "content": content}])
        except Exception as error:  # a template may raise whatever it likes
            raise UnsupportedModelError(
                f"{where(config)}: the family {family.name} needs a chat template with audio, and "
                f"this one fails on {content!r}: {type(error).__name__}: {error}"
            ) from error
        if question not in rendered:
            raise UnsupportedModelError(
                f"{where(config)}: the family {family.name} needs a chat template with audio and "
                f"text, and this one leaves a question out: it gives {rendered[:120]!r}. A model "
                "that transcribes alone cannot be asked"
            )
        counts.append(rendered.count(family.audio_marker(processor)))
    if counts != [0, 1, 2]:
        raise UnsupportedModelError(
            f"{where(config)}: the family {family.name} needs a chat template with audio, and this "
            f"one writes {counts} markers {family.audio_marker(processor)!r} for 0, 1 and 2 clips; "
            f"{_OWN}"
        )
