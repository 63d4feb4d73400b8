"""Answers that are times: strict parsing, absolute error in seconds, and the tolerance curve.

An answer that states no time is a parse failure: it is within no tolerance, and has no error. The
mean error is of the answers that state one, so it is read beside `parse_failure`.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tempo_tasks.questions.choice_items import TOLERANCES, within
from tempo_tasks.scoring.item_metrics import (
    NOT_AVAILABLE,
    cluster_of,
    clustered_stderr,
    mean_of,
)

SECONDS_PARSER_VERSION = "tempo-seconds-parser-1"
_MARKS = r"[\s\"'*_`“”‘’]*"
_UNIT = r"(?:s|sec|secs|seconds?)?"
# "3.2", "3.2 s", "3.2 seconds." ...
_SECONDS = re.compile(rf"{_MARKS}(\d+(?:\.\d+)?|\.\d+)\s*{_UNIT}{_MARKS}\.?{_MARKS}", re.IGNORECASE)
# ... or "1:05.2", "00:03".
_CLOCK = re.compile(rf"{_MARKS}(\d{{1,3}}):([0-5]\d(?:\.\d+)?){_MARKS}\.?{_MARKS}")

Errors = Sequence[tuple[str, float | None]]
"""Cluster and absolute error of each item; None for an answer that states no time."""


def parse_seconds(text: str) -> float | None:
    """Return the time that an answer states, in seconds; None where it says anything else.

    A number alone or with a unit of seconds, or minutes and seconds with a colon; nothing is taken
    out of a sentence.
    """
    if found := _SECONDS.fullmatch(text):
        return float(found[1])
    if found := _CLOCK.fullmatch(text):
        return 60 * int(found[1]) + float(found[2])
    return None


def seconds_metrics(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """Score one generated answer (`process_results` of the tasks that ask for a time)."""
    given = parse_seconds(results[0])
    error = None if given is None else abs(given - doc["seconds"])
    item = (cluster_of(doc), error)
    failed = float(given is None)
    return {
        "within_1s": within(error, 1.0),
        "within_1s_stderr": (cluster_of(doc), within(error, 1.0)),
        "parse_failure": failed,
        "parse_failure_stderr": (cluster_of(doc), failed),
        "seconds_error": item,
        "seconds_error_stderr": item,
        "seconds_error_median": item,
        "tolerance_with_stderr": item,
    }


def _known(items: Errors) -> list[tuple[str, float]]:
    return [(cluster, error) for cluster, error in items if error is not None]


def seconds_error(items: Errors) -> float | str:
    """Mean absolute error, seconds, of the answers that state a time; "N/A" without any."""
    return mean_of(_known(items))


def seconds_error_stderr(items: Errors) -> float | str:
    """Standard error of `seconds_error`, clustered."""
    return clustered_stderr(_known(items))


def seconds_error_median(items: Errors) -> float | str:
    """Median absolute error, seconds, of the answers that state a time; "N/A" without any."""
    errors = [error for _, error in _known(items)]
    return statistics.median(errors) if errors else NOT_AVAILABLE


def tolerance_with_stderr(items: Errors) -> dict[str, dict[str, Any]]:
    """Aggregate to the share of items within each tolerance, with its clustered error.

    The name ends in `_stderr` because lm-eval's table prints no such metric (as with the strata).

    Returns:
        By tolerance ("0.5 s"): `share` of all items, `stderr`, `n` and `n_clusters`.
    """
    curve = {}
    for tolerance in TOLERANCES:
        near = [(cluster, within(error, tolerance)) for cluster, error in items]
        curve[f"{tolerance:g} s"] = {
            "share": math.fsum(value for _, value in near) / len(near),
            "stderr": clustered_stderr(near),
            "n": len(near),
            "n_clusters": len({cluster for cluster, _ in near}),
        }
    return curve
