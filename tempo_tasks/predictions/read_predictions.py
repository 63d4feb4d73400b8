"""Reading a predictions file: CSV, JSON, JSON Lines or Parquet, one prediction a row."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tempo_attn.files.strict_json import parse_json
from tempo_tasks.errors import DataUnavailableError, PredictionsError
from tempo_tasks.predictions.columns import PROBABILITIES, find_columns
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.questions.questions import LETTERS, Kind
from tempo_tasks.sources.csv_reader import listed
from tempo_tasks.sources.released_rows import kind_named
from tempo_tasks.sources.table_files import find_tables
from tempo_tasks.stats.names import parse_task

SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")
_TRUE = ("true", "yes", "1", "1.0", "correct")
_FALSE = ("false", "no", "0", "0.0", "incorrect", "wrong")
# Rounded to two decimals, four probabilities may add up to this.
_MOST = 1.02


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer.

    Attributes:
        row: Its number in the file, the first being 1.
        item: The item's id; None where the file names the clip and the kind.
        clip: The clip's id or its file's name or path.
        kind: EO, LO or LD.
        condition: What the model was given.
        text: What the model said; None where there are probabilities alone.
        letter: The letter that the file gives beside the text.
        probabilities: Of the letters A, B, C and D.
        correct: Whether the file calls the answer correct.
    """

    row: int
    item: str | None
    clip: str | None
    kind: Kind | None
    condition: Condition
    text: str | None
    letter: str | None
    probabilities: tuple[float, ...] | None
    correct: bool | None


@dataclass(frozen=True)
class Predictions:
    """What a file holds.

    Attributes:
        rows: The answers that count.
        columns: The column of each field that was found.
        n_rows: All rows of the file.
        other_conditions: Rows of conditions that were not asked for.
    """

    rows: Sequence[Prediction]
    columns: Mapping[str, str]
    n_rows: int
    other_conditions: int

    @property
    def by_text(self) -> bool:
        """Whether texts are scored, or else the letters' probabilities."""
        return bool({"text", "letter"} & set(self.columns))


def read_predictions(
    path: Path, *, columns: Mapping[str, str], condition: Condition | None
) -> Predictions:
    """Read a predictions file.

    Args:
        path: The file, in UTF-8.
        columns: What `--columns` says, by field.
        condition: The condition of all rows, or the one that counts where a column names several.

    Raises:
        DataUnavailableError: There is no such file.
        PredictionsError: It has no rows, or rows that cannot be read; all of them are listed.
        DataVersionError, BadTableError: It is no such file; see `table_files` and `csv_reader`.
    """
    if not path.is_file():
        raise DataUnavailableError(f"{path}: no such file; expected predictions in a file")
    if path.suffix.lower() not in SUFFIXES:
        raise PredictionsError(
            f"{path.name}: expected a name that ends in {', '.join(SUFFIXES)}, which says how the "
            "file is read"
        )
    rows = list(_json_rows(path) if path.suffix.lower() == ".json" else _table_rows(path))
    if not rows:
        raise PredictionsError(f"{path.name}: no row; expected one a prediction")
    names = list(dict.fromkeys(name for row in rows for name in row))
    found = find_columns(names, columns, path.name)
    if condition is None and "condition" not in found:
        raise PredictionsError(
            f"{path.name}: no column says under which condition the model answered; say "
            "--condition aqa (cqa, acqa, silence, mirror)"
        )
    kept: list[Prediction] = []
    bad: list[str] = []
    others = 0
    for number, row in enumerate(rows, 1):
        try:
            prediction = _prediction(number, row, found, condition)
        except ValueError as error:
            bad.append(f"  row {number}: {error}")
            continue
        if condition is not None and prediction.condition is not condition:
            others += 1
        else:
            kept.append(prediction)
    if bad:
        raise PredictionsError(f"{path.name}: {len(bad)} rows cannot be read:\n{listed(bad)}")
    if not kept and condition is not None:
        raise PredictionsError(
            f"{path.name}: {others} rows, and none of condition {condition.value}; leave "
            "--condition out, or name one that the file has"
        )
    return Predictions(kept, found, len(rows), others)


def _table_rows(path: Path) -> Iterator[dict[str, Any]]:
    for table in find_tables(path):
        yield from table.rows()


