"""From a run's results files to `bundle.json`: what was asked, of which model, with what."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any

import tempo_tasks
from tempo_tasks.errors import SubmissionError
from tempo_tasks.stats.run_files import data_fingerprint, entry_at, read_results, results_beside
from tempo_tasks.stats.runs import Run
from tempo_tasks.submission.schema import (
    SCHEMA,
    SCHEMA_VERSION,
    About,
    Attention,
    Links,
    Model,
    Task,
    Versions,
)

# Where things lie on the machine and how fast it worked; `pretrained` and `attn_scale` stand
# elsewhere. A token must never leave.
_OF_THE_MACHINE = {
    *("token", "pretrained", "attn_scale", "attn_scale_revision", "cache_dir", "device"),
    *("device_map", "offload_folder", "batch_size", "max_batch_size", "max_memory_per_gpu"),
    *("base_url", "api_key_env"),
}
_SETTINGS = (
    *("synth_scenes", "synth_quartets", "caption_place", "caption_wording", "options_form"),
    *("data_split", "data_revision"),
)
_ENVIRONMENT = re.compile(
    r"(PyTorch version|Python version|OS|CUDA runtime version|Is CUDA available|"
    r"Nvidia driver version|GPU \d+|GPU models and configuration): "
)
_RELEASED = "gamma-lab-umd/temporal-lalm"
_RUN_KEYS = ("random_seed", "numpy_seed", "torch_seed", "fewshot_seed", "gen_kwargs", "predictions")


def results_of(run: Run) -> dict[str, Mapping[str, Any]]:
    """Return the results beside the samples of each task.

    Raises:
        SubmissionError: There are none.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for task in run.tasks:
        beside = results_beside(run.folder / task.file, task.task)
        found[task.task] = read_results(beside)
        if not found[task.task]:
            raise SubmissionError(
                f"{run.folder}: {task.file} without {beside.name}; expected both, as lm_eval "
                "writes them: only the results say which data and model the samples are of. Run "
                "the tasks again"
            )
    return found


def about_run(
    run: Run,
    results: Mapping[str, Mapping[str, Any]],
    links: Links,
    *,
    label: str | None = None,
    hub_dataset: str | None = None,
) -> About:
    """Return `bundle.json` of a run.

    Args:
        run: The run.
        results: Of each task, as `results_of` returns them.
        links: What the submitter says.
        label: What tables should call the entry; default: the run's label.
        hub_dataset: Id of the data set on the Hub; default: the released one where it was asked.

    Raises:
        SubmissionError: The results do not say of which data the samples are, or say that some
            items were left out.
    """
    _refuse_parts(run, results)
    last = results[max(results, key=lambda task: _seconds(results[task]))]
    config = entry_at(last, "config") or {}
    tasks = {task.task: _task(task.task, len(task.samples), results) for task in run.tasks}
    edit = entry_at(config, "tempo", "attn_scale")
    name = entry_at(config, "tempo", "pretrained") or last.get("model_name") or run.folder.name
    released = any(task.data_name.startswith(_RELEASED) for task in tasks.values())
    return About(
        schema=SCHEMA,
        schema_version=SCHEMA_VERSION,
        label=label or run.label,
        date=_date(_seconds(last)),
        model=Model(
            name=_without_path(str(name)),
            family=_text(entry_at(config, "tempo", "family")),
            weights=_text(entry_at(config, "tempo", "weights")),
            revision=_text(config.get("model_revision")),
            sha=_text(config.get("model_sha")),
            dtype=_text(config.get("model_dtype")),
            parameters=_whole(config.get("model_num_parameters")),
        ),
        attention=None if not isinstance(edit, dict) else _attention(edit),
        links=links,
        versions=_versions(last),
        tasks=dict(sorted(tasks.items())),
        run=_run(config, last),
        hub_dataset=hub_dataset or (_RELEASED if released else None),
        # Names of files and dates are of one machine's folder; the bundle has its own.
        notes=[note for note in run.notes if "again" in note],
    )


