"""Scoring predictions: the tasks' documents and metrics, run by the harness on recorded answers."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lm_eval
from lm_eval.evaluator import evaluate

import tempo_tasks
from tempo_tasks.harness.task_index import our_tasks
from tempo_tasks.paths import task_yamls_dir
from tempo_tasks.predictions.match import Matched, TaskItems, match
from tempo_tasks.predictions.read_predictions import Prediction, Predictions
from tempo_tasks.predictions.recorded_model import RecordedModel
from tempo_tasks.predictions.run_folder import task_hashes
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.questions.questions import LETTERS, Kind
from tempo_tasks.stats.names import parse_task

LETTER_PROBABILITIES = "letter_probabilities"
"""Key of a sample: the probabilities of A, B, C and D that the file gives beside a text."""
MODEL = "predictions"
_SEED = 1234  # the harness's, of few-shot examples, which there are not
_BOOTSTRAP = 100_000  # the harness's default; it only switches closed-form errors on


@dataclass(frozen=True)
class Source:
    """What is asked.

    Attributes:
        prefix: What the tasks' names begin with, such as "tempo_synth".
        kinds: The kinds of question.
        metadata: As `lm_eval --metadata`: which data, and how a caption is given.
    """

    prefix: str
    kinds: Sequence[Kind] = tuple(Kind)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scored:
    """A run.

    Attributes:
        results: As the harness returns and writes them, without the samples.
        samples: The samples of each task.
        disagreements: Predictions that the file calls right and the tasks do not, or the other way
            round, or whose letter in the file is not what its text states.
        matched: Which prediction belongs to which item.
    """

    results: dict[str, Any]
    samples: dict[str, list[dict[str, Any]]]
    disagreements: list[str]
    matched: Matched


def score(
    predictions: Predictions,
    source: Source,
    *,
    model: str,
    file: Path,
    date: float,
    allow_missing: bool = False,
    first_line: bool = False,
) -> Scored:
    """Score predictions as the harness scores a model's answers.

    Args:
        predictions: What the file holds.
        source: What was asked.
        model: The model's name.
        file: The predictions file, whose name and checksum the results hold.
        date: Seconds since 1970, for the results.
        allow_missing: Whether items may be without a prediction.
        first_line: Whether a text ends before its first line break, as in the tasks.

    Raises:
        PredictionsError: See `match`.
        TempoError: Data cannot be had; see `TempoTask`.
    """
    wanted = _task_names(predictions, source)
    with _quiet():
        manager = our_tasks(source.metadata)
        loaded = manager.load(_with_groups(wanted, source.prefix, manager.task_index))
        tasks = loaded["tasks"]
        matched = match(
            predictions.rows,
            {name: _items(name, tasks[name]) for name in wanted},
            allow_missing=allow_missing,
        )
        if matched.not_asked:
            left = [name for name in wanted if name in matched.found]
            loaded = manager.load(_with_groups(left, source.prefix, manager.task_index))
            tasks = loaded["tasks"]
        for task in tasks.values():
            task.set_config(key="num_fewshot", value=0)
            task.set_fewshot_seed(seed=_SEED)
        answers = _answers(matched, tasks)
        results = evaluate(
            lm=RecordedModel(answers, first_line=first_line),
            task_dict=loaded,
            samples={task: list(matched.found[task]) for task in matched.missing} or None,
            bootstrap_iters=_BOOTSTRAP,
            fewshot_as_multiturn=True,
        )
    samples: dict[str, list[dict[str, Any]]] = results.pop("samples")
    hashes = task_hashes(samples)
    disagreements = _disagreements(samples, answers)
    for task, lines in samples.items():
        for line in lines:
            given = answers[task, line["doc"]["id"]]
            if predictions.by_text and given.probabilities is not None:
                line[LETTER_PROBABILITIES] = list(given.probabilities)
    about_file = {
        "file": file.name,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "rows": predictions.n_rows,
        "rows_of_other_conditions": predictions.other_conditions,
        "columns": dict(sorted(predictions.columns.items())),
        "scored": _what_is_scored(predictions, first_line),
        "missing": {task: list(names) for task, names in matched.missing.items()},
        "disagreements": len(disagreements),
    }
    for config in results["configs"].values():
        # Of the task's file, not of the machine.
        source_file = Path(config["metadata"]["config_source"])
        config["metadata"]["config_source"] = str(source_file.relative_to(task_yamls_dir().parent))
    results |= _as_the_harness(model, about_file, date) | {"task_hashes": hashes}
    return Scored(results, samples, disagreements, matched)


# ---------------------------------------------------------------------- which tasks


def _task_names(predictions: Predictions, source: Source) -> list[str]:
    """Return the tasks that could have been asked: of each kind, under each condition."""
    conditions = {prediction.condition for prediction in predictions.rows}
    named = {prediction.kind for prediction in predictions.rows}
    end = "" if predictions.by_text else "_ll"
    return [
        f"{source.prefix}_{kind.value}_{condition.value}{end}"
        for condition in Condition
        if condition in conditions
        for kind in source.kinds
        # The mirror has no LD tasks; an id does not say its kind.
        if not (condition is Condition.MIRROR and kind is Kind.LD)
        if None in named or kind in named
    ]


def _with_groups(tasks: Sequence[str], prefix: str, index: Mapping[str, Any]) -> list[str]:
    """Return the largest groups whose tasks are all there, and the tasks that are in none."""
    left = list(dict.fromkeys(tasks))
    names = []
    end = "_ll" if tasks and tasks[0].endswith("_ll") else ""
    middles = ["", *(f"_{condition.value}" for condition in Condition)]
    for group in (f"{prefix}{middle}{end}" for middle in middles):
        members = set(_leaves(group, index))
        if members and members <= set(left):
            names.append(group)
            left = [task for task in left if task not in members]
    return [*names, *left]


def _leaves(name: str, index: Mapping[str, Any]) -> Iterator[str]:
    """Yield the tasks of a group, those of groups in it included."""
    entry = index.get(name)
    if entry is None:
        return
    config = entry.cfg or {}
    if "dataset_kwargs" in config:
        yield name
        return
    for member in config.get("task", []):
        inner = member if isinstance(member, str) else member.get("task", member.get("group"))
        yield from _leaves(inner, index)


def _items(name: str, task: Any) -> TaskItems:
    parsed = parse_task(name)
    assert parsed is not None
    documents = task.dataset["test"]
    return TaskItems(parsed.condition, parsed.kind, list(documents["id"]), list(documents["clip"]))


def _answers(matched: Matched, tasks: Mapping[str, Any]) -> dict[tuple[str, str], Prediction]:
    return {
        (task, name): matched.found[task][at]
        for task in matched.found
        for at, name in enumerate(tasks[task].dataset["test"]["id"])
        if at in matched.found[task]
    }


# ---------------------------------------------------------------------- what is said of the run


def _what_is_scored(predictions: Predictions, first_line: bool) -> str:
    if not predictions.by_text:
        return "letter probabilities"
    return "first line of the text" if first_line else "whole text"


def _disagreements(
    samples: Mapping[str, Sequence[Mapping[str, Any]]],
    answers: Mapping[tuple[str, str], Prediction],
) -> list[str]:
    """Return what the file says otherwise of an answer than the tasks' rules do."""
    from tempo_tasks.scoring import parse_answer

    found: list[tuple[int, str]] = []
    for task, lines in samples.items():
        for line in lines:
            doc = line["doc"]
            given = answers[task, doc["id"]]
            where = f"row {given.row}: {doc['id']!a} ({task}): "
            credit = line["acc"]
            # Half a credit, of letters that tie, is neither.
            if given.correct is not None and credit in (0, 1) and given.correct != bool(credit):
                said, ours = ("correct", "wrong") if given.correct else ("wrong", "correct")
                text = f"{where}the file says {said}, and it is {ours}{_said(given, doc)}"
                found.append((given.row, text))
            elif given.letter is not None and given.letter in LETTERS:
                read = parse_answer(str(line["filtered_resps"][0]), doc["options"])
                if read != given.letter:
                    text = (
                        f"{where}the file says {given.letter}, and the text states "
                        f"{read or 'no answer'}{_said(given, doc)}"
                    )
                    found.append((given.row, text))
    return [text for _, text in sorted(found)]


