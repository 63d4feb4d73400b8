"""Run folders as lm_eval writes them, with answers that a test decides."""

import json
from pathlib import Path

OPTIONS = ("Rain", "Siren", "Dog Bark", "Bell")
DATE = "2026-11-21T10-00-00.000000"


def doc(number, kind="eo", *, answer="A", clip=None, options=OPTIONS, **more):
    """The document of one item; items with one number are about one clip."""
    clip = clip or f"clip-{number:03}"
    return {
        "id": f"{clip}/{kind}",
        "pair": "",
        "clip": clip,
        "kind": kind,
        "condition": "aqa",
        "prompt": "<audio>Which ...",
        "options": list(options),
        "answer": answer,
        "answer_text": options["ABCD".index(answer)],
        "n_present": 2,
        "audio": [{"sha256": "0", "silence": False, "reversed": False}],
        **more,
    }


def generated(document, chosen):
    """A line of a task by generation; `chosen` is the whole answer."""
    right = chosen == document["answer"]
    return {"doc": document, "filtered_resps": [chosen], "resps": [[chosen]], "acc": float(right)}


def likelihoods(document, scores):
    """A line of an `_ll` task: four log-likelihoods, as text, as the harness writes them."""
    best = [letter for letter, s in zip("ABCD", scores, strict=True) if s == max(scores)]
    credit = (document["answer"] in best) / len(best)
    pairs = [[str(score), "False"] for score in scores]
    return {"doc": document, "filtered_resps": pairs, "resps": [[p] for p in pairs], "acc": credit}


def answers(pattern, kind="eo", **more):
    """One item a character: "1" right (A), "0" wrong (B), "-" no answer."""
    said = {"1": "A", "0": "B", "-": "I cannot tell"}
    return [generated(doc(i, kind, **more), said[mark]) for i, mark in enumerate(pattern)]


def write_run(folder, tasks, *, date=DATE, model=None, data="f00d"):
    """Write samples and results of some tasks; returns the folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for task, lines in tasks.items():
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"samples_{task}_{date}.jsonl").write_text(text)
    results = {
        "config": {"tempo": {"pretrained": model, "attn_scale": None}} if model else {},
        "configs": {task: {"metadata": {"data_fingerprint": data}} for task in tasks},
        "model_name": folder.name,
    }
    (folder / f"results_{date}.json").write_text(json.dumps(results))
    return folder
