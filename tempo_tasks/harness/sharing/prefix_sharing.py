"""Prompts begin alike: what they begin with is encoded and prefilled once.

A clip's questions share its audio; questions about one caption share that, too, and so on: see
`beginnings`. It is used where it is proved to change nothing: the model's cache holds the keys and
values of all positions, the family's prompts are text whose rest can be encoded apart, and the
first prompt of each kind is also run as a whole and gives the same logits. Whatever does not fit is
run as before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from tempo_attn import AttnScaleModel
from tempo_attn.errors import UnsupportedModelError
from tempo_attn.families.shared.speech_adapter import has_adapter
from tempo_attn.lab.engine.memory_and_batches import keys_and_values, out_of_memory
from tempo_attn.lab.engine.shared_beginnings import why_not_shared
from tempo_attn.runtime.kept import Kept
from tempo_attn.runtime.key_value_cache import cache_of
from tempo_attn.runtime.last_logits import last_logits
from tempo_attn.runtime.prefix_cache import (
    Prefix,
    SharedInputs,
    cache_keyword,
    compute_prefixes,
    prefixes_of,
)
from tempo_tasks.harness import editing
from tempo_tasks.harness.sharing.ahead import Row
from tempo_tasks.harness.sharing.beginnings import Beginning, common_parts, cut_at
from tempo_tasks.harness.sharing.order import in_order
from tempo_tasks.harness.sharing.shared_inputs import (
    SharingModel,
    beginnings,
    joined,
    text_inputs,
    texts_behind_audio,
)
from tempo_tasks.harness.sharing.sharing_proof import SharingProof, reference_of

_log = logging.getLogger(__name__)
_TEXT = "text"
"""What prompts without audio begin with."""


class PrefixSharing:
    """The beginnings that prompts share, for one model.

    Args:
        wanted: Whether to share at all.
        limit: Bytes that keys and values of beginnings may take between batches.

    Attributes:
        reason: Why nothing is shared; empty where it is, or may be.
        proof: What was proved of prompts that were also run as a whole.
        store: Keys and values of beginnings by what they are of.
    """

    def __init__(self, wanted: bool, limit: int) -> None:
        self.reason = "" if wanted else "share_prefix=False"
        self.store: Kept[Prefix] = Kept(limit, lambda prefix: prefix.n_bytes)
        self._token_bytes = 1
        self._found: dict[tuple[str, Hashable], Beginning] = {}
        self._asked: set[Hashable] = set()
        self.proof = SharingProof()
        self._checked_edit: Any = None

    def to_dict(self) -> dict[str, Any]:
        """Return what the results say."""
        return {"reason_against": self.reason or None, "logit_difference": self.proof.difference}

    # ------------------------------------------------------------------ plans

    def key(self, lm: SharingModel, row: Row) -> Hashable | None:
        """Return what is equal for prompts that begin alike; None where nothing is shared."""
        prompt, handles = row
        edited = isinstance(lm.model, AttnScaleModel)
        if self.reason or (edited and len(handles) != 1):
            return None  # text between clips might be edited
        if not handles:
            return _TEXT
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
        """Return the order in which rows are best run: those that begin alike meet.

        Args:
            lm: The model.
            rows: The rows.
            length: Rough length of a row by its number, in tokens.
            batch_size: Rows a batch.
        """
        self.look_at(lm)
        self._asked, self._found = set(), {}
        known: dict[Hashable, Hashable] = {}  # one object for all keys that are equal
        keys = [known.setdefault(key, key) for key in (self.key(lm, row) for row in rows)]
        groups: dict[Hashable, list[int]] = {}
        for number, key in enumerate(keys):
            groups.setdefault(key, []).append(number)
        groups.pop(None, None)
        if _TEXT in groups and not _encoded_alike(lm, rows[groups[_TEXT][0]]):
            del groups[_TEXT]
        groups = {k: group for k, group in groups.items() if len(group) > 1 or k in self.store}
        if groups:
            try:
                self._find(lm, rows, groups)
            except UnsupportedModelError as error:
                self._give_up(f"{type(error).__name__}: {error}")
        found = [self._found.get((row[0], key)) for row, key in zip(rows, keys, strict=True)]
        room = self.store.limit // self._token_bytes
        order = in_order(found, length, n_units=4 * batch_size, room=room)
        first = self._of_reference(lm, rows, found)
        return order if first is None else [first, *(n for n in order if n != first)]

    def _find(
        self, lm: SharingModel, rows: Sequence[Row], groups: dict[Hashable, list[int]]
    ) -> None:
        """Find what each group's prompts have in common."""
        numbers = [number for group in groups.values() for number in group]
        encoded = texts_behind_audio(lm, [rows[number] for number in numbers])
        texts = dict(zip(numbers, encoded, strict=True))
        edited = isinstance(lm.model, AttnScaleModel)  # it acts on texts
        for key, group in groups.items():
            of_group = [texts[number] for number in group]
            cuts = [[] for _ in group] if edited else common_parts(of_group)
            for number, text, cut in zip(group, of_group, cuts, strict=True):
                beginning = cut_at(key, text, cut, has_audio=bool(rows[number][1]))
                self._found[rows[number][0], key] = beginning

    def _of_reference(
        self, lm: SharingModel, rows: Sequence[Row], found: Sequence[Beginning | None]
    ) -> int | None:
        """Return the row whose logits the proof of hearing has found, if its kind is unproved."""
        known = reference_of(lm)
        for number, (row, beginning) in enumerate(zip(rows, found, strict=True)):
            if known is not None and row == known[0] and beginning is not None:
                return number if self.proof.is_due(beginning) else None
        return None

    def look_at(self, lm: SharingModel) -> None:
        """See whether the model is one whose prompts' beginnings can be shared; see `reason`."""
        if self.reason:
            return
        edit = editing.describe(lm.model)
        if edit != self._checked_edit:  # another edit must prove itself again
            self._checked_edit, self.proof = edit, SharingProof()
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
        self._token_bytes = max(1, _bytes_per_token(lm))

    # ------------------------------------------------------------------ batches

    def _of(self, lm: SharingModel, rows: Sequence[Row]) -> list[Beginning] | None:
        """Return the beginnings of a batch's prompts; None where they are run as a whole."""
        found = [self._found.get((row[0], self.key(lm, row))) for row in rows]
        shared = [beginning for beginning in found if beginning is not None]
        if self.reason or len(shared) < len(found) or not any(b.keys for b in shared):
            return None
        return shared

    def rows_to_process(self, lm: SharingModel, rows: Sequence[Row]) -> list[Row]:
        """Return the rows of a batch that the processor has to see, once in the order of a plan.

        Of prompts with the same audio one is enough, and none where it was asked for before; of a
        batch that shares nothing, all.

        Args:
            lm: The model.
            rows: The batch.
        """
        found = self._of(lm, rows)
        if found is None:
            return list(rows)
        first = {
            key: at for key, at in self._missing_audio(found).items() if key not in self._asked
        }
        self._asked |= first.keys()
        return [rows[at] for at in first.values()]

    def inputs(self, lm: SharingModel, rows: Sequence[Row]) -> SharedInputs | None:
        """Return inputs of a batch whose beginnings are shared; None where it is run as a whole.

        Args:
            lm: The model.
            rows: The batch.
        """
        found = self._of(lm, rows)
        if found is None:
            return None
        try:
            parts = self._compute(lm, rows, found)
            for row, beginning, its_parts in zip(rows, found, parts, strict=True):
                if self.proof.is_due(beginning) and (
                    complaint := self.proof.check(lm, row, beginning, its_parts)
                ):
                    self._give_up(complaint)
                    return None
            return joined(lm, parts, [beginning.rest for beginning in found])
        except Exception as error:
            if out_of_memory(error):
                self.store.clear()
                raise
            self._give_up(why_not_shared(error))
            return None

    def _missing_audio(self, found: Sequence[Beginning]) -> dict[Hashable, int]:
        """Return the audio that is not in the store, with the first prompt of each."""
        missing: dict[Hashable, int] = {}
        for at, beginning in enumerate(found):
            if beginning.has_audio and beginning.keys[0] not in self.store:
                missing.setdefault(beginning.keys[0], at)
        return missing

    def _compute(
        self, lm: SharingModel, rows: Sequence[Row], found: Sequence[Beginning]
    ) -> list[list[Prefix]]:
        """Return the parts of a batch's beginnings, computed where they are not kept."""
        kept = {k: prefix for b in found for k in b.keys if (prefix := self.store.get(k))}

        def keep(keys: Sequence[Hashable], computed: Sequence[Prefix]) -> None:
            for key, prefix in zip(keys, computed, strict=True):
                kept[key] = prefix
                self.store.put(key, prefix)

        base = editing.base_of(lm.model)
        missing = {k: at for k, at in self._missing_audio(found).items() if k not in kept}
        with torch.inference_mode(), editing.plain(lm.model):
            if missing:
                inputs = lm.deliver(*lm.ahead.take([rows[at] for at in missing.values()]))
                texts = [found[at].text for at in missing.values()]
                keep(list(missing), compute_prefixes(base, beginnings(lm, inputs, texts)))
            for place in range(max(len(b.keys) for b in found)):
                new = {
                    b.keys[place]: (
                        [kept[key] for key in b.keys[:place]],
                        b.parts[place - b.has_audio],
                    )
                    for b in found
                    if len(b.keys) > place and b.keys[place] not in kept
                }
                if new:
                    keep(list(new), _extended(lm, *zip(*new.values(), strict=True)))
        return [[kept[key] for key in b.keys] for b in found]

    def _give_up(self, reason: str) -> None:
        self.reason = reason
        self.store.clear()
        _log.warning("each question is run with all of its audio, which is slow: %s", reason)


