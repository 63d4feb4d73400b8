"""Proof that prompts whose beginnings are shared give the logits of whole prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tempo_attn import AttnScaleModel
from tempo_attn.lab.engine.fast_against_full import Comparison, rounding
from tempo_attn.runtime.last_logits import last_logits
from tempo_attn.runtime.prefix_cache import Prefix
from tempo_tasks.harness import editing
from tempo_tasks.harness.sharing.ahead import Row
from tempo_tasks.harness.sharing.beginnings import Beginning
from tempo_tasks.harness.sharing.shared_inputs import SharingModel, joined


class SharingProof:
    """What was proved for one model and edit.

    Kinds of beginnings are audio alone, audio and text, and text alone: the first prompt of each is
    also run as a whole.

    Attributes:
        difference: Largest difference of logits that was found, relative to the prompt's largest
            logit (where that is above 1); None before any.
    """

    def __init__(self) -> None:
        self.difference: float | None = None
        self._proved: set[tuple[bool, bool]] = set()

    def is_due(self, beginning: Beginning) -> bool:
        """Return whether a beginning is of a kind for which nothing is proved yet."""
        return bool(beginning.keys) and _kind(beginning) not in self._proved

    def check(
        self, lm: SharingModel, row: Row, beginning: Beginning, parts: Sequence[Prefix]
    ) -> str:
        """Run a prompt both ways; return what speaks against sharing, or nothing.

        What is shared is run with padding, which must not matter either.

        Args:
            lm: The model.
            row: The prompt.
            beginning: What it shares.
            parts: The keys and values of that.
        """
        self._proved.add(_kind(beginning))
        with torch.inference_mode():
            full = _whole(lm, row).float()
            shared = joined(lm, [parts], [beginning.rest], margin=1)
            with (
                editing.going_on(lm.model, shared.whole()),
                last_logits(editing.base_of(lm.model), 1) as only_last,
            ):
                fast = lm.model(**shared.rest(), **only_last).logits[:, -1].float()
        dtype = lm.family.feature_dtype(editing.base_of(lm.model))
        noise = rounding(full, dtype)
        compared = Comparison.of_logits("shared beginnings give logits", fast, full, noise, dtype)
        found = float((fast - full).abs().max() / full.abs().max().clamp(min=1.0))
        self.difference = max(self.difference or 0.0, found)
        agrees = compared.agrees
        return "" if agrees else f"{compared.what} that differ by {compared.difference:.2g}"


def reference_of(lm: SharingModel) -> tuple[Row, Tensor] | None:
    """Return a row that was run as a whole when hearing was proved, and its logits.

    None where there is none, or where it was run in another way than rows are: unedited, or without
    autocast.
    """
    known = lm.hearing.reference
    edited: Any = isinstance(lm.model, AttnScaleModel)
    if known is None or edited or lm.mixed_precision_dtype is not None:
        return None
    prompt, handles, logits = known
    return (prompt, handles), logits


def _whole(lm: SharingModel, row: Row) -> Tensor:
    """Return a whole prompt's logits, (1, vocabulary)."""
    known = reference_of(lm)
    if known is not None and known[0] == row:
        return known[1]
    inputs = lm.deliver(*lm.ahead.take([row]))
    with last_logits(editing.base_of(lm.model), 1) as only_last:
        logits: Tensor = lm.model(**inputs, **only_last).logits[:, -1]
    return logits


def _kind(beginning: Beginning) -> tuple[bool, bool]:
    return beginning.has_audio, bool(beginning.parts)