def _json_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a list of objects, or of an object with the ids as its keys."""
    try:
        data = parse_json(path.read_text(encoding="utf-8-sig"), finite=True)
    except ValueError as error:
        raise PredictionsError(
            f"{path.name}: not JSON: {error}. One object a line is JSON Lines: call it .jsonl"
        ) from error
    except OSError as error:
        raise DataUnavailableError(f"{path}: cannot be read ({error})") from error
    if isinstance(data, dict) and isinstance(data.get("predictions"), (list, dict)):
        data = data["predictions"]
    if isinstance(data, dict):
        data = [
            {"id": item, **(said if isinstance(said, dict) else {"text": said})}
            for item, said in data.items()
        ]
    if not isinstance(data, list):
        raise PredictionsError(
            f"{path.name}: holds {str(data)[:60]!r}; expected a list of objects, or one object "
            "with an answer for each item's id"
        )
    for number, row in enumerate(data, 1):
        if not isinstance(row, dict):
            raise PredictionsError(
                f"{path.name}, row {number}: expected an object, found {str(row)[:60]!r}"
            )
        yield row


# ---------------------------------------------------------------------- one row


def _prediction(
    number: int, row: Mapping[str, Any], columns: Mapping[str, str], condition: Condition | None
) -> Prediction:
    """Return a row's prediction.

    Raises:
        ValueError: A cell cannot be what its column is said to hold.
    """

    def cell(field: str) -> Any:
        return row.get(columns[field]) if field in columns else None

    item = _name("id", cell("id")) if "id" in columns else None
    by_clip = item is None
    if "condition" in columns:
        named = str(cell("condition")).strip().lower()
        if named not in {one.value for one in Condition}:
            raise ValueError(
                f"condition is {_cut(cell('condition'))}; expected one of "
                f"{', '.join(one.value for one in Condition)}"
            )
        said = Condition(named)
    else:
        assert condition is not None
        said = condition
    text = letter = None
    if {"text", "letter"} & set(columns):
        field = "text" if "text" in columns else "letter"
        text = _text(field, cell(field))
        if field == "text" and "letter" in columns and cell("letter") not in (None, ""):
            letter = _text("letter", cell("letter")).strip().upper()
    return Prediction(
        row=number,
        item=item,
        clip=_name("clip", cell("clip")) if by_clip else None,
        kind=_kind(cell("kind")) if by_clip else None,
        condition=said,
        text=text,
        letter=letter,
        probabilities=_probabilities(cell, columns, needed=text is None),
        correct=_correct(cell("correct")),
    )


def _name(field: str, value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # some names are numbers, and JSON writes them so
    if not isinstance(value, str) or not value:
        raise ValueError(f"{field} is {_cut(value)}; expected a name")
    return _whole(field, value)


def _kind(value: Any) -> Kind:
    task = parse_task(value) if isinstance(value, str) and value else None
    kind = Kind(task.kind) if task is not None else kind_named(value)
    if kind is None:
        raise ValueError(
            f"kind is {_cut(value)}; expected eo, lo, ld, earliest_start, latest_end or "
            "longest_duration"
        )
    return kind


def _text(field: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(
            f'{field} is {_cut(value)}; expected text. An empty answer is "", which counts as '
            "wrong; of an item that was not asked, leave the row out"
        )
    return _whole(field, value)


def _whole(field: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"{field} is {_cut(value)}; expected text of whole characters, not half of a "
            "surrogate pair"
        ) from None
    return value


def _probabilities(
    cell: Any, columns: Mapping[str, str], *, needed: bool
) -> tuple[float, ...] | None:
    value: Any
    if "probabilities" in columns:
        value = cell("probabilities")
        if isinstance(value, str) and value.strip():
            try:
                value = parse_json(value)
            except ValueError:
                raise ValueError(
                    f"probabilities are {_cut(value)}; expected such as [0.7, 0.1, 0.1, 0.1]"
                ) from None
        if isinstance(value, dict):
            value = [value.get(letter, value.get(letter.lower())) for letter in LETTERS]
    elif PROBABILITIES[0] in columns:
        value = [cell(name) for name in PROBABILITIES]
        value = None if all(one in (None, "") for one in value) else value
    else:
        return None
    if value in (None, ""):
        if needed:
            raise ValueError("no probabilities, and no text; expected one of them")
        return None
    try:
        found = tuple(_probability(one) for one in value)
    except (TypeError, ValueError):
        found = ()
    if len(found) != len(LETTERS) or not 0 < math.fsum(found) <= _MOST:
        raise ValueError(
            f"the letters' probabilities are {_cut(value)}; expected four numbers from 0 to 1 that "
            "add up to at most 1 (not log-probabilities)"
        )
    return found


def _probability(value: Any) -> float:
    number = math.nan if isinstance(value, bool) else float(value)
    if not 0 <= number <= 1:  # NaN is not, either
        raise ValueError("no probability")
    return number


def _correct(value: Any) -> bool | None:
    if value in (None, "") or (isinstance(value, float) and math.isnan(value)):
        return None
    said = str(value).strip().lower()
    if said in _TRUE or said in _FALSE:
        return said in _TRUE
    raise ValueError(f"correct is {_cut(value)}; expected true or false, 1 or 0")


def _cut(value: Any) -> str:
    shown = ascii(value) if isinstance(value, str) else str(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
