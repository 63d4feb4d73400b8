"""Peak memory of `lalm` by the number of items: caches are bounded, so it must not grow with them.

Each number is measured in a process of its own: a random Qwen2-Audio model of one narrow layer,
clips of one second, six questions a clip, each scored by one letter. Caches are given so little
that they are full in every case.

    python benchmarks/harness_memory.py --items 1000 20000
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from random_qwen2_audio import save_random_model

CACHE_MB = 2
QUESTIONS_A_CLIP = 6


def measured(items):
    """Return a row for each number of items."""
    return [json.loads(_child(number)) for number in items]


def _child(number):
    done = subprocess.run(
        [sys.executable, __file__, "--alone", str(number)], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{number} items: {done.stderr[-2000:]}")
    return done.stdout.splitlines()[-1]


def _peak():
    """Peak resident memory of this process so far, MiB.

    Not `getrusage`, whose peak a process has from the one that started it.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(peak) / 1024


def _alone(number):
    import logging

    import numpy as np
    import soundfile
    import torch
    from lm_eval.api.instance import Instance

    from tempo_tasks.audio import file_handle
    from tempo_tasks.harness.lalm import LALM

    torch.set_num_threads(1)
    logging.getLogger("tempo_tasks").setLevel(logging.ERROR)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        handles = []
        for clip in range(-(-number // QUESTIONS_A_CLIP)):
            path = Path(folder) / f"{clip}.wav"
            soundfile.write(path, 0.1 * rng.standard_normal(16_000), 16_000)
            handles.append(file_handle(path))
        lm = LALM(_tiny(Path(folder) / "tiny"), batch_size=16, device="cpu", cache_mb=CACHE_MB)
        requests = [
            Instance("loglikelihood", {}, (_question(n), "A", {"audio": [handles[n // 6]]}), n)
            for n in range(number)
        ]
        before = _peak()
        answers = lm.loglikelihood(requests, disable_tqdm=True)
        if len(answers) != number or lm.sharing.reason:
            raise SystemExit(f"{len(answers)} answers; nothing shared: {lm.sharing.reason}")
    print(
        json.dumps({"items": number, "peak_mib": round(_peak(), 1), "before_mib": round(before, 1)})
    )


def _question(number):
    what = ("earliest", "latest", "longest", "shortest", "loudest", "softest")[number % 6]
    return (
        f"<audio>Which sound is {what} in scene {number}?\n"
        "A. Dog bark\nB. Siren\nC. Rain\nD. Bell\n"
        "Answer with the option's letter from the given choices directly."
    )


def _tiny(folder):
    """Save a model that hears one second; random weights."""
    return save_random_model(
        folder,
        audio={
            "num_mel_bins": 16, "d_model": 16, "encoder_layers": 1,
            "encoder_attention_heads": 2, "encoder_ffn_dim": 32, "max_source_positions": 25,
        },
        text={
            "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 512,
        },
        features={"feature_size": 16, "hop_length": 320, "chunk_length": 1},
    )  # fmt: skip


def main():
    """Measures, and prints one JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[1000, 20_000])
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        _alone(options.alone)
    else:
        print(json.dumps(measured(options.items), indent=2))


if __name__ == "__main__":
    main()
