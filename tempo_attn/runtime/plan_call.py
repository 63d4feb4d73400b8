"""Which query rows a forward call edits: from the prompts' positions to a plan for the layers."""

from __future__ import annotations

import torch
from torch import Tensor

from tempo_attn.attention.row_plan import RowPlan
from tempo_attn.errors import EditNotAppliedError
from tempo_attn.prompts.decoded_text import TextReader
from tempo_attn.prompts.positions import Prompt
from tempo_attn.runtime.complaints import Complaints
from tempo_attn.runtime.key_value_cache import CacheNote
from tempo_attn.runtime.resolve_edit import ResolvedEdit


class CallPlanner:
    """Plans forward calls; remembers how many rows and keys the last prefill edited.

    Args:
        complaints: Told of prompts that the edit does not fit.
        recompute_identity: Recompute rows also where the edit changes nothing.

    Attributes:
        reader: Decodes prompts; None until an edit needs it.
        last_rows: Edited query rows of each prompt in the last prefill.
        last_keys: Edited key positions of each prompt in the last prefill.
    """

    def __init__(self, complaints: Complaints, recompute_identity: bool) -> None:
        self.recompute_identity = recompute_identity
        self.reader: TextReader | None = None
        self.last_rows: list[int] = []
        self.last_keys: list[int] = []
        self._complaints = complaints

    def does_nothing(self, edit: ResolvedEdit) -> bool:
        """Return whether the edit changes nothing, and no rows are recomputed for it either."""
        return edit.config.is_identity and not self.recompute_identity

    def rows(self, prompt: Prompt, edit: ResolvedEdit) -> Tensor:
        """Return the edited rows of the prompts, (batch, tokens) bool."""
        return prompt.rows(edit.config, self.reader, self._complaints.about)

    def plan(
        self, edit: ResolvedEdit, note: CacheNote, first: int, shape: tuple[int, int]
    ) -> RowPlan | None:
        """Return what a call edits, or None.

        Args:
            edit: The edit in force.
            note: What is known of the call's prompts; a decoding step's plan is kept on it.
            first: Absolute position of the call's first query.
            shape: (batch, positions) of the call.

        Raises:
            PositionError: A prompt does not fit the edit, and complaints are raised.
            EditNotAppliedError: An adaptive edit has no strength for these prompts.
        """
        prompt, config = note.prompt, edit.config
        prefill, decodes_one = first < prompt.length, shape[1] == 1
        if not prefill and config.phase == "prefill":
            return None
        strength = note.strength if config.adaptive is not None else config.strength
        if config.adaptive is not None and strength is None:
            raise EditNotAppliedError(
                "an adaptive edit needs a plain run first: call the wrapper, or generate, not the "
                "forward of the base model"
            )
        if not prefill and decodes_one and note.decode_edit is edit:
            assert note.decode is not None
            note.decode.advance(first)
            return note.decode
        chosen, keys = self._chosen(edit, prompt, first, shape, prefill)
        if not bool(chosen.any()):
            return None
        plan = RowPlan.of(chosen, keys, first, config.mode, strength, edit.heads)
        if not prefill and decodes_one:
            note.decode, note.decode_edit = plan, edit
        return plan

    def _chosen(
        self, edit: ResolvedEdit, prompt: Prompt, first: int, shape: tuple[int, int], prefill: bool
    ) -> tuple[Tensor, Tensor]:
        """Return the call's edited rows, (batch, positions), and the edited keys; both bool."""
        config, end = edit.config, first + shape[1]
        keys = prompt.keys(config)
        heard = keys.any(1)
        in_prompt = self.rows(prompt, edit)
        # After the prompt, each position was once the last one.
        later = config.phase == "all" and bool({"last", "all_text"} & set(config.queries))
        after = torch.full((shape[0], max(0, end - prompt.length)), later)
        rows = torch.cat([in_prompt[:, : prompt.length - prompt.start], after], 1)
        if prefill:
            no_keys = f"no {' or '.join(config.keys)} positions to act on"
            self._complaints.about_rows(~heard, no_keys)
            self._complaints.about_rows(heard & ~in_prompt.any(1), "no query rows to edit")
            self.last_rows = rows.sum(1).tolist()
            self.last_keys = keys.sum(1).tolist()
        chosen = rows[:, first - prompt.start : end - prompt.start] & heard[:, None]
        return chosen, keys
