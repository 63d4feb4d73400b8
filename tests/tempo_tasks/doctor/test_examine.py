"""The whole examination: on the embedded model, and on a tiny checkpoint of other families."""

import json

import numpy as np
import pytest
import soundfile

from tempo_attn.errors import OptionError
from tempo_attn.files.strict_json import parse_json
from tempo_tasks.doctor.clips import check_clip
from tempo_tasks.doctor.diagnosis import FORMAT, SCHEMA_VERSION
from tempo_tasks.doctor.every_check import CHECKS
from tempo_tasks.doctor.examination import Examination, examination
from tempo_tasks.doctor.examine import Watch, diagnose, examine
from tempo_tasks.doctor.loading import Request
from tempo_tasks.errors import AudioNotFoundError, EmptyAudioError
from tempo_tasks.harness.lalm import LALM


def strict(diagnosis):
    """The diagnosis as a reader of its JSON has it."""
    return parse_json(json.dumps(diagnosis.to_dict(), allow_nan=False), finite=True)


def without_times(data):
    checks = [check for check in data["checks"] if check["name"] != "speed"]
    return {**data, "checks": checks, "speed": None, "memory": None}


@pytest.fixture(scope="module")
def diagnosis(patient, clips):
    return examine(Examination(patient, clips.handles, clips.clip), Watch())


def test_the_embedded_model_is_sound(diagnosis):
    assert diagnosis.status == "passed"
    assert [f.name for f in diagnosis.findings] == [*(check.name for check in CHECKS), "speed"]
    assert {f.status for f in diagnosis.findings} == {"passed"}
    facts = diagnosis.facts
    assert (facts.name, facts.family, facts.dtype) == ("embedded", "qwen2-audio", "float32")
    assert (facts.n_layers, facts.n_heads, facts.n_kv_heads) == (6, 4, 2)
    assert facts.audio_positions == {"1 s": 12, "10 s": 125, "30 s": None}
    assert facts.parameter_bytes == 4 * facts.n_parameters


def test_the_prompt_is_marked(diagnosis):
    said = {role: [s.text for s in diagnosis.prompt if s.role == role] for role in ("keyword",)}
    assert said == {"keyword": [" earliest"]}
    (audio,) = [s for s in diagnosis.prompt if s.role == "audio"]
    assert (audio.text, audio.n_positions) == ("", 125)
    assert diagnosis.prompt[-1].role == "last"
    whole = "".join(segment.text for segment in diagnosis.prompt)
    assert "Which sound event starts earliest in the given audio?\nA. " in whole
    assert [s.text.strip() for s in diagnosis.prompt if s.role == "option"] == [
        line[3:] for line in whole.splitlines() if line[:3] in ("A. ", "B. ", "C. ", "D. ")
    ]


def test_the_same_model_gives_the_same_json(diagnosis, patient, clips):
    again = examine(Examination(patient, clips.handles, clips.clip), Watch())
    data = strict(diagnosis)
    assert data[FORMAT] == SCHEMA_VERSION
    assert without_times(data) == without_times(strict(again))
    assert list(data) == list(strict(again))


def test_estimates_follow_from_what_was_timed(diagnosis):
    speed = diagnosis.speed
    seconds = 60 / speed["items_per_minute"]
    assert speed["benchmark_hours_estimate"] == pytest.approx(1657 * 4 * seconds / 3600, rel=0.05)
    # Six layers, three sets of rows, six strengths, each with its null; a control of each place.
    assert speed["sweep_variants"] == 6 * 3 * (6 * 2 + 1)
    assert speed["sweep_engine"] == "fast"
    assert f"Estimates from {speed['items_timed']} items" in diagnosis.findings[-1].reason


def test_what_happens_is_told_on_the_way(patient, clips, monkeypatch):
    told = []
    watch = Watch(lambda facts: told.append(facts.name), lambda finding: told.append(finding.name))
    monkeypatch.setattr(patient, "render", lambda *given: 1 / 0)
    diagnosis = examine(Examination(patient, clips.handles, clips.clip), watch)
    assert told == ["embedded", *(check.name for check in CHECKS), "speed"]
    assert {f.status for f in diagnosis.findings} == {"failed"}
    assert {f.reason for f in diagnosis.findings} == {"ZeroDivisionError: division by zero"}
    assert diagnosis.status == "failed"
    data = strict(diagnosis)
    assert (data["speed"], data["prompt"]) == ({}, [])


# ---------------------------------------------------------------------- the user's own clip


@pytest.fixture
def write(tmp_path):
    def file(samples, rate=8000, name="mine.wav"):
        soundfile.write(tmp_path / name, samples, rate)
        return tmp_path / name

    return file


def test_a_clip_is_cut_to_the_window_and_says_so(write, patient):
    noise = 0.1 * np.random.default_rng(0).standard_normal((8000 * 12, 2))
    with examination(patient, clip=write(noise)) as exam:
        assert exam.clip == {"name": "mine.wav", "seconds": 10.0, "cut_from_seconds": 12.0}
        lengths = [len(patient.waves([handle])[0]) for handle in exam.handles]
        assert lengths == [160000, 97600, 36800]
        assert exam.logits(exam.inputs(exam.rows)).shape[0] == 3


def test_a_short_clip(write, patient):
    noise = 0.1 * np.random.default_rng(0).standard_normal(2400)
    with examination(patient, clip=write(noise)) as exam:
        names = [check.name for check in CHECKS if check.finding(exam).status == "failed"]
        assert names == []
    with (
        pytest.raises(EmptyAudioError, match="the model needs at least"),
        examination(patient, clip=write(noise[:100])),
    ):
        pass


def test_a_clip_is_looked_at_before_a_model_is_loaded(write, monkeypatch, tmp_path):
    monkeypatch.setattr("tempo_tasks.doctor.loading.load_model", lambda *given: 1 / 0)
    with pytest.raises(OptionError, match=r"mine.wav: it is silent"):
        diagnose(Request(), clip=write(np.zeros(8000)))
    with pytest.raises(AudioNotFoundError):
        diagnose(Request(), clip=tmp_path / "none.wav")
    check_clip(None)


def test_a_model_in_16_bits_is_sound_too():
    names = ("batch_equals_single", "left_padding_harmless", "edit_applied", "edit_removed")
    with examination(LALM("embedded", dtype="bfloat16")) as exam:
        findings = [check.finding(exam) for check in CHECKS if check.name in names]
    assert [finding.status for finding in findings] == ["passed"] * len(names)
    assert "2% of the logits' spread" in findings[0].reason
