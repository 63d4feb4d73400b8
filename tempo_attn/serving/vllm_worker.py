"""Edits the forwards of vLLM's workers: what is hooked, on which object, and when.

Nothing of vLLM's classes is replaced but one method of the wrapper around every worker, called once
a device is ready. It puts hooks on that worker's own model runner and on the layers that some
configuration edits; all else runs as it is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from vllm.distributed import (
    get_tensor_model_parallel_rank,
    get_tensor_model_parallel_world_size,
)
from vllm.v1.worker.worker_base import WorkerWrapperBase

from tempo_attn.errors import UnsupportedModelError
from tempo_attn.runtime.resolve_edit import ResolvedEdit
from tempo_attn.serving.edited_batch import BatchEditor, Done, Wanted
from tempo_attn.serving.heads_of_rank import heads_of_rank
from tempo_attn.serving.ledger import open_ledger
from tempo_attn.serving.refusals import check_layers, check_server
from tempo_attn.serving.settings import Settings
from tempo_attn.serving.vllm_facts import decoder_layers, layer_facts, server_facts
from tempo_attn.serving.vllm_qwen2_audio import allow_other_windows

log = logging.getLogger("vllm.tempo_attn")

ARGUMENT = "tempo_attn_scale"
"""The name in `vllm_xargs`, and in a request's extra arguments inside the engine."""

_LOG_SECONDS = 10.0


def hook_workers(settings: Settings | None) -> None:
    """Hook every worker that this process will start.

    Args:
        settings: What is edited; None for nothing: then only checkpoints with another audio window
            are let in.
    """
    original = WorkerWrapperBase.init_device
    if hasattr(original, "_tempo"):
        return

    @wraps(original)
    def init_device(self: Any) -> Any:
        result = original(self)
        allow_other_windows(self.vllm_config.model_config)
        if settings is not None:
            _hook_runner(self.worker.model_runner, self.vllm_config, settings)
        return result

    init_device._tempo = True  # type: ignore[attr-defined]
    WorkerWrapperBase.init_device = init_device


def _hook_runner(runner: Any, config: Any, settings: Settings) -> None:
    """Put hooks on one worker's model runner.

    Raises:
        UnsupportedModelError: It is a runner that the plugin does not know.
    """
    check_server(server_facts(config))
    names = [f"{cls.__module__}.{cls.__name__}" for cls in type(runner).__mro__]
    if "vllm.v1.worker.gpu_model_runner.GPUModelRunner" not in names:
        raise UnsupportedModelError(
            f"this worker runs models by {names[0]}; attention is edited in "
            "vllm.v1.worker.gpu_model_runner.GPUModelRunner only: set VLLM_USE_V2_MODEL_RUNNER=0, "
            "on a GPU or CPU"
        )
    _RunnerHooks(runner, config, settings).install()


