"""The files of states in a run folder: one an item, written before its record."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tempo_attn.errors import RunFolderError
from tempo_attn.files.atomic import replacing
from tempo_attn.lab.run_folder.files import io_errors
from tempo_attn.lab.run_folder.folder import ARRAYS
from tempo_attn.lab.timeline.records import TimelineRecord
from tempo_attn.statistics import Array


def state_file(folder: Path, key: str) -> Path:
    """Return where the states of an item lie."""
    return folder / ARRAYS / f"{key}.npy"


def write_states(folder: Path, key: str, states: Array) -> str:
    """Write the states of one item, whole or not at all.

    Args:
        folder: The run folder.
        key: The item's key.
        states: (sources, sites, events, width).

    Returns:
        The file's SHA-256.

    Raises:
        RunFolderError: The system refused it.
    """
    data = io.BytesIO()
    np.save(data, np.ascontiguousarray(states, dtype=np.float32), allow_pickle=False)
    path = state_file(folder, key)
    with io_errors(folder, "written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_bytes(data.getbuffer())
    return hashlib.sha256(data.getbuffer()).hexdigest()


class StateFiles:
    """The states of all events of a run, read one site at a time.

    Args:
        folder: The run folder.
        records: Its records; those without events have no file.

    Raises:
        RunFolderError: A file is missing or is not the one that was written.
    """

    def __init__(self, folder: Path, records: Sequence[TimelineRecord]) -> None:
        self._paths: list[Path] = []
        for record in records:
            if record.states is None:
                continue
            path = state_file(folder, record.key)
            with io_errors(path, "read"):
                found = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None
            if found != record.states:
                what = "is missing" if found is None else "was changed"
                raise RunFolderError(
                    f"{path}: {what}; expected the states of {record.id!r} as they were written. "
                    "Bring the file back from a copy, or run the same command with another --out"
                )
            self._paths.append(path)
        first = np.load(self._paths[0], mmap_mode="r", allow_pickle=False)
        self.n_sources, self.n_sites, _, self.width = first.shape

    def site(self, source: int, site: int) -> Array:
        """Return the states of all events at one site, (events, width), float32."""
        parts = [
            np.load(path, mmap_mode="r", allow_pickle=False)[source, site] for path in self._paths
        ]
        states: Array = np.concatenate(parts)
        return states
