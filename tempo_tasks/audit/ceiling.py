"""What a listener scores that hears every event, but not exactly when.

It knows which options occur in the clip, and hears every boundary of every interval with an
independent Gaussian error. It answers as the question asks: EO by the earliest start, LO by the
latest end, LD by the summed lengths, among the options in the clip. For two events of one interval
each, a lead of d seconds is heard with probability Phi(d / (sigma sqrt 2)) in EO and LO, and
Phi(d / (2 sigma)) in LD.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from tempo_tasks.audit.item_arrays import Floats, Ints, Items
from tempo_tasks.questions.questions import Kind

PRECISION = 0.0018
"""Largest standard error of the simulation; 0.18 percentage points."""
GRID = tuple(float(sigma) for sigma in np.geomspace(0.05, 50, 25))
"""Timing errors between which one is sought that gives an accuracy, seconds."""
_NUMBERS_AT_ONCE = 500_000


@dataclass(frozen=True)
class Ceiling:
    """Accuracy at one timing error.

    Attributes:
        sigma: Standard deviation of the error of each boundary, seconds.
        accuracy: Expected accuracy on the items whose events are known.
        error: Standard error of the simulation.
    """

    sigma: float
    accuracy: float
    error: float


@dataclass(frozen=True)
class Simulation:
    """Items ready for the simulation, with their random numbers fixed by the seed.

    All timing errors are tried with the same random numbers, so accuracy is a smooth curve.

    Attributes:
        kind: EO, LO or LD.
        known: For each item that needs no simulation, its accuracy.
        times: Boundaries that matter, seconds: starts (EO), ends (LO), or summed lengths (LD).
        spread: Standard deviation of each of `times` for a unit error.
        first: Where each event's boundaries begin in `times`.
        items: The simulated item of each event, ascending.
        right: Which event of each simulated item is the right one (number in `first`).
        seed: Seed of the timing errors.
    """

    kind: Kind
    known: Floats
    times: Floats
    spread: Floats
    first: Ints
    items: Ints
    right: Ints
    seed: int

    @classmethod
    def of(cls, items: Items, seed: int) -> Simulation:
        """Prepare a part's items; those whose events are not known are left out."""
        known: list[float] = []
        times: list[float] = []
        spread: list[float] = []
        first: list[int] = []
        number: list[int] = []
        right: list[int] = []
        n = 0
        for place in np.flatnonzero(items.known).tolist():
            events, answer = items.events[place], int(items.right[place])
            heard = [(i, event) for i, event in enumerate(events) if event is not None]
            if len(heard) < 2 or events[answer] is None:
                # Nothing to compare, or never right; without any heard, a guess among four.
                known.append(0.25 if not heard else float(heard == [(answer, events[answer])]))
                continue
            for i, event in heard:
                if i == answer:
                    right.append(len(first))
                first.append(len(times))
                number.append(n)
                if items.kind is Kind.LD:
                    times.append(event.duration)
                    spread.append(math.sqrt(2 * len(event.intervals)))
                else:
                    side = 0 if items.kind is Kind.EO else 1
                    times.extend(interval[side] for interval in event.intervals)
                    spread.extend([1.0] * len(event.intervals))
            n += 1
        return cls(
            kind=items.kind,
            known=np.array(known, dtype=float),
            times=np.array(times, dtype=float),
            spread=np.array(spread, dtype=float),
            first=np.array(first, dtype=np.int64),
            items=np.array(number, dtype=np.int64),
            right=np.array(right, dtype=np.int64),
            seed=seed,
        )

    @property
    def n(self) -> int:
        """Number of items."""
        return len(self.known) + len(self.right)

    @property
    def draws(self) -> int:
        """Draws an item: enough for `PRECISION`, whatever its probability."""
        simulated = len(self.right)
        variance = 0.25 * simulated / self.n**2 if simulated else 0.0
        return max(16, math.ceil(variance / PRECISION**2))

    def accuracy(self, sigmas: Sequence[float]) -> list[Ceiling]:
        """Return the accuracy at each timing error, in seconds."""
        n_simulated, draws = len(self.right), self.draws
        hits = np.zeros((len(sigmas), n_simulated))
        rng = np.random.default_rng([self.seed, 2, list(Kind).index(self.kind)])
        at_once = max(1, _NUMBERS_AT_ONCE // max(1, len(self.times)))
        for start in range(0, draws if n_simulated else 0, at_once):
            # Draws lie along the last axis: `reduceat` then runs through them in one go.
            size = len(self.times), min(at_once, draws - start)
            errors = rng.standard_normal(size) * self.spread[:, None]
            for row, sigma in enumerate(sigmas):
                hits[row] += self._right(self.times[:, None] + sigma * errors)
        share = hits / draws
        # Unbiased, for right and wrong answers; only at sigma 0 is a guess shared.
        variance = (share * (1 - share)).sum(1) / (draws - 1)
        total = share.sum(1) + self.known.sum()
        return [
            Ceiling(sigma, float(total[row] / self.n), float(math.sqrt(variance[row]) / self.n))
            for row, sigma in enumerate(sigmas)
        ]

    @cached_property
    def curve(self) -> list[Ceiling]:
        """Accuracy over `GRID`."""
        return self.accuracy(GRID)

    def _right(self, times: Floats) -> Floats:
        """Return each item's credit, summed over draws, for boundaries heard at `times`.

        Args:
            times: (boundaries, draws).
        """
        if self.kind is Kind.EO:
            score = -np.minimum.reduceat(times, self.first, axis=0)
        elif self.kind is Kind.LO:
            score = np.maximum.reduceat(times, self.first, axis=0)
        else:
            score = times
        starts = np.searchsorted(self.items, np.arange(len(self.right)))
        best = np.maximum.reduceat(score, starts, axis=0)
        hit = score[self.right] >= best
        ties = np.add.reduceat(score >= best[self.items], starts, axis=0, dtype=np.int64)
        credit: Floats = (hit / ties).sum(1)
        return credit


def pooled(points: Sequence[Sequence[Ceiling]], sizes: Sequence[int]) -> list[Ceiling]:
    """Return the accuracy over all items of several parts.

    Args:
        points: Points of each part, at the same timing errors.
        sizes: Number of items of each part.
    """
    total = sum(sizes)
    found = []
    for same in zip(*points, strict=True):
        mean = math.fsum(n * point.accuracy for n, point in zip(sizes, same, strict=True)) / total
        error = math.hypot(*(n * point.error for n, point in zip(sizes, same, strict=True)))
        found.append(Ceiling(same[0].sigma, mean, error / total))
    return found


def sigma_for(curve: Sequence[Ceiling], accuracy: float) -> float | None:
    """Return the timing error, in seconds, at which the accuracy first falls to a given share.

    Args:
        curve: Accuracy at growing timing errors; between them it is taken as linear in the
            logarithm of sigma.
        accuracy: The share.

    Returns:
        None if the curve starts below it or does not fall so far.
    """
    for one, other in pairwise(curve):
        if one.accuracy >= accuracy > other.accuracy:
            part = (one.accuracy - accuracy) / (one.accuracy - other.accuracy)
            return one.sigma * math.exp(part * math.log(other.sigma / one.sigma))
    return None
