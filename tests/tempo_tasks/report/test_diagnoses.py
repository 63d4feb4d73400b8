"""Diagnoses of `tempo doctor` on the page."""

import json
import re

import pytest

from tempo_tasks.doctor.diagnosis import Segment
from tests.support.diagnoses import diagnosis, finding
from tests.support.lab_commands import tempo


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Write a diagnosis and return the page that shows it."""

    def made(found, name=""):
        path = tmp_path / "doctor.json"
        path.write_text(json.dumps(found.to_dict()))
        assert tempo(monkeypatch, "report", f"{name}{path}", "-o", tmp_path / "r.html") == 0
        text = (tmp_path / "r.html").read_text(encoding="utf-8")
        return text[text.index('<section id="doctor"') : text.index("<footer")]

    return made


def test_a_diagnosis_is_a_section_of_the_page(page):
    text = page(diagnosis())
    assert re.search(r"<h3>me/model <small>tempo doctor: .*failed</span> \(1 failed, 1 p", text)
    row = r'a check that is {0}</th><td class="status-{0}">{0}</td>\s*<td>why it is {0}'
    for status in ("passed", "failed", "skipped"):
        assert re.search(row.format(status), text)
    assert "<strong>To do:</strong> mend it" in text
    assert "user: <mark>[audio, 250 positions]</mark><mark" in text
    assert '<mark title="keyword">earliest</mark>' in text
    assert "<dt>heads of keys and values</dt><dd>none</dd>" in text
    assert "<dt>items per minute</dt><dd>12.5</dd>" in text


def test_it_is_called_what_the_user_says(page):
    assert "<h3>plain <small>" in page(diagnosis(), name="plain=")


def test_hostile_text_is_inert(page):
    text = page(
        diagnosis(
            findings=[finding("failed", reason="<script>1</script>", to_do='"><img src=x>')],
            prompt=[Segment("<b>x", "text", 1), Segment("</mark><i>", "option", 1)],
        )
    )
    assert "&lt;script&gt;1" in text
    for markup in ("<script>", "<img", "<b>", "<i>"):
        assert markup not in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"tempo_doctor": 9}, "a diagnosis of version 9; this version of tempo reads version 1"),
        ({"tempo_doctor": 1, "checks": []}, "no diagnosis: it has no 'model'"),
    ],
)
def test_a_damaged_diagnosis_is_one_message(content, message, tmp_path, monkeypatch, capsys):
    (tmp_path / "doctor.json").write_text(json.dumps(content))
    arguments = (tmp_path / "doctor.json", "-o", tmp_path / "r.html")
    assert tempo(monkeypatch, "report", *arguments) == 2
    assert f"OptionError: {tmp_path / 'doctor.json'}: {message}" in capsys.readouterr().err
    assert not (tmp_path / "r.html").exists()
