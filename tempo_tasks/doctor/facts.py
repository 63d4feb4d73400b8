"""What the loaded model is: its family, its size, what it hears, what it takes in memory."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Any

import torch

import tempo_tasks
from tempo_attn.hub.model_names import loaded_name
from tempo_tasks.doctor.diagnosis import Facts, Number
from tempo_tasks.doctor.tolerance import name_of
from tempo_tasks.harness.lalm import LALM

_SECONDS = (1, 10, 30)


def facts_of(lm: LALM) -> Facts:
    """Return what a loaded model is."""
    family, model = lm.family, lm.model
    decoder = family.decoder(model)
    attentions = family.attentions(model)
    config: Any = decoder.config
    text = config.get_text_config()
    parameters = {id(part): part for part in model.parameters()}.values()
    return Facts(
        name=loaded_name(lm.public_name()),
        family=family.name,
        model_type=str(model.config.model_type),
        model_class=type(model).__name__,
        processor_class=type(lm.processor).__name__,
        n_layers=len(attentions),
        n_layers_with_attention=sum(module is not None for module in attentions),
        n_heads=_whole(text, "num_attention_heads"),
        n_kv_heads=_whole(text, "num_key_value_heads"),
        dtype=name_of(next(decoder.parameters()).dtype),
        device=str(lm.device),
        attention_kernel=str(getattr(config, "_attn_implementation", None) or "unknown"),
        key_spans=list(family.key_spans),
        sampling_rate=lm.sampling_rate,
        window_seconds=lm.window_seconds,
        audio_positions={f"{n} s": _positions(lm, n) for n in _SECONDS},
        n_parameters=sum(part.numel() for part in parameters),
        parameter_bytes=sum(part.numel() * part.element_size() for part in parameters),
        versions={
            "tempo-lalm": tempo_tasks.__version__,
            "transformers": metadata.version("transformers"),
            "torch": metadata.version("torch"),
        },
    )


def _whole(config: Any, name: str) -> int | None:
    value = getattr(config, name, None)
    return value if isinstance(value, int) else None


def _positions(lm: LALM, seconds: int) -> int | None:
    """Return how many positions a clip fills; None where it is longer than the window."""
    if seconds > lm.window_seconds:
        return None
    return int(lm.family.n_audio_tokens(lm.processor, seconds * lm.sampling_rate))


def peak_memory(lm: LALM) -> dict[str, Number]:
    """Return the most memory that was in use so far, in bytes; of the device, or of the process."""
    if lm.device.type == "cuda":
        return {"peak_bytes": int(torch.cuda.max_memory_allocated(lm.device)), "of": "device"}
    try:
        import resource
    except ImportError:  # there is no such module on Windows
        return {"peak_bytes": None, "of": "process"}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kibibytes, but bytes on macOS.
    return {"peak_bytes": peak if sys.platform == "darwin" else peak * 1024, "of": "process"}
