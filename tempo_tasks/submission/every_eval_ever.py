"""The record that Every Eval Ever collects: schema 0.3.0, one aggregate file and a line an item.

https://evalevalai.com. The two files are named by a UUID, made of what the bundle says of the run,
and belong into `datastore_folder` of the collected data. An edit of attention stands in
`generation_config.additional_details`, whose values are strings.
"""

from __future__ import annotations

import calendar
import hashlib
import json
import re
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tempo_tasks.questions.questions import LETTERS
from tempo_tasks.scoring import most_likely, only, parse_answer
from tempo_tasks.submission.sample_lines import Line, answer_of, key_of
from tempo_tasks.submission.schema import EVERY_EVAL_EVER, About
from tempo_tasks.submission.task_scoring import task_scoring

VERSION = "0.3.0"
COLLECTION = "tempo-lalm"
_UNKNOWN = "unknown"
_NOBODY = "unspecified"
_NOT_PORTABLE = re.compile(r'[<>:"\\|?*\s]')


def aggregate_file(about: About) -> str:
    """Return the name of the aggregate file within a bundle."""
    return f"{EVERY_EVAL_EVER}/{_uuid(about)}.json"


def instances_file(about: About) -> str:
    """Return the name of the instance file within a bundle."""
    return f"{EVERY_EVAL_EVER}/{_uuid(about)}_samples.jsonl"


def datastore_folder(about: About) -> str:
    """Return where both files belong in the collected data: collection, developer and model."""
    developer, slash, model = about.model.name.partition("/")
    if not slash:
        developer, model = _developer(about), developer
    parts = (_NOT_PORTABLE.sub("_", part.replace("/", "_")) for part in (developer, model))
    return "/".join(("data", COLLECTION, *parts))


def _developer(about: About) -> str:
    """Return who made a model whose name does not say it."""
    return about.links.organization or _NOBODY


def _uuid(about: About) -> uuid.UUID:
    told = json.dumps(about.to_dict(), sort_keys=True).encode()
    return uuid.UUID(bytes=hashlib.sha256(told).digest()[:16], version=4)


def instances(about: About, lines: Mapping[str, Sequence[Line]]) -> bytes:
    """Return a JSON line for each sample of each task."""
    rows = (_instance(about, task, line) for task in about.tasks for line in lines[task])
    return "".join(f"{json.dumps(row, sort_keys=True, allow_nan=False)}\n" for row in rows).encode()


def aggregate(
    about: About, accuracy: Iterable[Mapping[str, Any]], detailed: bytes
) -> dict[str, Any]:
    """Return the aggregate record.

    Args:
        about: The bundle.
        accuracy: Rows of accuracy of its statistics, single kinds only.
        detailed: The instance file.
    """
    tasks = dict(zip(about.tasks, accuracy, strict=True))
    seconds = calendar.timegm(time.strptime(about.date, "%Y-%m-%dT%H:%M:%SZ"))
    return {
        "schema_version": VERSION,
        "evaluation_id": _evaluation_id(about),
        "evaluation_timestamp": about.date,
        "retrieved_timestamp": str(seconds),
        "source_metadata": {
            "source_name": "tempo-lalm",
            "source_type": "evaluation_run",
            "source_organization_name": about.links.organization or _UNKNOWN,
            "evaluator_relationship": "other",
        },
        "model_info": {
            "name": about.label,
            "id": about.model.name,
            "developer": about.model.name.rpartition("/")[0].partition("/")[0] or _developer(about),
            "additional_details": _strings(
                {
                    "family": about.model.family,
                    "weights_fingerprint": about.model.weights,
                    "revision": about.model.revision,
                    "dtype": about.model.dtype,
                    "deployment_type": "self_deployed",
                    "model_availability": _UNKNOWN,
                }
            ),
        },
        "eval_library": {
            "name": "lm_eval",
            "version": about.versions.lm_eval or _UNKNOWN,
            "additional_details": {"plugin": "tempo-lalm", "plugin_version": _tempo(about)},
        },
        "evaluation_results": [_result(about, task, row) for task, row in tasks.items()],
        "detailed_evaluation_results": {
            "format": "jsonl",
            "file_path": f"{datastore_folder(about)}/{instances_file(about).rpartition('/')[2]}",
            "hash_algorithm": "sha256",
            "checksum": hashlib.sha256(detailed).hexdigest(),
            "total_rows": detailed.count(b"\n"),
        },
    }


