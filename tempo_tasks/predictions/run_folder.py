"""Writing results and samples as the harness writes them, under a date that is given.

The harness's own tracker names files after the present moment, and goes on with half of a file
where one cannot be written.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tempo_attn.errors import OptionError

DATE = "%Y-%m-%dT%H-%M-%S.%f"
"""As the harness writes dates in file names."""


def parse_date(given: str | None, file: Path) -> datetime:
    """Return the date of a run: the one given, else when a file was last changed, in UTC.

    Raises:
        OptionError: It is no date.
    """
    if given is None:
        return datetime.fromtimestamp(file.stat().st_mtime, tz=timezone.utc)
    # The harness's own form, with "-" for ":", is understood, too.
    text = re.sub(r"T(\d\d)-(\d\d)-(\d\d)", r"T\1:\2:\3", given.strip())
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.year < 1970:
        raise OptionError(
            f"--date {given!r}: expected a date such as 2026-01-31 or 2026-01-31T12:00:00"
        )
    if found.tzinfo is None:
        return found.replace(tzinfo=timezone.utc)
    return found.astimezone(timezone.utc)


def check_model_name(name: str) -> None:
    """Check a model's name, after which its folder is called.

    Raises:
        OptionError: No folder can be called so.
    """
    # "." and ".." are folders already; a name that cannot be printed cannot be encoded, either.
    if not name.strip(". ") or not name.isprintable() or len(name.encode()) > 100:
        raise OptionError(
            f"--model {name!a}: expected the name of a model, such as my-lab/my-model "
            "(printable, at most 100 bytes)"
        )


def model_folder(out: Path, name: str) -> Path:
    """Return the folder that the harness makes for a model in an output folder."""
    from lm_eval.utils import sanitize_model_name

    return out / str(sanitize_model_name(name))


def check_unwritten(folder: Path, date: datetime) -> None:
    """Check that no run of this date is in the folder.

    Raises:
        OptionError: One is.
    """
    day = date.strftime(DATE)
    there = [file for file in folder.glob("*") if file.stem.endswith(f"_{day}")]
    if there:
        raise OptionError(
            f"{folder} has a run of {day} already ({there[0].name}); expected another folder, or "
            "another --date: nothing is written over"
        )


def write_run(
    folder: Path,
    date: datetime,
    results: Mapping[str, Any],
    samples: Mapping[str, Sequence[dict[str, Any]]],
) -> list[Path]:
    """Write the results and the samples of each task; all of the files, or none.

    Args:
        folder: The model's folder.
        date: The date in the names of the files.
        results: The harness's results, as JSON data.
        samples: The samples of each task, as the harness has them in memory.

    Returns:
        The files, the results first.
    """
    from lm_eval.utils import handle_non_serializable

    day = date.strftime(DATE)
    with _all_or_none(folder) as partial:
        for task, lines in samples.items():
            with (partial / f"samples_{task}_{day}.jsonl").open("w", encoding="utf-8") as file:
                for line in lines:
                    text = json.dumps(
                        _as_written(line), default=handle_non_serializable, ensure_ascii=False
                    )
                    file.write(text + "\n")
        text = json.dumps(results, indent=2, default=handle_non_serializable, ensure_ascii=False)
        (partial / f"results_{day}.json").write_text(text, encoding="utf-8")
    names = [f"results_{day}.json", *(f"samples_{task}_{day}.jsonl" for task in samples)]
    return [folder / name for name in names]


def task_hashes(samples: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, str]:
    """Return the harness's hash of what each task asked."""
    from lm_eval.utils import hash_string

    parts = ("doc_hash", "prompt_hash", "target_hash")
    return {
        task: hash_string("".join(line[part] for line in lines for part in parts))
        for task, lines in samples.items()
    }


def _as_written(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return a sample as the harness's tracker writes it: everything said as text."""
    from lm_eval.utils import sanitize_list

    arguments = {
        f"gen_args_{i}": {f"arg_{j}": part for j, part in enumerate(one)}
        for i, one in enumerate(line["arguments"])
    }
    return {
        **line,
        "target": str(line["target"]),
        "arguments": arguments,
        "resps": sanitize_list(line["resps"]),
        "filtered_resps": sanitize_list(line["filtered_resps"]),
    }


@contextmanager
def _all_or_none(folder: Path) -> Iterator[Path]:
    """Yield a folder to write to, whose files go to `folder` once all are there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.parent / f".{uuid.uuid4().hex}.partial"
    partial.mkdir()
    moved: list[Path] = []
    try:
        yield partial
        if folder.exists():
            for file in sorted(partial.iterdir()):
                os.replace(file, folder / file.name)
                moved.append(folder / file.name)
        else:
            os.replace(partial, folder)
    except BaseException:
        for file in moved:
            file.unlink(missing_ok=True)
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