def code_fingerprint_of_tempo() -> str:
    """Return the SHA-256 of the code that asks, scores and computes."""
    from tempo_attn.lab.run_folder.fingerprints import code_fingerprint

    return str(code_fingerprint(tempo_tasks))


def _refuse_parts(run: Run, results: Mapping[str, Mapping[str, Any]]) -> None:
    cut = []
    for task in run.tasks:
        sizes = entry_at(results[task.task], "n-samples", task.task) or {}
        original, found = sizes.get("original"), len(task.samples)
        if isinstance(original, int) and original != found:
            cut.append(f"{task.task}: {found} of {original} items")
    if cut:
        raise SubmissionError(
            f"{run.folder}: items are missing ({'; '.join(cut[:5])}"
            f"{'; ...' if len(cut) > 5 else ''}); expected every item once. Run the tasks without "
            "--limit. For a trial, shorten the data instead: "
            "--metadata '{\"synth_scenes\": 20}'"
        )


def _task(task: str, n: int, results: Mapping[str, Mapping[str, Any]]) -> Task:
    config = entry_at(results[task], "configs", task) or {}
    metadata = config.get("metadata") or {}
    fingerprint = data_fingerprint(results[task], task)
    named = [metadata.get("data_name"), fingerprint, metadata.get("prompt_version")]
    if not all(isinstance(value, str) for value in named):
        raise SubmissionError(
            f"{task}: the results hold no data_name, data_fingerprint or prompt_version; expected "
            "those that tempo-lalm writes. Run the task again with this release"
        )
    generation = config.get("generation_kwargs")
    return Task(
        n=n,
        data_name=_without_path(str(named[0])),
        data_fingerprint=str(fingerprint),
        prompt_version=str(named[2]),
        settings={key: metadata[key] for key in _SETTINGS if metadata.get(key) is not None},
        generation=generation if isinstance(generation, dict) else {},
    )


def _attention(edit: Mapping[str, Any]) -> Attention:
    config = {name: value for name, value in edit.items() if name != "sha256"}
    return Attention(fingerprint=str(edit.get("sha256")), config=config)


def _versions(results: Mapping[str, Any]) -> Versions:
    lines = str(results.get("pretty_env_info") or "").splitlines()
    return Versions(
        tempo=_text(entry_at(results, "config", "tempo", "version")),
        lm_eval=_text(results.get("lm_eval_version")),
        transformers=_text(results.get("transformers_version")),
        environment=[line.strip() for line in lines if _ENVIRONMENT.match(line.strip())],
        bundled_by=tempo_tasks.__version__,
        code=code_fingerprint_of_tempo(),
    )


def _run(config: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: config[key] for key in _RUN_KEYS if config.get(key) is not None}
    arguments = config.get("model_args")
    if isinstance(arguments, dict):
        kept = {k: v for k, v in arguments.items() if k not in _OF_THE_MACHINE}
        found["model_args"] = kept
    told = config.get("tempo")
    if isinstance(told, dict):
        stands_elsewhere = ("version", "family", "pretrained", "weights", "attn_scale")
        found["tempo"] = {k: v for k, v in told.items() if k not in stands_elsewhere}
    for key in ("system_instruction", "chat_template_sha"):
        if results.get(key) is not None:
            found[key] = results[key]
    plain: dict[str, Any] = _plain(found)
    return plain


def _plain(value: Any) -> Any:
    """Return JSON data with the paths of a machine cut to their last name."""
    if isinstance(value, dict):
        return {str(key): _plain(found) for key, found in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(found) for found in value]
    return _without_path(value) if isinstance(value, str) else value


def _without_path(text: str) -> str:
    for kind in (PurePosixPath, PureWindowsPath):
        path: PurePath = kind(text)
        if path.is_absolute() or text.startswith(("~", "./", "../")):
            return path.name
    return text


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _seconds(results: Mapping[str, Any]) -> float:
    date = results.get("date")
    return float(date) if isinstance(date, (int, float)) else 0.0


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
