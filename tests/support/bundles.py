"""Runs on a few rendered scenes, as lm_eval writes them, with answers that a test decides; bundles
of them, and bundles changed with all their checksums put right, as a cheat would.
"""

import hashlib
import json
import random
from functools import lru_cache
from pathlib import Path

from tempo_attn.config import AttnScaleConfig
from tempo_tasks.submission.about_run import about_run, results_of
from tempo_tasks.submission.asked_documents import AskedData
from tempo_tasks.submission.make_bundle import manifest, stage_bundle
from tempo_tasks.submission.schema import MANIFEST, Links, Task
from tempo_tasks.submission.task_scoring import task_scoring
from tests.support.sample_files import DATE

SCENES = 8
TASKS = ("tempo_synth_eo_aqa", "tempo_synth_lo_aqa", "tempo_synth_ld_aqa")
LOUD = AttnScaleConfig(strength=2.0, layers=[1])


@lru_cache(maxsize=64)
def asked(task, scenes=SCENES):
    """The documents of a task about a few scenes, with what the results say of them."""
    settings = {"synth_scenes": scenes}
    about = Task(n=0, data_name="", data_fingerprint="", prompt_version="", settings=settings)
    return AskedData().documents(task, about)


def says(doc, rng, skill):
    """An answer that is right with a probability."""
    if rng.random() < skill:
        return doc["answer"]
    return rng.choice([letter for letter in "ABCD" if letter != doc["answer"]])


def line_of(task, doc, letter):
    if task_scoring(task).generates:
        return {"doc": doc, "resps": [[letter]], "filtered_resps": [letter]}
    pairs = [["-0.5" if name == letter else "-2.5", "False"] for name in "ABCD"]
    return {"doc": doc, "resps": [[pair] for pair in pairs], "filtered_resps": pairs}


def write_synth_run(
    folder, tasks=TASKS, *, skill=0.6, seed=0, scenes=SCENES, model="me/my-model", edit=None
):
    """Write samples and results; returns the folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    configs = {}
    for task in tasks:
        found = asked(task, scenes)
        lines = [line_of(task, doc, says(doc, rng, skill)) for doc in found.documents.values()]
        for line in lines:
            right = line["filtered_resps"]
            chosen = right[0] if len(right) == 1 else "ABCD"[[p[0] for p in right].index("-0.5")]
            line["acc"] = float(chosen == line["doc"]["answer"])
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"samples_{task}_{DATE}.jsonl").write_text(text)
        configs[task] = {
            "metadata": {
                "synth_scenes": scenes,
                "data_name": found.name,
                "data_fingerprint": found.fingerprint,
                "prompt_version": found.prompt_version,
            },
            "generation_kwargs": {"max_gen_toks": 32, "until": ["\n"]},
        }
    attn = None if edit is None else {"sha256": edit.fingerprint(), **edit.to_dict()}
    results = {
        "config": {
            "tempo": {"version": "0.1.0", "pretrained": model, "family": "x", "attn_scale": attn},
            "model_args": {"pretrained": model, "token": "hf_secret", "cache_dir": "/home/me"},
        },
        "configs": configs,
        "model_name": model,
        "date": 1795933048.6,
        "lm_eval_version": "0.4.13",
        "transformers_version": "5.24.0",
        "pretty_env_info": "PyTorch version: 2.13.0+cpu\nPath: /home/me/x\nPython version: 3.11",
    }
    (folder / f"results_{DATE}.json").write_text(json.dumps(results))
    return folder


def write_synth_bundle(folder, run, audit=None, **links):
    """Write a bundle of a run, as `tempo submit` does; returns its folder."""
    from tempo_tasks.stats.runs import read_runs

    folder = Path(folder)
    folder.mkdir(parents=True)
    (found,) = read_runs([str(run)])
    results = results_of(found)
    label = links.pop("label", None)
    about = about_run(found, results, Links(**links), label=label)
    stage_bundle(folder, found, results, about, audit)
    return folder


def put_sums_right(folder):
    """Write the manifest anew, so that only what the files say can give a change away."""
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    names = sorted(name for name in files if name != MANIFEST)
    (folder / MANIFEST).write_bytes(manifest(folder, names))


def change_json(path, change):
    """Change JSON data in place by a function."""
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def change_lines(path, change):
    """Change a list of JSON lines by a function that returns the new one."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in change(lines)))


def sums_of(folder):
    """The SHA-256 of each file of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }
