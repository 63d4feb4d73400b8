"""Follows the forward calls of a wrapped model and tells its edited layers what to do.

Forward pre-hooks on the decoder and on every module around it: whichever is called first reads the
positions from its arguments (model keyword arguments would be refused by `generate`). What a later
step needs travels on the key/value cache itself, so copies of a cache carry it along.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from tempo_attn.attention.edited_attention import RowPlan
from tempo_attn.errors import EditNotAppliedError, PositionError, UnsupportedInputError
from tempo_attn.families import Family
from tempo_attn.prompts.positions import Given, Prompt, read_prompt
from tempo_attn.prompts.spans import TextReader
from tempo_attn.runtime.forward_call import (
    arguments,
    cache_in,
    cache_of,
    cached_positions,
    check_cache_name,
    from_cache,
    modules_around,
    put_on_cache,
    shape_of,
    with_told,
)
from tempo_attn.runtime.generation import generate_stand_in
from tempo_attn.runtime.resolve import Edit


@dataclass
class Track:
    """What the positions of a cache are; lies on the cache itself.

    Attributes:
        prompt: Its prompts.
        strength: Each batch row's strength, where it was chosen for the row.
        covered: Positions that calls with the edit have filled.
        decode: The plan of the last decoding step, used again by the next one.
        decode_edit: The edit it was made for.
    """

    prompt: Prompt
    strength: Tensor | None = None
    covered: int = 0
    decode: RowPlan | None = None
    decode_edit: Edit | None = None


class Tracker:
    """The state of one wrapped model; see the module's docstring.

    Args:
        model: The model.
        family: Its family.
        on_missing: "raise", or "warn" (once for each kind of message) and leave the row unedited.
        recompute_identity: Recompute rows also where the edit changes nothing.
    """

    def __init__(
        self, model: nn.Module, family: Family, on_missing: str, recompute_identity: bool
    ) -> None:
        self.model = model
        self.family = family
        self.on_missing = on_missing
        self.recompute_identity = recompute_identity
        self.reader: TextReader | None = None
        self.chosen: Edit | None = None
        self.given = Given()
        self.strength: Tensor | None = None
        self.prefills: Counter[int] = Counter()
        self.steps: Counter[int] = Counter()
        self.last_rows: list[int] = []
        self.last_keys: list[int] = []
        self._off = 0
        self._pinned: dict[int, Track] = {}
        self._told: Mapping[str, Any] | None = None
        self._warned: set[str] = set()
        self._stack: list[nn.Module] = []
        self._plan: RowPlan | None = None
        self._track: Track | None = None
        self._shape: tuple[int, int] = (0, 0)
        self._end = 0
        self._prefill = False
        self._seen: dict[int, Tensor] = {}
        decoder = family.decoder(model)
        check_cache_name(decoder)
        self._chain = modules_around(model, decoder)
        self._undo: list[Callable[[], None]] = []

    def install(self) -> None:
        """Put hooks on the model, and stand in for its `generate`."""
        for module in self._chain:
            enter = module.register_forward_pre_hook(self._enter, with_kwargs=True)
            leave = module.register_forward_hook(self._exit, always_call=True)
            self._undo += [enter.remove, leave.remove]
            stand_in = generate_stand_in(module, self)
            if stand_in is not None:
                self._undo.append(stand_in)
        unwatch = self.family.watch(self.model, self._tell)
        if unwatch is not None:
            self._undo.append(unwatch)

    def remove(self) -> None:
        """Take everything off the model."""
        for undo in self._undo:
            undo()
        self._undo = []

    @property
    def edit(self) -> Edit | None:
        """The edit that is in force now."""
        return None if self._off else self.chosen

    # ------------------------------------------------------------------ asked by the layers

    def plan_for(self, layer: int) -> RowPlan | None:
        """See `tempo_attn.attention.edited_attention.Session`."""
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
        """See `tempo_attn.attention.edited_attention.Session`."""
        self._seen[layer] = seen

    # ------------------------------------------------------------------ stated by the wrapper

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """Run without the edit."""
        self._off += 1
        try:
            yield
        finally:
            self._off -= 1

    @contextmanager
    def stating(self, given: Given) -> Iterator[None]:
        """Take these positions as given in the calls inside."""
        before, self.given = self.given, given
        try:
            yield
        finally:
            self.given = before

    @contextmanager
    def adapting(self, logits: Tensor) -> Iterator[None]:
        """Choose each row's strength by the confidence of its first token (AdaptVis).

        Args:
            logits: (batch, vocabulary) of a run without the edit, behind the prompts.
        """
        assert self.edit is not None
        assert self.edit.config.adaptive is not None
        rule = self.edit.config.adaptive
        confidence = logits.float().softmax(-1).amax(-1)
        low = torch.full_like(confidence, rule.low)
        before = self.strength
        self.strength = torch.where(confidence < rule.threshold, low, rule.high).cpu()
        try:
            yield
        finally:
            self.strength = before

    @contextmanager
    def generating(self, inputs: Mapping[str, Any]) -> Iterator[None]:
        """Fix the prompts' positions for all forward calls of one generation.

        Without this, prompts could not be told from answers when no cache is used, when a prompt is
        prefilled in pieces, or when several drafted tokens are verified at once.
        """
        edit = self.edit
        assert edit is not None
        prefills = sum(self.prefills.values())
        shape = self._shape_of(inputs)
        prompt = read_prompt(
            self.family, self._config(), with_told(inputs, self._told, shape), self.given
        )
        track = Track(prompt, self.strength)
        cache = cache_in(inputs)
        first = cached_positions(cache)
        if first and self._filled(cache, first):
            put_on_cache(cache, replace(track, covered=first))
            track = from_cache(cache)
        before, self._pinned = self._pinned, {len(prompt.real): track}
        try:
            yield
        finally:
            self._pinned = before
        if self._does_nothing(edit) or sum(self.prefills.values()) > prefills:
            return
        # Rows in a cached prefix were edited when it was filled.
        rows = prompt.rows(edit.config, self.reader, self._complain).clone()
        rows[:, :first] = False
        if bool((rows & prompt.keys(edit.config).any(1, keepdim=True)).any()):
            self._complain_not_applied(sorted(edit.heads))

    def is_pinned(self, inputs: Mapping[str, Any]) -> bool:
        """Return whether a generation on these very inputs is under way."""
        return self._pinned_for(inputs, 0, self._shape_of(inputs), None) is not None

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
        if len(self._stack) == 1:
            self._plan, self._track, self._seen = None, None, {}
            self._begin(arguments(module, args, kwargs))
        elif self._plan is not None and rank == len(self._chain) - 1:
            shape = shape_of(arguments(module, args, kwargs))
            if shape is not None and shape != self._shape:
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
            self._track.covered = self._end
            put_on_cache(cache, self._track)

    def _begin(self, inputs: Mapping[str, Any]) -> None:
        """Work out what this call edits."""
        edit = self.edit
        assert edit is not None
        told, self._told = self._told, None
        cache = cache_in(inputs)
        first = cached_positions(cache)
        self._shape = shape = self._shape_of(inputs)
        self._end = first + shape[1]
        note = from_cache(cache) if first else None
        track = self._pinned_for(inputs, first, shape, note)
        if track is None:
            if first and not self._filled(cache, first):
                return
            track = note
            if track is None or shape[1] > 1:
                inputs = with_told(inputs, told, shape)
                before = track.prompt if track is not None else None
                track = Track(
                    read_prompt(
                        self.family, self._config(), inputs, self.given, start=first, before=before
                    )
                )
            elif len(track.prompt.real) != shape[0]:
                track = self._expanded(track, shape[0])
        if self.strength is not None:
            track.strength = self.strength.repeat_interleave(shape[0] // len(self.strength))
        self._track = track
        if self._does_nothing(edit):
            return
        self._plan = self._make_plan(edit, track, first, shape)

    def _shape_of(self, inputs: Mapping[str, Any]) -> tuple[int, int]:
        """Return (batch, positions) of a call."""
        shape = shape_of(inputs)
        if shape is not None:
            return shape
        ids = self.family.token_ids(inputs)
        if ids is None:
            raise PositionError(
                "the model was called without input_ids and without inputs_embeds; the edit needs "
                "one of them to know its positions"
            )
        return ids.shape[0], ids.shape[1]

    def _pinned_for(
        self, inputs: Mapping[str, Any], first: int, shape: tuple[int, int], note: Track | None
    ) -> Track | None:
        """Return the track of the generation under way, if this call belongs to it.

        Others may be made meanwhile: a logits processor may call the model on another prompt.
        """
        if not self._pinned:
            return None
        one = next(iter(self._pinned.values()))
        if shape[0] not in self._pinned:  # beams, or several sequences for each prompt
            if shape[0] % len(one.prompt.real):
                return None
            self._pinned[shape[0]] = self._expanded(one, shape[0])
        track = self._pinned[shape[0]]
        if first:
            return track if note is track else None
        ids, pinned_ids = self.family.token_ids(inputs), track.prompt.ids
        if ids is None or pinned_ids is None:
            return track if shape[1] == track.prompt.real.shape[1] else None
        n_same = min(shape[1], pinned_ids.shape[1])
        same = ids[:, :n_same].cpu().equal(pinned_ids[:, :n_same])
        return track if same else None

    def _filled(self, cache: Any, first: int) -> bool:
        """Return whether a cache's positions are known; complain if not."""
        note = from_cache(cache)
        if note is not None and first <= note.covered:
            return True
        unknown = first if note is None else first - note.covered
        self._complain(
            f"{unknown} of the {first} positions in the key/value cache were filled without the "
            "edit, so it is unknown which are audio. Fill it with the wrapped model, or go on with "
            "model.disable_adapter()"
        )
        return False

    def _expanded(self, track: Track, n_batch: int) -> Track:
        """Return the track for prompts that are each repeated in the batch."""
        prompt, strength = track.prompt.expand(n_batch), track.strength
        if strength is not None:
            strength = strength.repeat_interleave(n_batch // len(strength))
        return Track(prompt, strength, track.covered)

    def _make_plan(
        self, edit: Edit, track: Track, first: int, shape: tuple[int, int]
    ) -> RowPlan | None:
        prompt, config = track.prompt, edit.config
        end = first + shape[1]
        self._prefill = first < prompt.length
        if not self._prefill and config.phase == "prefill":
            return None
        strength = track.strength if config.adaptive is not None else config.strength
        if config.adaptive is not None and strength is None:
            raise EditNotAppliedError(
                "an adaptive edit needs a plain run first: call the wrapper, or generate, not the "
                "forward of the base model"
            )
        if not self._prefill and shape[1] == 1 and track.decode_edit is edit:
            assert track.decode is not None
            track.decode.advance(first)
            return track.decode
        keys = prompt.keys(config)
        heard = keys.any(1)
        in_prompt = prompt.rows(config, self.reader, self._complain)
        # Behind the prompt, each position was once the last one.
        later = config.phase == "all" and bool({"last", "all_text"} & set(config.queries))
        after = torch.full((shape[0], max(0, end - prompt.length)), later)
        rows = torch.cat([in_prompt[:, : prompt.length - prompt.start], after], 1)
        chosen = rows[:, first - prompt.start : end - prompt.start] & heard[:, None]
        if self._prefill:
            self._complain_of(~heard, f"no {' or '.join(config.keys)} positions to act on")
            self._complain_of(heard & ~in_prompt.any(1), "no query rows to edit")
            self.last_rows = rows.sum(1).tolist()
            self.last_keys = keys.sum(1).tolist()
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

    def _complain_of(self, rows: Tensor, what: str) -> None:
        if bool(rows.any()):
            self._complain(
                f"{what} in the prompt of batch row(s) {rows.nonzero().flatten().tolist()}. Run "
                "text-only prompts with model.disable_adapter(), or wrap with on_missing='warn'"
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
        kind = "".join(c for c in message if not c.isdigit())[:60]
        if kind not in self._warned:
            self._warned.add(kind)
            warnings.warn(f"{message} (further ones are not reported)", stacklevel=2)

    def _does_nothing(self, edit: Edit) -> bool:
        return edit.config.is_identity and not self.recompute_identity

    def _config(self) -> Any:
        return self.model.config
