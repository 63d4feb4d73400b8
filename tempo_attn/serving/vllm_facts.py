"""Reads from vLLM's configuration and layers what the rules of `refusals` ask."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import vllm
from vllm.config import CompilationMode, CUDAGraphMode
from vllm.model_executor.layers.attention import Attention

from tempo_attn.errors import UnsupportedModelError
from tempo_attn.serving.refusals import LayerFacts, ServerFacts

_NUMBER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")


def version() -> str:
    """Return vLLM's version without its local part."""
    return str(vllm.__version__).partition("+")[0]


def server_facts(config: Any) -> ServerFacts:
    """Return how a server was started, from its `VllmConfig`."""
    parallel, compilation = config.parallel_config, config.compilation_config
    graphs = compilation.cudagraph_mode not in (None, CUDAGraphMode.NONE)
    compiles = compilation.mode not in (None, CompilationMode.NONE)
    executor = parallel.distributed_executor_backend or "uni"
    return ServerFacts(
        version=version(),
        second_runner=bool(config.use_v2_model_runner),
        compiles=compiles or graphs or not config.model_config.enforce_eager,
        executor=executor if isinstance(executor, str) else executor.__name__,
        speculates=config.speculative_config is not None,
        transfers_keys=config.kv_transfer_config is not None,
        splits_batches=bool(parallel.use_ubatching),
        pipeline_ranks=parallel.pipeline_parallel_size,
        context_ranks=max(
            parallel.decode_context_parallel_size, parallel.prefill_context_parallel_size
        ),
        engines=parallel.data_parallel_size,
        nodes=parallel.nnodes,
        encoder_decoder=bool(config.model_config.is_encoder_decoder),
        shares_prefill=bool(config.cache_config.kv_sharing_fast_prefill),
    )


def decoder_layers(layers: Mapping[str, Any]) -> dict[int, Any]:
    """Return the attention layers of the decoder by number.

    Args:
        layers: All layers that vLLM keeps keys for, or has registered, by name.

    Raises:
        UnsupportedModelError: Two layers have one number, so which is meant cannot be told.
    """
    found: dict[int, Any] = {}
    for name, layer in layers.items():
        match = _NUMBER.search(name)
        if match is None or getattr(layer, "attn_type", "decoder") != "decoder":
            continue
        if not hasattr(layer, "get_attn_backend"):
            continue  # a state-space or expert layer, registered there too
        number = int(match[1])
        if number in found:
            raise UnsupportedModelError(
                f"two attention layers have the number {number}: {found[number].layer_name} and "
                f"{name}; which one a configuration means cannot be told"
            )
        found[number] = layer
    return found


def layer_facts(number: int, layer: Any) -> LayerFacts:
    """Return what is known of one attention layer."""
    impl = layer.impl
    softcap = next(
        (
            getattr(impl, name)
            for name in ("logits_soft_cap", "logits_softcap", "soft_cap")
            if getattr(impl, name, None)
        ),
        None,
    )
    return LayerFacts(
        number=number,
        name=str(getattr(layer, "layer_name", number)),
        kind=type(layer).__name__,
        plain=type(layer) is Attention,
        sliding_window=getattr(layer, "sliding_window", None),
        softcap=softcap,
        cache_type=str(getattr(layer, "kv_cache_dtype", "auto")),
        has_bias=getattr(impl, "alibi_slopes", None) is not None,
        has_sinks=bool(getattr(layer, "has_sink", False)),
        shares_keys=getattr(layer, "kv_sharing_target_layer_name", None) is not None,
        sees_ahead=bool(getattr(layer, "use_mm_prefix", False)),
    )
