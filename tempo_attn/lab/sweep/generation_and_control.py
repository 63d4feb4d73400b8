"""What to know of a sweep before its effects: what generation says, what recomputing alone does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tempo_attn.errors import ConfigError
from tempo_attn.lab.sweep.records import SweepResults
from tempo_attn.statistics import Array


def picks(logits: Array) -> Array:
    """Return the candidate with the highest logit, (...,) from (..., candidates); -1 for a tie."""
    tied = (logits == logits.max(-1, keepdims=True)).sum(-1) > 1
    picked: Array = np.where(tied, -1, logits.argmax(-1))
    return picked


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Whether free generation names the candidate that the logits choose, without any edit.

    Attributes:
        n: Items whose answer was generated.
        n_agree: Those where it is the candidate with the highest logit; never with a tie.
        n_unparsed: Those where no candidate was found in the text.
        n_ties: Items, generated or not, whose highest logit is that of several candidates.
    """

    n: int
    n_agree: int
    n_unparsed: int
    n_ties: int


def agreement(results: SweepResults) -> Agreement:
    """Compare the generated answers to the plain logits."""
    chosen = picks(results.plain).tolist()
    generated = [
        (record.generated, pick)
        for record, pick in zip(results.records, chosen, strict=True)
        if record.generated is not None
    ]
    return Agreement(
        n=len(generated),
        n_agree=sum(answer == pick != -1 for answer, pick in generated),
        n_unparsed=sum(answer == -1 for answer, _ in generated),
        n_ties=chosen.count(-1),
    )


@dataclass(frozen=True, kw_only=True)
class ControlDifference:
    """What recomputing attention does by itself (rounding in 16 bits; nothing in exact numbers).

    Attributes:
        logits: Largest difference of a candidate's logit between a control and the plain run.
        n_changed: Items whose answer differs from the plain run's under some control.
        n: Items.
    """

    logits: float
    n_changed: int
    n: int


def largest_control_difference(results: SweepResults) -> ControlDifference:
    """Compare every control to the plain run.

    Raises:
        ConfigError: The sweep has no control.
    """
    at = [i for i, variant in enumerate(results.variants) if variant.role == "control"]
    if not at:
        raise ConfigError(
            f"none of the sweep's {len(results.variants)} variants is a control; expected at least "
            "one. Run the sweep with what Grid.variants returns"
        )
    controls = results.logits[:, at]
    changed = picks(controls) != picks(results.plain)[:, None]
    return ControlDifference(
        logits=float(np.abs(controls - results.plain[:, None]).max()),
        n_changed=int(changed.any(1).sum()),
        n=len(changed),
    )
