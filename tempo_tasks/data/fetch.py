"""Fetching sources: TACOS from Zenodo, the released benchmark from the Hub at a pinned commit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import OptionError
from tempo_attn.files.csv_and_json import write_json
from tempo_attn.files.json_types import misfit
from tempo_tasks.cache_folder import cache_dir
from tempo_tasks.data.build.build_manifest import read_json
from tempo_tasks.errors import (
    BuildMismatchError,
    DataVersionError,
    DownloadError,
)
from tempo_tasks.sources.hub import RELEASED_ALIAS, RELEASED_REPO
from tempo_tasks.sources.tacos import download_tacos

DOWNLOADED = "tempo_download.json"
SOURCES = ("tacos", "released")


def fetch(
    source: str,
    out: Path | None = None,
    *,
    audio: bool = True,
    revision: str | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Fetch a source into a folder; a killed download goes on.

    Args:
        source: `tacos` or `released`.
        out: The folder; default: one of that name in the cache folder.
        audio: Also the audio. The released files hold theirs; it cannot be left out there.
        revision: Branch, tag or commit of the released data set; default: `main`, or the commit
            that an earlier download into the folder recorded.
        progress: Show bars.

    Returns:
        What was fetched: `source`, `folder`, and `files` or `repo` and `commit`.

    Raises:
        OptionError: No such source, or options that it does not have.
        DownloadError: It cannot be reached.
        ChecksumError: What came is not what was published.
        BuildMismatchError: The folder holds another download.
    """
    if source not in SOURCES:
        raise OptionError(
            f"no source {source!r}; expected {' or '.join(SOURCES)}.{did_you_mean(source, SOURCES)}"
        )
    folder = cache_dir() / source if out is None else out
    if source == "tacos":
        if revision:
            raise OptionError("a Zenodo record has no revisions; leave --revision out")
        fetched = download_tacos(folder, audio=audio, progress=progress)
        return {"source": source, "folder": str(folder), "files": fetched}
    if not audio:
        raise OptionError("the released files hold their audio (Parquet); leave --no-audio out")
    return {"source": source, "folder": str(folder), **_released(folder, revision)}


class _Download(TypedDict):
    repo: str
    commit: str


def read_download(folder: Path) -> dict[str, Any] | None:
    """Return what was downloaded into a folder; None where nothing was.

    Raises:
        DataVersionError: The record is damaged.
    """
    record = read_json(folder / DOWNLOADED)
    if record is not None and (wrong := misfit(record, _Download)):
        raise DataVersionError(
            f"{folder / DOWNLOADED}: {wrong}; delete it, and download into the folder again"
        )
    return record


def _released(folder: Path, revision: str | None) -> dict[str, Any]:
    from huggingface_hub import snapshot_download

    before = read_download(folder)
    if before is None:
        repo, commit = _resolve(revision)
    else:
        repo, commit = before["repo"], before["commit"]
        if revision and revision != commit and _commit_of(repo, revision) != commit:
            raise BuildMismatchError(
                f"{folder} holds {repo} at {commit}, not at {revision}; name a new folder with "
                "--out"
            )
    record = {"what": "tempo data download", "repo": repo, "commit": commit}
    folder.mkdir(parents=True, exist_ok=True)
    # First: a killed download must go on with the same commit.
    write_json(folder / DOWNLOADED, record, ensure_ascii=False)
    try:
        snapshot_download(repo, repo_type="dataset", revision=commit, local_dir=str(folder))
    except Exception as error:  # of several libraries' classes, as in `sources.hub`
        raise DownloadError(_advice(repo, error)) from error
    return {"repo": repo, "commit": commit}


def _resolve(revision: str | None) -> tuple[str, str]:
    """Return the repository and the commit that a revision means now."""
    try:
        return RELEASED_REPO, _commit_of(RELEASED_REPO, revision)
    except _NoRepositoryError:
        return RELEASED_ALIAS, _commit_of(RELEASED_ALIAS, revision)


class _NoRepositoryError(DownloadError):
    """The Hub answered that there is no such repository."""


def _commit_of(repo: str, revision: str | None) -> str:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        commit = HfApi().dataset_info(repo, revision=revision).sha
    except RepositoryNotFoundError as error:
        raise _NoRepositoryError(_advice(repo, error)) from error
    except Exception as error:
        raise DownloadError(_advice(repo, error)) from error
    if commit is None:
        raise DownloadError(f"{repo}: the Hub names no commit; try again later")
    return commit


def _advice(repo: str, error: Exception) -> str:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return (
        f"{repo} cannot be downloaded from the Hub ({reason}). Run the same command again where "
        "there is a network: it goes on with what is missing"
    )
