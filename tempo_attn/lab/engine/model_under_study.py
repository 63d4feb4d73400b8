"""The model under study: how it is called, where its decoder is, what it answers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from tempo_attn.errors import NonFiniteLogitsError, UnsupportedModelError
from tempo_attn.families import Family, get_family
from tempo_attn.lab.engine.prefill import Decoder, Prefill
from tempo_attn.lab.engine.readout import Readout
from tempo_attn.lab.items import Batch, Item, Prepare
from tempo_attn.prompts.decoded_text import TextReader

R = TypeVar("R")


class RowsLeftOut(Exception):
    """A layer ran for the last rows only, as some do where only the last logits are asked for."""


class SharesBeginnings(Protocol):
    """What is asked of `tempo_attn.lab.engine.shared_beginnings`, which imports this module."""

    def batch(
        self, subject: ModelUnderStudy, items: Sequence[Item], behind: bool, states: bool
    ) -> Batch | None:
        """Prepare a batch of items; None where it is to be prepared as a whole."""

    def expect_several_forwards(self) -> None:
        """Say that each item is run several times."""


class ModelUnderStudy:
    """A model, and how items become calls of it; every experiment takes one.

    Args:
        model: The model, not wrapped, in evaluation mode.
        prepare: Makes model inputs of items.
        tokenizer: For keyword and option rows.
        forward: Calls the model with the prepared inputs; default: the model itself.
        beginnings: What items that begin alike share; None for nothing.

    Attributes:
        model: The model.
        family: Its family.
        decoder: Its decoder's layers.
        beginnings: As given.

    Raises:
        AdapterError: The model is wrapped with an edit.
        UnknownFamilyError: No family is registered for the model's type.
        UnsupportedModelError: Its attention on audio cannot be edited.
    """

    def __init__(
        self,
        model: nn.Module,
        prepare: Prepare,
        *,
        tokenizer: Any = None,
        forward: Callable[..., Any] | None = None,
        beginnings: SharesBeginnings | None = None,
    ) -> None:
        self.model = model
        self.beginnings = beginnings
        self.family: Family = get_family(getattr(model, "config", None))
        self.family.check_model(model)
        if model.training:
            raise UnsupportedModelError(
                "the model is in training mode, where dropout changes every forward; call "
                "model.eval() first"
            )
        self.decoder = Decoder(model, self.family)
        self.prepare = prepare
        self._reader = None if tokenizer is None else TextReader(tokenizer)
        self._forward = forward or model
        self._more: dict[str, Any] = {}
        if self._takes("use_cache"):
            self._more["use_cache"] = False
        if self._takes("logits_to_keep"):
            self._more["logits_to_keep"] = 1

    def _takes(self, name: str) -> bool:
        called = self._forward
        function = called.forward if isinstance(called, nn.Module) else called
        return name in inspect.signature(function).parameters

    @property
    def device(self) -> torch.device:
        """Where positions are needed: the device of the decoder's first weights."""
        return next(self.family.decoder(self.model).parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the decoder's first weights."""
        return next(self.family.decoder(self.model).parameters()).dtype

    @contextmanager
    def studied(self) -> Iterator[None]:
        """Take the decoder's attention in hand inside the context; no gradients."""
        with torch.inference_mode(), self.decoder.in_hand():
            yield

    def read(self, items: Sequence[Item], *, behind: bool = False, states: bool = False) -> Batch:
        """Prepare a batch of items, with its positions.

        Args:
            items: The items.
            behind: Whether `call` may be asked for the rows behind the audio alone.
            states: Whether it must be known what left the layers before these rows.
        """
        if self.beginnings is not None:
            batch = self.beginnings.batch(self, items, behind, states)
            if batch is not None:
                return batch
        return self.read_whole(items)

    def read_whole(self, items: Sequence[Item]) -> Batch:
        """Prepare a batch of items that shares nothing."""
        return self.batch(items, self.prepare(items))

    def batch(self, items: Sequence[Item], inputs: Mapping[str, Any]) -> Batch:
        """Return items with their inputs as a batch, with its positions."""
        return Batch.of(items, inputs, self.model, self.family, self._reader)

    def call(self, batch: Batch, first: int = 0) -> Any:
        """Run one forward, for the logits of the last position if possible.

        Args:
            batch: The prepared items.
            first: The first position that is needed. Where the batch's beginnings are run already
                and end before it, the model runs what is behind them alone.
        """
        if batch.before is not None and self.n_before(batch, first):
            more = {name: value for name, value in self._more.items() if name != "use_cache"}
            return self._forward(**batch.before.inputs(), **more)
        return self._forward(**batch.inputs, **self._more)

    def n_before(self, batch: Batch, first: int) -> int:
        """Return how many positions `call` leaves out, as their keys and values are known.

        Args:
            batch: The prepared items.
            first: The first position that is needed.
        """
        n_tokens = 0 if batch.before is None else batch.before.n_tokens
        return n_tokens if first >= n_tokens else 0

    def remember(self, batch: Batch, start: int) -> tuple[Prefill, Any]:
        """Run one forward and remember it from a position on; see `Decoder.remember`."""
        n_before = self.n_before(batch, start)
        return self.decoder.remember(lambda: self.call(batch, start), start, n_before)

    def keep_all_rows(self) -> None:
        """Ask for the logits of all positions from now on."""
        self._more.pop("logits_to_keep", None)

    def on_all_rows(self, run: Callable[[], R]) -> R:
        """Run something; where a layer leaves rows out, ask for all logits from then on, and again.

        Args:
            run: Calls the model; raises `RowsLeftOut` where it needs rows that a layer left out.

        Raises:
            UnsupportedModelError: Rows are left out even then.
        """
        try:
            return run()
        except RowsLeftOut:
            self.keep_all_rows()
        try:
            return run()
        except RowsLeftOut:
            raise UnsupportedModelError(
                "a layer runs for the last rows alone, even where the logits of all are asked for"
            ) from None

    def candidate_logits(self, output: Any, batch: Batch) -> Tensor:
        """Return the candidates' logits after the prompts, (items, candidates), float32."""
        last: Tensor = output.logits[:, -1].float()
        return last.gather(1, batch.candidates.to(last.device))

    def answer(
        self, batch: Batch, readout: Readout | None = None, first: int = 0
    ) -> tuple[Any, Tensor]:
        """Run one forward, for its output and the candidates' logits, (items, candidates).

        Args:
            batch: The prepared items.
            readout: Reads the logits from what leaves the last layer; None for the model's own
                head, whose logits are rounded in 16 bits.
            first: As in `call`.
        """
        if readout is None:
            output = self.call(batch, first)
            return output, self.candidate_logits(output, batch)
        with self.decoder.leaving() as left:
            output = self.call(batch, first)
        return output, readout(left[-1][:, -1:], batch.candidates)[:, 0]


def finite(items: Sequence[Item], *logits: Tensor) -> None:
    """Check logits.

    Raises:
        NonFiniteLogitsError: Some are NaN or infinite.
    """
    if not all(bool(part.isfinite().all()) for part in logits):
        names = ", ".join(repr(item.id) for item in items[:3])
        raise NonFiniteLogitsError(
            f"the logits of {names} or others of their batch are NaN or infinite; run the model in "
            "bfloat16 or float32"
        )


def rounded(values: Sequence[float]) -> list[Any]:
    """Return numbers as they are kept: five decimals; None for NaN."""
    return [round(value, 5) if value == value else None for value in values]
