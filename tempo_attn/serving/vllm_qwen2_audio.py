"""Lets vLLM serve Qwen2-Audio checkpoints whose encoder hears another length than 30 seconds.

vLLM's class expects 3,000 mel frames by name, and its engine ends at any other number, although
nothing else in it depends on that. tempo's embedded model has 500: ten seconds, at half the rate.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch

_ARCHITECTURE = "Qwen2AudioForConditionalGeneration"
_USUAL_FRAMES = 3000


def allow_other_windows(model_config: Any) -> None:
    """Let vLLM's Qwen2-Audio class take as many mel frames as this checkpoint's encoder has.

    A checkpoint of the usual length, or of another kind, changes nothing.

    Args:
        model_config: vLLM's `ModelConfig` of the model that is about to be loaded.
    """
    if _ARCHITECTURE not in (model_config.architectures or []):
        return
    from vllm.transformers_utils.processor import cached_processor_from_config

    extractor = cached_processor_from_config(model_config).feature_extractor
    frames = int(extractor.nb_max_frames)
    if frames == _USUAL_FRAMES:
        return
    from vllm.model_executor.models import qwen2_audio
    from vllm.utils.tensor_schema import TensorSchema, TensorShape

    shapes = {
        "type": Literal["audio_features"],
        "input_features": Annotated[
            torch.Tensor | list[torch.Tensor], TensorShape("na", "nmb", frames)
        ],
        "feature_attention_mask": Annotated[torch.Tensor, TensorShape("na", frames)],
    }
    relaxed = type("Qwen2AudioFeatureInputs", (TensorSchema,), {"__annotations__": shapes})
    qwen2_audio.Qwen2AudioFeatureInputs = relaxed
