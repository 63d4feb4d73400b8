"""Run folders of the laboratory on the page: edits and attention by item, tables, notes."""

import json

import numpy as np
import pytest

from tempo_attn.lab.run_folder.folder import RunFolder
from tempo_attn.lab.sweep.grid import Variant
from tempo_tasks.questions.questions import Kind
from tempo_tasks.report.clip_sound import RATE, picture, to_ogg
from tempo_tasks.sources.synth.testset import load_synth
from tests.support.lab_commands import tempo
from tests.support.run_folders import manifest
from tests.support.sweep_results import logits_of
from tests.tempo_tasks.report.test_report_command import data_of, page

EDITS = [Variant(layers=(layer,), rows=("last",), strength=2.0) for layer in (0, 1)]
VARIANTS = [*dict.fromkeys(edit.control for edit in EDITS), *EDITS]
TASK = "tempo_synth_eo_aqa"
METADATA = {"synth_scenes": 6}


def lab_folder(path, command, records, fingerprint, of_command):
    data = {TASK: {"data_fingerprint": fingerprint}}
    described = manifest(
        command=command,
        tasks=[TASK],
        metadata=METADATA,
        of_command=of_command,
        data=data,
        n_items=3,
    )
    with RunFolder.open(path, described) as run:
        run.append(records)
    return path


def records_of(questions, **more):
    return [
        {
            "key": f"k{at}",
            "index": at,
            "id": f"{question.id}/aqa",
            "cluster": question.cluster,
            "kind": "eo",
            "condition": "aqa",
            "answer": "ABCD".index(question.answer),
            "plain": logits_of("ABCD".index(question.answer)),
            **{name: make("ABCD".index(question.answer)) for name, make in more.items()},
        }
        for at, question in enumerate(questions)
    ]


@pytest.fixture
def sweep(tmp_path):
    """The first edit breaks every item, the second changes nothing."""
    questions = load_synth(Kind.EO, scenes=6)

    def logits(answer):
        wrong = (answer + 1) % 4
        return [logits_of(answer), logits_of(answer), logits_of(wrong), logits_of(answer)]

    records = records_of(
        questions.questions[:3], logits=logits, audio=lambda answer: [[None] * 4] * 4
    )
    variants = {"variants": [variant.to_dict() for variant in VARIANTS]}
    return lab_folder(tmp_path / "sweep", "sweep", records, questions.fingerprint, variants)


def test_edits_stand_at_their_items(sweep, plain_run, tmp_path, monkeypatch):
    data = data_of(page(monkeypatch, plain_run, sweep, "--no-audit", out=tmp_path / "r.html"))
    assert data["edits"] == [{"name": "sweep", "edits": [edit.name for edit in EDITS]}]
    with_edits = [item for item in data["items"] if item["edits"]]
    assert len(with_edits) == 3
    for item in with_edits:
        found = item["edits"]["0"]["aqa"]
        assert found["states"] == "b+"
        assert found["choices"] == f"{(item['answer'] + 1) % 4}{item['answer']}"
        assert found["right"][0] < 25 < found["right"][1]


def test_a_laboratory_run_alone_has_its_items(sweep, tmp_path, monkeypatch):
    text = page(monkeypatch, sweep, out=tmp_path / "r.html")
    assert len(data_of(text)["items"]) == 3
    assert "its tables are not there" in text


def test_an_unfinished_run_is_said(sweep, tmp_path, monkeypatch):
    lines = (sweep / "items.jsonl").read_text().splitlines(keepends=True)
    (sweep / "items.jsonl").write_text("".join(lines[:2]))
    text = page(monkeypatch, sweep, out=tmp_path / "r.html")
    assert "unfinished: 1 of its 3 items" in text


def test_tables_and_figures_are_in_the_page(sweep, tmp_path, monkeypatch):
    rows = [{"mode": "scale", "change": 0.1 * at, "null_sign_change": 1.0} for at in range(100)]
    (sweep / "effects.json").write_text(json.dumps(rows))
    (sweep / "effects.csv").write_text("mode\n")
    (sweep / "layers.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg' onload='evil()'/>")
    text = page(monkeypatch, sweep, out=tmp_path / "r.html")
    assert "without 40 rows between" in text
    assert "null_sign_change" not in text
    assert "data:image/svg+xml;base64," in text
    assert "evil()" not in text  # as a picture, in base64, where scripts do not run


def test_attention_over_time_stands_at_its_item(tmp_path, plain_run, monkeypatch):
    questions = load_synth(Kind.EO, scenes=6)
    records = records_of(
        questions.questions[:3], over_time=lambda answer: {"last": {"3": [0.0, 0.1, 0.05]}}
    )
    folder = lab_folder(tmp_path / "mass", "mass", records, questions.fingerprint, {"rows": []})
    data = data_of(page(monkeypatch, plain_run, folder, "--no-audit", out=tmp_path / "r.html"))
    shown = [item["attention"] for item in data["items"] if item["attention"]]
    assert len(shown) == 3
    (found,) = shown[0]
    assert (found["name"], found["label"]) == ("mass, aqa: layer 3, last", "layer 3, last")
    assert (found["highest"], found["levels"]) == (0.1, "AP+A")


