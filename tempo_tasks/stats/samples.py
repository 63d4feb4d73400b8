"""One samples file of the harness: a line an item, with the document, the answer and its credit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from tempo_attn.files.strict_json import parse_json
from tempo_tasks.errors import SamplesError
from tempo_tasks.questions.choice_items import FEWEST, MOST, letters_of
from tempo_tasks.questions.questions import LETTERS
from tempo_tasks.questions.strata import STRATA
from tempo_tasks.scoring import most_likely, parse_answer
from tempo_tasks.stats.names import GENERATION, TaskName


@dataclass(frozen=True, slots=True)
class Sample:
    """One answered item.

    Attributes:
        item: Name that the same item has under every condition, prompt, scoring and rotation.
        rotation: How far the options are rotated, 0 to 3; 0 where there is one order only.
        cluster: What standard errors are clustered by: the document's `cluster`, else its clip.
        correct: Credit, 0 to 1; letters that tie share it.
        chosen: The chosen letter; None for a parse failure or a tie.
        options: The options, four in our own tasks, in the order of the letters.
        answer: The right letter.
        doc: The whole document, for its strata.
        rescored: The file calls the answer a parse failure, or none, and the rules of this release
            do not: it was scored by another one's.
    """

    item: str
    rotation: int
    cluster: str
    correct: float
    chosen: str | None
    options: tuple[str, ...]
    answer: str
    doc: Mapping[str, Any]
    rescored: bool = False

    @property
    def key(self) -> tuple[str, int]:
        """What matches the sample with its like in another task or run."""
        return self.item, self.rotation

    @property
    def question(self) -> tuple[str, frozenset[str]]:
        """What is asked, whatever the order of the options: the right one and all of them."""
        return self.options[ascii_uppercase.index(self.answer)], frozenset(self.options)

    @property
    def chosen_text(self) -> str | None:
        """The text of the chosen option."""
        return None if self.chosen is None else self.options[ascii_uppercase.index(self.chosen)]


def read_samples(path: Path, task: TaskName) -> list[Sample]:
    """Read the samples of one task.

    Args:
        path: The file `samples_<task>_<date>.jsonl`.
        task: The parts of the name of the task that the samples are of.

    Raises:
        SamplesError: A line that is not JSON or not an item of ours, an item twice, or no line.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            return to_samples(_parsed(lines, path.name), task, path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise SamplesError(f"{path}: cannot be read: {error}. Run the task again") from error


def to_samples(lines: Iterable[tuple[int, Any]], task: TaskName, file: str) -> list[Sample]:
    """Return the samples of one task from parsed lines.

    Args:
        lines: The number of each line in its file, and what the line holds.
        task: The parts of the name of the task that the samples are of.
        file: Name of the file, for messages.

    Raises:
        SamplesError: A line that is no item of ours, an item twice, or no line.
    """
    found: dict[tuple[str, int], tuple[int, Sample]] = {}
    for number, data in lines:
        sample = _sample(data, task, f"{file}, line {number}")
        if sample.key in found:
            raise SamplesError(
                f"{file}, line {number}: the item {sample.item!r} stands in line "
                f"{found[sample.key][0]} too; expected each item once. Were two runs "
                "written into one file? Run the task again"
            )
        found[sample.key] = number, sample
    if not found:
        raise SamplesError(f"{file}: no line; expected one an item. Run the task again")
    return [sample for _, sample in found.values()]


def _parsed(lines: Iterable[str], file: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield number, parse_json(line)
        except ValueError as error:
            raise SamplesError(
                f"{file}, line {number}: not whole JSON ({error}); the file was cut short or "
                "edited. Run the task again, or remove the line if its item may be missing"
            ) from None


def _sample(data: Any, task: TaskName, where: str) -> Sample:
    doc = data.get("doc") if isinstance(data, dict) else None
    if not isinstance(doc, dict) or not _is_question(doc):
        raise SamplesError(
            f"{where}: no document of a tempo task; expected `doc` with id, clip, four options, "
            "an answer from A to D, and strata that are numbers"
        )
    correct = data.get("acc")
    if not isinstance(correct, (int, float)) or not 0 <= correct <= 1:
        raise SamplesError(
            f"{where}: acc is {correct!r}; expected a number from 0 to 1. Was the run made with "
            "--predict_only? Then run it without"
        )
    rotation = doc.get("rotation") or 0
    chosen = _chosen(data, doc["options"], task, where)
    # Runs of several releases are compared under one rule.
    failed = data.get("parse_failure") if task.scoring == GENERATION else None
    rescored = failed in (0, 1) and bool(failed) != (chosen is None)
    # Of another benchmark's items, options of one text are right together.
    given = doc.get("right_letters")
    right = given if isinstance(given, list) and given else [doc["answer"]]
    return Sample(
        item=doc["id"],
        rotation=rotation if isinstance(rotation, int) else 0,
        cluster=str(doc.get("cluster") or doc["clip"]),
        correct=float(chosen in right if rescored else correct),
        chosen=chosen,
        options=tuple(doc["options"]),
        answer=doc["answer"],
        doc={name: value for name, value in doc.items() if name not in ("audio", "prompt")},
        rescored=rescored,
    )


def _is_question(doc: Mapping[str, Any]) -> bool:
    options = doc.get("options")
    return (
        all(isinstance(doc.get(name), str) and doc[name] for name in ("id", "clip"))
        and isinstance(options, list)
        and FEWEST <= len(options) <= MOST
        and (len(options) == len(LETTERS) or isinstance(doc.get("part"), str))
        and all(isinstance(option, str) for option in options)
        and doc.get("answer") in letters_of(options)
        and all(_is_number(doc[name]) for name in STRATA if doc.get(name) is not None)
    )


def _is_number(value: Any) -> bool:
    # Not `isfinite`: JSON has integers that are too large for it.
    return isinstance(value, (int, float)) and -1e300 < value < 1e300


def _chosen(
    data: Mapping[str, Any], options: Sequence[str], task: TaskName, where: str
) -> str | None:
    """Return the letter that a sample's answer names, from the text or the four log-likelihoods."""
    answers = data.get("filtered_resps")
    try:
        if task.scoring == GENERATION:
            text = answers[0]  # type: ignore[index]
            while isinstance(text, list):
                text = text[0]
            return parse_answer(text, options)
        scores = [(_number(pair[0]), False) for pair in answers]  # type: ignore[union-attr]
        if len(scores) != len(options):
            raise ValueError(f"{len(scores)} log-likelihoods")
        best = most_likely(scores)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError):
        expected = "a text" if task.scoring == GENERATION else "four log-likelihoods"
        raise SamplesError(
            f"{where}: filtered_resps is {str(answers)[:80]}; expected {expected}. Is the file of "
            "a tempo task of this release?"
        ) from None
    return best[0] if len(best) == 1 else None


def _number(text: Any) -> float:
    """Return a log-likelihood, which the harness writes as text."""
    value = float(text)
    if math.isnan(value):
        raise ValueError("NaN")
    return value
