"""A small TACOS on disk, and a web server on this machine that misbehaves on request."""

import csv
import hashlib
import io
import random
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import soundfile

from tempo_tasks.sources import tacos
from tempo_tasks.sources.tacos import Published

CLASSES = ("Bird Chirp", "Dog Barking", "Stream_River", "Bell Ringing", "Crying", "Trumpet")
LICENCES = ("http://creativecommons.org/publicdomain/zero/1.0/", "https://cc.example/by/4.0/")
METADATA_COLUMNS = [
    *("filename", "sound_link", "manufacturer", "license"),
    *("duration", "start_time_s", "end_time_s"),
]


def wav(number: int) -> bytes:
    """A second of noise, another one for each number."""
    noise = np.random.default_rng(number).uniform(-0.1, 0.1, 8000)
    file = io.BytesIO()
    soundfile.write(file, noise, 8000, format="WAV")
    return file.getvalue()


def write_csv(path: Path, header: list[str], rows: list) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def events(clips: int = 24) -> list[tuple[str, str, float, float]]:
    """(filename, label, onset, offset): clips of 1-6 events, many with a right answer."""
    draw = random.Random(5)
    rows = []
    for number in range(clips):
        starts = draw.sample(range(0, 18, 3), 1 + number % 6)
        for label, start in zip(draw.sample(CLASSES, len(starts)), starts, strict=True):
            end = start + draw.choice([1.5, 4.25, 9.75])
            rows.append((f"{1000 + number}.wav", label, float(start), end))
    return rows


def write_intervals(path: Path, rows: list | None = None) -> Path:
    """An interval CSV in the authors' layout."""
    rows = events() if rows is None else rows
    lines = [[name, label, f"[{start}-{end}]"] for name, label, start, end in rows]
    return write_csv(path, ["filename", "subclass", "intervals"], lines)


def make_tacos(folder: Path, clips: int = 24) -> dict[str, Published]:
    """Write a TACOS of a few clips; return what its record would say of the files."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = events(clips)
    names = sorted({row[0] for row in rows})
    strong = [[name, f"A {label.upper()}  sounds.", a, b] for name, label, a, b in rows]
    write_csv(folder / "annotations_strong.csv", ["filename", "text", "onset", "offset"], strong)
    weak = [[name, f"Sounds of clip {name}."] for name in names]
    write_csv(folder / "annotations_weak.csv", ["filename", "text"], weak)
    metadata = [
        [name, f"https://freesound.org/s/{n}/", f"user {n}", LICENCES[n % 2], 100, 5, 35]
        for n, name in enumerate(names)
    ]
    write_csv(folder / "metadata.csv", METADATA_COLUMNS, metadata)
    write_csv(folder / "test_split.csv", ["filename"], [[name] for name in names[::2]])
    write_csv(folder / "development_split.csv", ["filename"], [[name] for name in names[1::2]])
    with zipfile.ZipFile(folder / "audio.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number, name in enumerate(names):
            archive.writestr(f"audio/{name}", wav(number))
    return record_of(folder)


def record_of(folder: Path) -> dict[str, Published]:
    found = {}
    for name in tacos.FILES:
        content = (folder / name).read_bytes()
        found[name] = Published(len(content), hashlib.md5(content).hexdigest())
    return found


@dataclass
class Site:
    """What a server gives, and how.

    `ranges`: it knows Range. `drop_after`: connections end after so many bytes, so often.
    `busy`: it answers 503 so often. `status`: it answers only this. `shift`: of a 206.
    """

    files: dict[str, bytes]
    ranges: bool = True
    drop_after: int | None = None
    drops: int = 0
    busy: int = 0
    status: int | None = None
    shift: int = 0
    lengths: bool = True
    asked: list[str | None] = field(default_factory=list)
    url: str = ""


@contextmanager
def serve(site: Site) -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            site.asked.append(wanted)
            if site.busy > 0 or site.status:
                site.busy -= 1
                self.send_error(site.status or 503)
                return
            content = site.files[self.path.lstrip("/").partition("?")[0]]
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and site.ranges else 0
            if start and start >= len(content):
                self.send_error(416)
                return
            start += site.shift if start else 0
            body = content[start:]
            self.send_response(206 if start else 200)
            if start:
                span = f"bytes {start}-{len(content) - 1}/{len(content)}"
                self.send_header("Content-Range", span)
            if site.lengths:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if site.drop_after is not None and site.drops > 0:
                site.drops -= 1
                body = body[: site.drop_after]
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
