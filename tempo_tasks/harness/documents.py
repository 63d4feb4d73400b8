"""Questions to harness documents: one row a prompt, with what the metrics want to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import datasets

from tempo_tasks.audio import document_audio
from tempo_tasks.errors import MissingCaptionError, QuestionError
from tempo_tasks.prompts import DEFAULT_STYLE, PromptStyle, make_prompt
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.questions.mirror import MirrorSet
from tempo_tasks.questions.question_set import QuestionSet
from tempo_tasks.questions.questions import LETTERS, Question
from tempo_tasks.questions.strata import strata_of
from tempo_tasks.sources.csv_reader import listed

ROTATIONS = tuple(range(len(LETTERS)))

_FEATURES = datasets.Features(
    {
        "id": datasets.Value("string"),
        "pair": datasets.Value("string"),  # empty but in the mirror tasks
        "group": datasets.Value("string"),  # empty but for quartets and their like
        "clip": datasets.Value("string"),
        "cluster": datasets.Value("string"),  # of standard errors: the group, else the clip
        "kind": datasets.Value("string"),
        "condition": datasets.Value("string"),
        "prompt_variant": datasets.Value("int32"),
        "rotation": datasets.Value("int32"),  # 0 but in the _rot tasks
        "prompt": datasets.Value("string"),
        "options": datasets.List(datasets.Value("string")),
        "answer": datasets.Value("string"),
        "answer_text": datasets.Value("string"),
        # What the item asks of a listener (`questions.strata`); null where it is not known.
        "n_present": datasets.Value("int32"),
        "margin": datasets.Value("float64"),
        "overlap": datasets.Value("float64"),
        "n_intervals": datasets.Value("int32"),
        "audio": datasets.List(
            {
                "sha256": datasets.Value("string"),
                "silence": datasets.Value("bool"),
                "reversed": datasets.Value("bool"),
            }
        ),
    }
)


def to_documents(
    questions: QuestionSet,
    condition: Condition,
    *,
    style: PromptStyle = DEFAULT_STYLE,
    rotations: Sequence[int] = (0,),
) -> datasets.Dataset:
    """Pose every question under a condition.

    Args:
        questions: The set.
        condition: What the model is given.
        style: How the question is put into words.
        rotations: How far to rotate the options; each question is asked once for each.

    Raises:
        MissingCaptionError: A caption condition, and clips without caption; lists some.
        QuestionError: Items whose options or caption would break the prompt; all are listed.
    """
    if condition.has_caption:
        without = sorted({q.clip_id for q in questions.questions} - set(questions.captions))
        if without:
            shown = ", ".join(without[:5]) + (", ..." if len(without) > 5 else "")
            raise MissingCaptionError(
                f"{questions.name}: {len(without)} clips have no caption ({shown}), and condition "
                f"{condition.value} gives the caption. Add a `caption` column to the data, or run "
                "the aqa and silence tasks"
            )
    rows: list[dict[str, Any]] = []
    bad: list[str] = []
    for question in questions.questions:
        try:
            rows += [
                _row(questions, rotate(question, by), condition, style) | {"rotation": by}
                for by in rotations
            ]
        except QuestionError as error:
            bad.append(f"  {error}")
    if bad:
        raise QuestionError(
            f"{questions.name}: {len(bad)} items cannot be asked; correct the data:\n" + listed(bad)
        )
    return datasets.Dataset.from_list(rows, features=_FEATURES)


def mirror_documents(mirror: MirrorSet) -> datasets.Dataset:
    """Pose every question, and right after it the same question about the clip's twin."""
    rows = []
    for pair in mirror.pairs:
        rows.append(_row(mirror.originals, pair.original, Condition.AQA) | {"pair": pair.id})
        rows.append(_row(mirror.twins, pair.twin, Condition.MIRROR) | {"pair": pair.id})
    return datasets.Dataset.from_list(rows, features=_FEATURES)


def rotate(question: Question, by: int) -> Question:
    """Return the question with its first `by` options moved to after the others (0 to 3)."""
    a, b, c, d = question.options[by:] + question.options[:by]
    place = (LETTERS.index(question.answer) - by) % len(LETTERS)
    return replace(question, options=(a, b, c, d), answer=LETTERS[place])


def _row(
    questions: QuestionSet,
    question: Question,
    condition: Condition,
    style: PromptStyle = DEFAULT_STYLE,
) -> dict[str, Any]:
    prompt = make_prompt(
        question,
        condition,
        audio=questions.audio[question.clip_id],
        caption=questions.captions.get(question.clip_id),
        style=style,
    )
    strata = strata_of(question, questions.clips.get(question.clip_id))
    return {
        "id": question.id,
        "pair": "",
        "group": question.group,
        "clip": question.clip_id,
        "cluster": question.cluster,
        "kind": question.kind.value,
        "condition": condition.value,
        "prompt_variant": style.variant,
        "rotation": 0,
        "prompt": prompt.text,
        "options": list(question.options),
        "answer": question.answer,
        "answer_text": question.answer_text,
        "n_present": strata.n_present,
        "margin": strata.margin,
        "overlap": strata.overlap,
        "n_intervals": strata.n_intervals,
        "audio": [document_audio(handle) for handle in prompt.audio],
    }
