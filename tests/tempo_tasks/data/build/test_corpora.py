"""`tempo data build` from corpora: a folder that loads, with what was changed in its manifest."""

import json

import pytest
from typer.testing import CliRunner

from tempo_attn.errors import OptionError
from tempo_tasks.cli import app
from tempo_tasks.data.build.request import Request
from tempo_tasks.data.build.run import build
from tempo_tasks.questions.questions import Kind
from tempo_tasks.sources.hub import load_released
from tests.support.other_benchmarks import scenes, write_clip


@pytest.fixture
def corpus(tmp_path):
    """Rendered clips and their DCASE table, with labels such as Dog_bark."""
    lines = ["filename\tonset\toffset\tevent_label"]
    for number, scene in enumerate(scenes(6)):
        write_clip(tmp_path / "clips" / f"{number}.wav", scene)
        for event in scene.clip.events:
            label = event.label.replace(" ", "_").capitalize()
            lines += [f"{number}.wav\t{a}\t{b}\t{label}" for a, b in event.intervals]
    (tmp_path / "weak.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def test_a_dcase_corpus_becomes_a_benchmark(corpus):
    out = corpus / "out"
    result = CliRunner().invoke(
        app,
        [
            *("data", "build", "--out", str(out), "--intervals", str(corpus / "weak.tsv")),
            *("--audio", str(corpus / "clips"), "--margin", "0.2", "--json", "--quiet"),
        ],
    )
    assert result.exit_code == 0, result.output
    manifest = json.loads((out / "manifest.json").read_text())
    assert "annotations are read as dcase" in manifest["notes"]
    assert manifest["notes"][0].startswith("labels changed: ")
    assert all(label == label.lower() for label in manifest["labels"])
    asked = load_released(Kind.EO, data=str(out))
    assert asked.questions
    assert all(len(asked.clips[q.clip_id].events) >= 2 for q in asked.questions)


def test_label_maps_are_a_part_of_the_build(corpus):
    first = corpus / "first.csv"
    labels = sorted(event.label for scene in scenes(6) for event in scene.clip.events)
    first.write_text(f"label,to\n{labels[0].replace(' ', '_').capitalize()},\n", encoding="utf-8")
    plain = Request(intervals=(corpus / "weak.tsv",), margin=0.2)
    mapped = Request(intervals=(corpus / "weak.tsv",), margin=0.2, labels=(first,))
    one, _ = build(plain, corpus / "one")
    two, _ = build(mapped, corpus / "two")
    assert labels[0].lower() in one["labels"]
    assert labels[0].lower() not in two["labels"]
    assert [file["name"] for file in two["sources"]["labels"]] == ["first.csv"]
    assert one["spec"] != two["spec"]
    # Again, and nothing is done.
    assert build(mapped, corpus / "two")[1]


def test_options_of_intervals_need_intervals(corpus):
    with pytest.raises(OptionError, match="--words: of --intervals"):
        Request(tacos=corpus, words=True).check()
    with pytest.raises(OptionError, match="--format tsv: expected one of csv, dcase"):
        Request(intervals=(corpus / "weak.tsv",), format="tsv").check()
