"""Run folders to try things on: their manifests and records, and processes that write them."""

import json
import resource
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tempo_attn.errors import RunFolderError
from tempo_attn.lab.run_folder.folder import RunFolder
from tempo_attn.lab.run_folder.manifest import (
    Fingerprints,
    Manifest,
    ModelFingerprint,
    RunSettings,
)

N_ITEMS = 10
SETTINGS = RunSettings(
    tasks=["eo_aqa"],
    limit=None,
    metadata={},
    batch_size=2,
    memory=1 << 30,
    seed=0,
    of_command={"strengths": [0.5, 2.0]},
)
FINGERPRINTS = Fingerprints(
    data={"eo_aqa": {"data_fingerprint": "d1"}},
    items="i1",
    model=ModelFingerprint(name="m1", arguments={}, weights="w1", processor="p1"),
    code="c1",
    environment={"torch": "2.6", "dtype": "float32"},
)


def manifest(**changes):
    """A manifest; changes are of its fields, or of those of its settings or fingerprints."""
    parts = {"settings": SETTINGS, "fingerprints": FINGERPRINTS}
    for name, part in parts.items():
        its = {key: changes.pop(key) for key in list(changes) if hasattr(part, key)}
        parts[name] = replace(part, **its)
    return Manifest(**{"command": "sweep", **parts, "n_items": N_ITEMS, **changes})


def record(at, **changes):
    fields = {"key": f"k{at}", "index": at, "id": f"clip {at}é", "logits": [0.1, -1e-7]}
    return {**fields, **changes}


def lines(path):
    return path.read_bytes().splitlines(keepends=True)


def sorted_lines(path):
    return sorted(lines(path), key=lambda line: json.loads(line)["index"])


def make_half_done(path):
    """Make a folder with items 3 and 1."""
    with RunFolder.open(path, manifest()) as run:
        run.append([record(3), record(1)])
    return path


@contextmanager
def full_disk(n_bytes):
    """No file can be longer than this."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
    try:
        with pytest.raises(RunFolderError, match=r"cannot be written: File too large"):
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


CHILD = """
import json, sys, time
from pathlib import Path
from tempo_attn.lab.run_folder.folder import RunFolder
from tempo_attn.lab.run_folder.manifest import Manifest
path, manifest, records, process, n, act = json.loads(Path(sys.argv[1]).read_text())
while act == "together" and not Path(path + ".go").exists():
    time.sleep(0.001)
manifest = Manifest.from_dict(manifest, "the test's manifest")
with RunFolder.open(path, manifest, process=process, n_processes=n) as run:
    print("open", flush=True)
    if act == "hold":
        sys.stdin.read()
    for record in records:
        run.append([record])
        if act == "slowly":
            time.sleep(0.01)
"""


def child(path, act, *, records=(), process=0, n=1, given=None):
    about = given or manifest()
    job = Path(f"{path}.{process}.json")
    job.write_text(json.dumps([str(path), about.to_dict(), list(records), process, n, act]))
    command = [sys.executable, "-c", CHILD, str(job)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
