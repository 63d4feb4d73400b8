"""Items of other benchmarks to harness documents: one row a prompt, as `documents` has ours."""

from __future__ import annotations

from typing import Any

import datasets

from tempo_tasks.audio import document_audio, silenced_handle
from tempo_tasks.errors import QuestionError
from tempo_tasks.prompts import choice_prompt
from tempo_tasks.questions.choice_items import ChoiceItem, letters_of
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.sources.benchmarks.load import BenchmarkPart
from tempo_tasks.sources.csv_reader import listed

CONDITIONS = (Condition.AQA, Condition.SILENCE)
"""Those that need nothing but clips: other benchmarks have no captions."""

_FEATURES = datasets.Features(
    {
        "id": datasets.Value("string"),
        "group": datasets.Value("string"),  # empty but for questions asked in several runs
        "run": datasets.Value("int32"),
        "clip": datasets.Value("string"),  # the first one
        "cluster": datasets.Value("string"),  # of standard errors: the group, else the clips
        "part": datasets.Value("string"),
        "condition": datasets.Value("string"),
        "rotation": datasets.Value("int32"),
        "question": datasets.Value("string"),
        "prompt": datasets.Value("string"),
        "options": datasets.List(datasets.Value("string")),
        "letters": datasets.List(datasets.Value("string")),
        "answer": datasets.Value("string"),
        "right_letters": datasets.List(datasets.Value("string")),  # of its text
        "answer_text": datasets.Value("string"),
        "seconds": datasets.Value("float64"),  # the right time; null where options are given
        "option_twice": datasets.Value("bool"),
        "n_present": datasets.Value("int32"),  # null where the clip's sounds are not known
        "categories": datasets.List(
            {"name": datasets.Value("string"), "value": datasets.Value("string")}
        ),
        "audio": datasets.List(
            {
                "sha256": datasets.Value("string"),
                "silence": datasets.Value("bool"),
                "reversed": datasets.Value("bool"),
            }
        ),
    }
)


def benchmark_documents(part: BenchmarkPart, condition: Condition) -> datasets.Dataset:
    """Pose every item under a condition.

    Args:
        part: The items and their audio.
        condition: AQA, or silence: zeros of the clips' lengths.

    Raises:
        QuestionError: Items whose text would break the prompt; all are listed.
    """
    rows, bad = [], []
    for item in part.items:
        try:
            rows.append(_row(part, item, condition))
        except QuestionError as error:
            bad.append(f"  {error}")
    if bad:
        raise QuestionError(
            f"{part.name}: {len(bad)} items cannot be asked; correct the data:\n" + listed(bad)
        )
    return datasets.Dataset.from_list(rows, features=_FEATURES)


def _row(part: BenchmarkPart, item: ChoiceItem, condition: Condition) -> dict[str, Any]:
    silent = condition is Condition.SILENCE
    handles = [silenced_handle(part.audio[clip], silent) for clip in item.clips]
    prompt = choice_prompt(item, handles)
    return {
        "id": item.id,
        "group": item.group,
        "run": item.run,
        "clip": item.clips[0],
        "cluster": item.cluster,
        "part": item.part,
        "condition": condition.value,
        "rotation": 0,
        "question": item.question,
        "prompt": prompt.text,
        "options": list(item.options),
        "letters": list(letters_of(item.options)),
        "answer": item.answer,
        "right_letters": list(item.right_letters),
        "answer_text": item.answer_text,
        "seconds": item.seconds,
        "option_twice": bool(item.twice),
        "n_present": item.n_present,
        "categories": [{"name": name, "value": value} for name, value in item.categories],
        "audio": [document_audio(handle) for handle in prompt.audio],
    }
