"""A clip's items begin alike: what they begin with is encoded once, and prefilled once.

Items about one clip have its template and its audio in common. What the encoder makes of a clip is
kept as the embeddings of the prompts' beginning, so that a forward of an item embeds its question
alone. Where an experiment looks at rows behind the audio only, the keys and values of the beginning
stand before the question as well (`tempo_attn.runtime.prefix_cache`, as in the harness).

Each beginning is computed by itself, in a batch of one: so it is the same, to the last bit, in
whichever batch and part of a run it is needed, and whatever was kept before. It is used where it is
proved to change nothing: two items are also run as a whole and give the same logits.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from tempo_attn.errors import TempoError, UnsupportedInputError, UnsupportedModelError
from tempo_attn.lab.engine.fast_against_full import Comparison, rounding
from tempo_attn.lab.engine.hidden_states import keeping
from tempo_attn.lab.engine.memory_and_batches import out_of_memory
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy, RowsLeftOut
from tempo_attn.lab.items import Batch, Before, Item
from tempo_attn.runtime.forward_call import arguments
from tempo_attn.runtime.kept import Kept
from tempo_attn.runtime.prefix_cache import (
    Prefix,
    cache_keyword,
    compute_prefixes,
    left_padded,
    positions_of,
    whole_ids,
)

_log = logging.getLogger(__name__)


def why_not_shared(error: Exception) -> str:
    """Return why beginnings are not shared after an error in computing them.

    Raises:
        TempoError: The error is about the user's model, items or clips, not about sharing.
    """
    unfit = isinstance(error, UnsupportedModelError | UnsupportedInputError)
    if isinstance(error, TempoError) and not unfit:
        raise error
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


class Beginnings(Protocol):
    """How the prompts of items begin, which only the maker of items knows."""

    @property
    def pad(self) -> int:
        """Token id of padding."""

    @property
    def reason(self) -> str:
        """Why nothing can be shared; empty where it can."""

    def key(self, item: Item) -> Hashable:
        """Return what is equal for items that begin alike."""

    def inputs(self, item: Item) -> Mapping[str, Any]:
        """Return the model inputs of an item's beginning alone, one row, not padded."""

    def question(self, item: Item) -> list[int]:
        """Return the token ids behind an item's beginning."""


@dataclass(frozen=True)
class _Encoded:
    """A beginning as the decoder is given it: ids (tokens,) and embeddings (tokens, width)."""

    ids: Tensor
    embeddings: Tensor

    @property
    def n_bytes(self) -> int:
        return self.ids.nbytes + self.embeddings.nbytes


@dataclass(frozen=True)
class _Prefilled:
    """A beginning that the decoder has run: keys and values; states (tokens, width), if wanted."""

    prefix: Prefix
    states: Sequence[Tensor]

    @property
    def n_bytes(self) -> int:
        return self.prefix.n_bytes + sum(part.nbytes for part in self.states)


