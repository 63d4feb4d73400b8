"""How often a push makes its option the answer, and what else it changes, against random ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tempo_attn.files.csv_and_json import table_number
from tempo_attn.lab.item_records import POOLED, is_right
from tempo_attn.lab.steer.pushes import Push
from tempo_attn.lab.steer.records import SteerRecord
from tempo_attn.statistics import Array, interval_of_mean

NO_ANSWER = -1
"""Stands for the answer where two candidates tie."""


def answers_of(logits: Array) -> Array:
    """Return the candidate with the highest logit of (..., candidates); `NO_ANSWER` for a tie."""
    best = logits.argmax(-1)
    return np.where(is_right(logits, best), best, NO_ANSWER)


def steer_rows(
    records: Sequence[SteerRecord],
    pushes: Sequence[Push],
    *,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> list[dict[str, Any]]:
    """Return the table: a row for each condition, kind, set of layers and strength.

    A pair of opposing answers is an item's answer in the control and another one of its options,
    whose name is pushed. The pair is flipped where that option becomes the answer.

    Args:
        records: The records.
        pushes: The pushes, in the records' order.
        resamples: Number of bootstrap resamples over clusters.
        seed: Seed of the resamples.
        level: Coverage of the intervals.

    Returns:
        Rows with the share of pairs `flipped` with its interval, the share of the random
        directions, `random`, with its interval over clusters, the directions taken as given, and
        the `random_lowest` and `random_highest` of them; `excess`, the difference, paired; and
        `p_random`, the share of directions, this one among them, that flip as many pairs. Off the
        target: `otherwise`, the share of pairs in which a third option becomes the answer or two
        tie; `lost`, the share of items whose own answer is pushed and no longer the answer; and
        `others_spread`, by how much the logits of the options that are not pushed move apart (the
        standard deviation of their changes), beside `gain`, the change of the pushed one's logit
        against their mean; of each the mean of the random directions too.
    """
    ordered = sorted(records, key=lambda record: record.index)
    how = {"resamples": resamples, "seed": seed, "level": level}
    found = []
    for condition in sorted({record.condition for record in ordered}):
        of_condition = [record for record in ordered if record.condition == condition]
        kinds = sorted({record.kind for record in of_condition})
        for kind in [POOLED, *kinds] if len(kinds) > 1 else kinds:
            chosen = [record for record in of_condition if kind in (record.kind, POOLED)]
            for row in _rows(chosen, pushes, how):
                found.append({"condition": condition, "kind": kind, **row})
    return found


def _rows(
    records: Sequence[SteerRecord], pushes: Sequence[Push], how: Mapping[str, Any]
) -> list[dict[str, Any]]:
    number = np.unique([record.cluster for record in records], return_inverse=True)[1]
    control = np.array([record.control for record in records], dtype=float)
    right = np.array([record.answer for record in records])
    # The controls of all options are the same but for rounding: the first one is the answer's.
    answer = answers_of(control[:, 0])
    n_items, n_options = control.shape[:2]
    pairs = (answer[:, None] != np.arange(n_options)) & (answer[:, None] != NO_ANSWER)
    clusters = np.broadcast_to(number[:, None], pairs.shape)[pairs]
    pushed = np.array([record.pushed for record in records], dtype=float)
    numbers = [_Changes(pushed[:, n], control, answer, pairs) for n in range(len(pushes))]
    found = []
    for at, push in enumerate(pushes):
        if push.draw:
            continue
        same = (push.layers, push.strength)
        draws = [
            numbers[n] for n, o in enumerate(pushes) if o.draw and (o.layers, o.strength) == same
        ]
        own = numbers[at]
        row: dict[str, Any] = {
            "layers": "+".join(map(str, push.layers)),
            "strength": push.strength,
            "n": n_items,
            "n_clusters": len(np.unique(number)),
            "pairs": int(pairs.sum()),
            "control_accuracy": table_number((answer == right).mean()),
            **_flips(own, draws, clusters, how),
        }
        for name in ("otherwise", "lost", "gain", "others_spread"):
            row[name] = _mean(getattr(own, name))
            row[f"random_{name}"] = _mean(np.array([_plain_mean(getattr(d, name)) for d in draws]))
        found.append(row)
    return found


def _flips(
    own: _Changes, draws: Sequence[_Changes], clusters: Array, how: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the columns on flipped pairs."""
    flipped = own.flipped.astype(float)
    if not len(flipped):
        return dict.fromkeys(_FLIPS) | {"random_directions": len(draws)}
    drawn = np.zeros((len(draws), len(flipped)))
    for number, draw in enumerate(draws):
        drawn[number] = draw.flipped
    of_random = drawn.mean(0) if draws else np.full(len(flipped), np.nan)
    columns = np.stack([flipped, of_random, flipped - of_random], 1)
    ends = interval_of_mean(columns, clusters, **how)
    shares = drawn.mean(1) if draws else np.array([np.nan])
    as_many = 1 + int((drawn.mean(1) >= flipped.mean()).sum()) if draws else None
    values = (
        *(flipped.mean(), *ends[0]),
        len(draws),
        *(of_random.mean(), *ends[1], shares.min(), shares.max()),
        *(columns[:, 2].mean(), *ends[2]),
        np.nan if as_many is None else as_many / (1 + len(draws)),
    )
    return {
        name: value if name == "random_directions" else table_number(value)
        for name, value in zip(_FLIPS, values, strict=True)
    }


_FLIPS = (
    *("flipped", "flipped_low", "flipped_high"),
    "random_directions",
    *("random", "random_low", "random_high", "random_lowest", "random_highest"),
    *("excess", "excess_low", "excess_high"),
    "p_random",
)


class _Changes:
    """What one push changes, pair by pair or item by item.

    Args:
        pushed: The candidates' logits with each option pushed, (items, options, candidates).
        control: The same in the control.
        answer: The control's answers, (items,).
        pairs: (items, options) bool: which are pairs.

    Attributes:
        flipped: Of each pair: the pushed option became the answer.
        otherwise: Of each pair: a third one did, or none.
        lost: Of each item with an answer: pushed itself, it is no longer the answer.
        gain: Of each pair: the change of the pushed option's logit against the others' mean.
        others_spread: Of each pair: the standard deviation of the other options' changes.
    """

    def __init__(self, pushed: Array, control: Array, answer: Array, pairs: Array) -> None:
        options = np.arange(pushed.shape[1])
        new = answers_of(pushed)
        self.flipped = (new == options)[pairs]
        self.otherwise = ((new != options) & (new != answer[:, None]))[pairs]
        has = answer != NO_ANSWER
        own = np.take_along_axis(new, np.where(has, answer, 0)[:, None], 1)[:, 0]
        self.lost = (own != answer)[has]
        change = pushed - control
        others = ~np.eye(len(options), dtype=bool)
        rest = change[:, others].reshape(len(change), len(options), -1)
        self.gain = (change[:, options, options] - rest.mean(-1))[pairs]
        self.others_spread = rest.std(-1)[pairs]


def _plain_mean(values: Array) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _mean(values: Array) -> float | None:
    return table_number(_plain_mean(values))
