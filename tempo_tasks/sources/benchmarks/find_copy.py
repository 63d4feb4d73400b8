"""Where a benchmark's files are: a local copy that is named, else the Hub's; and its rows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from tempo_attn.files.strict_json import parse_json
from tempo_tasks.errors import DataUnavailableError, DataVersionError
from tempo_tasks.sources.benchmarks.cells import Row
from tempo_tasks.sources.benchmarks.description import Description, Part
from tempo_tasks.sources.hub import is_path
from tempo_tasks.sources.table_files import Table, find_tables


def find_copy(
    description: Description, data: str | None = None, revision: str | None = None
) -> tuple[Path, str]:
    """Return the folder (or file) of a copy, and what results call it.

    What is read is the one thing named: `data`, else the environment variable of the set, else its
    data set on the Hub. Nothing else is tried when it cannot be had.

    Args:
        description: The benchmark.
        data: Folder, file, or id of a data set on the Hub.
        revision: Branch, tag or commit on the Hub.

    Raises:
        DataUnavailableError: It cannot be had; the message says how to get it.
    """
    named = data or os.environ.get(description.variable) or ""
    local = Path(named).expanduser()
    if named and local.exists():
        if revision:
            raise DataUnavailableError(
                f"{named} is a local copy and has no revision {revision!r}; leave it out"
            )
        return local, f"{description.name}:{local.resolve().name}"
    if named and is_path(named):
        raise DataUnavailableError(_advice(description, f"there is no {local.absolute()}"))
    repo = named or description.hub
    if not repo:
        raise DataUnavailableError(_advice(description, "no copy is named, and the Hub has none"))
    path = _download(description, repo, revision)
    return path, f"{repo}@{path.name[:12]}"  # the Hub's cache names a snapshot after its commit


def _download(description: Description, repo: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo, repo_type="dataset", revision=revision))
    # Of whatever kind (no network, gated, a broken transfer; several libraries' classes): the data
    # cannot be had, and the way out is the same.
    except Exception as error:
        at = f" at revision {revision!r}" if revision else ""
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataUnavailableError(
            _advice(description, f"{repo}{at} cannot be downloaded from the Hub ({reason})")
        ) from error


def _advice(description: Description, problem: str) -> str:
    get = description.get or f"hf download {description.hub} --repo-type dataset --local-dir COPY"
    return (
        f"the data of {description.name} are not available: {problem}.\n"
        f"What to do: get a copy ({get}), and name its folder:\n"
        f"  {description.variable}=COPY, or\n"
        f'  --metadata \'{{"data_{description.name}": "COPY"}}\''
    )


def rows_of(
    description: Description, part: Part, copy: Path
) -> tuple[str, Iterator[tuple[int, Row]]]:
    """Return where the rows of a part stand, and their numbers (the first is 1) and values.

    Raises:
        DataVersionError: There is no such file or split; the message says what there is.
    """
    file = _file_of(part, copy)
    if file is not None and file.suffix.lower() == ".json":
        return file.name, _json_rows(file)
    tables = find_tables(copy if file is None else file)
    table = _table(description, part, copy, tables)
    return table.where, enumerate(table.rows(), 1)


def _file_of(part: Part, copy: Path) -> Path | None:
    if copy.is_file():
        return copy
    return next((copy / name for name in part.files if (copy / name).is_file()), None)


def _table(description: Description, part: Part, copy: Path, tables: list[Table]) -> Table:
    if part.files and not part.split and _file_of(part, copy) is None:
        tables = []  # a table of another name may be of another part
    if len(tables) > 1:
        tables = [table for table in tables if table.name.rpartition("/")[2] in part.split]
    if len(tables) == 1:
        return tables[0]
    there = sorted(path.name for path in copy.iterdir())[:12] if copy.is_dir() else [copy.name]
    wanted = [*part.files, *(f"the split {split}" for split in part.split)]
    raise DataVersionError(
        f"{copy}: no rows of {description.name} {part.name}; expected {' or '.join(wanted)}, found "
        f"{there}. Name the folder that these lie in"
    )


def _json_rows(file: Path) -> Iterator[tuple[int, Row]]:
    try:
        found = parse_json(file.read_bytes())
    except (ValueError, OSError) as error:
        raise DataVersionError(f"{file}: not JSON: {error}") from error
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise DataVersionError(f"{file}: expected a list of objects")
    yield from enumerate(found, 1)


def clip_file(description: Description, folders: Sequence[Path], name: str) -> Path | None:
    """Return the file of a clip in a copy; None where there is none.

    A name is looked for as it stands, and without its first folders, one after the other (a copy
    may be named from any of them on); below each folder, in its `audio`, and in the folders that
    the description names. Names that lead out of the copy (absolute, or with `..`) are none: they
    come from other people's files.

    Args:
        description: The benchmark.
        folders: Where to look: the folder of the rows, and that of the copy.
        name: What a row says.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        return None
    for start in range(len(path.parts)):
        for folder in folders:
            for below in ("", "audio", *description.audio_folders):
                place = folder / below / PurePosixPath(*path.parts[start:])
                if place.is_file():
                    return place
    return None


def clip_folders(part: Part, copy: Path) -> list[Path]:
    """Return the folders in which names of clips begin: that of the rows, and that of the copy."""
    file = _file_of(part, copy)
    root = copy.parent if copy.is_file() else copy
    return list(dict.fromkeys([file.parent if file else root, root]))