class SharedBeginnings:
    """The beginnings that items share, for one model.

    Args:
        source: How items begin.
        limit: Bytes that keys, values and states of beginnings may take between batches; their
            embeddings may take a quarter more.

    Attributes:
        reason: Why nothing is shared; empty where it is, or may be.
        difference: Largest difference of logits that sharing made to the items that were also run
            as a whole; None before the check.
    """

    def __init__(self, source: Beginnings, limit: int) -> None:
        self.reason = source.reason
        self.difference: float | None = None
        self._source = source
        self._encoded: Kept[_Encoded] = Kept(limit // 4, lambda one: one.n_bytes)
        self._prefilled: Kept[_Prefilled] = Kept(limit, lambda one: one.n_bytes)
        self._times: Counter[str] = Counter()
        self._several_forwards = False
        self._probes: list[Item] = []

    def expect(self, items: Sequence[Item], probes: Sequence[Item]) -> None:
        """Say what will be run: a beginning that one item has alone gains nothing.

        Args:
            items: All items.
            probes: The items that are also run as a whole before anything is shared; always the
                same for the same items, so that a run that is gone on with decides as before.
        """
        self._times = Counter(item.beginning for item in items)
        self._probes = list(probes)

    def expect_several_forwards(self) -> None:
        """Say that each item is run several times: then any beginning is worth it."""
        self._several_forwards = True

    def batch(
        self, subject: ModelUnderStudy, items: Sequence[Item], behind: bool, states: bool
    ) -> Batch | None:
        """Prepare a batch of items; None where it is to be prepared as a whole.

        Args:
            subject: The model.
            items: The items.
            behind: Whether forwards may be asked for rows behind the beginnings alone.
            states: Whether they are asked what left the layers in the beginnings, too.
        """
        if self.reason or not self._are_worth(items):
            return None
        try:
            if self.difference is None:
                self._check(subject, states)
            return None if self.reason else self._batch(subject, items, behind, states)
        except Exception as error:
            if out_of_memory(error):
                self._forget()
                raise
            self._give_up(why_not_shared(error))
            return None

    def _are_worth(self, items: Sequence[Item]) -> bool:
        if not all(item.beginning for item in items):
            return False
        n_alike = sum(self._times[item.beginning] > 1 for item in items)
        return self._several_forwards or 2 * n_alike >= len(items)

    @torch.no_grad()  # not inference_mode: attribution takes gradients of what is made of these
    def _batch(
        self, subject: ModelUnderStudy, items: Sequence[Item], behind: bool, states: bool
    ) -> Batch:
        keys = [self._source.key(item) for item in items]
        encoded: dict[Hashable, _Encoded] = {}
        for key, item in zip(keys, items, strict=True):
            if key not in encoded:
                encoded[key] = self._encode(subject, key, item)
        beginnings = [encoded[key] for key in keys]
        questions = [self._source.question(item) for item in items]
        ids, mask = whole_ids([one.ids for one in beginnings], questions, self._source.pad)
        n_before = max(len(one.ids) for one in beginnings)
        embed: Any = subject.model.get_input_embeddings()  # type: ignore[operator]
        embeddings = torch.cat(
            [
                left_padded([one.embeddings for one in beginnings], 0),
                embed(ids[:, n_before:]).to(beginnings[0].embeddings),
            ],
            1,
        )
        batch = subject.batch(items, {"input_ids": ids, "attention_mask": mask})
        batch.inputs = {
            "inputs_embeds": embeddings,
            "attention_mask": mask,
            "position_ids": positions_of(mask),
        }
        if behind:
            found: dict[Hashable, _Prefilled] = {}
            for key in keys:
                if key not in found:
                    found[key] = self._prefill(subject, key, encoded[key], states)
            filled = [found[key] for key in keys]
            batch.before = Before(
                ids,
                mask,
                cache_keyword(subject.model),
                [one.prefix for one in filled],
                [left_padded(layer, 0) for layer in zip(*(f.states for f in filled), strict=True)]
                if states
                else None,
            )
        return batch

    def _encode(self, subject: ModelUnderStudy, key: Hashable, item: Item) -> _Encoded:
        if (kept := self._encoded.get(key)) is not None:
            return kept
        inputs = self._source.inputs(item)
        ids = inputs["input_ids"][0]
        embeddings = _entering_decoder(subject, inputs)
        if embeddings.shape[:2] != (1, len(ids)):
            raise UnsupportedModelError(
                f"{type(subject.model).__name__} changes positions inside its forward"
            )
        encoded = _Encoded(ids.clone(), embeddings[0].clone())
        self._encoded.put(key, encoded)
        return encoded

    def _prefill(
        self, subject: ModelUnderStudy, key: Hashable, encoded: _Encoded, states: bool
    ) -> _Prefilled:
        name = key, states
        if (kept := self._prefilled.get(name)) is not None:
            return kept
        mask = torch.ones_like(encoded.ids)[None]
        inputs = {"inputs_embeds": encoded.embeddings[None], "attention_mask": mask}
        components: Sequence[Any] = ["residual"] if states else []
        try:
            with keeping(subject.decoder, components, 0, len(encoded.ids)) as left:
                prefix = compute_prefixes(subject.model, inputs, encoded.ids[None])[0]
        except RowsLeftOut:
            raise UnsupportedModelError("a layer runs for the last rows alone") from None
        prefilled = _Prefilled(prefix, [one[0] for one in left.get("residual", [])])
        self._prefilled.put(name, prefilled)
        return prefilled

    # ------------------------------------------------------------------ the check

    @torch.no_grad()
    def _check(self, subject: ModelUnderStudy, states: bool) -> None:
        """Run the probes as a whole, too: the logits must be the same."""
        items = [item for item in self._probes if item.beginning]
        whole = subject.call(subject.read_whole(items)).logits[:, -1].float()
        batch = self._batch(subject, items, True, states)
        dtype = subject.dtype
        noise = rounding(whole, dtype)
        self.difference = 0.0
        for what, first in (("encoded once", 0), ("prefilled once", batch.real.shape[1] - 1)):
            logits = subject.call(batch, first).logits[:, -1].float()
            compared = Comparison.of_logits(
                f"beginnings that are {what} give logits", logits, whole, noise, dtype
            )
            self.difference = max(self.difference, float((logits - whole).abs().max()))
            if not compared.agrees:
                self._give_up(f"{compared.what} that differ by {compared.difference:.2g}")
                return

    def _give_up(self, reason: str) -> None:
        self.reason = reason
        self._forget()
        _log.warning("each item is run with all of its audio, which is slow: %s", reason)

    def _forget(self) -> None:
        self._encoded.clear()
        self._prefilled.clear()


class _Entered(Exception):
    """Leaves a forward where its decoder begins."""


def _entering_decoder(subject: ModelUnderStudy, inputs: Mapping[str, Any]) -> Tensor:
    """Return the embeddings that a forward gives to its decoder, (batch, tokens, width)."""
    found: list[Any] = []

    def enter(module: torch.nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
        found.append(arguments(module, args, kwargs).get("inputs_embeds"))
        raise _Entered

    decoder = subject.family.decoder(subject.model)
    handle = decoder.register_forward_pre_hook(enter, with_kwargs=True, prepend=True)
    try:
        with suppress(_Entered):
            subject.model(**inputs)
    finally:
        handle.remove()
    if len(found) != 1 or not isinstance(found[0], Tensor):
        raise UnsupportedModelError(
            f"{type(decoder).__name__} is not called with embeddings of text and audio"
        )
    return found[0]
