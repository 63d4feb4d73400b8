"""What the generic family can find out about a processor before a model is loaded."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from tempo_attn import AUDIO_PLACEHOLDER
from tempo_attn.errors import TempoError, UnsupportedModelError
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
    found = template_fault(processor, family, clips=(0, 1, 2))
    if found:
        raise UnsupportedModelError(
            f"{where(config)}: the family {family.name} needs a chat template with audio, and a "
            f"chat {found}; {_OWN}"
        )


def template_fault(
    processor: Any, family: Family, clips: Sequence[int] = (1,), **template_args: Any
) -> str:
    """Return what is wrong with a rendered chat with audio; empty where nothing is.

    Args:
        processor: The family's processor.
        family: The model's family.
        clips: Numbers of clips that are tried.
        template_args: Further variables of the template.
    """
    marker, question = family.audio_marker(processor), "What do you hear?"
    for n_clips in clips:
        chat = [{"role": "user", "content": AUDIO_PLACEHOLDER * n_clips + question}]
        try:
            rendered = family.chat(processor, chat, **template_args)
        except TempoError:
            raise
        except Exception as error:  # a template is a program: it may raise anything
            why = " ".join(str(error).split())
            return f"cannot be rendered: {type(error).__name__}: {why[:200]}"
        if rendered.count(marker) != n_clips:
            return (
                f"of {n_clips} clips has {rendered.count(marker)} times {marker!r} in it: "
                f"{rendered[:120]!r}"
            )
        if question not in rendered:
            return f"leaves the question out: {rendered[:120]!r}"
    return ""
