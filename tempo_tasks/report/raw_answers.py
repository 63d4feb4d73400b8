"""What a model said, word for word, and how probable it found each letter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tempo_attn.files.strict_json import parse_json
from tempo_tasks.stats.names import GENERATION
from tempo_tasks.stats.runs import Run, TaskRun

MOST_CHARACTERS = 2000


@dataclass(frozen=True)
class RawAnswer:
    """An answer as the samples file has it.

    Attributes:
        text: What was generated, cut after `MOST_CHARACTERS`; empty where letters were scored.
        probabilities: Of the four candidates among each other; None where text was generated.
        prompt: The whole prompt.
    """

    text: str
    probabilities: Sequence[float] | None
    prompt: str


def read_raw_answers(run: Run, task: TaskRun) -> dict[tuple[str, int], RawAnswer]:
    """Return the raw answers of a task by the key of their sample.

    The file has been read and checked by `tempo_tasks.stats.samples.read_samples` before.
    """
    found = {}
    with (run.folder / task.file).open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                data = parse_json(line)
                doc = data["doc"]
                rotation = doc.get("rotation")
                key = doc["id"], rotation if isinstance(rotation, int) else 0
                found[key] = _answer(data, task)
    return found


def _answer(data: dict[str, Any], task: TaskRun) -> RawAnswer:
    prompt = str(data["doc"].get("prompt") or "")
    filtered = data["filtered_resps"]
    if task.name.scoring != GENERATION:
        return RawAnswer("", softmax([float(pair[0]) for pair in filtered]), prompt)
    text = data.get("resps") or filtered
    while isinstance(text, list) and text:
        text = text[0]
    return RawAnswer(cut(str(text)), None, prompt)


def cut(text: str) -> str:
    """Return a text that a page can show, with what was left out of a long one."""
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[:MOST_CHARACTERS]} ... ({len(text) - MOST_CHARACTERS:,} more characters)"


def softmax(scores: Sequence[float]) -> list[float] | None:
    """Return the probabilities of candidates among each other; None where all are impossible."""
    best = max(scores)
    if not math.isfinite(best):
        return None
    weights = [math.exp(score - best) for score in scores]
    return [round(weight / sum(weights), 4) for weight in weights]
