"""`tempo doctor` as a user types it: exit status, terminal, JSON."""

import json
import re
from dataclasses import replace

import pytest

from tempo_attn.files.strict_json import parse_json
from tempo_tasks.doctor import every_check, loading
from tempo_tasks.doctor.diagnosis import Diagnosis, Segment, failed
from tempo_tasks.doctor.examination import Examination
from tempo_tasks.doctor.examine import Watch, examine
from tempo_tasks.doctor.show import show_end, show_facts, show_finding
from tests.support.lab_commands import tempo


@pytest.fixture(autouse=True)
def loaded_once(patient, monkeypatch):
    """The commands of this file load nothing: they are given the patient."""
    monkeypatch.setattr(loading, "load_model", lambda *given: patient)


def test_a_sound_model(monkeypatch, capsys, tmp_path):
    out = tmp_path / "new" / "doctor.json"
    assert tempo(monkeypatch, "doctor", "--json", out) == 0
    printed, beside = capsys.readouterr()
    assert "Checking audio" not in beside  # no bar for each of the doctor's requests
    assert "\x1b" not in printed  # no terminal, no colour
    assert re.search(r"^passed +a batch of clips = one at a time: ", printed, re.M)
    assert re.search(r"^model +embedded$", printed, re.M)
    assert "starts{keyword: earliest} in" in printed
    assert "{audio x 125}" in printed
    assert re.search(r"^passed: 13 passed\.$", printed, re.M)
    assert str(tmp_path) not in out.read_text()
    assert parse_json(out.read_bytes(), finite=True)["status"] == "passed"
    assert [path.name for path in out.parent.iterdir()] == ["doctor.json"]


def test_a_check_that_fails_is_exit_status_1(monkeypatch, capsys):
    broken = replace(every_check.CHECKS[3], run=lambda exam: failed("they [bold]differ\x1b[2J"))
    monkeypatch.setattr(every_check, "CHECKS", (*every_check.CHECKS[:3], broken))
    assert tempo(monkeypatch, "doctor", "--json", "-") == 1
    streams = capsys.readouterr()
    data = parse_json(streams.out, finite=True)  # nothing else is on stdout
    assert data["status"] == "failed"
    assert data["checks"][3]["reason"] == "they [bold]differ\x1b[2J"
    assert data["checks"][3]["to_do"].startswith("use batch_size=1")
    assert r"failed  a batch of clips = one at a time: they [bold]differ\x1b[2J" in streams.err
    assert "        to do: use batch_size=1" in streams.err
    assert "failed: 4 passed, 1 failed." in streams.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--model ./nowhere", "OptionError: model argument pretrained='./nowhere': no such folder"),
        ("--model lalm --model_args pretrained=./nowhere", "OptionError: .*'./nowhere': no such"),
        ("--model-args load_in_8bit=True", "EightBitModelError: embedded is in 8 bits"),
        ("--attn_scale ./nowhere", "ConfigError: ./nowhere: no such folder or file"),
        ("--device quantum", "OptionError: model argument device='quantum': expected"),
        ("--clip none.wav", "AudioNotFoundError: .*none.wav"),
        ("--json .", "OptionError: --json .: .* is a folder; expected a file"),
    ],
)
def test_what_cannot_be_loaded_is_exit_status_2(arguments, message, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert tempo(monkeypatch, "doctor", *arguments.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(message, line)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_does_not_load_is_json_too(monkeypatch, capsys, tmp_path):
    """To stdout and to a file, which has no path of the machine in it; exit status 2 as ever."""
    folder = tmp_path / "of_its_own"
    folder.mkdir()
    config = {"model_type": "x_of_its_own", "auto_map": {"AutoConfig": "configuration_x.XConfig"}}
    (folder / "config.json").write_text(json.dumps(config))
    out = tmp_path / "doctor.json"
    for place in (str(out), "-"):
        assert tempo(monkeypatch, "doctor", "--model", str(folder), "--json", place) == 2
    streams = capsys.readouterr()
    assert "RemoteCodeError" in streams.err
    for written in (streams.out.encode(), out.read_bytes()):
        data = parse_json(written, finite=True)
        assert list(data) == ["tempo_doctor", "status", "model", "error"]
        assert (data["status"], data["model"]) == ("not_loaded", {"name": "of_its_own"})
        assert data["error"]["type"] == "RemoteCodeError"
        assert data["error"]["message"].startswith("of_its_own runs code of its own repository")
    assert str(tmp_path) not in out.read_text()
    with pytest.raises(ValueError, match="could not be loaded"):
        Diagnosis.from_dict(json.loads(out.read_text()))


def test_hostile_text_is_inert(patient, clips, capsys):
    from rich.console import Console

    exam = Examination(patient, clips.handles, {**clips.clip, "name": "[red]\x1b]0;x\x07.wav"})
    diagnosis = examine(exam, Watch())
    prompt = [Segment("[link=x]\x1b[31m\n", "text", 3), Segment("[/]\u202e", "option", 1)]
    hostile = replace(diagnosis, facts=replace(diagnosis.facts, name="[blink]x[/]"), prompt=prompt)
    console = Console(force_terminal=True, color_system=None, width=400)
    show_facts(hostile.facts, console)
    for finding in hostile.findings:
        show_finding(replace(finding, reason="[/nonsense]" + finding.reason), console)
    show_end(hostile, console)
    printed = capsys.readouterr().out
    for character in ("\x1b]", "\x1b[31m", "\x07", "\u202e"):
        assert character not in printed
    for text in ("[blink]x[/]", "[/nonsense]", "[link=x]", r"[red]\x1b]0;x\x07.wav"):
        assert text in printed
    assert json.loads(json.dumps(hostile.to_dict()))["prompt"][0]["text"] == prompt[0].text
