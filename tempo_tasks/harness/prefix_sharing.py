"""A clip's questions begin alike: what they begin with is encoded and prefilled once a clip.

What is shared reaches to the last audio token. It is used where it is proved to change nothing: the
model's cache holds the keys and values of all positions, the family's prompts are text whose rest
can be encoded apart, and of the first batch two prompts are also run as a whole and give the same
logits. Whatever does not fit is run as before.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch

from tempo_attn import AttnScaleModel
from tempo_attn.errors import TempoError, UnsupportedInputError, UnsupportedModelError
from tempo_attn.families.shared.speech_adapter import has_adapter
from tempo_attn.lab.engine.fast_against_full import Comparison, rounding
from tempo_attn.lab.engine.memory_and_batches import keys_and_values, out_of_memory
from tempo_attn.runtime.kept import Kept
from tempo_attn.runtime.prefix_cache import (
    Prefix,
    SharedInputs,
    cache_keyword,
    compute_prefixes,
    last_logits_only,
)
from tempo_tasks.harness import editing
from tempo_tasks.harness.ahead import Row
from tempo_tasks.harness.shared_inputs import SharingModel, beginnings, joined

_log = logging.getLogger(__name__)


class PrefixSharing:
    """The beginnings that prompts share, for one model.

    Args:
        wanted: Whether to share at all.
        limit: Bytes that keys and values of beginnings may take between batches.

    Attributes:
        reason: Why nothing is shared; empty where it is, or may be.
        difference: Largest difference of logits that sharing made to the prompts that were also run
            as a whole; None before the check.
        store: Beginnings by what they are of.
    """

    def __init__(self, wanted: bool, limit: int) -> None:
        self.reason = "" if wanted else "share_prefix=False"
        self.difference: float | None = None
        self.store: Kept[Prefix] = Kept(limit, lambda prefix: prefix.n_bytes)
        self._token_bytes: int | None = None
        self._worth: Counter[Hashable] = Counter()
        self._checked_edit: Any = None
        self._asked: set[Hashable] = set()

    def to_dict(self) -> dict[str, Any]:
        """Return what the results say."""
        return {"reason_against": self.reason or None, "logit_difference": self.difference}

    # ------------------------------------------------------------------ plans

    def key(self, lm: SharingModel, row: Row) -> Hashable | None:
        """Return what is equal for prompts that begin alike; None where nothing is shared."""
        prompt, handles = row
        if self.reason or not handles:
            return None
        if isinstance(lm.model, AttnScaleModel) and len(handles) > 1:
            return None  # text between clips might be edited
        return self.beginning_of(lm, prompt), *(lm.clips.key(handle) for handle in handles)

    @staticmethod
    def beginning_of(lm: SharingModel, prompt: str) -> str:
        """Return a prompt up to its last audio marker."""
        marker = lm.family.audio_marker(lm.processor)
        return prompt[: prompt.rfind(marker) + len(marker)]

    def plan(
        self,
        lm: SharingModel,
        rows: Sequence[Row],
        length: Callable[[int], int],
        batch_size: int,
    ) -> list[int]:
        """Return the order in which rows are best run: a clip's questions meet.

        Beginnings are taken as many at a time as there is room for (at most four batches of them),
        and the rows of these by the length of their questions: the longest first in both.

        Args:
            lm: The model.
            rows: The rows.
            length: Rough length of a row by its number, in tokens.
            batch_size: Rows a batch.
        """
        self.look_at(lm)
        keys = [self.key(lm, row) for row in rows]
        self._asked = set()
        self._worth = Counter(key for key in keys if key is not None)
        groups: dict[Hashable, list[int]] = {}
        for number, key in enumerate(keys):
            groups.setdefault(key if self._is_worth(key) else None, []).append(number)
        order: list[int] = sorted(groups.pop(None, []), key=lambda number: -length(number))
        left = sorted(groups.values(), key=lambda group: -max(map(length, group)))
        while left:
            longest = max(map(length, left[0]))
            room = self.store.limit // max(1, longest * (self._token_bytes or 1))
            n_groups = max(1, min(4 * batch_size, room))
            numbers = [number for group in left[:n_groups] for number in group]
            order += sorted(numbers, key=lambda number: (-len(rows[number][0]), number))
            left = left[n_groups:]
        return order

    def _is_worth(self, key: Hashable | None) -> bool:
        return key is not None and (self._worth[key] > 1 or key in self.store)

    def look_at(self, lm: SharingModel) -> None:
        """See whether the model is one whose prompts' beginnings can be shared; see `reason`."""
        if self.reason:
            return
        edit = editing.describe(lm.model)
        if edit != self._checked_edit:  # another edit must prove itself again
            self._checked_edit, self.difference = edit, None
        if not lm.family.text_prompts:
            self.reason = f"chats of {lm.family.name} models are not encoded as text"
        elif has_adapter(editing.base_of(lm.model)):
            self.reason = "an adapter is switched by whether a prompt has audio"
        elif edit is not None and (edit.get("adaptive") or list(edit["keys"]) != ["audio"]):
            self.reason = "the edit is adaptive, or acts on more than audio"
        else:
            try:
                cache_keyword(editing.base_of(lm.model))
            except UnsupportedModelError as error:
                self.reason = str(error)
        self._token_bytes = _bytes_per_token(lm)

    # ------------------------------------------------------------------ batches

    def rows_to_process(self, lm: SharingModel, rows: Sequence[Row]) -> list[Row]:
        """Return the rows of a batch that the processor has to see, once in the order of a plan.

        Of prompts that begin alike one is enough, and none where the beginning was asked for
        before; of a batch that shares nothing, all.

        Args:
            lm: The model.
            rows: The batch.
        """
        missing = self._missing(lm, rows)
        if missing is None:
            return list(rows)
        first = {key: at for key, at in missing.items() if key not in self._asked}
        self._asked |= first.keys()
        return [rows[at] for at in first.values()]

    def inputs(self, lm: SharingModel, rows: Sequence[Row]) -> SharedInputs | None:
        """Return inputs of a batch whose beginnings are shared; None where it is run as a whole.

        Args:
            lm: The model.
            rows: The batch.
        """
        missing = self._missing(lm, rows)
        if missing is None:
            return None
        try:
            fresh = self._compute(lm, rows, missing)
            shared = joined(lm, rows, [fresh[self.key(lm, row)] for row in rows])
            if self.difference is None:
                self._check(lm, rows, fresh)
        except Exception as error:
            if out_of_memory(error):
                self.store.clear()
                raise
            unfit = isinstance(error, UnsupportedModelError | UnsupportedInputError)
            if isinstance(error, TempoError) and not unfit:
                raise
            self._give_up(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
            return None
        return None if self.reason else shared

    def _missing(self, lm: SharingModel, rows: Sequence[Row]) -> dict[Hashable, int] | None:
        """Return keys that are not in the store, with a row of each; None: do not share."""
        if self.reason:
            return None
        missing: dict[Hashable, int] = {}
        for at, row in enumerate(rows):
            key = self.key(lm, row)
            if key is None or not self._is_worth(key):
                return None
            if key not in self.store:
                missing.setdefault(key, at)
        return missing

    def _compute(
        self, lm: SharingModel, rows: Sequence[Row], missing: dict[Hashable, int]
    ) -> dict[Hashable, Prefix]:
        """Return the batch's beginnings by key, computed where they are not kept."""
        keys = {self.key(lm, row) for row in rows}
        found = {key: prefix for key in keys if (prefix := self.store.get(key)) is not None}
        if not missing:
            return found
        some = [rows[at] for at in missing.values()]
        inputs = lm.deliver(*lm.ahead.take(some))
        with torch.inference_mode(), editing.plain(lm.model):
            computed = compute_prefixes(editing.base_of(lm.model), beginnings(lm, inputs, some))
        for key, prefix in zip(missing, computed, strict=True):
            found[key] = prefix
            self.store.put(key, prefix)
        return found

    # ------------------------------------------------------------------ the check

    def _check(self, lm: SharingModel, rows: Sequence[Row], found: dict[Hashable, Prefix]) -> None:
        """Run two prompts as a whole, too: the logits must be the same."""
        by_length = sorted(rows, key=lambda row: len(row[0]))
        some = [by_length[0], by_length[-1]][: len(rows)]
        model = lm.model
        with torch.inference_mode():
            full = model(**lm.deliver(*lm.ahead.take(some))).logits[:, -1].float()
            shared = joined(lm, some, [found[self.key(lm, row)] for row in some])
            with editing.going_on(model, shared.whole()):
                fast = model(**shared.rest(), **last_logits_only(editing.base_of(model), 1))
        fast = fast.logits[:, -1].float()
        dtype = lm.family.feature_dtype(editing.base_of(model))
        noise = rounding(full, dtype)
        found_out = Comparison.of_logits("shared beginnings give logits", fast, full, noise, dtype)
        self.difference = float((fast - full).abs().max())
        if not found_out.agrees:
            self._give_up(f"{found_out.what} that differ by {found_out.difference:.2g}")

    def _give_up(self, reason: str) -> None:
        self.reason = reason
        self.store.clear()
        _log.warning("each question is run with all of its audio, which is slow: %s", reason)


def _bytes_per_token(lm: SharingModel) -> int:
    """Return what the keys and values of one position take, roughly."""
    config: Any = lm.family.decoder(editing.base_of(lm.model)).config
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    dtype: torch.dtype = lm.family.feature_dtype(editing.base_of(lm.model))
    return int(text.num_hidden_layers * keys_and_values(text) * dtype.itemsize)
