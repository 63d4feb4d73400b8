"""The laboratory's commands in tests: run as a user types them, and what they leave behind."""

import json
import sys

import lm_eval
import numpy as np
import pytest

from tempo_tasks import cli
from tempo_tasks.lab import tasks_to_items


def tempo(monkeypatch, *arguments):
    """Run `tempo` in this process and return its exit status."""
    monkeypatch.setattr(sys, "argv", ["tempo", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code or 0


def contents(folder, leave_out=()):
    """The bytes of all files in a folder but the locks."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name not in leave_out
    }


def read(folder, name):
    return json.loads((folder / name).read_text())


def number_of(folder, **fields):
    """The place of a run's one variant with these fields."""
    (found,) = [
        number
        for number, variant in enumerate(read(folder, "manifest.json")["settings"]["variants"])
        if all(variant[name] == value for name, value in fields.items())
    ]
    return found


def likelihoods(lm, task, metadata):
    """What lm_eval gets on a task's questions: the letters' log-probabilities, and accuracy."""
    twin = f"{task}_ll"
    tasks = tasks_to_items.load_tasks([twin], metadata)
    results = lm_eval.evaluate(lm=lm, task_dict=dict(tasks), bootstrap_iters=0)
    return letter_scores(results["samples"][twin]), results["results"][twin]["acc,none"]


def letter_scores(samples):
    """The letters' log-probabilities, (documents, letters)."""
    ordered = sorted(samples, key=lambda sample: sample["doc_id"])
    return np.array([[score for ((score, _),) in sample["resps"]] for sample in ordered])


def centred(logits):
    """Logits but for a constant of each item."""
    return np.asarray(logits) - np.asarray(logits).mean(-1, keepdims=True)
