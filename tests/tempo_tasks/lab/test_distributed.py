"""`accelerate launch` with two CPU processes gives the records and tables of one."""

import json
import os
import socket
import subprocess
import sys

import pytest

from tempo_attn.lab.run_folder.folder import read_run
from tests.support.paths import ROOT

DATA = [
    "--tasks", "tempo_synth_eo_aqa,tempo_synth_lo_acqa",
    "--metadata", json.dumps({"synth_scenes": 7}),
    "--batch-size", "2",
]  # fmt: skip
COMMANDS = {
    "sweep": [
        "--edit",
        "scale=0.5,2",
        "--layers",
        "0,3",
        "--rows",
        "last,option",
        "--generate",
        "6",
    ],
    "mass": ["--rows", "last,keyword"],
    "compare": ["--layers", "3", "--strengths", "2", "--rows", "option", "--nulls", "none"],
    "trace": ["--layers", "0,2"],
}
# Python imports a module of this name before anything else.
DIES_AT_THE_SECOND_RECORD = """
import os, signal
if os.environ.get("RANK") == "1":
    fsync, written = os.fsync, []
    def count(number):
        fsync(number)
        written.append(os.readlink(f"/proc/self/fd/{number}").endswith("items.r1.jsonl"))
        if sum(written) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
    os.fsync = count
"""

pytestmark = pytest.mark.slow


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def launch(n_processes, *arguments, more_path=ROOT):
    """Run `tempo` by one process, or by several of `accelerate launch`."""
    prefix = [sys.executable, "-m"]
    if n_processes > 1:
        # `--multi_gpu` means "by torchrun"; ACCELERATE_USE_CPU keeps the processes on the CPU.
        prefix += [
            "accelerate.commands.launch", "--multi_gpu", f"--num_processes={n_processes}",
            "--num_machines=1", f"--main_process_port={free_port()}", "-m",
        ]  # fmt: skip
    # The number of threads is a part of the run, and accelerate sets it to one.
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(
            [str(more_path), str(ROOT), os.environ.get("PYTHONPATH", "")]
        ),
        "ACCELERATE_USE_CPU": "true",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [*prefix, "tempo_tasks", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def contents(folder):
    """Tables, figures and the manifest: all but the locks and each process's own lines."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if not path.name.startswith((".", "items"))
    }


def lines(folder):
    return {path.name: path.read_text().count("\n") for path in folder.glob("items*.jsonl")}


@pytest.mark.parametrize("command", COMMANDS)
def test_two_processes_equal_one(command, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for n_processes, out in enumerate((one, two), 1):
        done = launch(n_processes, command, *DATA, *COMMANDS[command], "--out", out)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.count(f"In {out}: ") == 1  # told by one process alone
    assert read_run(two) == read_run(one)
    assert contents(two) == contents(one)
    assert len(contents(one)) > 4
    # Both had a part: 7 batches of two items, dealt in turn.
    assert lines(one) == {"items.jsonl": 14}
    assert lines(two) == {"items.r0.jsonl": 8, "items.r1.jsonl": 6}


def test_a_dead_process_ends_the_run_and_another_number_of_them_goes_on(tmp_path):
    """Two begin and one of them dies; one finishes; three find nothing to do.

    As when a machine is lost or memory runs out: the other process must not wait for ever.
    """
    (tmp_path / "sitecustomize.py").write_text(DIES_AT_THE_SECOND_RECORD)
    command = ["sweep", *DATA, *COMMANDS["sweep"], "--out"]
    whole, run = tmp_path / "whole", tmp_path / "run"
    done = launch(2, *command, run, more_path=tmp_path)
    assert done.returncode != 0
    assert "SIGKILL" in done.stderr or "-9" in done.stderr
    assert not (run / "effects.csv").exists()
    assert lines(run)["items.r1.jsonl"] == 4  # what it had is there: two batches of two
    with (run / "items.r1.jsonl").open("ab") as second:  # as if it had died while it wrote
        second.write(b'{"key')
    for out in (whole, run):
        done = launch(1, *command, out)
        assert done.returncode == 0, done.stderr[-3000:]
    assert contents(run) == contents(whole)
    before = lines(run)
    assert 2 <= before["items.jsonl"] <= 10
    done = launch(3, *command, run)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {name: n for name, n in lines(run).items() if n} == before
    assert contents(run) == contents(whole)


def test_a_mistake_ends_both(tmp_path):
    (tmp_path / "thesis.tex").touch()
    done = launch(2, "sweep", *DATA, *COMMANDS["sweep"], "--out", tmp_path)
    assert done.returncode != 0
    assert "RunFolderError" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_choose_by_two_processes(tmp_path):
    """One of them writes, and the configuration is that of one process."""
    grid = ["--edit", "scale=0,3", "--layers", "0,2", "--rows", "last,option", "--folds", "3"]
    data = ["--tasks", "tempo_synth_eo_aqa", "--metadata", '{"synth_scenes": 7}']
    told, statuses = [], []
    for n_processes in (1, 2):
        out = tmp_path / str(n_processes)
        done = launch(n_processes, "choose", *data, *grid, "--objective", "margin", "--out", out)
        statuses.append(done.returncode)
        told.append(done.stdout.count("Chosen on all 7 items"))
    assert (statuses[0] == 0) == (statuses[1] == 0)
    assert contents_but_the_sweep(tmp_path / "1") == contents_but_the_sweep(tmp_path / "2")
    assert told == [1, 1]


def contents_but_the_sweep(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
