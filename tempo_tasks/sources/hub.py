"""The released benchmark (arXiv 2606.17417): from the Hub, or from a folder in its layout."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tempo_tasks.errors import DataUnavailableError
from tempo_tasks.questions.question_set import QuestionSet
from tempo_tasks.questions.questions import Kind
from tempo_tasks.sources.captions_and_intervals import join
from tempo_tasks.sources.released import choose_tables, read_questions
from tempo_tasks.sources.table_files import find_tables

RELEASED_REPO = "gamma-lab-umd/temporal-lalm"
# The same data set under the name it had first; asked only where the other does not exist.
RELEASED_ALIAS = "Kaousheik/temporal-lalm"


def load_released(
    kind: Kind,
    *,
    data: str | None = None,
    revision: str | None = None,
    split: str | None = None,
    intervals: Sequence[Path] = (),
    captions: Path | None = None,
) -> QuestionSet:
    """Return one kind's questions of the released benchmark.

    What is read is the one thing named: `data`, else the environment variable `TEMPO_DATA`, else
    the released Hub data set. Nothing else is tried when it cannot be had.

    Args:
        kind: EO, LO or LD.
        data: A local folder or file in the released layout (see `table_files` and `released`), or
            the id of a data set on the Hub. A folder of that name comes before the Hub.
        revision: Branch, tag or commit on the Hub.
        split: The split to read; default: `test`, else the only one.
        intervals: Interval CSVs, joined by filename; default: `intervals.csv` in the folder.
        captions: Caption CSV, joined by filename; default: `captions.csv` in the folder.

    Returns:
        The set; its name is "<repo>@<commit>" or the folder's name, a clip's id is its filename.

    Raises:
        DataUnavailableError: There is no such folder, the Hub cannot be reached, or has no such
            data set or nothing in it.
        DataVersionError: Another layout or version than this release reads.
        QuestionError: Rows are malformed.
        AudioNotFoundError, BadClipsError: Audio files are missing.
    """
    path, name = locate(data or os.environ.get("TEMPO_DATA") or "", revision)
    tables = find_tables(path)
    if not tables:
        raise DataUnavailableError(
            _advice(f"{name} holds no Parquet, CSV or JSON Lines file", RELEASED_REPO)
        )
    folder = path.parent if path.is_file() else path
    asked = read_questions(choose_tables(tables, kind, split), kind, folder.absolute(), name)
    return join(asked, folder, intervals, captions)


def locate(source: str, revision: str | None = None) -> tuple[Path, str]:
    """Return where data lie, downloading them from the Hub if they are there, and their name.

    Args:
        source: A folder, a file, or the id of a data set on the Hub; empty: the released one.
        revision: Branch, tag or commit on the Hub.

    Raises:
        DataUnavailableError: They cannot be had; the message says what to do.
    """
    local = Path(source).expanduser()
    if source and local.exists():
        if revision:
            raise DataUnavailableError(
                f"{source} is a local folder and has no revision {revision!r}; leave it out"
            )
        return local, local.resolve().name
    if source and is_path(source):
        raise DataUnavailableError(_advice(f"there is no {local.absolute()}", RELEASED_REPO))
    repo = source or RELEASED_REPO
    try:
        path = _download(repo, revision)
    except _NoSuchRepository:
        if repo != RELEASED_REPO:
            raise
        repo = RELEASED_ALIAS
        path = _download(repo, revision)
    return path, f"{repo}@{path.name[:12]}"  # the Hub's cache names a snapshot after its commit


class _NoSuchRepository(DataUnavailableError):
    """The Hub answered, and has no such repository (or shows it to others only)."""


def is_path(source: str) -> bool:
    """Whether this can only be meant as a path: a Hub id is `name` or `owner/name`."""
    if Path(source).suffix.lower() in (".csv", ".jsonl", ".parquet"):
        return True
    return source.startswith((".", "/", "~")) or source.count("/") > 1 or "\\" in source


def _download(repo: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return Path(snapshot_download(repo, repo_type="dataset", revision=revision))
    # Of whatever kind (no network, no such repository, gated, a broken transfer; several libraries'
    # classes): the data cannot be had, and the way out is the same.
    except Exception as error:
        at = f" at revision {revision!r}" if revision else ""
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        missing = isinstance(error, RepositoryNotFoundError)
        raise (_NoSuchRepository if missing else DataUnavailableError)(
            _advice(f"{repo}{at} cannot be downloaded from the Hub ({reason})", repo)
        ) from error


def _advice(problem: str, repo: str) -> str:
    folder = repo.split("/")[-1]
    return (
        f"the released benchmark is not available: {problem}.\n"
        "What to do, one of:\n"
        f"  - download it where there is a network:\n"
        f"      hf download {repo} --repo-type dataset --local-dir {folder}\n"
        f"    and name the folder: TEMPO_DATA={folder}, or\n"
        f'      --metadata \'{{"data": "{folder}"}}\'\n'
        "  - run the offline tasks, rendered scenes that need no data: --tasks tempo_synth\n"
        "    (tempo_synth_eo_aqa, tempo_synth_lo_aqa, tempo_synth_ld_aqa, ...)"
    )
