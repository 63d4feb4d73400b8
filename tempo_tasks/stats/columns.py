"""The tables that people read: their columns and how cells are written, on screen and on a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tempo_tasks.stats.names import GENERATION

StatisticsRow = Mapping[str, Any]
"""A row of one of the tables that `tempo stats` writes, by column."""
Cell = Callable[[StatisticsRow], str]
NONE = "-"


@dataclass(frozen=True)
class Column:
    """A column: its header, and what a row has in it.

    Attributes:
        header: Over the column.
        cell: Text of a row.
        text: Whether it holds words, which stand on the left.
    """

    header: str
    cell: Cell
    text: bool = False


@dataclass(frozen=True)
class Section:
    """One kind of table.

    Attributes:
        name: The table's key in the JSON, and the end of its CSV's name.
        title: Over the table.
        columns: From left to right.
        reading: One sentence on how to read it.
    """

    name: str
    title: str
    columns: Sequence[Column]
    reading: str


def _of(name: str, write: Callable[[Any], str]) -> Cell:
    def cell(row: StatisticsRow) -> str:
        value = row.get(name)
        return NONE if value is None else write(value)

    return cell


def percent(value: float) -> str:
    """Write a share in %."""
    return f"{100 * value:.1f}"


def points(value: float) -> str:
    """Write a difference of shares in percentage points, with its sign."""
    # Rounded first, so that a difference of nothing has one spelling.
    return f"{round(100 * value, 1) + 0.0:+.1f}"


def p_value(p: float) -> str:
    """Write p."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _number(value: float) -> str:
    return f"{value:.2f}"


def _range(low: str, high: str, write: Callable[[float], str]) -> Cell:
    def cell(row: StatisticsRow) -> str:
        if row.get(low) is None or row.get(high) is None:
            return NONE
        return f"{write(row[low])} to {write(row[high])}"

    return cell


def items_of(row: StatisticsRow) -> str:
    """Say what items a row is about: the kind, what is given, and how the answer is had."""
    scoring = row.get("scoring")
    parts = [
        row["source"],
        row["kind"],
        row.get("condition"),
        row["variant"],
        None if scoring == GENERATION else scoring,
    ]
    return " ".join(part for part in parts if part)


def _pair(row: StatisticsRow) -> str:
    return f"{row['from']} -> {row['to']}"


_RUN = Column("run", lambda row: str(row["run"]), text=True)
_ITEMS = Column("items", items_of, text=True)
_N = Column("n", _of("n", str))
_CLUSTERS = Column("clusters", _of("n_clusters", str))
_ACCURACY = (
    Column("acc. %", _of("accuracy", percent)),
    Column("SE", _of("error", percent)),
    Column("interval", _range("low", "high", percent)),
)
_PAIRED = (
    _N,
    _CLUSTERS,
    Column("before %", _of("before", percent)),
    Column("after %", _of("after", percent)),
    Column("diff.", _of("difference", points)),
    Column("interval", _range("low", "high", points)),
    Column("gained", _of("gained", str)),
    Column("lost", _of("lost", str)),
    Column("odds", _of("odds_ratio", _number)),
    Column("p McNemar", _of("p_mcnemar", p_value)),
    Column("p", _of("p", p_value)),
    Column("p Holm", _of("p_holm", p_value)),
    Column("seen from", _of("detectable", percent)),
)

SECTIONS = (
    Section(
        "accuracy",
        "Accuracy",
        (
            _RUN,
            _ITEMS,
            _N,
            _CLUSTERS,
            *_ACCURACY,
            Column("corrected %", _of("chance_corrected", percent)),
            Column("p chance", _of("p_chance", p_value)),
            Column("p Holm", _of("p_chance_holm", p_value)),
            Column("seen from %", _of("detectable", percent)),
            Column("none %", _of("no_answer", percent)),
        ),
        "Chance is 25 %; `corrected` is (accuracy - 25) / 75; `seen from` is the smallest accuracy "
        "that such items would tell from chance with 80 % power; `none`: no answer, or a tie.",
    ),
    Section(
        "conditions",
        "Conditions on the same items: AQA against the others",
        (_RUN, _ITEMS, Column("against", _of("from", str), text=True), *_PAIRED),
        "Points: `after`, with the audio alone, minus `before`. `p` is the sign-flip test over "
        "clusters; McNemar's takes items as independent. A difference below `seen from` is "
        "overlooked in more than one of five such comparisons.",
    ),
    Section(
        "runs_compared",
        "Runs on the same items",
        (Column("from -> to", _pair, text=True), _ITEMS, *_PAIRED),
        "Points, `to` minus `from`; the columns are those of the conditions.",
    ),
    Section(
        "strata",
        "Accuracy by stratum",
        (
            _RUN,
            _ITEMS,
            Column("stratum", _of("stratum", str), text=True),
            Column("bin", _of("bin", str), text=True),
            _N,
            _CLUSTERS,
            *_ACCURACY,
        ),
        "Items with one option in the clip are answered by knowing which sounds occur: only those "
        "with two or more test time (`acc_temporal`).",
    ),
    Section(
        "scorings",
        "Agreement of scorings",
        (
            _RUN,
            _ITEMS,
            Column("first", _of("first", str), text=True),
            Column("second", _of("second", str), text=True),
            _N,
            Column("disagree %", _of("disagree", percent)),
            Column("interval", _range("low", "high", percent)),
            Column("kappa", _of("kappa", _number)),
            Column("acc. first %", _of("accuracy_first", percent)),
            Column("acc. second %", _of("accuracy_second", percent)),
            Column("none first %", _of("no_answer_first", percent)),
            Column("none second %", _of("no_answer_second", percent)),
        ),
        "How often the two name different options for one item.",
    ),
    Section(
        "prompts",
        "Phrasings",
        (
            _RUN,
            _ITEMS,
            Column("prompts", _of("prompts", str), text=True),
            _N,
            Column("mean %", _of("mean", percent)),
            Column("min %", _of("min", percent)),
            Column("max %", _of("max", percent)),
            Column("spread", _of("spread", percent)),
            Column("same %", _of("same", percent)),
            Column("interval", _range("low", "high", percent)),
            Column("p Cochran", _of("p_cochran", p_value)),
        ),
        "`same`: one option under all phrasings. The spread of equal accuracies is not 0: read it "
        "with p.",
    ),
    Section(
        "rotations",
        "Rotated options",
        (
            _RUN,
            _ITEMS,
            Column("questions", _of("items", str)),
            _N,
            *_ACCURACY,
            Column("worst %", _of("worst", percent)),
            Column("best %", _of("best", percent)),
            Column("consistency %", _of("consistency", percent)),
            Column("interval", _range("consistency_low", "consistency_high", percent)),
            Column("acc_all %", _of("acc_all", percent)),
            Column(
                "A / B / C / D chosen %",
                lambda row: " / ".join(_of(f"chose_{x}", percent)(row) for x in "abcd"),
            ),
        ),
        "`consistency`: one option under all four orders. Each letter is right equally often, so "
        "without a bias each is chosen in 25 %. `acc_all`: right in all four.",
    ),
)
