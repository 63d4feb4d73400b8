"""What was asked for and what was edited, written by all processes of a server into one file.

The API process writes what a request asked for, workers write which rows they wrote over, and the
endpoint reads both. A worker writes before its answer leaves it, so whoever has the answer finds
the entry. It is an SQLite file in a private folder: no process has to be up for another to write.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sqlite3
import tempfile
import threading
from collections import Counter
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any

from tempo_attn.serving.edited_batch import Done
from tempo_attn.serving.settings import LEDGER

KEEP = 20_000
"""Requests that are remembered; totals count all."""
_TRIM_EVERY = 500

_TABLES = """
CREATE TABLE IF NOT EXISTS requests (
  number INTEGER PRIMARY KEY, request TEXT, configuration TEXT, audio_keys INTEGER);
CREATE INDEX IF NOT EXISTS by_request ON requests (request);
CREATE TABLE IF NOT EXISTS edits (
  number INTEGER PRIMARY KEY, request TEXT, internal TEXT, rank INTEGER, rows INTEGER, layers TEXT,
  UNIQUE (internal, rank));
CREATE INDEX IF NOT EXISTS edits_by_request ON edits (request);
CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, n INTEGER);
CREATE TABLE IF NOT EXISTS edited (
  configuration TEXT, engine INTEGER, rank INTEGER, rows INTEGER, prompts INTEGER,
  PRIMARY KEY (configuration, engine, rank));
