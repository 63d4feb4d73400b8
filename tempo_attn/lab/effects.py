"""What each variant of a sweep does to the answers, with intervals, tests and nulls."""

from __future__ import annotations

from dataclasses import dataclass

from tempo_attn.lab.grid import Variant

Interval = tuple[float, float]
POOLED = "all"
"""The `kind` of a row over the items of all kinds of a condition."""


@dataclass(frozen=True, kw_only=True)
class Null:
    """What a random perturbation of the same size does, against the same control.

    Attributes:
        change: Change of accuracy, with its interval.
        interval: See `Effect.interval`.
        fix_rate: As in `Effect`.
        break_rate: As in `Effect`.
        excess: The edit's change minus this one's, paired by item.
        excess_interval: Its interval.
    """

    change: float
    interval: Interval
    fix_rate: float | None
    break_rate: float | None
    excess: float
    excess_interval: Interval


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One edit on the items of one kind and condition; rates are shares from 0 to 1.

    Attributes:
        variant: The edit.
        kind: The items' kind, or `POOLED`.
        condition: Their condition.
        n: Number of items.
        n_clips: Number of clips, the clusters of the bootstrap.
        control_accuracy: With the rows recomputed and nothing changed.
        accuracy: With the edit.
        change: Their difference (the net effect).
        interval: Its 95 % interval: paired percentile bootstrap over clips.
        p: Exact McNemar test of the change, two-sided.
        p_holm: The same, Holm-corrected over the sweep.
        fixed: Wrong items that become right.
        broken: Right items that become wrong.
        fix_rate: `fixed` / wrong items; None without any.
        break_rate: `broken` / right items; None without any.
        switched: Wrong items whose answer changes at all.
        reguess: Fix rate of guessing again over all candidates, 1 / k.
        reguess_others: Fix rate of guessing again over the other candidates, 1 / (k - 1).
        p_switched: Exact binomial test of `fixed` of `switched` against 1 / (k - 1), two-sided;
            None without any.
        mass_before: Attention on audio without the edit, mean over items; None where undefined.
        mass_after: With it.
        entropy_before: Entropy within audio without the edit, nats.
        entropy_after: With it.
        margin_change: Mean change of the right candidate's margin (logits).
        margin_interval: Its 95 % interval.
        nulls: Random perturbations by their kind ("sign", "keys").
    """

    variant: Variant
    kind: str
    condition: str
    n: int
    n_clips: int
    control_accuracy: float
    accuracy: float
    change: float
    interval: Interval
    p: float
    p_holm: float
    fixed: int
    broken: int
    fix_rate: float | None
    break_rate: float | None
    switched: int
    reguess: float
    reguess_others: float
    p_switched: float | None
    mass_before: float | None
    mass_after: float | None
    entropy_before: float | None
    entropy_after: float | None
    margin_change: float
    margin_interval: Interval
    nulls: dict[str, Null]
