"""Prepares requests in vLLM's API process: which edit, which rows, and no shared caches.

Keys and values that were computed under an edit belong to that request alone: it reads nothing from
the prefix cache, and what it leaves there has a salt that no other request has.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from vllm.exceptions import VLLMServerError, VLLMValidationError
from vllm.sampling_params import SamplingParams
from vllm.v1.engine.input_processor import InputProcessor

from tempo_attn.errors import EditNotAppliedError, OptionError, PositionError, TempoError
from tempo_attn.serving.ledger import Ledger, open_ledger
from tempo_attn.serving.refusals import check_server
from tempo_attn.serving.request_edits import RequestPlanner, audio_positions
from tempo_attn.serving.settings import Settings
from tempo_attn.serving.vllm_facts import server_facts
from tempo_attn.serving.vllm_worker import ARGUMENT

log = logging.getLogger("vllm.tempo_attn")

_BEAM = re.compile(r"-beam-\d+\Z")


def hook_requests(settings: Settings) -> None:
    """Hook what turns a request into the engine's input."""
    if hasattr(InputProcessor.process_inputs, "_tempo"):
        return
    original_init, original = InputProcessor.__init__, InputProcessor.process_inputs

    @wraps(original_init)
    def __init__(self: Any, config: Any, *args: Any, **kwargs: Any) -> None:
        check_server(server_facts(config))  # before the engine is started
        original_init(self, config, *args, **kwargs)
        self._tempo_requests = _Requests(settings, self, open_ledger())

    @wraps(original)
    def process_inputs(
        self: Any, request_id: str, prompt: Any, params: Any, *args: Any, **kwargs: Any
    ) -> Any:
        requests: _Requests = self._tempo_requests
        run: Callable[[], Any] = lambda: original(  # noqa: E731
            self, request_id, prompt, params, *args, **kwargs
        )
        return requests.prepare(request_id, prompt, params, run)

    process_inputs._tempo = True  # type: ignore[attr-defined]
    InputProcessor.__init__, InputProcessor.process_inputs = __init__, process_inputs


class _Requests:
    """What is done with every request of one API process."""

    def __init__(self, settings: Settings, processor: Any, ledger: Ledger) -> None:
        self._settings, self._ledger = settings, ledger
        self._planner = RequestPlanner(processor.tokenizer)
        self._renderer = processor.renderer
        parallel = processor.vllm_config.parallel_config
        self._n_workers = parallel.world_size * parallel.data_parallel_size
        self._all_up = False

    def prepare(self, request_id: str, prompt: Any, params: Any, run: Callable[[], Any]) -> Any:
        """Return the engine's input of one request, with its edit.

        Args:
            request_id: The request's id as its sender knows it.
            prompt: Its prompt, as vLLM's renderer made it.
            params: Its sampling or pooling parameters.
            run: vLLM's own preparation.

        Raises:
            VLLMValidationError: An unknown configuration, a way of generating that cannot be
                edited, or a prompt that does not fit the edit: HTTP 400.
            VLLMServerError: Some worker runs without the edit: HTTP 500.
        """
        # Other errors than vLLM's own would reach the sender without their message.
        try:
            return self._prepared(request_id, params, run)
        except Exception as error:
            self._forget_clips(prompt)
            if not isinstance(error, TempoError):
                raise
            self._ledger.count("refused_requests")
            log.warning("tempo_attn: %s is refused: %s", request_id, error)
            if isinstance(error, (OptionError, PositionError)):
                raise VLLMValidationError(str(error), parameter=ARGUMENT) from error
            raise VLLMServerError(str(error)) from error

    def _prepared(self, request_id: str, params: Any, run: Callable[[], Any]) -> Any:
        name = self._choose(request_id, params)
        request = run()
        if request.sampling_params is not None:  # vLLM's own copy
            request.sampling_params.extra_args = _without(request.sampling_params.extra_args)
        features = request.mm_features or []
        length = len(request.prompt_token_ids or ())
        audio = audio_positions(length, features)
        if name is not None:
            name = self._add_edit(request_id, request, name, audio)
        self._ledger.asked(request_id, name, int(audio.sum()))
        return request

    def _forget_clips(self, prompt: Any) -> None:
        """Let vLLM send a refused request's clips again with the next request that has them.

        It sends each clip to the engine once, and believes that of a request that never got there:
        the next one would fail.
        """
        cache = self._renderer.mm_processor_cache
        hashes = prompt.get("mm_hashes") if isinstance(prompt, dict) else None
        if cache is None or not hashes:
            return
        for of_modality in hashes.values():
            for clip in of_modality:
                if isinstance(clip, str):
                    cache.invalidate(clip)

    def _choose(self, request_id: str, params: Any) -> str | None:
        """Return the name of the request's configuration, or None; it is taken off the request."""
        sampling = isinstance(params, SamplingParams)
        extra = dict((params.extra_args if sampling else None) or {})
        wanted = extra.pop(ARGUMENT, None)
        if _BEAM.search(request_id):
            # vLLM drops the request's choice on this way, so it could go out unedited.
            raise OptionError(
                "this server edits attention and makes no beam search, with an edit or without; "
                "expected a request without use_beam_search"
            )
        name = self._settings.choose(wanted)
        if name is not None and not sampling:
            raise OptionError(
                f"the edit {name!r} acts on generated answers, and this request asks for pooling. "
                "Start a server of its own for it, without an edit"
            )
        return name

    def _add_edit(self, request_id: str, request: Any, name: str, audio: Any) -> str | None:
        """Put the edit on the engine's input; return its name, or None where it is let through."""
        config = self._settings.configurations[name]
        params = request.sampling_params
        try:
            if request.prompt_token_ids is None or request.prompt_embeds is not None:
                raise PositionError(
                    f"the edit {name!r} finds rows by token ids, and this prompt has embeddings"
                )
            if request.resumable:
                raise PositionError(
                    f"the edit {name!r} needs the whole prompt, and this one comes in pieces"
                )
            edit = self._planner.plan(request_id, name, config, request.prompt_token_ids, audio)
        except PositionError as error:
            if self._settings.skip_missing:
                log.warning("tempo_attn: %s goes through unedited: %s", request_id, error)
                self._ledger.count("let_through_unedited")
                return None
            raise
        self._check_workers()
        params.extra_args = {**(params.extra_args or {}), ARGUMENT: edit.to_plain()}
        params.skip_reading_prefix_cache = True
        request.cache_salt = f"{request.cache_salt or ''}|tempo|{request_id}"
        return name

    def _check_workers(self) -> None:
        """Check once that every worker has its hooks.

        Raises:
            EditNotAppliedError: One has not: the answer would be the plain model's.
        """
        if self._all_up:
            return
        up = self._ledger.workers()
        if up < self._n_workers:
            raise EditNotAppliedError(
                f"{up} of {self._n_workers} workers of this server edit attention; the others were "
                "started without the plugin. Start the server by `tempo serve` on one machine"
            )
        self._all_up = True


def _without(extra: Any) -> Any:
    return {key: value for key, value in (extra or {}).items() if key != ARGUMENT} or None
