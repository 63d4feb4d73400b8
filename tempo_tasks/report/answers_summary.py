"""Parse failures with their raw texts, and how letters are chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tempo_tasks.questions.questions import LETTERS
from tempo_tasks.report.raw_answers import read_raw_answers
from tempo_tasks.scoring import letter_bias, mean_a, mean_b, mean_c, mean_d
from tempo_tasks.stats.columns import items_of, percent
from tempo_tasks.stats.names import GENERATION
from tempo_tasks.stats.runs import Run, TaskRun

MOST_TEXTS = 40
_MEANS = (mean_a, mean_b, mean_c, mean_d)


def failure_rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return for each task with parse failures how many there are, and what was said how often.

    Returns:
        Rows with run, items, n, failures, and texts: (raw text, count, one item), the most
        frequent first, at most `MOST_TEXTS`.
    """
    rows = []
    for run in runs:
        for task in run.tasks:
            failed = [sample for sample in task.samples if sample.chosen is None]
            if task.name.scoring != GENERATION or not failed:
                continue
            raw = read_raw_answers(run, task)
            said = Counter(raw[sample.key].text for sample in failed)
            first = {raw[sample.key].text: sample.item for sample in reversed(failed)}
            texts = sorted(said.items(), key=lambda counted: (-counted[1], counted[0]))
            rows.append(
                {
                    "run": run.label,
                    "items": _items(task),
                    "n": len(task.samples),
                    "failures": len(failed),
                    "texts": [(text, n, first[text]) for text, n in texts[:MOST_TEXTS]],
                    "more": max(len(texts) - MOST_TEXTS, 0),
                }
            )
    return rows


def letter_rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return for each task how often each letter is chosen and right, and its recall."""
    rows = []
    for run in runs:
        for task in run.tasks:
            n = len(task.samples)
            chosen = Counter(sample.chosen for sample in task.samples)
            right = Counter(sample.answer for sample in task.samples)
            credit = [(sample.answer, sample.correct) for sample in task.samples]
            bias = letter_bias(credit)
            rows.append(
                {
                    "run": run.label,
                    "items": _items(task),
                    "n": n,
                    "chosen": [percent(chosen[letter] / n) for letter in LETTERS],
                    "right": [percent(right[letter] / n) for letter in LETTERS],
                    "recall": [_shown(mean(credit)) for mean in _MEANS],
                    "bias": _shown(bias),
                }
            )
    return rows


def _shown(value: float | str) -> str:
    return "-" if isinstance(value, str) else percent(value)


def _items(task: TaskRun) -> str:
    name = task.name
    return items_of(
        {
            "source": name.source,
            "kind": name.kind,
            "condition": name.condition,
            "variant": name.variant,
            "scoring": name.scoring,
        }
    )