class _RunnerHooks:
    """The hooks on one model runner."""

    def __init__(self, runner: Any, config: Any, settings: Settings) -> None:
        self._runner, self._config, self._settings = runner, config, settings
        self._ledger = open_ledger()
        self._editor: BatchEditor | None = None
        self._running = False
        self._n_forwards = self._n_rows = 0
        self._logged_at = -_LOG_SECONDS
        self._engine = int(config.parallel_config.data_parallel_rank)
        self._n_ranks = get_tensor_model_parallel_world_size()
        self._rank = get_tensor_model_parallel_rank()

    def install(self) -> None:
        for name in ("initialize_kv_cache", "_update_states", "_prepare_inputs", "_model_forward"):
            hooked = getattr(self, f"_hooked{'' if name[0] == '_' else '_'}{name}")
            setattr(self._runner, name, hooked(getattr(self._runner, name)))

    def _hooked_initialize_kv_cache(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def initialize_kv_cache(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            if self._editor is None:  # it is called again after a profiling run
                self._hook_layers()
            return result

        return initialize_kv_cache

    def _hooked_update_states(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def _update_states(scheduled: Any, *args: Any, **kwargs: Any) -> Any:
            if self._editor is not None:
                self._editor.forget(scheduled.finished_req_ids)
                self._editor.forget(scheduled.preempted_req_ids or ())
            return original(scheduled, *args, **kwargs)

        return _update_states

    def _hooked_prepare_inputs(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def _prepare_inputs(scheduled: Any, n_scheduled: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(scheduled, n_scheduled, *args, **kwargs)
            assert self._editor is not None
            self._editor.begin(self._parts(n_scheduled))
            return result

        return _prepare_inputs

    def _hooked_model_forward(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def _model_forward(*args: Any, **kwargs: Any) -> Any:
            assert self._editor is not None
            self._running = True
            try:
                result = original(*args, **kwargs)
            finally:
                self._running = False
            done = self._editor.end()
            if done:
                self._ledger.edited(self._engine, self._rank, done)
                self._log(done)
            return result

        return _model_forward

    def _log(self, done: list[Done]) -> None:
        """Say what was edited, at most every ten seconds, as vLLM does of its throughput."""
        self._n_forwards += 1
        self._n_rows += sum(one.new_rows for one in done)
        if time.monotonic() - self._logged_at > _LOG_SECONDS:
            self._logged_at = time.monotonic()
            log.info(
                "tempo_attn: %d rows written over in %d forwards so far (rank %d)",
                self._n_rows,
                self._n_forwards,
                self._rank,
            )

    def _parts(self, n_scheduled: Any) -> list[tuple[str, Wanted, int, int, int]]:
        """Return the edited requests of the batch that was prepared."""
        batch, parts, start = self._runner.input_batch, [], 0
        for row, internal in enumerate(batch.req_ids):
            n_tokens = int(n_scheduled[row])
            params = self._runner.requests[internal].sampling_params
            plain = ((params.extra_args if params else None) or {}).get(ARGUMENT)
            if plain is not None:
                first = int(batch.num_computed_tokens_cpu[row])
                parts.append((internal, plain, start, n_tokens, first))
            start += n_tokens
        return parts

    def _hook_layers(self) -> None:
        """Resolve the configurations for this model, and hook the layers that they edit."""
        registered = self._config.compilation_config.static_forward_context
        layers = decoder_layers(registered)
        edits = {
            name: self._resolve(name, config, layers)
            for name, config in self._settings.configurations.items()
        }
        edited = sorted({layer for whole, _ in edits.values() for layer in whole})
        check_layers([layer_facts(number, layers[number]) for number in edited])
        self._editor = BatchEditor({name: edit for name, (_, edit) in edits.items()})
        for number in edited:
            self._hook_layer(number, layers[number])
        self._ledger.add_worker(self._engine, self._rank)
        for name, config in self._settings.configurations.items():
            log.info(
                "tempo_attn: configuration %r (%s %s) edits layers %s on rank %d of %d",
                name,
                config.mode,
                config.strength,
                sorted(edits[name][0]),
                self._rank,
                self._n_ranks,
            )

    def _resolve(
        self, name: str, config: Any, layers: Mapping[int, Any]
    ) -> tuple[list[int], ResolvedEdit]:
        """Return a configuration's layers, and its edit with this rank's heads."""
        model = self._config.model_config
        n_layers = int(model.get_total_num_hidden_layers())
        n_heads = int(model.model_arch_config.total_num_attention_heads)
        heads = config.resolve_heads(n_layers, n_heads)
        without = sorted(set(heads) - set(layers))
        if without and config.layers != "all":
            raise UnsupportedModelError(
                f"configuration {name!r}: layers {without} have no attention that can be edited; "
                f"those that have: {sorted(layers)}"
            )
        heads = {layer: chosen for layer, chosen in heads.items() if layer in layers}
        if not heads:
            raise UnsupportedModelError(
                f"configuration {name!r}: no decoder layer with attention was found among "
                f"{sorted(layers)}"
            )
        n_local = {int(layers[layer].num_heads) for layer in heads}
        if len(n_local) > 1:
            raise UnsupportedModelError(
                f"configuration {name!r}: its layers have {sorted(n_local)} query heads; expected "
                "as many in each"
            )
        local = heads_of_rank(heads, n_local.pop(), self._rank, self._n_ranks, n_heads)
        return sorted(heads), ResolvedEdit(config, local)

    def _hook_layer(self, number: int, layer: Any) -> None:
        original = layer.forward

        @wraps(original)
        def forward(query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
            out = original(query, key, value, *args, **kwargs)
            if self._running:  # not in vLLM's own runs, which measure memory
                assert self._editor is not None
                self._editor.edit(
                    number,
                    query.view(-1, layer.num_heads, layer.head_size),
                    key.view(-1, layer.num_kv_heads, layer.head_size),
                    value.view(-1, layer.num_kv_heads, layer.head_size_v),
                    out.view(-1, layer.num_heads, layer.head_size_v),
                    float(layer.impl.scale),
                )
            return out

        layer.forward = forward
