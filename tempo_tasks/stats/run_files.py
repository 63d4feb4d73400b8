"""The files of runs on disk: folders with samples, their dates, and which dates are of one run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tempo_attn.files.strict_json import parse_json
from tempo_tasks.errors import SamplesError, SamplesNotFoundError

_DATE = r"\d{4}-\d\d-\d\dT[\d.:-]+"
_SAMPLES = re.compile(rf"samples_(?P<task>.+)_(?P<date>{_DATE})\.jsonl")
_RESULTS = re.compile(rf"results_(?P<date>{_DATE})\.json")
_WHAT_RAN = (
    *("model", "model_dtype", "model_revision", "model_sha", "peft_sha", "delta_sha"),
    "gen_kwargs",
)
_HOW_IT_RAN = {
    # Where an edit was loaded from: what it is stands in `tempo`.
    "model_args": (
        *("batch_size", "max_batch_size", "device", "token"),
        *("attn_scale", "attn_scale_revision"),
        # Of lalm-api: where the server is and how it is asked.
        *("base_url", "num_concurrent", "timeout", "max_retries", "retry_wait", "api_key_env"),
        *("price_in", "price_audio_in", "price_out"),
    ),
    "tempo": ("version", "checks", "traffic"),
}
"""What does not tell runs apart in these parts of the results' `config`."""
_HOW = (
    "lm_eval writes samples with --output_path DIR --log_samples (both are needed): "
    "lm_eval --model lalm --tasks tempo_synth --output_path DIR --log_samples"
)


def folders_with_samples(path: Path) -> list[tuple[Path, str | None]]:
    """Return the folders with samples at a path, with the date if one is asked for."""
    if path.is_file():
        found = _RESULTS.fullmatch(path.name)
        if not found:
            raise SamplesNotFoundError(
                f"{path}: expected a folder that lm_eval wrote, or one of its results_*.json"
            )
        return [(path.parent, found["date"])]
    if not path.is_dir():
        raise SamplesNotFoundError(f"{path}: no such folder or results file. {_HOW}")
    folders = sorted({file.parent for file in path.rglob("samples_*.jsonl")}, key=_first_date)
    if not folders:
        what = "results without samples" if any(path.rglob("results_*.json")) else "no samples"
        raise SamplesNotFoundError(f"{path}: {what}. {_HOW}")
    return [(folder, None) for folder in folders]


def _first_date(folder: Path) -> tuple[str, Path]:
    """Sort folders by when they were begun, whatever their names are."""
    dates = [found["date"] for file in folder.iterdir() if (found := _SAMPLES.fullmatch(file.name))]
    return min(dates, default=""), folder


def samples_by_date(folder: Path, date: str | None) -> dict[str, dict[str, Path]]:
    """Return the samples files of a folder by date and task.

    Args:
        folder: The folder.
        date: The only date that counts; None for all.

    Raises:
        SamplesNotFoundError: There are none.
    """
    dated: dict[str, dict[str, Path]] = {}
    for file in sorted(folder.glob("samples_*.jsonl")):
        if (match := _SAMPLES.fullmatch(file.name)) and date in (None, match["date"]):
            dated.setdefault(match["date"], {})[match["task"]] = file
    if not dated:
        raise SamplesNotFoundError(f"{folder}: no samples of {date or 'any date'}. {_HOW}")
    return dated


def dates_by_run(
    dated: Mapping[str, Mapping[str, Path]], results: Mapping[str, Mapping[str, Any]]
) -> list[list[str]]:
    """Return a folder's dates in groups of one model, edit, settings and data each."""
    groups: list[_Group] = []
    for day in sorted(dated):
        settings = _settings(results[day])
        data = {
            task: found for task in dated[day] if (found := data_fingerprint(results[day], task))
        }
        group = next((group for group in groups if group.fits(settings, data)), None)
        if group is None:
            group = _Group()
            groups.append(group)
        group.settings = group.settings or settings
        group.data |= data
        group.days.append(day)
    return [group.days for group in groups]


@dataclass
class _Group:
    """Dates of one run: what was run, on which data by task, and when."""

    settings: str = ""
    data: dict[str, str] = field(default_factory=dict)
    days: list[str] = field(default_factory=list)

    def fits(self, settings: str, data: Mapping[str, str]) -> bool:
        """Whether a call can be of this run; one whose results are missing fits any."""
        same = not settings or not self.settings or settings == self.settings
        return same and all(self.data.get(task, found) == found for task, found in data.items())


def _settings(results: Mapping[str, Any]) -> str:
    """Return everything in the results of one call that answers depend on, as text."""
    if not results:
        return ""
    config = results.get("config")
    config = config if isinstance(config, dict) else {}
    known = {name: config.get(name) for name in _WHAT_RAN}
    for name, left_out in _HOW_IT_RAN.items():
        value = config.get(name)
        if isinstance(value, dict):
            # What is None says no more than what is not there, as an older version writes it.
            value = {k: v for k, v in value.items() if k not in left_out and v is not None}
        known[name] = value
    for name in ("model_name", "system_instruction", "chat_template_sha"):
        known[name] = results.get(name)
    return json.dumps(known, sort_keys=True, default=str)


def read_results(path: Path) -> Mapping[str, Any]:
    """Return the results beside samples; none are needed, but half of a file is an error."""
    if not path.exists():
        return {}
    try:
        found = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SamplesError(
            f"{path}: not whole JSON ({error}); the file was cut short or edited. Run the tasks "
            "again, or remove it: it only names the run"
        ) from None
    return found if isinstance(found, dict) else {}


def results_beside(samples: Path, task: str) -> Path:
    """Return the results file that was written with a samples file of a task."""
    date = samples.name.removeprefix(f"samples_{task}_").removesuffix(".jsonl")
    return samples.with_name(f"results_{date}.json")


def data_fingerprint(results: Mapping[str, Any], task: str) -> str | None:
    """Return the fingerprint of a task's questions; None where the results do not hold it."""
    fingerprint = entry_at(results, "configs", task, "metadata", "data_fingerprint")
    return fingerprint if isinstance(fingerprint, str) else None


def entry_at(data: Any, *keys: str) -> Any:
    """Return what lies at the end of a path of keys; None where the path breaks off."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data
