"""Runs as lm_eval writes them on real data: documents, audio and fingerprints of a task."""

import json

from tempo_tasks.harness.documents import to_documents
from tempo_tasks.harness.task import load_questions
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.questions.questions import Kind
from tests.support.sample_files import DATE, generated, write_run

SOURCES = {"tempo_synth": "synth", "tempo": "released"}


def always_right(document):
    return document["answer"]


def wrong_with_silence(document):
    """Right but under silence, and one answer in three is none."""
    number = int(document["clip"].rsplit("/", 1)[-1].split(".")[0])
    if document["condition"] != "silence":
        return document["answer"]
    return "I cannot tell" if number % 3 == 0 else "ABCD"["ABCD".index(document["answer"]) - 1]


def run_on(
    folder,
    *,
    source="tempo_synth",
    metadata=None,
    answer=always_right,
    kinds=("eo",),
    conditions=("aqa", "silence"),
    name=None,
    version="0.1.0",
    pretrained="embedded",
):
    """Write a run on the questions of a source; returns the folder."""
    metadata = {"synth_scenes": 6} if metadata is None else metadata
    lines, prints = {}, {}
    for kind in kinds:
        questions = load_questions(SOURCES[source], Kind(kind), metadata)
        for condition in conditions:
            task = name or f"{source}_{kind}_{condition}"
            documents = to_documents(questions, Condition(condition))
            lines[task] = [generated(dict(doc), answer(doc)) for doc in documents]
            prints[task] = questions.fingerprint
    write_run(folder, lines)
    results = folder / f"results_{DATE}.json"
    found = json.loads(results.read_text())
    found["config"] = {"tempo": {"pretrained": pretrained, "version": version, "attn_scale": None}}
    for task, fingerprint in prints.items():
        found["configs"][task]["metadata"] = {**metadata, "data_fingerprint": fingerprint}
    results.write_text(json.dumps(found))
    return folder