CREATE TABLE IF NOT EXISTS workers (engine INTEGER, rank INTEGER, PRIMARY KEY (engine, rank));
"""


class Ledger:
    """The ledger, as one process sees it.

    Args:
        path: The file; made if missing.
        keep: Requests that are remembered.
    """

    def __init__(self, path: str | os.PathLike[str], keep: int = KEEP) -> None:
        self._keep = keep
        self._since_trim = 0
        self._lock = threading.Lock()
        self._file = sqlite3.connect(
            path, timeout=30, isolation_level=None, check_same_thread=False
        )
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=OFF")  # it lives as long as the server
        self._file.executescript(_TABLES)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    # ------------------------------------------------------------------ the API process writes

    def asked(self, request: str, configuration: str | None, audio_keys: int) -> None:
        """Note a request that is let in; an earlier one of the same id is forgotten."""
        with self._lock, _transaction(self._file) as file:
            file.execute("DELETE FROM requests WHERE request = ?", (request,))
            file.execute("DELETE FROM edits WHERE request = ?", (request,))
            file.execute(
                "INSERT INTO requests (request, configuration, audio_keys) VALUES (?, ?, ?)",
                (request, configuration, audio_keys),
            )
            _add(file, "requests", 1)
            _add(file, "plain_requests" if configuration is None else "edited_requests", 1)
            self._trim(file, 1)

    def count(self, name: str) -> None:
        """Count something that happened: a request refused, or let through unedited."""
        with self._lock, _transaction(self._file) as file:
            _add(file, name, 1)

    # ------------------------------------------------------------------ workers write

    def add_worker(self, engine: int, rank: int) -> None:
        """Note that a worker is up and edits."""
        with self._lock:
            self._file.execute("INSERT OR REPLACE INTO workers VALUES (?, ?)", (engine, rank))

    def edited(self, engine: int, rank: int, edits: Sequence[Done]) -> None:
        """Note what one forward edited.

        Args:
            engine: The engine among several of one server.
            rank: The worker's rank among those that share a layer.
            edits: What was edited of each request.
        """
        with self._lock, _transaction(self._file) as file:
            for done in edits:
                layers = ",".join(map(str, done.layers))
                file.execute(
                    "INSERT INTO edits (request, internal, rank, rows, layers) "
                    "VALUES (?, ?, ?, ?, ?) ON CONFLICT (internal, rank) DO UPDATE SET rows = "
                    "excluded.rows, layers = excluded.layers",
                    (done.request.request, done.internal, rank, done.rows, layers),
                )
                file.execute(
                    "INSERT INTO edited VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                    "rows = rows + excluded.rows, prompts = prompts + excluded.prompts",
                    (done.request.name, engine, rank, done.new_rows, done.rows == done.new_rows),
                )
            self._trim(file, len(edits))

    # ------------------------------------------------------------------ the endpoint reads

    def workers(self) -> int:
        """Return how many workers are up and edit."""
        with self._lock:
            (n,) = self._file.execute("SELECT COUNT(*) FROM workers").fetchone()
        return int(n)

    def totals(self) -> dict[str, int]:
        """Return what was counted since the server started."""
        with self._lock:
            counted = dict(self._file.execute("SELECT name, n FROM counts").fetchall())
            # Ranks that share a layer edit the same rows; engines have different requests.
            parts = self._file.execute(
                "SELECT configuration, engine, MAX(rows), MAX(prompts) FROM edited "
                "GROUP BY configuration, engine"
            ).fetchall()
        names = ("requests", "plain_requests", "edited_requests", "refused_requests")
        totals = Counter(dict.fromkeys((*names, "let_through_unedited"), 0))
        totals.update(counted)
        totals["edited_rows"] = sum(part[2] for part in parts)
        totals["edited_prompts"] = sum(part[3] for part in parts)
        return dict(sorted(totals.items()))

    def of_request(self, request: str) -> dict[str, Any] | None:
        """Return what was edited for a request; None where it is not known, or no longer."""
        names = [request, f"chatcmpl-{request}", f"cmpl-{request}-0"]
        with self._lock:
            asked = self._file.execute(
                "SELECT request, configuration, audio_keys FROM requests WHERE request IN "
                "(?, ?, ?) ORDER BY number DESC LIMIT 1",
                names,
            ).fetchone()
            if asked is None:
                return None
            # Several answers to one prompt are requests of their own: what all of them had counts.
            edits = self._file.execute(
                "SELECT MAX(rows), layers FROM edits WHERE request = ? GROUP BY internal",
                (asked[0],),
            ).fetchall()
        fewest = min(edits, default=(0, ""))
        return {
            "request_id": request,
            "configuration": asked[1],
            "edited_rows": int(fewest[0]),
            "audio_keys": int(asked[2]),
            "layers": [int(layer) for layer in fewest[1].split(",") if layer],
        }

    def _trim(self, file: sqlite3.Connection, n_new: int) -> None:
        self._since_trim += n_new
        if self._since_trim < min(_TRIM_EVERY, self._keep):
            return
        self._since_trim = 0
        for table in ("requests", "edits"):
            (last,) = file.execute(f"SELECT MAX(number) FROM {table}").fetchone()
            oldest = (last or 0) - self._keep
            file.execute(f"DELETE FROM {table} WHERE number <= ?", (oldest,))


class _transaction:
    """One transaction, which has the write lock from its beginning."""

    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file

    def __enter__(self) -> sqlite3.Connection:
        self._file.execute("BEGIN IMMEDIATE")
        return self._file

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._file.execute("COMMIT" if kind is None else "ROLLBACK")


def _add(file: sqlite3.Connection, name: str, n: int) -> None:
    file.execute(
        "INSERT INTO counts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET n = n + excluded.n",
        (name, n),
    )


def open_ledger(environment: MutableMapping[str, str] = os.environ) -> Ledger:
    """Open the server's ledger; its first process makes it, and removes it at its end."""
    if LEDGER not in environment:
        folder = Path(tempfile.mkdtemp(prefix="tempo-serving-"))
        environment[LEDGER] = str(folder / "edits.sqlite")
        maker = os.getpid()

        def remove() -> None:
            if os.getpid() == maker:  # not in a process forked from it
                shutil.rmtree(folder, ignore_errors=True)

        atexit.register(remove)
    return Ledger(environment[LEDGER])
