"""What was chosen, and what choosing is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from tempo_attn.errors import ConfigError
from tempo_attn.files.json_types import misfit
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.lab.sweep.table import rounded
from tempo_attn.statistics import Interval

Objective = Literal["accuracy", "margin"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One part of the clusters, answered with what was chosen on all others.

    Attributes:
        variant: The edit chosen on the other folds; None where none beats its control.
        n: Items in this fold.
        n_clusters: Their clusters.
        training_change: Change of accuracy by the edit on the other folds' items.
        held_out_change: The same on this fold's items.
    """

    variant: Variant | None
    n: int
    n_clusters: int
    training_change: float
    held_out_change: float


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The chosen edit and what choosing is worth; changes are of accuracy, whatever the objective.

    Attributes:
        variant: The edit chosen on all items; None where none beats its control.
        objective: What was maximised: the change of accuracy, or of the mean margin.
        condition: The items' condition.
        kind: Their kind; None for all.
        n: Items.
        n_clusters: Clusters.
        folds: Number of folds.
        seed: Seed of the folds and of the bootstrap.
        control_accuracy: Of the held-out items under the control of their fold's edit; under the
            plain run where no edit was chosen.
        accuracy: Of the held-out items under their fold's edit.
        held_out: The difference.
        interval: Its interval, paired and clustered by cluster. It is conditional on the folds and
            what was chosen on them: that other clusters might have chosen other edits is not in it.
        level: Coverage of the interval.
        resamples: Number of its bootstrap resamples, and of sign flips.
        p: Exact McNemar test of the held-out change, two-sided; takes items as independent and the
            choices as given.
        p_procedure: Test of the whole procedure, two-sided: how often choosing and holding out
            again, after a random sign flip of each cluster's changes (as if no edit did anything),
            gives a held-out change as large.
        fix_rate: Held-out wrong items that become right, as a share; None without wrong items.
        break_rate: Held-out right items that become wrong; None without right items.
        apparent: Change by `variant` on all items, those that it was chosen on; 0 without one.
        optimism: `apparent` - `held_out`.
        per_fold: The folds.
    """

    variant: Variant | None
    objective: Objective
    condition: str
    kind: str | None
    n: int
    n_clusters: int
    folds: int
    seed: int
    control_accuracy: float
    accuracy: float
    held_out: float
    interval: Interval
    level: float
    resamples: int
    p: float
    p_procedure: float
    fix_rate: float | None
    break_rate: float | None
    apparent: float
    optimism: float
    per_fold: tuple[Fold, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the choice as JSON data, for a configuration's provenance."""
        data: dict[str, Any] = rounded(asdict(self))
        choices: list[Choice | Fold] = [self, *self.per_fold]
        for part, choice in zip([data, *data["per_fold"]], choices, strict=True):
            edit = choice.variant
            part["variant"] = None if edit is None else rounded(edit.to_dict())
        for name in ("p", "p_procedure"):  # decimals would make a small one 0
            data[name] = float(f"{getattr(self, name):.6g}")
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Choice:
        """Read what `to_dict` wrote.

        Raises:
            ConfigError: It is no choice.
        """
        if wrong := misfit(data, cls):
            raise ConfigError(f"no choice of an edit: {wrong}")
        folds = tuple(
            Fold(**{**fold, "variant": _variant(fold["variant"])}) for fold in data["per_fold"]
        )
        told = {"variant": _variant(data["variant"]), "per_fold": folds}
        low, high = data["interval"]
        return cls(**{**data, **told, "interval": (low, high)})

    def sentences(self) -> list[str]:
        """Return the choice in words."""
        low, high = self.interval
        found = (
            "no edit: none is better than leaving the model alone."
            if self.variant is None
            else self.variant.name
        )
        said = [
            f"Chosen on all {self.n} items of {self.n_clusters} clusters: {found}",
            f"On clusters that it was not chosen on: {100 * self.held_out:+.1f} points "
            f"({100 * low:+.1f} to {100 * high:+.1f}, {100 * self.level:g} % by cluster; "
            f"p = {self.p_procedure:.3f}).",
            f"On the very items that it was chosen on: {100 * self.apparent:+.1f} points; the "
            f"difference, {100 * self.optimism:+.1f}, is what choosing on the test items pretends.",
        ]
        if self.variant is not None and not low > 0:
            said.append("The interval does not exclude zero: there is no evidence that it helps.")
        return said


def _variant(data: Mapping[str, Any] | None) -> Variant | None:
    return None if data is None else Variant.from_dict(data)
