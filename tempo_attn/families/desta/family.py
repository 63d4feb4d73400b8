"""DeSTA2.5-Audio: 64 Q-Former positions and the transcript for each audio, then Llama.

The class comes from the GitHub package `desta`. The decoder is called with embeddings, so the
positions are read from what prepares them: `_prepare_inputs_for_llm`, which overwrites, for each
audio, the embeddings from its start position on. The package's own `generate` takes chat messages
and files; `processor` makes the same inputs, and `model` lets the class take them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from tempo_attn.errors import UnsupportedModelError
from tempo_attn.families.base import Undo
from tempo_attn.families.desta.in_harness import DestaInHarness


class Desta25(DestaInHarness):
    """DeSTA2.5-Audio (arXiv 2507.02768)."""

    name = "desta2.5"
    model_types = ("desta25",)
    key_spans = ("audio", "transcript")
    audio_in_time_order = False  # the positions are queries of a Q-Former

    def check_model(self, model: nn.Module) -> None:
        """See `Family.check_model`."""
        for name in ("llm_model", "_prepare_inputs_for_llm"):
            if not hasattr(model, name):
                raise UnsupportedModelError(
                    f"{type(model).__name__} has no {name!r}, by which the positions of audio are "
                    "found in DeSTA2.5; expected the class DeSTA25AudioModel of the package desta"
                )

    def audio_mask(self, config: Any, inputs: Mapping[str, Any]) -> torch.Tensor:
        """See `Family.audio_mask`."""
        return self.spans(config, inputs)["audio"]

    def spans(self, config: Any, inputs: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """See `Family.spans`; `inputs` are the arguments of `_prepare_inputs_for_llm`."""
        audio = torch.zeros_like(inputs["input_ids"], dtype=torch.bool)
        transcript = torch.zeros_like(audio)
        places = inputs.get("batch_start_positions") or ()
        texts = inputs.get("batch_transcription_ids") or ()
        for (row, start), ids in zip(places, texts, strict=True):
            middle = int(start) + int(config.prompt_size)
            audio[int(row), int(start) : middle] = True
            transcript[int(row), middle : middle + torch.as_tensor(ids).numel()] = True
        return {"audio": audio, "transcript": transcript}

    def decoder(self, model: nn.Module) -> nn.Module:
        """See `Family.decoder`."""
        llm: Any = model.llm_model
        return super().decoder(llm)

    def watch(self, model: nn.Module, tell: Callable[[Mapping[str, Any]], None]) -> Undo:
        """See `Family.watch`."""
        prepare: Any = model._prepare_inputs_for_llm

        def prepare_and_tell(**inputs: Any) -> Any:
            tell(inputs)
            return prepare(**inputs)

        model._prepare_inputs_for_llm = prepare_and_tell  # type: ignore[assignment]
        return lambda: delattr(model, "_prepare_inputs_for_llm")
