"""Follows the forward calls of a wrapped model and tells its edited layers what to do.

Forward pre-hooks on the decoder and on every module around it: whichever is called first reads the
positions from its arguments (model keyword arguments would be refused by `generate`). What a later
step needs travels on the key/value cache itself: see `key_value_cache`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tempo_attn.attention.row_plan import RowPlan
from tempo_attn.errors import EditNotAppliedError, PositionError, UnsupportedInputError
from tempo_attn.families import Family
from tempo_attn.prompts.positions import Given, read_prompt
from tempo_attn.runtime.adaptive_strength import chosen_strengths
from tempo_attn.runtime.complaints import Complaints, not_applied
from tempo_attn.runtime.forward_call import arguments, modules_around, shape_of, with_told
from tempo_attn.runtime.generation import Generation
from tempo_attn.runtime.key_value_cache import (
    CacheNote,
    cache_in,
    cache_of,
    cached_positions,
    check_cache_name,
    note_on,
    put_note,
)
from tempo_attn.runtime.plan_call import CallPlanner
from tempo_attn.runtime.resolve_edit import ResolvedEdit


class Tracker:
    """Follows one wrapped model: the positions of each call, and what became of its edit.

    Args:
        model: The model.
        family: The model's family.
        on_missing: "raise", or "warn" (once for each kind of message) and leave the row unedited.
        recompute_identity: Recompute rows also where the edit changes nothing.

    Attributes:
        complaints: Told of prompts that the edit does not fit.
        planner: Turns positions into rows to edit.
        chosen: The edit of the active adapter; not in force while it is disabled.
        given: Positions that the caller states.
        strength: Each batch row's strength, (batch,), of an adaptive edit in the calls under way.
        prefills: How often each layer was edited in a prefill.
        steps: How often each layer was edited in a decoding step.
        modules: The decoder and every module around it, outermost first.
        to_remove: Functions that `remove` calls; others may add to it.
    """

    def __init__(
        self, model: nn.Module, family: Family, on_missing: str, recompute_identity: bool
    ) -> None:
        self.model = model
        self.family = family
        self.complaints = Complaints(on_missing)
        self.planner = CallPlanner(self.complaints, recompute_identity)
        self.chosen: ResolvedEdit | None = None
        self.given = Given()
        self.strength: Tensor | None = None
        self.prefills: Counter[int] = Counter()
        self.steps: Counter[int] = Counter()
        self._off = 0
        self._generation: Generation | None = None
        self._told: Mapping[str, Any] | None = None
        self._stack: list[nn.Module] = []
        self._plan: RowPlan | None = None
        self._note: CacheNote | None = None
        self._shape: tuple[int, int] = (0, 0)
        self._end = 0
        self._prefill = False
        self._seen: dict[int, Tensor] = {}
        decoder = family.decoder(model)
        check_cache_name(decoder)
        self.modules = modules_around(model, decoder)
        self.to_remove: list[Callable[[], None]] = []

    def install(self) -> None:
        """Put hooks on the model."""
        for module in self.modules:
            enter = module.register_forward_pre_hook(self._enter, with_kwargs=True)
            leave = module.register_forward_hook(self._exit, always_call=True)
            self.to_remove += [enter.remove, leave.remove]
        unwatch = self.family.watch(self.model, self._tell)
        if unwatch is not None:
            self.to_remove.append(unwatch)

    def remove(self) -> None:
        """Take everything off the model."""
        for undo in self.to_remove:
            undo()
        self.to_remove = []

    @property
    def edit(self) -> ResolvedEdit | None:
        """The edit that is in force now."""
        return None if self._off else self.chosen

    # ------------------------------------------------------------------ asked by the layers

    def plan_for(self, layer: int) -> RowPlan | None:
        """See `tempo_attn.attention.row_plan.Session`."""
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
        """See `tempo_attn.attention.row_plan.Session`."""
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
            logits: (batch, vocabulary) of a run without the edit, after the prompts.
        """
        assert self.edit is not None
        assert self.edit.config.adaptive is not None
        before = self.strength
        self.strength = chosen_strengths(self.edit.config.adaptive, logits)
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
        note: CacheNote | None = CacheNote(prompt, self.strength)
        cache = cache_in(inputs)
        first = cached_positions(cache)
        if first and self._filled(cache, first):
            put_note(cache, CacheNote(prompt, self.strength, covered=first))
            note = note_on(cache)
        assert note is not None
        before, self._generation = self._generation, Generation(note)
        try:
            yield
        finally:
            self._generation = before
        if self.planner.does_nothing(edit) or sum(self.prefills.values()) > prefills:
            return
        # Rows in a cached prefix were edited when it was filled.
        rows = self.planner.rows(prompt, edit).clone()
        rows[:, :first] = False
        if bool((rows & prompt.keys(edit.config).any(1, keepdim=True)).any()):
            raise not_applied(sorted(edit.heads))

    def is_pinned(self, inputs: Mapping[str, Any]) -> bool:
        """Return whether a generation on these very inputs is under way."""
        return self._of_generation(inputs, 0, self._shape_of(inputs), None) is not None

    # ------------------------------------------------------------------ hooks

    def _tell(self, inputs: Mapping[str, Any]) -> None:
        self._told = inputs

    def _enter(self, module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
        rank = self.modules.index(module)
        if self._stack and rank <= self.modules.index(self._stack[-1]):
            self._stack.clear()  # left by a call that was interrupted
        self._stack.append(module)
        if self.edit is None:
            return
        if len(self._stack) == 1:
            self._plan, self._note, self._seen = None, None, {}
            self._begin(arguments(module, args, kwargs))
        elif self._plan is not None and rank == len(self.modules) - 1:
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
        if cache is not None and self._note is not None:
            self._note.covered = self._end
            put_note(cache, self._note)

    def _begin(self, inputs: Mapping[str, Any]) -> None:
        """Work out what this call edits."""
        edit = self.edit
        assert edit is not None
        told, self._told = self._told, None
        cache = cache_in(inputs)
        first = cached_positions(cache)
        self._shape = shape = self._shape_of(inputs)
        self._end = first + shape[1]
        on_cache = note_on(cache) if first else None
        note = self._of_generation(inputs, first, shape, on_cache)
        if note is None:
            if first and not self._filled(cache, first):
                return
            note = on_cache
            if note is None or shape[1] > 1:
                inputs = with_told(inputs, told, shape)
                before = note.prompt if note is not None else None
                note = CacheNote(
                    read_prompt(
                        self.family, self._config(), inputs, self.given, start=first, before=before
                    )
                )
            elif len(note.prompt.real) != shape[0]:
                note = note.expanded(shape[0])
        if self.strength is not None:
            note.strength = self.strength.repeat_interleave(shape[0] // len(self.strength))
        self._note = note
        if self.planner.does_nothing(edit):
            return
        self._prefill = first < note.prompt.length
        self._plan = self.planner.plan(edit, note, first, shape)

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

    def _of_generation(
        self,
        inputs: Mapping[str, Any],
        first: int,
        shape: tuple[int, int],
        on_cache: CacheNote | None,
    ) -> CacheNote | None:
        """Return the note of the generation under way, if this call belongs to it."""
        if self._generation is None:
            return None
        return self._generation.note_for(self.family.token_ids(inputs), first, shape, on_cache)

    def _filled(self, cache: Any, first: int) -> bool:
        """Return whether a cache's positions are known; complain if not."""
        note = note_on(cache)
        if note is not None and first <= note.covered:
            return True
        unknown = first if note is None else first - note.covered
        self.complaints.about(
            f"{unknown} of the {first} positions in the key/value cache were filled without the "
            "edit, so it is unknown which are audio. Fill it with the wrapped model, or go on with "
            "model.disable_adapter()"
        )
        return False

    # ------------------------------------------------------------------ checks

    def _check_applied(self, edit: ResolvedEdit, plan: RowPlan) -> None:
        missed = sorted(set(edit.heads) - set(self._seen))
        if missed:
            raise not_applied(missed)
        counts = self.prefills if self._prefill else self.steps
        counts.update(self._seen.keys())
        if not self._prefill or not self._seen:
            return
        wanted = torch.zeros(len(plan.rows), dtype=torch.bool)
        wanted[plan.where[0].cpu()] = True
        for layer, seen in self._seen.items():
            blind = (wanted & ~seen.cpu()).nonzero().flatten().tolist()
            if blind:
                self.complaints.about(
                    f"layer {layer}: in batch row(s) {blind} no edited query sees an edited key, "
                    "so the edit does nothing there. The audio comes after these queries, or lies "
                    "outside the layer's sliding window, or nothing of these queries leaves the "
                    "layer"
                )

    def _config(self) -> Any:
        return self.model.config
