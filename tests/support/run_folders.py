"""Run folders to try things on: their manifests and records, and processes that write them."""

import json
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tempo_attn.errors import RunFolderError
from tempo_attn.lab.run_folder.folder import RunFolder
from tempo_attn.lab.run_folder.manifest import run_manifest

N_ITEMS = 10
FINGERPRINTS = {"model": "m1", "data": "d1", "environment": {"torch": "2.6", "dtype": "float32"}}
SETTINGS = {"strengths": [0.5, 2.0], "tasks": ["eo_aqa"], "seed": 0}


def manifest(**changes):
    fields = {"settings": SETTINGS, "fingerprints": FINGERPRINTS, "n_items": N_ITEMS}
    return run_manifest(**{"verb": "sweep", **fields, **changes})


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
path, manifest, records, process, n, act = json.loads(Path(sys.argv[1]).read_text())
while act == "together" and not Path(path + ".go").exists():
    time.sleep(0.001)
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
    job = Path(f"{path}.{process}.json")
    job.write_text(json.dumps([str(path), given or manifest(), list(records), process, n, act]))
    command = [sys.executable, "-c", CHILD, str(job)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