def listen_folder(path, rows="name"):
    """Of three items, whose windows last from 1 to 2 s; of the last, no head has one."""
    questions = load_synth(Kind.EO, scenes=6)
    records = records_of(
        questions.questions[:3],
        rate=lambda answer: 12.5,
        n_positions=lambda answer: 125,
        events=lambda answer: [[[1.0, 2.0]]] * 4,
        looks=lambda answer: [
            {
                "rows": rows,
                "reading": "attention",
                "option": option,
                "width": 13,
                "starts": [[50, 0], None, [0, 13]],
                "masses": [[0.1, 0.1], None, [0.1, 0.1]],
                "silent": [[0, 0], None, [0, 0]],
            }
            for option in (answer, (answer + 1) % 4)
        ],
    )
    records[2]["looks"][0]["starts"] = [[-1, -1], None, [-1, -1]]
    folder = lab_folder(path, "listen", records, questions.fingerprint, {"rows": []})
    place = {"kind": "eo", "condition": "aqa", "rows": rows, "reading": "attention"}
    best = [
        {**place, "target": "right", "best": "layer", "layer": 2, "head": "mean"},
        {**place, "target": "right", "best": "head", "layer": 0, "head": 0},
        {**place, "target": "right", "best": "head", "layer": 7, "head": 9},  # there is none
        {**place, "target": "others", "best": "head", "layer": 0, "head": 0},
    ]
    (folder / "best.json").write_text(json.dumps(best))
    (folder / "best.csv").write_text("kind\n")
    return folder


def test_where_attention_looks_stands_at_its_item(tmp_path, plain_run, monkeypatch):
    folder = listen_folder(tmp_path / "listened")
    data = data_of(page(monkeypatch, plain_run, folder, "--no-audit", out=tmp_path / "r.html"))
    shown = [item["windows"] for item in data["items"] if item["windows"]]
    assert (
        shown
        == [
            [
                {
                    "name": "listened, aqa: name, layer 2",
                    "label": "name, layer 2",
                    "start": 1.04,
                    "end": 2.08,
                },
                {
                    "name": "listened, aqa: name, layer 0 head 0",
                    "label": "name, layer 0 head 0",
                    "start": 4.0,
                    "end": 5.04,
                },
            ]
        ]
        * 2
    )


@pytest.mark.parametrize("best", ["", "{}", "[1]", '[{"layer": "x"}]', None])
def test_windows_need_a_table_that_can_be_read(tmp_path, plain_run, monkeypatch, best):
    folder = listen_folder(tmp_path / "listened")
    (folder / "best.json").unlink()
    if best is not None:
        (folder / "best.json").write_text(best)
    data = data_of(page(monkeypatch, plain_run, folder, "--no-audit", out=tmp_path / "r.html"))
    assert not any(item["windows"] for item in data["items"])


def test_hostile_names_of_windows_are_inert(tmp_path, plain_run, monkeypatch):
    folder = listen_folder(tmp_path / "listened", rows="</script><img src=x onerror=evil()>")
    text = page(monkeypatch, plain_run, folder, "--no-audit", out=tmp_path / "r.html")
    assert "<img src=x" not in text
    assert any(
        "<img src=x" in one["label"] for item in data_of(text)["items"] for one in item["windows"]
    )


def test_a_damaged_folder_is_one_message(sweep, tmp_path, monkeypatch, capsys):
    (sweep / "items.jsonl").write_text("{}\n{}\n")
    assert tempo(monkeypatch, "report", sweep, "-o", tmp_path / "r.html") == 2
    assert "RunFolderError" in capsys.readouterr().err


def test_sound_is_the_same_bytes_and_plays_the_same(tmp_path):
    import io

    import soundfile

    wave = np.sin(np.arange(RATE) / 20).astype(np.float32) * 2  # louder than a file can be
    content = to_ogg(wave)
    assert content == to_ogg(wave)
    heard, rate = soundfile.read(io.BytesIO(content))
    assert (len(heard), rate) == (RATE, RATE)
    assert np.corrcoef(heard, wave)[0, 1] > 0.98


def test_pictures_of_extreme_clips():
    """One sample, silence: nothing is divided by nothing."""
    for wave in (np.zeros(RATE, np.float32), np.ones(1, np.float32)):
        found = picture(wave)
        assert len(found["peaks"]) == 256
        assert found["seconds"] == round(len(wave) / RATE, 3)
