"""A model of transformers that tempo has no file of: the common layout, checked where it can be.

It is used only where a user asks for it. What other families know of their processor is asked of
the processor itself, the number of positions of a waveform among it: so that count proves that a
batch holds what the processor gives a single clip, and not that the processor is right. The model's
own forward compares positions and features, and the harness compares sound with silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
import transformers
from torch import nn

from tempo_attn.errors import UnsupportedModelError
from tempo_attn.families.base import Family
from tempo_attn.families.generic_checks import check_processor, check_template
from tempo_attn.families.shared.padded_apart import process_padded_apart
from tempo_attn.families.shared.processors import Wave

_COUNTS: WeakKeyDictionary[Any, dict[int, int]] = WeakKeyDictionary()


class Generic(Family):
    """A model with `audio_token_id`, a processor that takes `audio=`, a template with audio."""

    name = "generic"
    model_types: ClassVar[tuple[str, ...]] = ()

    def model_class(self, config: Any) -> Any:
        """See `Family.model_class`: the one that the checkpoint names."""
        named = (getattr(config, "architectures", None) or [""])[0]
        return getattr(transformers, named, None) or self.auto_class

    def check_model(self, model: nn.Module) -> None:
        """See `Family.check_model`."""
        for attention in self.attentions(model):
            if attention is not None and not hasattr(attention, "config"):
                raise UnsupportedModelError(
                    f"{type(attention).__name__} has no `config`, by which its attention function "
                    "is exchanged; this model needs a family of its own"
                )

    def check(self, config: Any, processor: Any) -> None:
        """See `Family.check`: also that the processor takes audio, and that its template has it."""
        check_processor(config, processor, self.name)
        super().check(config, processor)
        check_template(config, processor, self)

    def max_seconds(self, processor: Any) -> float:
        """See `Family.max_seconds`: what the processor says of itself, else 30 s."""
        longest = getattr(processor, "max_audio_len", None)
        if longest is None and getattr(processor.feature_extractor, "n_samples", None):
            return super().max_seconds(processor)
        return float(longest or 30.0)

    def process(self, processor: Any, prompts: Sequence[str], waves: Sequence[Wave]) -> Any:
        """See `Family.process`; text and audio have their own padding."""
        return process_padded_apart(self, processor, prompts, waves)

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """See `Family.n_audio_tokens`: as many as the processor gives to a clip of that length."""
        counts = _COUNTS.setdefault(processor, {})
        if n_samples not in counts:
            marker = self.audio_marker(processor)
            inputs = self.process(processor, [marker], [np.zeros(n_samples, np.float32)])
            found = inputs["input_ids"] == processor.tokenizer.convert_tokens_to_ids(marker)
            counts[n_samples] = int(found.sum())
        return counts[n_samples]
