"""Accepted bundles are remembered, so that a board of hundreds takes in one more in seconds.

What is remembered is named after the bundle's bytes and the code that accepted it, and counts only
while the data have the fingerprints that they had then. Rejected bundles are not remembered.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from tempo_attn.errors import TempoError
from tempo_attn.files.atomic import replacing
from tempo_attn.files.strict_json import parse_json_object
from tempo_tasks.file_hashes import hash_file
from tempo_tasks.leaderboard.accepted import Accepted
from tempo_tasks.submission.about_run import code_fingerprint_of_tempo
from tempo_tasks.submission.asked_documents import AskedData
from tempo_tasks.submission.open_bundle import MAX_ZIP, open_bundle


def name_of(bundle: Path) -> str | None:
    """Return the name under which a bundle is remembered; None where it cannot be one.

    Args:
        bundle: A folder, or a zip.
    """
    digest = hashlib.sha256(code_fingerprint_of_tempo().encode())
    try:
        if bundle.is_file():
            if bundle.stat().st_size > MAX_ZIP:
                return None
            digest.update(hash_file(bundle, "sha256")[0].encode())
        else:
            with open_bundle(bundle) as folder:
                for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                    name = path.relative_to(folder).as_posix()
                    digest.update(f"{name}\0{hash_file(path, 'sha256')[0]}\n".encode())
    except (TempoError, OSError):
        return None  # validation says what is wrong
    return digest.hexdigest()


def recall(cache: Path, name: str, data: AskedData) -> Accepted | None:
    """Return what is remembered of a bundle, if it still counts.

    Args:
        cache: The folder of what is remembered.
        name: As `name_of` returns it.
        data: The data.
    """
    try:
        found = Accepted.from_dict(parse_json_object((cache / f"{name}.json").read_bytes(), name))
        for task, told in found.about.tasks.items():
            asked = data.documents(task, told)
            if (asked.fingerprint, asked.prompt_version) != (
                told.data_fingerprint,
                told.prompt_version,
            ):
                return None
    except (OSError, TempoError, TypeError, KeyError):
        return None
    return found


def remember(cache: Path, name: str, accepted: Accepted) -> None:
    """Keep what is known of an accepted bundle.

    Args:
        cache: The folder; made if need be.
        name: As `name_of` returns it.
        accepted: What is kept.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with replacing(cache / f"{name}.json") as partial:
        partial.write_text(json.dumps(accepted.to_dict(), sort_keys=True), encoding="utf-8")
