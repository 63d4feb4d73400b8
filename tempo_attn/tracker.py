"""Follows the forward calls of a wrapped model and tells its edited layers what to do.

Forward pre-hooks on the decoder and on every module around it: whichever is called first reads the
positions from its arguments (model keyword arguments would be refused by `generate`). What a later
step needs travels on the key/value cache itself, so copies of a cache carry it along.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tempo_attn.attention import RowPlan
from tempo_attn.calls import (
    arguments,
    cache_of,
    cached_positions,
    from_cache,
    modules_around,
    put_on_cache,
    shape_of,
    with_told,
)
from tempo_attn.errors import EditNotAppliedError, PositionError, UnsupportedInputError
from tempo_attn.families import Family
from tempo_attn.fit import Edit
from tempo_attn.positions import TextReader
from tempo_attn.prompt import Given, Prompt, read_prompt


@dataclass
class _Track:
    """What a cache's positions are."""

    prompt: Prompt
    strength: Tensor | None
    decode: RowPlan | None = None
    decode_edit: Edit | None = None


class Tracker:
    """The state of one wrapped model; see the module's docstring.

    Args:
        model: The model.
        family: Its family.
        on_missing: "raise", or "warn" (once for each kind of message) and leave the row unedited.
    """

    def __init__(self, model: nn.Module, family: Family, on_missing: str) -> None:
        self.model = model
        self.family = family
        self.on_missing = on_missing
        self.reader: TextReader | None = None
        self.edit: Edit | None = None
        self.recompute_identity = False
        self.given = Given()
        self.strength: Tensor | None = None
        self.prefills: Counter[int] = Counter()
        self.steps: Counter[int] = Counter()
        self.last_rows: list[int] = []
        self.last_keys: list[int] = []
        self._pinned: dict[int, _Track] = {}
        self._told: Mapping[str, Any] | None = None
        self._warned: set[str] = set()
        self._stack: list[nn.Module] = []
        self._plan: RowPlan | None = None
        self._track: _Track | None = None
        self._shape: tuple[int, int] = (0, 0)
        self._prefill = False
        self._seen: dict[int, Tensor] = {}
        self._chain = modules_around(model, family.decoder(model))
        self._handles: list[Any] = []
        for module in self._chain:
            self._handles.append(module.register_forward_pre_hook(self._enter, with_kwargs=True))
            self._handles.append(module.register_forward_hook(self._exit, always_call=True))
        self._unwatch = family.watch(model, self._tell)

    def remove(self) -> None:
        """Take all hooks off the model."""
        for handle in self._handles:
            handle.remove()
        if self._unwatch is not None:
            self._unwatch()

    # ------------------------------------------------------------------ asked by the layers

    def plan_for(self, layer: int) -> RowPlan | None:
        """See `tempo_attn.attention.Session`."""
        if self.edit is None or layer not in self.edit.heads:
            return None
        if not self._stack:
            raise EditNotAppliedError(
                f"attention of layer {layer} ran outside a forward call of the model, so its "
                "positions are unknown. Call the model or its decoder, not single layers; switch "
                "gradient checkpointing off (it runs layers again in the backward pass); or use "
                "model.disable_adapter()"
            )
        return self._plan

    def applied(self, layer: int, seen: Tensor) -> None:
        """See `tempo_attn.attention.Session`."""
        self._seen[layer] = seen

    # ------------------------------------------------------------------ stated by the wrapper

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """Run without the edit."""
        edit, self.edit = self.edit, None
        try:
            yield
        finally:
            self.edit = edit

    @contextmanager
    def stating(self, given: Given) -> Iterator[None]:
        """Take these positions as given in the calls inside."""
        before, self.given = self.given, given
        try:
            yield
        finally:
            self.given = before

    @contextmanager
    def generating(self, inputs: Mapping[str, Any]) -> Iterator[None]:
        """Fix the prompts' positions for all forward calls of one generation.

        Without this, prompts could not be told from answers when no cache is used, or when a
        prompt is prefilled in pieces.
        """
        if self.edit is None:
            yield
            return
        self._stack.clear()  # an interrupted call may have left it
        edit, before = self.edit, sum(self.prefills.values())
        prompt = None
        if self.family.token_ids(inputs) is not None or inputs.get("inputs_embeds") is not None:
            prompt = read_prompt(self.family, self._config(), inputs, self.given)
            self._pinned = {len(prompt.real): _Track(prompt, None)}
        try:
            yield
        finally:
            self._pinned = {}
        if self._does_nothing(edit) or sum(self.prefills.values()) > before:
            return
        if prompt is not None:
            rows = prompt.rows(edit.config, self.reader, self._complain)
            if not bool((rows & prompt.keys(edit.config).any(1, keepdim=True)).any()):
                return  # nothing to edit, and that has been complained about
        self._complain_not_applied(sorted(edit.heads))

    # ------------------------------------------------------------------ hooks

    def _tell(self, inputs: Mapping[str, Any]) -> None:
        self._told = inputs

    def _enter(self, module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
        rank = self._chain.index(module)
        if self._stack and rank <= self._chain.index(self._stack[-1]):
            self._stack.clear()  # left by a call that was interrupted
        self._stack.append(module)
        if self.edit is None:
            return
        inputs = arguments(module, args, kwargs)
        if len(self._stack) == 1:
            self._plan, self._track, self._seen = None, None, {}
            self._begin(inputs)
        elif rank == len(self._chain) - 1:
            shape = shape_of(inputs)
            if shape is not None and shape != self._shape and self._plan is not None:
                raise UnsupportedInputError(
                    f"the decoder is called with {shape} (batch, positions), the model was called "
                    f"with {self._shape}: it changes positions inside its forward, where they "
                    "cannot be followed. Pass inputs whose audio is already expanded"
                )

    def _exit(self, module: nn.Module, args: Any, output: Any) -> None:
        if not self._stack or self._stack[-1] is not module:
            return
        self._stack.pop()
        if self._stack:
            return
        self._told = None
        if self.edit is None or output is None:  # None: the call raised
            return
        plan, self._plan = self._plan, None
        if plan is not None:
            self._check_applied(self.edit, plan)
        cache = cache_of(output)
        if cache is not None and self._track is not None:
            put_on_cache(cache, self._track)

    def _begin(self, inputs: Mapping[str, Any]) -> None:
        """Work out what this call edits."""
        edit = self.edit
        assert edit is not None
        told, self._told = self._told, None
        cache = inputs.get("past_key_values")
        first = cached_positions(cache)
        shape = shape_of(inputs)
        if shape is None:
            ids = self.family.token_ids(inputs)
            if ids is None:
                raise PositionError(
                    "the model was called without input_ids and without inputs_embeds; the edit "
                    "needs one of them to know its positions"
                )
            shape = (ids.shape[0], ids.shape[1])
        self._shape = shape
        track = from_cache(cache) if first else None
        if self._pinned:
            if shape[0] not in self._pinned:  # beams, or several sequences for each prompt
                one = next(iter(self._pinned.values()))
                self._pinned[shape[0]] = _Track(one.prompt.expand(shape[0]), None)
            track = self._pinned[shape[0]]
        elif first and track is None:
            self._complain(
                f"the key/value cache holds {first} positions that were filled without the edit, "
                "so it is unknown which are audio. Prefill with the wrapped model, or decode with "
                "model.disable_adapter()"
            )
            return
        elif track is None or shape[1] > 1:
            before = track.prompt if track is not None else None
            prompt = read_prompt(
                self.family,
                self._config(),
                with_told(inputs, told, shape),
                self.given,
                start=first,
                before=before,
            )
            track = _Track(prompt, None)
        track = self._expanded(track, shape[0])
        if self.strength is not None:
            times = max(1, shape[0] // len(self.strength))
            track.strength = self.strength.repeat_interleave(times)
        self._track = track
        if self._does_nothing(edit):
            return
        self._plan = self._make_plan(edit, track, first, shape)

    def _expanded(self, track: _Track, n_batch: int) -> _Track:
        if len(track.prompt.real) == n_batch:
            return track
        strength = track.strength
        if strength is not None:
            strength = strength.repeat_interleave(n_batch // len(strength))
        return _Track(track.prompt.expand(n_batch), strength)

    def _make_plan(
        self, edit: Edit, track: _Track, first: int, shape: tuple[int, int]
    ) -> RowPlan | None:
        prompt, config = track.prompt, edit.config
        end = first + shape[1]
        self._prefill = first < prompt.length
        if not self._prefill and config.phase == "prefill":
            return None
        strength = track.strength if config.adaptive is not None else config.strength
        if config.adaptive is not None and strength is None:
            raise EditNotAppliedError(
                "an adaptive edit needs a plain run first: call the wrapper (or its generate), not "
                "the base model"
            )
        if not self._prefill and shape[1] == 1 and track.decode_edit is edit:
            assert track.decode is not None
            track.decode.advance(first)
            return track.decode
        keys = prompt.keys(config)
        heard = keys.any(1)
        rows = prompt.rows(config, self.reader, self._complain)
        # Behind the prompt, each position was once the last one.
        later = config.phase == "all" and bool({"last", "all_text"} & set(config.queries))
        after = torch.full((shape[0], max(0, end - prompt.length)), later)
        rows = torch.cat([rows[:, : prompt.length - prompt.start], after], 1)
        chosen = rows[:, first - prompt.start : end - prompt.start]
        if self._prefill:
            if not bool(heard.all()):
                deaf = (~heard).nonzero().flatten().tolist()
                self._complain(
                    f"batch row(s) {deaf} have no {' or '.join(config.keys)} positions, and the "
                    "edit acts on those. Run text-only prompts with model.disable_adapter(), or "
                    "wrap with on_missing='warn'"
                )
            self.last_rows = rows.sum(1).tolist()
            self.last_keys = keys.sum(1).tolist()
        chosen = chosen & heard[:, None]
        if not bool(chosen.any()):
            return None
        plan = RowPlan.of(chosen, keys, first, config.mode, strength, edit.heads)
        if not self._prefill and shape[1] == 1:
            track.decode, track.decode_edit = plan, edit
        return plan

    # ------------------------------------------------------------------ checks

    def _check_applied(self, edit: Edit, plan: RowPlan) -> None:
        missed = sorted(set(edit.heads) - set(self._seen))
        if missed:
            self._complain_not_applied(missed)
        counts = self.prefills if self._prefill else self.steps
        counts.update(self._seen.keys())
        if not self._prefill or not self._seen:
            return
        wanted = torch.zeros(len(plan.rows), dtype=torch.bool)
        wanted[plan.where[0].cpu()] = True
        for layer, seen in self._seen.items():
            blind = (wanted & ~seen.cpu()).nonzero().flatten().tolist()
            if blind:
                self._complain(
                    f"layer {layer}: in batch row(s) {blind} no edited query sees an edited key, "
                    "so the edit does nothing there. The audio comes after these queries, or lies "
                    "outside the layer's sliding window, or nothing of these queries leaves the "
                    "layer"
                )

    def _complain_not_applied(self, layers: list[int]) -> None:
        raise EditNotAppliedError(
            f"the edit is active and layer(s) {layers} ran without it. The model may have been "
            "compiled, or its attention configuration changed, after it was wrapped: unload() and "
            "wrap it again"
        )

    def _complain(self, message: str) -> None:
        if self.on_missing == "raise":
            raise PositionError(message)
        kind = message.split(":")[0].rstrip("0123456789[], ")
        if kind not in self._warned:
            self._warned.add(kind)
            warnings.warn(f"{message} (further ones are not reported)", stacklevel=2)

    def _does_nothing(self, edit: Edit) -> bool:
        return edit.config.is_identity and not self.recompute_identity

    def _config(self) -> Any:
        return self.model.config
