"""Which column of a predictions file holds what: found by its name, or named by `--columns`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import OptionError
from tempo_tasks.errors import PredictionsError
from tempo_tasks.questions.questions import LETTERS

PROBABILITIES = tuple(f"p_{letter.lower()}" for letter in LETTERS)
"""Fields of the four letters' probabilities, in columns of their own."""

NAMES: Mapping[str, Sequence[str]] = {
    "id": ("id", "item_id", "item", "question_id"),
    "clip": (
        *("clip", "clip_id", "filename", "file_name", "file", "audio_file", "audio_path"),
        *("audio_id", "audio"),
    ),
    "kind": ("kind", "task", "task_name"),
    "condition": ("condition",),
    "text": (
        *("text", "raw_text", "raw", "raw_output", "output", "response", "raw_response"),
        *("model_output", "model_response", "model_prediction", "prediction", "completion"),
        *("generated_text", "generation"),
    ),
    "letter": (
        *("letter", "predicted_letter", "predicted_answer", "model_answer", "predicted", "pred"),
        *("choice", "chosen"),
    ),
    "probabilities": ("letter_probabilities", "probabilities", "probs"),
    **{
        f"p_{letter}": (f"p_{letter}", f"prob_{letter}", f"probability_{letter}")
        for letter in (letter.lower() for letter in LETTERS)
    },
    "correct": ("correct", "is_correct"),
}
"""What a file can say of an item, and the names of columns that say it, the first one first.

`answer` is not among them: in some files it is the model's, in others the right one.
"""

_ANSWERS = ("text", "letter")
"""Of several columns with such a name, none is taken: what is scored is not guessed."""


def parse_columns(given: str) -> dict[str, str]:
    """Read `id=question,text=reply`; `id=` says that there is no such column.

    Raises:
        OptionError: A field that there is not, one twice, or something else.
    """
    found: dict[str, str] = {}
    for part in given.split(",") if given else []:
        field, equals, column = (piece.strip() for piece in part.partition("="))
        if not equals or field not in NAMES:
            raise OptionError(
                f"--columns {given}: cannot read {part!r}; expected FIELD=COLUMN with one of the "
                f"fields {', '.join(NAMES)}.{did_you_mean(field, NAMES)}"
            )
        if field in found:
            raise OptionError(f"--columns {given}: {field} is given twice; give it once")
        found[field] = column
    return found


def find_columns(columns: Sequence[str], given: Mapping[str, str], where: str) -> dict[str, str]:
    """Return the column of each field that a file has.

    Args:
        columns: The names of all columns of the file.
        given: What `--columns` says, by field.
        where: The file, for messages.

    Raises:
        PredictionsError: A column that was named is not there, none says which item a row is
            about or what was answered, several could be the answer, or one letter's probability
            is missing.
    """
    found: dict[str, str] = {}
    for field, names in NAMES.items():
        if field in given:
            if given[field] and given[field] not in columns:
                raise PredictionsError(
                    f"{where}: there is no column {given[field]!r} (--columns {field}=...)."
                    f"{did_you_mean(given[field], columns)} Its columns: {_shown(columns)}"
                )
            if given[field]:
                found[field] = given[field]
            continue
        fitting = [column for name in names for column in columns if _plain(column) == name]
        if field in _ANSWERS and len(fitting) > 1:
            raise PredictionsError(
                f"{where}: several columns could hold the {field} of the answer: "
                f"{_shown(fitting)}. Say which: --columns {field}={fitting[0]}"
            )
        if fitting:
            found[field] = fitting[0]
    _check(found, columns, where)
    return found


def _check(found: Mapping[str, str], columns: Sequence[str], where: str) -> None:
    letters = [name for name in PROBABILITIES if name in found]
    if "id" not in found and not {"clip", "kind"} <= set(found):
        raise PredictionsError(
            f"{where}: no column says which item a row is about; expected `id`, or `clip` (or "
            f"`filename`) and `kind` (or `task`); see --columns. Its columns: {_shown(columns)}"
        )
    if letters and len(letters) < len(LETTERS):
        raise PredictionsError(
            f"{where}: columns of {len(letters)} letters' probabilities "
            f"({_shown([found[name] for name in letters])}); expected four, or none: leave them "
            f"out with --columns {','.join(f'{name}=' for name in letters)}"
        )
    if not {*_ANSWERS, "probabilities", *letters} & set(found):
        raise PredictionsError(
            f"{where}: no column holds answers; expected `text`, `letter` or probabilities of the "
            f"letters, or --columns text=NAME. Its columns: {_shown(columns)}"
        )


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def _shown(columns: Sequence[str]) -> str:
    more = ", ..." if len(columns) > 20 else ""
    return ", ".join(repr(column[:80]) for column in columns[:20]) + more