def _evaluation_id(about: About) -> str:
    """Return benchmark, model with its edit, and date: what makes a record of its own."""
    edit = f"@{about.attention.fingerprint[:12]}" if about.attention else ""
    return f"tempo-lalm/{about.model.name}{edit}/{about.date}"


def _tempo(about: About) -> str:
    return about.versions.tempo or _UNKNOWN


def _result(about: About, task: str, row: Mapping[str, Any]) -> dict[str, Any]:
    asked = about.tasks[task]
    hub = about.hub_dataset if asked.data_name.startswith(f"{about.hub_dataset}@") else None
    place = {"source_type": "hf_dataset", "hf_repo": hub} if hub else {"source_type": "other"}
    uncertainty: dict[str, Any] = {"num_samples": row["n"]}
    if row["error"] is not None:
        method = "Wilson, Student's t, effective number of items, clustered by clip"
        uncertainty |= {
            "standard_error": {"value": row["error"], "method": "analytic, clustered by clip"},
            "confidence_interval": {
                "lower": row["low"],
                "upper": row["high"],
                "confidence_level": 0.95,
                "method": method,
            },
        }
    return {
        "evaluation_name": task,
        "evaluation_timestamp": about.date,
        "source_data": {
            "dataset_name": asked.data_name,
            **place,
            "additional_details": {
                "data_fingerprint": asked.data_fingerprint,
                "prompt_version": asked.prompt_version,
            },
        },
        "metric_config": {
            "evaluation_description": "Accuracy on four-option questions about time in audio; "
            "chance is 0.25.",
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": 1.0,
        },
        "score_details": {"score": row["accuracy"], "uncertainty": uncertainty},
        "generation_config": {"additional_details": _details(about, task)},
    }


def _details(about: About, task: str) -> dict[str, str]:
    edit = about.attention
    return _strings(
        {
            "generation_arguments": _json(about.tasks[task].generation),
            "task_settings": _json(about.tasks[task].settings),
            "attention_edit": _json(edit.config) if edit else "none",
            "attention_edit_sha256": edit.fingerprint if edit else None,
        }
    )


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True)


def _strings(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


def _instance(about: About, task: str, line: Line) -> dict[str, Any]:
    doc = line["doc"]
    generates = task_scoring(task).generates
    answer = answer_of(line, generates=generates)
    chosen = parse_answer(answer[0], doc["options"]) if generates else only(most_likely(answer))
    item, rotation = key_of(doc)
    raw = [json.dumps(part) if not isinstance(part, str) else part for part in _flat(line["resps"])]
    name = f"{item}#rotation-{rotation}" if rotation else item
    said = [doc["prompt"], doc["answer"]]
    return {
        "schema_version": VERSION,
        "evaluation_id": _evaluation_id(about),
        "model_id": about.model.name,
        "evaluation_name": task,
        "sample_id": name,
        "sample_hash": hashlib.sha256("".join(said).encode()).hexdigest(),
        "interaction_type": "single_turn",
        "input": {
            "raw": doc["prompt"],
            "reference": [doc["answer"]],
            "choices": [f"{a}. {b}" for a, b in zip(LETTERS, doc["options"], strict=True)],
        },
        "output": {"raw": raw},
        "answer_attribution": [
            {
                "turn_idx": 0,
                "source": "output.raw",
                "extracted_value": chosen or "",
                "extraction_method": "strict parser" if generates else "highest log-likelihood",
                "is_terminal": True,
            }
        ],
        "evaluation": {"score": line["acc"], "is_correct": line["acc"] == 1},
        "token_usage": None,
        "performance": None,
    }


def _flat(answers: Sequence[Any]) -> list[Any]:
    return [answer[0] for answer in answers]
