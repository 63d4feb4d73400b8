"""The task files of a benchmark: for the package's sets, and for a description of your own.

A task's file includes how it is scored (`_choice_generate.yaml` and its like), so all of it is one
file a task and a few lines a group.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tempo_attn.errors import OptionError
from tempo_tasks.paths import task_yamls_dir
from tempo_tasks.sources.benchmarks.description import Description, describe, described_sets

CONDITIONS = ("aqa", "silence")
# Suffix of the names, the file that says how it is scored, and metrics of groups beside accuracy.
WAYS = (
    ("", "choice_generate", ("acc", "parse_failure", "acc_above_chance")),
    ("_ll", "choice_likelihood", ("acc", "acc_above_chance")),
    ("_text", "choice_text", ("acc", "acc_norm", "acc_above_chance")),
)
SECONDS = ("_seconds", "seconds_generate", ("within_1s", "parse_failure"))
BASES = ("base", "benchmark", *(base for _, base, _ in WAYS), SECONDS[1])
"""The files that tasks include, without "_" and ".yaml"."""


def benchmark_files(
    description: Description, benchmark: str | Mapping[str, Any], up: str
) -> dict[str, str]:
    """Return the text of every file, by its name.

    Args:
        description: The benchmark.
        benchmark: What tasks name it by: the set's name, or the keys of its description.
        up: Where the included files lie, as a path that ends in "/" (or nothing).
    """
    made: dict[str, str] = {}
    # JSON is YAML, on one line.
    named = benchmark if isinstance(benchmark, str) else json.dumps(benchmark, ensure_ascii=False)
    timed = [name for name, part in description.parts.items() if part.seconds]
    chosen = [name for name, part in description.parts.items() if part.options]
    prefix = f"tempo_{description.name}"
    for (suffix, base, metrics), parts in [*((way, chosen) for way in WAYS), (SECONDS, timed)]:
        if not parts:
            continue
        for condition in CONDITIONS:
            names = [f"{prefix}_{part}_{condition}{suffix}" for part in parts]
            for name, part in zip(names, parts, strict=True):
                made[f"{name}.yaml"] = _lines(
                    f"include: {up}_{base}.yaml",
                    f"task: {name}",
                    "dataset_kwargs:",
                    f"  benchmark: {named}",
                    f"  part: {part}",
                    f"  condition: {condition}",
                    *(["  seconds: true"] if parts is timed else []),
                )
            made |= _group(f"{prefix}_{condition}{suffix}", names, metrics)
        groups = [f"{prefix}_{condition}{suffix}" for condition in CONDITIONS]
        made |= _group(f"{prefix}{suffix}", groups, metrics)
    return made


def _group(name: str, children: Sequence[str], metrics: Sequence[str]) -> dict[str, str]:
    def lines() -> Iterator[str]:
        yield f"group: {name}"
        yield "task:"
        yield from (f"  - {child}" for child in children)
        yield "aggregate_metric_list:"
        for metric in metrics:
            yield f"  - metric: {metric}"
            yield "    aggregation: mean"
            yield "    weight_by_size: true"
        yield "metadata:"
        yield "  version: 1.0"

    return {f"_{name}.yaml": _lines(*lines())}


def _lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def write_task_files(keys: Mapping[str, Any], folder: Path) -> list[str]:
    """Write the task files of a description of your own, with all that they include.

    The folder is complete: it can be moved, and given to `lm_eval --include_path`.

    Args:
        keys: The keys of the description.
        folder: A folder that does not exist, or is empty.

    Returns:
        The names of its groups.

    Raises:
        OptionError: The description is none, it has the name of one of this package, or there is
            something in the folder.
    """
    description = describe(keys)
    if description.name in described_sets():
        raise OptionError(
            f"{description.name} is the name of a set that is here already; its tasks would have "
            "the same names. Choose another name"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OptionError(f"{folder}: there is something already; name a new folder")
    files = benchmark_files(description, keys, "")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as place:
        partial = Path(place) / folder.name
        partial.mkdir()
        for base in BASES:
            shutil.copyfile(task_yamls_dir() / f"_{base}.yaml", partial / f"_{base}.yaml")
        for name, text in files.items():
            (partial / name).write_text(text, encoding="utf-8")
        partial.replace(folder)
    return [name[1:].removesuffix(".yaml") for name in files if name.startswith("_")]
