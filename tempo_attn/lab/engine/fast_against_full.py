"""Which engine runs an experiment's variants: the fast one, or one full forward for each.

The fast engine runs single layers again on a few rows, which not every model allows. So it is
checked on the very model and items, against full forwards, before it is trusted; this file holds
the choice, the comparison and its tolerances, for all experiments.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from tempo_attn.config_fields import one_of
from tempo_attn.errors import TempoError, UnsupportedInputError, UnsupportedModelError
from tempo_attn.lab.engine.memory_and_batches import out_of_memory
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.engine.readout import Readout

R = TypeVar("R")
ENGINES = ("auto", "fast", "full")
"""How variants are run: the fast engine where it can be, or one that is insisted on."""
TOLERANCE = 1e-4
"""Largest difference of candidate logits (relative above 1), or of their probabilities, that
float32 arithmetic explains."""
COARSE_TOLERANCE = 0.02
"""The same of probabilities in 16 bits, where the two engines round differently (by 0.003 in the
embedded model in bfloat16)."""
_EXACT = (torch.float32, torch.float64)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Comparison:
    """Numbers by the fast engine beside those of full forwards.

    Attributes:
        what: What gives the numbers, and which these are, for a sentence such as "running layers
            again gives logits that differ by 0.2".
        difference: The largest difference; relative to logits above 1 in float32. 0 without any.
        allowed: How large it may be, for rounding explains so much.
    """

    what: str
    difference: float
    allowed: float

    @property
    def agrees(self) -> bool:
        """Whether rounding explains the difference; it does not explain NaN."""
        return self.difference <= self.allowed

    @classmethod
    def of_logits(
        cls, what: str, fast: Tensor, full: Tensor, noise: float, dtype: torch.dtype
    ) -> Comparison:
        """Compare logits.

        Args:
            what: As the attribute.
            fast: The fast engine's.
            full: Those of full forwards, of the same shape.
            noise: Largest change of logits by recomputing rows alone.
            dtype: The model's.
        """
        difference = (fast - full).abs()
        if dtype in _EXACT:
            return cls(what, _largest(difference / full.abs().clamp(min=1.0)), TOLERANCE)
        # In 16 bits the two engines round differently, by about as much as recomputing rows does.
        allowed = 4 * noise + rounding(full, dtype) if full.numel() else 0.0
        return cls(what, _largest(difference), allowed)

    @classmethod
    def of_readout(cls, read: Tensor, own: Tensor, dtype: torch.dtype) -> Comparison:
        """Compare logits of the final norm and the unembedding with the model's own."""
        what = "the final norm and the unembedding give logits"
        return cls.of_logits(what, read, own, _head_rounding(own, dtype), dtype)

    @classmethod
    def of_probabilities(
        cls, what: str, fast: Tensor, full: Tensor, dtype: torch.dtype
    ) -> Comparison:
        """Compare probabilities of candidates; the arguments are those of `of_logits`."""
        allowed = TOLERANCE if dtype in _EXACT else COARSE_TOLERANCE
        return cls(what, _largest((fast - full).abs()), allowed)


def rounding(logits: Tensor, dtype: torch.dtype) -> float:
    """Return what rounding the largest logit to a dtype can change."""
    return float(torch.finfo(dtype).eps * logits.abs().max())


def _head_rounding(logits: Tensor, dtype: torch.dtype) -> float:
    """Return what a 16-bit unembedding rounds off, which `Readout` does not."""
    return 0.0 if dtype in _EXACT else rounding(logits, dtype)


class EngineChoice:
    """The engine that an experiment's variants run on.

    Args:
        subject: The model under study.
        wanted: One of `ENGINES`.
        what: What takes a full forward each on the full engine, for the log: "variant".

    Attributes:
        engine: "fast" or "full"; "auto" until it is known.
        reason: Why not "fast"; empty where it is.
        checked: Largest difference between the two engines; None before the check, and where there
            is nothing to compare.
        readout: From the last hidden states to logits; None where the model's own head has to.

    Raises:
        ConfigError: There is no such engine.
        UnsupportedModelError: The fast engine is insisted on, and does not fit the model.
    """

    def __init__(self, subject: ModelUnderStudy, wanted: str, what: str) -> None:
        self.engine = one_of("engine", wanted, ENGINES)
        self.reason = ""
        self.checked: float | None = None
        self.readout: Readout | None = None
        self._what = what
        self._subject = subject
        try:
            self.readout = Readout(subject.model, subject.family)
        except UnsupportedModelError as error:
            self._take_full(str(error))

    @property
    def open(self) -> bool:
        """Whether the engine is not known yet."""
        return self.engine == "auto"

    def try_fast(self, run: Callable[[Readout], R]) -> R | None:
        """Run something on the fast engine; where the model refuses, take the full one.

        Args:
            run: Runs the variants, given what reads their logits.

        Returns:
            What `run` returned; None where the full engine was taken.

        Raises:
            TempoError: Something is wrong with the items, not with the engine.
        """
        assert self.readout is not None
        try:
            return run(self.readout)
        except Exception as error:
            of_model = isinstance(error, UnsupportedModelError | UnsupportedInputError)
            if (isinstance(error, TempoError) and not of_model) or out_of_memory(error):
                raise
            self._take_full(f"{type(error).__name__}: {error}")
            return None

    def decide(self, comparisons: Iterable[Comparison]) -> None:
        """Take the fast engine where all comparisons agree, else the full one."""
        self.checked = 0.0
        for comparison in comparisons:
            self.checked = max(self.checked, comparison.difference)
            if not comparison.agrees:
                self.checked = comparison.difference  # `max` may have lost that it is NaN
                self._take_full(
                    f"{comparison.what} that differ by {comparison.difference:.2g} from a full "
                    "forward"
                )
                return
        self.engine = "fast"

    def _take_full(self, reason: str) -> None:
        if self.engine == "fast":
            raise UnsupportedModelError(f"the fast engine does not fit this model: {reason}")
        self.engine, self.reason = "full", reason
        _log.warning(
            "every %s takes one full forward, which is slow: %s (%s)",
            self._what,
            type(self._subject.model).__name__,
            reason,
        )


def _largest(difference: Tensor) -> float:
    return float(difference.max()) if difference.numel() else 0.0
