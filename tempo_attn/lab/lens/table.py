"""What the lens' records say, layer by layer: information, for right and wrong answers.

The information score of a layer is the accuracy of the candidate that the lens finds likeliest
there (AudioLens, arXiv 2506.05140); a tie is no answer. The groups by the model's final answer are
the paper's; the intervals over clusters are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tempo_attn.errors import ConfigError
from tempo_attn.files.csv_and_json import table_number
from tempo_attn.lab.item_records import is_right
from tempo_attn.lab.lens.records import LensRecord
from tempo_attn.statistics import Array, interval_of_difference, interval_of_mean, resampled_means

GROUPS = ("all", "right", "wrong")
GAP = "right - wrong"


@dataclass(frozen=True)
class Cell:
    """The items of one kind and condition under one kind of candidates and one set of rows.

    Attributes:
        labels: What names the cell in a table.
        hit: (items, layers) bool: the right candidate is the likeliest.
        chance: (items, layers): its probability.
        right: (items,) bool: the model's final answer is right.
        clusters: (items,) number of the cluster.
        answers: (items,) index of the right candidate.
        n_candidates: |Y|.
        n_unread: Items left out: two of their options begin with the same token.
    """

    labels: Mapping[str, Any]
    hit: Array
    chance: Array
    right: Array
    clusters: Array
    answers: Array
    n_candidates: int
    n_unread: int

    def groups(self) -> Iterator[tuple[str, Array]]:
        """Yield the groups that have items, with which those are."""
        for group, chosen in zip(GROUPS, (self.right | True, self.right, ~self.right), strict=True):
            if chosen.any():
                yield group, chosen

    def sizes(self, chosen: Array) -> dict[str, int]:
        """Return how many items and clusters are chosen of the cell, and how many are not in it."""
        n_clusters = len(np.unique(self.clusters[chosen]))
        return {"n": int(chosen.sum()), "n_clusters": n_clusters, "n_unread": self.n_unread}

    def part(self, chosen: Array) -> Cell:
        """Return the cell with the chosen items alone."""
        return replace(
            self,
            hit=self.hit[chosen],
            chance=self.chance[chosen],
            right=self.right[chosen],
            clusters=self.clusters[chosen],
            answers=self.answers[chosen],
        )

    def means(self, chosen: Array) -> Array:
        """Return the chosen items' score and the mean of `chance`, (2, layers)."""
        return np.array([self.hit[chosen].mean(0), self.chance[chosen].mean(0)])

    @property
    def both(self) -> bool:
        """Whether there are right and wrong items."""
        return bool(self.right.any() and not self.right.all())


def lens_rows(
    records: Sequence[LensRecord], *, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> list[dict[str, Any]]:
    """Return the table of scores: per kind, condition, candidates, set of rows, group and layer.

    Args:
        records: The records of all items, in any order.
        resamples: As `interval_of_mean`, like the other arguments.
        seed: Seed of the bootstrap resamples.
        level: Coverage of the intervals.

    Returns:
        Rows with `group` "all", "right" or "wrong" items (by the model's final answer): `score`
        with its interval by cluster (`low`, `high`), and the mean `probability` of the right
        candidate; `constant` is what the best constant answer would score, which is chance only
        where all answers are equally frequent; and with `group` "right - wrong" the differences of
        score and probability, and the interval of the former.
    """
    found = []
    for cell in cells(records):
        for group, chosen in cell.groups():
            ends = interval_of_mean(
                cell.hit[chosen], cell.clusters[chosen], resamples=resamples, seed=seed, level=level
            )
            found += _layers(cell, group, chosen, cell.means(chosen), ends)
        if cell.both:
            gap = cell.means(cell.right) - cell.means(~cell.right)
            ends = interval_of_difference(
                cell.hit, cell.clusters, cell.right, resamples=resamples, seed=seed, level=level
            ).T
            found += _layers(cell, GAP, cell.right | True, gap, ends)
    return found


def _layers(
    cell: Cell, group: str, chosen: Array, means: Array, ends: Array
) -> list[dict[str, Any]]:
    constant = np.bincount(cell.answers[chosen]).max() / chosen.sum()
    return [
        {
            **cell.labels,
            "group": group,
            "layer": layer,
            **cell.sizes(chosen),
            "n_candidates": cell.n_candidates,
            "score": table_number(means[0, layer]),
            "low": table_number(ends[layer, 0]),
            "high": table_number(ends[layer, 1]),
            "probability": table_number(means[1, layer]),
            "constant": None if group == GAP else table_number(constant),
        }
        for layer in range(means.shape[1])
    ]


# ---------------------------------------------------------------------- resamples


def drawn_scores(cell: Cell, chosen: Array, resamples: int, seed: int) -> Array:
    """Return some items' scores in resamples of the cell's clusters; see `resampled_means`."""
    return resampled_means(cell.hit, cell.clusters, chosen, resamples=resamples, seed=seed)


# ---------------------------------------------------------------------- records


def cells(records: Sequence[LensRecord]) -> Iterator[Cell]:
    """Yield the cells of a table, the items of each in their order."""
    ordered = sorted(records, key=lambda record: record.index)
    for condition in dict.fromkeys(record.condition for record in ordered):
        for kind in dict.fromkeys(r.kind for r in ordered if r.condition == condition):
            mine = [r for r in ordered if (r.kind, r.condition) == (kind, condition)]
            for candidates in mine[0].probabilities:
                read = [r for r in mine if r.probabilities[candidates] is not None]
                labels = {"kind": kind, "condition": condition, "candidates": candidates}
                if read:
                    yield from _by_rows(labels, read, len(mine) - len(read))


def _by_rows(
    labels: Mapping[str, Any], records: Sequence[LensRecord], n_unread: int
) -> Iterator[Cell]:
    sizes = {len(record.plain) for record in records}
    if len(sizes) != 1:
        raise ConfigError(
            f"items of kind {labels['kind']!r} have {' and '.join(map(str, sorted(sizes)))} "
            "candidates; expected the same number for all, as chance depends on it"
        )
    (n_candidates,) = sizes
    by_set = [r.probabilities[labels["candidates"]] or {} for r in records]
    answers = np.array([r.answer for r in records])
    right = is_right(np.array([r.plain for r in records], dtype=float), answers)
    clusters = np.unique([r.cluster for r in records], return_inverse=True)[1]
    for rows in by_set[0]:
        found = np.array([sets[rows] for sets in by_set], dtype=float)  # items, layers, candidates
        chance = np.take_along_axis(found, answers[:, None, None], -1)[..., 0]
        hit = is_right(found, answers[:, None])
        named = {**labels, "rows": rows}
        yield Cell(named, hit, chance, right, clusters, answers, n_candidates, n_unread)
