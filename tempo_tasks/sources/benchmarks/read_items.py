"""Rows of a benchmark to items, by its description. Nothing is guessed: faults are listed.

An answer given as text is the option with that text, else the only one that equals it but for case,
blanks, quotes and a full stop. Options stay as they are published, also where two are the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tempo_tasks.errors import DataVersionError, QuestionError
from tempo_tasks.questions.choice_items import ChoiceItem, letters_of, sound_key
from tempo_tasks.questions.spelling import normal_text
from tempo_tasks.sources.benchmarks.cells import Row, as_text, dig, first_of, texts
from tempo_tasks.sources.benchmarks.clip_orders import reordered
from tempo_tasks.sources.benchmarks.description import Description, Part


@dataclass(frozen=True, slots=True)
class RowFault:
    """A row that is no item.

    Attributes:
        row: Its number, the first being 1.
        what: What is wrong with it.
    """

    row: int
    what: str

    def __str__(self) -> str:
        return f"row {self.row}: {self.what}"


@dataclass
class ReadItems:
    """What the rows of a part gave.

    Attributes:
        items: The items, in the order of the rows and, of a row, of its runs.
        clips: Of each clip's name, what the row has for it: a path, or bytes with one.
        faults: Rows that are no item.
        left_out: How many rows lack what an item needs and the description says they may lack.
        rows: How many rows belong to the part.
    """

    items: list[ChoiceItem] = field(default_factory=list)
    clips: dict[str, Any] = field(default_factory=dict)
    faults: list[RowFault] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    rows: int = 0


class _LeftOutError(Exception):
    """A row lacks what it may lack."""


def read_items(
    description: Description,
    part: Part,
    rows: Iterable[tuple[int, Row]],
    where: str,
    *,
    seconds: bool = False,
) -> ReadItems:
    """Read the items of a part.

    Args:
        description: The benchmark.
        part: The part.
        rows: Numbers and rows.
        where: What the rows are read from, for messages.
        seconds: Whether the items ask for a time, and not for an option.

    Raises:
        DataVersionError: The first row lacks columns that the description names, or no row belongs
            to the part.
    """
    read = ReadItems()
    seen: Counter[str] = Counter()
    n_rows = 0
    values: Counter[tuple[str | None, ...]] = Counter()
    for number, row in rows:
        n_rows += 1
        if n_rows == 1:
            _check_columns(part, row, where, seconds)
        values[tuple(as_text(dig(row, column)) for column in part.where)] += 1
        if any(as_text(dig(row, column)) != value for column, value in part.where.items()):
            continue
        read.rows += 1
        name = _name(part, row, number)
        seen[name] += 1
        unique = name if seen[name] == 1 else f"{name}#{seen[name]}"
        try:
            for run in range(description.runs):
                item, clips = _item(description, part, row, name, unique, run, seconds)
                read.items.append(item)
                read.clips |= clips
        except _LeftOutError as missing:
            read.left_out[str(missing)] += 1
        except QuestionError as error:
            named = "" if unique == f"row {number}" else f"{unique}: "
            read.faults.append(RowFault(number, f"{named}{error}"))
    if not read.rows:
        shown = [", ".join(map(str, value)) for value, _ in values.most_common(8)]
        found = " | ".join(shown) or "no row"
        raise DataVersionError(
            f"{where}: no row of {n_rows} belongs to {description.name} {part.name}"
            + (f", where {dict(part.where)}; found {found}" if part.where else "")
        )
    return read


def _check_columns(part: Part, row: Row, where: str, seconds: bool) -> None:
    alternatives = {"audio": part.audio, "question": part.question, "id": part.id}
    alternatives |= {"seconds": part.seconds} if seconds else {"answer": part.answer}
    present = set(row)
    missing = [
        f"{what} ({' or '.join(names)})"
        for what, names in alternatives.items()
        if names and not any(name in present or name.split(".")[0] in present for name in names)
    ]
    if not seconds:
        missing += [f"option ({name})" for name in part.options if name not in present]
    missing += [f"where ({name})" for name in part.where if name.split(".")[0] not in present]
    if missing:
        raise DataVersionError(
            f"{where}: columns are missing: {', '.join(missing)}; found {sorted(map(str, row))}. "
            "Is it another version of the set? A description of your own can name its columns "
            "(docs/other_benchmarks.md)"
        )


def _name(part: Part, row: Row, number: int) -> str:
    name = as_text(first_of(row, part.id)) if part.id else None
    return " ".join(name.split()) if name else f"row {number}"


def _item(
    description: Description, part: Part, row: Row, name: str, unique: str, run: int, timed: bool
) -> tuple[ChoiceItem, dict[str, Any]]:
    question = as_text(first_of(row, part.question))
    if not question:
        raise QuestionError("there is no question")
    clips = _clips(part, row, unique)
    seconds = _seconds(part, row) if timed else None
    options, answer = ([], "") if timed else _asked(part, row, bool(description.clip_order))
    names = list(clips)
    if description.clip_order:
        heard, text = reordered(description.clip_order, name, run, names, options)
        names = [str(clip) for clip in heard]
        answer = letters_of(options)[options.index(text)]
    sounds = _sounds(part, row)
    several = description.runs > 1
    item = ChoiceItem(
        id=f"{unique}@{run}" if several else unique,
        part=part.name,
        clips=tuple(names),
        question=question,
        options=tuple(options),
        answer=answer,
        seconds=seconds,
        group=unique if several else "",
        run=run,
        sounds=sounds,
        n_present=n_present(options, sounds, description.same_sound),
        categories=_categories(part, row),
    )
    return item, clips


def n_present(
    options: Sequence[str], sounds: Sequence[str] | None, same: dict[str, str] | Any = None
) -> int | None:
    """Return how many options name a sound of the clip; None where these are not known."""
    if sounds is None or not options:
        return None
    return sum(occurs(option, sounds, same) for option in options)


def occurs(option: str, sounds: Sequence[str], same: Any = None) -> bool:
    """Return whether an option names one of the sounds, whatever its spelling."""
    known = {sound_key(sound) for sound in sounds}
    alias = {sound_key(name): sound_key(other) for name, other in (same or {}).items()}
    key = sound_key(option)
    return alias.get(key, key) in known


def _clips(part: Part, row: Row, item_id: str) -> dict[str, Any]:
    value = first_of(row, part.audio)
    if value is None or value == []:
        if "audio" in part.may_lack:
            raise _LeftOutError("audio")
        raise QuestionError(f"there is no clip in {' or '.join(part.audio)}")
    if isinstance(value, str) and value.strip()[:1] == "[":
        value = texts(value, part.audio[0])
    cells = value if isinstance(value, list) else [value]
    found: dict[str, Any] = {}
    for place, cell in enumerate(cells):
        path = cell.get("path") if isinstance(cell, dict) else cell
        bare = f"{item_id}/{place}" if len(cells) > 1 else item_id
        clip = path.strip() if isinstance(path, str) and path.strip() else bare
        if isinstance(cell, dict) and not isinstance(cell.get("bytes"), bytes) and path is None:
            raise QuestionError(f"clip {place + 1} has neither bytes nor a path")
        if not isinstance(cell, (str, bytes, dict)):
            raise QuestionError(f"clip {place + 1} is {str(cell)[:80]!r}; expected a file or bytes")
        # Bytes are named after the item: files of different rows may have one name.
        if isinstance(cell, bytes) or (isinstance(cell, dict) and cell.get("bytes")):
            clip = bare
        if clip in found:
            raise QuestionError(f"the clip {clip!r} stands twice; expected different ones")
        found[clip] = cell
    return found


def _seconds(part: Part, row: Row) -> float:
    given = as_text(first_of(row, part.seconds))
    try:
        return float(given or "")
    except ValueError:
        raise QuestionError(f"the time is {given!r}; expected seconds") from None


def _asked(part: Part, row: Row, ordered: bool) -> tuple[list[str], str]:
    """Return options and letter; the letter is empty where the order of the clips decides it."""
    if len(part.options) > 1:
        options = [as_text(dig(row, name)) or "" for name in part.options]
        # Sets with fewer options leave the last columns empty.
        while options and not options[-1]:
            options.pop()
    else:
        cell = first_of(row, part.options)
        if cell is None or cell == []:
            if "options" in part.may_lack:
                raise _LeftOutError("options")
            raise QuestionError(f"there are no options in {part.options[0]}")
        options = texts(cell, part.options[0])
    if not all(options):
        raise QuestionError(f"an option is empty: {options}")
    if ordered:
        return options, ""
    answer = as_text(first_of(row, part.answer))
    if not answer:
        if "answer" in part.may_lack:
            raise _LeftOutError("answer")
        raise QuestionError(f"there is no answer in {' or '.join(part.answer)}")
    return options, _letter(part, options, answer)


def _letter(part: Part, options: Sequence[str], answer: str) -> str:
    letters = letters_of(options)
    if part.answer_is == "letter":
        if answer.upper() not in letters:
            raise QuestionError(f"the answer is {answer!r}; expected a letter of {letters}")
        return answer.upper()
    if answer in options:  # where it stands twice, both are right
        return letters[options.index(answer)]
    alike = {option for option in options if normal_text(option) == normal_text(answer)}
    if len(alike) == 1:
        return letters[options.index(alike.pop())]
    raise QuestionError(
        f"the answer {answer!r} is {len(alike)} of the options {list(options)}; expected one"
    )


def _sounds(part: Part, row: Row) -> tuple[str, ...] | None:
    if not part.sounds:
        return None
    value = first_of(row, part.sounds)
    return None if value is None else tuple(texts(value, part.sounds[0]))


def _categories(part: Part, row: Row) -> tuple[tuple[str, str], ...]:
    found = ((column, as_text(dig(row, column))) for column in part.categories)
    return tuple((column, value) for column, value in found if value)