def _said(given: Prediction, doc: Mapping[str, Any]) -> str:
    right = f"; right is {doc['answer']}"
    if given.text is None:
        return right
    text = given.text if len(given.text) <= 60 else f"{given.text[:57]}..."
    return f" (text {text!a}{right})"


def _as_the_harness(model: str, about_file: Mapping[str, Any], date: float) -> dict[str, Any]:
    """Return what `lm_eval.simple_evaluate` and its tracker add, as far as it is known.

    Where and on what the model ran is not known, so those entries are null, and nothing tells of
    the machine that did the scoring.
    """
    return {
        "config": {
            "model": MODEL,
            "model_args": {"pretrained": model},
            "tempo": {"version": tempo_tasks.__version__, "pretrained": model},
            "predictions": dict(about_file),
            "batch_size": None,
            "batch_sizes": [],
            "device": None,
            "use_cache": None,
            "limit": None,
            "bootstrap_iters": _BOOTSTRAP,
            "gen_kwargs": None,
            "random_seed": None,
            "numpy_seed": None,
            "torch_seed": None,
            "fewshot_seed": _SEED,
        },
        "git_hash": None,
        "date": date,
        "pretty_env_info": None,
        "transformers_version": None,
        "lm_eval_version": lm_eval.__version__,
        "upper_git_hash": None,
        "model_source": MODEL,
        "model_name": model,
        "model_name_sanitized": _sanitized(model),
        "system_instruction": None,
        "system_instruction_sha": None,
        "fewshot_as_multiturn": None,
        "chat_template": None,
        "chat_template_sha": None,
        "total_evaluation_time_seconds": None,
    }


def _sanitized(model: str) -> str:
    from lm_eval.utils import sanitize_model_name

    return str(sanitize_model_name(model))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the harness from telling of what takes a moment."""
    log = logging.getLogger("lm_eval")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
