"""Two CPU processes give the results of one."""

import json
import os
import socket
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

SCRIPT = """
import json, os, signal, sys, torch
torch.set_num_threads(1)
import lm_eval
from lm_eval.tasks import TaskManager
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.paths import task_yamls_dir

class Mortal(LALM):
    batches = 0

    def generate_batch(self, batch, gen_kwargs):
        type(self).batches += 1
        if self.rank == 1 and self.batches == int(os.environ.get("DIES_AT_BATCH", -1)):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().generate_batch(batch, gen_kwargs)

model = Mortal(pretrained=sys.argv[1], batch_size=2)
manager = TaskManager(
    include_defaults=False, include_path=task_yamls_dir(), metadata={"synth_scenes": 11}
)
results = lm_eval.simple_evaluate(
    model=model,
    tasks=["tempo_synth_eo_aqa", "tempo_synth_lo_aqa_ll", "tempo_synth_ld_cqa_ll"],
    task_manager=manager,
    bootstrap_iters=1,
    use_cache=sys.argv[3] if len(sys.argv) > 3 else None,
)
print("rank", model.rank, "of", model.world_size)
print("batches of rank", model.rank, ":", model.batches)
if model.rank == 0:
    samples = {
        # An odd number of items: the harness pads the smaller share, which must not be seen.
        name: sorted(
            (row["doc_id"], json.dumps([row["filtered_resps"], row["resps"]])) for row in rows
        )
        for name, rows in results["samples"].items()
    }
    scores = {n: {k: v for k, v in r.items() if "," in k} for n, r in results["results"].items()}
    open(sys.argv[2], "w").write(json.dumps([scores, samples], sort_keys=True))
"""


def rounded(value):
    """Log-probabilities differ in the last digits with the batch they were computed in."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, list):
        return [rounded(item) for item in value]
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return rounded(json.loads(value)) if isinstance(value, str) and value[:1] == "[" else value


LAUNCHERS = {
    # `--multi_gpu` means "by torchrun"; ACCELERATE_USE_CPU keeps the processes on the CPU.
    "accelerate": [
        "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--num_machines=1",
    ],
    "torchrun": ["-m", "torch.distributed.run", "--nproc-per-node=2"],
    None: [],
}  # fmt: skip


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def evaluate(tmp_path, launcher, *arguments, **more):
    """Run the script by a launcher, or by one process."""
    option = {"accelerate": "--main_process_port", "torchrun": "--master-port"}.get(launcher)
    port = [] if option is None else [f"{option}={free_port()}"]
    script = tmp_path / "evaluate.py"
    script.write_text(SCRIPT)
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *LAUNCHERS[launcher], *port, str(script), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path, "ACCELERATE_USE_CPU": "true", **more},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["accelerate", "torchrun"])
def test_two_processes_equal_one(launcher, checkpoint, tmp_path):
    outputs = []
    for number, used in enumerate((None, launcher), 1):
        out = tmp_path / f"{number}.json"
        done = evaluate(tmp_path, used, checkpoint, out)
        assert done.returncode == 0, done.stderr[-3000:]
        assert f"of {number}" in done.stdout
        outputs.append(rounded(json.loads(out.read_text())))
    assert outputs[0] == outputs[1]


@pytest.mark.slow
def test_a_dead_process_ends_the_run_and_the_cache_goes_on_with_it(checkpoint, tmp_path):
    """Each process has a cache of its own; only the batch that was lost is computed again."""
    out, cache = tmp_path / "out.json", tmp_path / "cache"
    done = evaluate(tmp_path, "torchrun", checkpoint, out, cache, DIES_AT_BATCH="2")
    assert done.returncode != 0
    assert "SIGKILL" in done.stderr or "-9" in done.stderr
    assert not out.exists()
    done = evaluate(tmp_path, "torchrun", checkpoint, out, cache)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "batches of rank 1 : 2" in done.stdout  # of three: the first was in its cache
    whole = tmp_path / "whole.json"
    done = evaluate(tmp_path, None, checkpoint, whole)
    assert done.returncode == 0, done.stderr[-3000:]
    results = [rounded(json.loads(path.read_text())) for path in (out, whole)]
    assert results[0] == results[1]
