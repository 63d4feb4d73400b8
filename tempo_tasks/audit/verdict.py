"""What the rows of a part come to, in two sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tempo_tasks.audit.strategies import CAPTION, ROWS

ShortcutRow = Mapping[str, Any]
"""What an audit says of one strategy (see `assemble`)."""
_LEVEL = 0.05


def verdict(shortcuts: Sequence[ShortcutRow], timed: Sequence[bool]) -> dict[str, Any]:
    """Return what a score on a part has to beat, and how much of the part tests time.

    Args:
        shortcuts: The part's rows.
        timed: For each item whose events are known, whether two or more options are in the clip.

    Returns:
        `best`, the best strategy that hears no time and reads no caption; `best_with_caption`;
        `tests_time`, the share of items with two or more options in the clip; `n_with_intervals`,
        of how many items; and `text`.
    """
    # The best of those above chance: a row on a few items may be higher, and by chance.
    fair = [row for row in shortcuts if row["hears_no_time"]]
    best = _best([row for row in fair if beats_chance(row)] or fair)
    caption = _best([row for row in shortcuts if row["family"] == CAPTION])
    order = _best([row for row in shortcuts if row["family"] == ROWS])
    share = sum(timed) / len(timed) if timed else None
    sentences = [
        _of_best(best),
        _of_caption(caption),
        _of_order(order),
        _of_time(share, len(timed)),
    ]
    return {
        "best": best,
        "best_with_caption": caption,
        "tests_time": share,
        "n_with_intervals": len(timed),
        "text": " ".join(filter(None, sentences)),
    }


def _best(rows: Sequence[ShortcutRow]) -> dict[str, Any] | None:
    if not rows:
        return None
    row = max(rows, key=lambda row: row["accuracy"])
    return {key: row[key] for key in ("strategy", "accuracy", "low", "high", "p_holm")}


def beats_chance(row: ShortcutRow) -> bool:
    """Whether a row is above 25 % after Holm's correction over the part's rows."""
    p = row["p_holm"]
    return bool(row["accuracy"] > 0.25 and p is not None and p < _LEVEL)


def _of_best(best: ShortcutRow | None) -> str:
    if best is None:
        return "No strategy could be tried."
    score = f"{100 * best['accuracy']:.1f} %"
    if best["low"] is not None:
        score += f" ({100 * best['low']:.1f} to {100 * best['high']:.1f})"
    if beats_chance(best):
        return f"The best strategy that hears no time, {best['strategy']}, has {score}."
    return (
        "No strategy that hears no time is above 25 % by more than chance; the best, "
        f"{best['strategy']}, has {score}."
    )


def _of_caption(caption: ShortcutRow | None) -> str:
    if caption is None or not beats_chance(caption):
        return ""
    return f"With captions: {caption['strategy']}, {100 * caption['accuracy']:.1f} %."


def _of_order(order: ShortcutRow | None) -> str:
    if order is None or not beats_chance(order):
        return ""
    return f"The order of the rows gives letters away: {100 * order['accuracy']:.1f} %."


def _of_time(share: float | None, known: int) -> str:
    if share is None:
        return "Whether the items test time is not known: no intervals."
    return (
        f"{100 * share:.1f} % of the {known} items with intervals test time (two or more options "
        "in the clip)."
    )
