"""Two CPU processes give the results of one."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

SCRIPT = """
import json, sys, torch
torch.set_num_threads(1)
import lm_eval
from lm_eval.tasks import TaskManager
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.paths import task_yamls_dir

model = LALM(pretrained=sys.argv[1], batch_size=4)
manager = TaskManager(
    include_defaults=False, include_path=task_yamls_dir(), metadata={"synth_scenes": 11}
)
results = lm_eval.simple_evaluate(
    model=model,
    tasks=["tempo_synth_eo_aqa", "tempo_synth_lo_aqa_ll", "tempo_synth_ld_cqa_ll"],
    task_manager=manager,
    bootstrap_iters=1,
)
print("rank", model.rank, "of", model.world_size)
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher",
    ["accelerate.commands.launch", "torch.distributed.run"],
    ids=["accelerate", "torchrun"],
)
def test_two_processes_equal_one(launcher, checkpoint, tmp_path):
    script = tmp_path / "evaluate.py"
    script.write_text(SCRIPT)
    root = str(ROOT)
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "ACCELERATE_USE_CPU": "true"}
    launches = {
        # `--multi_gpu` means "by torchrun"; ACCELERATE_USE_CPU keeps the processes on the CPU.
        "accelerate.commands.launch": ["--multi_gpu", "--num_processes=2", "--num_machines=1"],
        "torch.distributed.run": ["--nproc-per-node=2"],
    }
    port = ["--main_process_port=29617"] if "accelerate" in launcher else ["--master-port=29618"]
    two_processes = [sys.executable, "-m", launcher, *launches[launcher], *port]
    outputs = []
    for prefix in ([sys.executable], two_processes):
        out = tmp_path / f"{len(outputs)}.json"
        done = subprocess.run(
            [*prefix, str(script), str(checkpoint), str(out)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert f"of {1 + len(outputs)}" in done.stdout
        outputs.append(rounded(json.loads(out.read_text())))
    assert outputs[0] == outputs[1]