def _encoded_alike(lm: SharingModel, row: Row) -> bool:
    """Return whether a prompt without audio is encoded as its text is by the tokenizer."""
    inputs = lm.family.process(lm.processor, [row[0]], [])
    ids: Tensor = inputs["input_ids"][inputs["attention_mask"].bool()]
    return ids.tolist() == list(lm.tokenizer(row[0])["input_ids"])


def _extended(
    lm: SharingModel, before: Sequence[Sequence[Prefix]], texts: Sequence[Any]
) -> list[Prefix]:
    """Return the keys and values of texts that follow other parts of beginnings."""
    base = editing.base_of(lm.model)
    if not before[0]:
        return compute_prefixes(base, text_inputs(lm, texts))
    shared = joined(lm, before, texts)
    with last_logits(base, 1) as only_last:
        output = base(**shared.rest(), use_cache=True, **only_last)
    return prefixes_of(cache_of(output), shared.ids, [len(text) for text in texts])


def _bytes_per_token(lm: SharingModel) -> int:
    """Return what the keys and values of one position take, roughly."""
    config: Any = lm.family.decoder(editing.base_of(lm.model)).config
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    dtype: torch.dtype = lm.family.feature_dtype(editing.base_of(lm.model))
    return int(text.num_hidden_layers * keys_and_values(text) * dtype.itemsize)
