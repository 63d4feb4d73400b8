"""From a run of the harness to the files of a bundle. The same run gives the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tempo_attn.files.strict_json import parse_json
from tempo_tasks.errors import BundleError, SubmissionError
from tempo_tasks.stats.run_files import entry_at
from tempo_tasks.stats.runs import Run, TaskRun
from tempo_tasks.submission.derived_files import derived_files, in_order, to_bytes, to_run
from tempo_tasks.submission.differences import differences
from tempo_tasks.submission.sample_lines import Line, answer_of, canonical, key_of, write_lines
from tempo_tasks.submission.schema import ABOUT, AUDIT, MANIFEST, RESULTS, About, samples_file
from tempo_tasks.submission.task_scoring import task_scoring


def stage_bundle(
    folder: Path,
    run: Run,
    results: Mapping[str, Mapping[str, Any]],
    about: About,
    audit: Mapping[str, Any] | None = None,
) -> list[str]:
    """Write a bundle to a folder that exists and is empty.

    Args:
        folder: Where to.
        run: The run.
        results: What the harness wrote beside the samples of each task; its metrics must be those
            of the samples.
        about: `bundle.json`.
        audit: The audit of the data.

    Returns:
        Names of the files.

    Raises:
        SubmissionError: The run's metrics are not those of its samples.
    """
    lines = {task.task: _lines(run, task) for task in run.tasks}
    for task, found in lines.items():
        _put(folder, samples_file(task), write_lines(found))
        found.sort(key=lambda line: key_of(line["doc"]))
    ordered = {task: lines[task] for task in in_order(list(lines))}
    files: dict[str, Any] = {ABOUT: about.to_dict()}
    files |= derived_files(about, to_run(about, ordered), ordered)
    _refuse_other_metrics(run, results, files[RESULTS])
    if audit is not None:
        files[AUDIT] = dict(audit)
    for name, data in files.items():
        _put(folder, name, to_bytes(data))
    names = sorted([*files, *map(samples_file, lines)])
    _put(folder, MANIFEST, manifest(folder, names))
    return [*names, MANIFEST]


def manifest(folder: Path, names: list[str]) -> bytes:
    """Return the lines of `sha256sum` for some files."""
    sums = ((hashlib.sha256((folder / name).read_bytes()).hexdigest(), name) for name in names)
    return "".join(f"{digest}  {name}\n" for digest, name in sums).encode()


def _put(folder: Path, name: str, data: bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _lines(run: Run, task: TaskRun) -> list[Line]:
    """Return a task's samples in the one form, scored by the rules of this release."""
    try:
        rules = task_scoring(task.task)
    except BundleError as error:
        raise SubmissionError(f"{run.folder}: {error}") from None
    rescored = {sample.key for sample in task.samples if sample.rescored}
    found = []
    text = (run.folder / task.file).read_text(encoding="utf-8")
    for number, row in enumerate(text.split("\n"), 1):
        if not row.strip():
            continue
        line = parse_json(row)  # `read_samples` has read it before
        where = f"{task.file}, line {number}"
        try:
            answer = answer_of(line, generates=rules.generates)
            acc = rules.of_document(line["doc"], answer)["acc"]
        except (ValueError, KeyError) as error:
            raise SubmissionError(
                f"{where}: {error}; expected a line that lm_eval wrote. Run the task again"
            ) from None
        if abs(acc - line["acc"]) > 1e-9 and key_of(line["doc"]) not in rescored:
            raise SubmissionError(
                f"{where}: acc is {line['acc']}, and the answer earns {acc}; expected the file as "
                "lm_eval wrote it. Was it edited? Run the task again"
            )
        found.append(canonical(line, acc))
    return found


def _refuse_other_metrics(
    run: Run, results: Mapping[str, Mapping[str, Any]], ours: Mapping[str, Mapping[str, Any]]
) -> None:
    """Refuse a run whose results are not those of its samples."""
    for task in run.tasks:
        if any(sample.rescored for sample in task.samples):
            continue  # another release's rules gave its results
        recorded = entry_at(results[task.task], "results", task.task) or {}
        theirs = {
            name.removesuffix(",none"): value
            for name, value in recorded.items()
            if name.endswith(",none") and name.removesuffix(",none") in ours[task.task]
        }
        mine = {name: ours[task.task][name] for name in theirs}
        if other := differences(mine, theirs):
            raise SubmissionError(
                f"{run.folder}: the results of {task.task} are not those of its samples: "
                f"{other[0]}. Was a file edited, or are they of two runs? Run the task again"
            )
