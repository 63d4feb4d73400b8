"""A bundle to a model repository on the Hub, in one commit.

The whole bundle goes to `tempo_submission/<name>/`, and its `.eval_results` to the root as well,
where the Hub looks for them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import huggingface_hub

from tempo_attn.hub.hub_errors import hub_errors
from tempo_tasks.submission.schema import EVAL_RESULTS, About

FOLDER = "tempo_submission"


def to_send(bundle: Path, about: About) -> dict[str, Path]:
    """Return the files of a push: path within the repository, and file.

    Args:
        bundle: The bundle, a folder.
        about: Its `bundle.json`.
    """
    variant = about.attention.fingerprint[:12] if about.attention else "plain"
    name = f"{FOLDER}/{about.date[:10]}-{variant}"
    files = sorted(path for path in bundle.rglob("*") if path.is_file())
    within = {path.relative_to(bundle).as_posix(): path for path in files}
    root = {path: file for path, file in within.items() if path.startswith(f"{EVAL_RESULTS}/")}
    return root | {f"{name}/{path}": file for path, file in within.items()}


def check_repo(repo: str) -> None:
    """Check the name of a repository; the Hub is not asked.

    Raises:
        ConfigError: It is none.
    """
    with hub_errors(repo):
        huggingface_hub.utils.validate_repo_id(repo)  # type: ignore[attr-defined]


def push_bundle(
    files: Mapping[str, Path], repo: str, *, private: bool | None, create_pr: bool
) -> str:
    """Upload files to a model repository, which is made if need be.

    Args:
        files: As `to_send` returns them.
        repo: "owner/name".
        private: Whether a new repository is private; None for the owner's default.
        create_pr: Propose the commit as a pull request instead.

    Returns:
        The address of the commit, or of the pull request.

    Raises:
        ConfigError: The Hub refuses, or cannot be reached.
    """
    with hub_errors(repo), tempfile.TemporaryDirectory() as stage:
        api = huggingface_hub.HfApi()
        # A pull request is to a repository that is there, often another one's.
        if not create_pr:
            repo = api.create_repo(repo, private=private, exist_ok=True).repo_id
        for name, file in files.items():
            target = Path(stage) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
        commit = api.upload_folder(
            repo_id=repo,
            folder_path=stage,
            commit_message="Submit results of tempo-lalm",
            create_pr=create_pr,
        )
    return str(commit.pr_url or commit.commit_url)
