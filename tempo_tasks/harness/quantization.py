"""Models whose weights are quantized: all but one kind can be scored and edited.

Edits recompute rows of attention from queries, keys and values, which are computed in 16 bits
whatever the weights are stored in: 4 bits, 8 bits of GPTQ and others, FP8. The one exception is
LLM.int8 of bitsandbytes, which chooses the columns of activations that it leaves in 16 bits by the
outliers of the whole batch: what a prompt is answered depends on its neighbours, and on which of
its rows are computed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tempo_tasks.errors import EightBitModelError


def refuse_llm_int8(config: Any, arguments: Mapping[str, Any], name: str) -> None:
    """Refuse a model in 8 bits of bitsandbytes, whether it is stored so or asked to be loaded so.

    Args:
        config: The model's configuration.
        arguments: The model arguments.
        name: What errors call the model.

    Raises:
        EightBitModelError: It is.
    """
    asked = arguments.get("load_in_8bit")
    found = "load_in_8bit=True" if asked and str(asked) != "False" else ""
    stored = getattr(config, "quantization_config", None)
    for given in (stored, arguments.get("quantization_config")):
        told = given if isinstance(given, Mapping) else getattr(given, "__dict__", {})
        if told.get("load_in_8bit") or told.get("_load_in_8bit"):
            found = "quantization_config with load_in_8bit"
    if found:
        raise EightBitModelError(
            f"{name} is in 8 bits of bitsandbytes ({found}): its activations are rounded by what "
            "else is in the batch, so that neither batches nor edits can be compared with "
            "anything. Load it in bfloat16, or with load_in_4bit=True; or take a checkpoint that "
            "is not quantized so"
        )
