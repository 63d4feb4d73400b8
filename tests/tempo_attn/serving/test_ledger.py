"""The ledger, which all processes of a server write."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tempo_attn.serving.edited_batch import Done
from tempo_attn.serving.ledger import Ledger, open_ledger
from tempo_attn.serving.request_edits import RequestEdit
from tempo_attn.serving.settings import LEDGER
from tests.support.paths import ROOT


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "edits.sqlite")
    yield ledger
    ledger.close()


def done(request, rows, *, internal=None, new=None, layers=(0, 2), name="a"):
    edit = RequestEdit(request, name, 9, [(1, 3)], [(5, 9)])
    new = rows if new is None else new
    return Done(internal or f"{request}-1", edit, new, rows, layers)


def test_a_request_is_known_by_the_id_that_its_sender_gave(ledger):
    ledger.asked("chatcmpl-x", "a", 7)
    ledger.edited(0, 0, [done("chatcmpl-x", 4)])
    expected = {
        "request_id": "x",
        "configuration": "a",
        "edited_rows": 4,
        "audio_keys": 7,
        "layers": [0, 2],
    }
    assert ledger.of_request("x") == expected
    assert ledger.of_request("chatcmpl-x") == expected | {"request_id": "chatcmpl-x"}
    assert ledger.of_request("y") is None


def test_a_plain_request_has_no_edited_rows(ledger):
    ledger.asked("x", None, 7)
    assert ledger.of_request("x") == {
        "request_id": "x",
        "configuration": None,
        "edited_rows": 0,
        "audio_keys": 7,
        "layers": [],
    }


def test_what_was_asked_and_not_edited_says_so(ledger):
    ledger.asked("x", "a", 7)
    assert ledger.of_request("x")["edited_rows"] == 0


def test_rows_grow_with_an_answer_and_ranks_count_once(ledger):
    ledger.asked("x", "a", 7)
    ledger.edited(0, 0, [done("x", 4)])
    ledger.edited(0, 1, [done("x", 4)])
    ledger.edited(0, 0, [done("x", 5, new=1)])
    ledger.edited(0, 1, [done("x", 5, new=1)])
    assert ledger.of_request("x")["edited_rows"] == 5
    assert ledger.totals()["edited_rows"] == 5
    assert ledger.totals()["edited_prompts"] == 1


def test_the_answer_with_the_fewest_rows_counts(ledger):
    ledger.asked("x", "a", 7)
    ledger.edited(0, 0, [done("x", 4, internal="0_x"), done("x", 3, internal="1_x")])
    assert ledger.of_request("x")["edited_rows"] == 3


def test_an_id_that_is_used_again_is_the_later_request(ledger):
    ledger.asked("x", "a", 7)
    ledger.edited(0, 0, [done("x", 4)])
    ledger.asked("x", "b", 3)
    assert ledger.of_request("x")["configuration"] == "b"
    assert ledger.of_request("x")["edited_rows"] == 0


def test_totals_count_what_happened(ledger):
    ledger.asked("x", "a", 7)
    ledger.asked("y", None, 7)
    ledger.count("refused_requests")
    ledger.edited(0, 0, [done("x", 4), done("z", 3, name="b")])
    ledger.edited(1, 0, [done("w", 2)])
    assert ledger.totals() == {
        "requests": 2,
        "edited_requests": 1,
        "plain_requests": 1,
        "refused_requests": 1,
        "let_through_unedited": 0,
        "edited_rows": 9,
        "edited_prompts": 3,
    }


def test_its_size_is_bounded(tmp_path):
    ledger = Ledger(tmp_path / "edits.sqlite", keep=5)
    for number in range(40):
        ledger.asked(f"r{number}", "a", 1)
        ledger.edited(0, 0, [done(f"r{number}", 2)])
    assert ledger.of_request("r39")["edited_rows"] == 2
    assert ledger.of_request("r20") is None
    assert ledger.totals()["requests"] == 40
    (n,) = ledger._file.execute("SELECT COUNT(*) FROM edits").fetchone()
    assert n <= 10
    ledger.close()


def test_workers_are_counted_once(ledger):
    for _ in range(2):
        ledger.add_worker(0, 0)
        ledger.add_worker(0, 1)
    assert ledger.workers() == 2


def test_the_first_process_makes_it_and_takes_it_away(tmp_path):
    code = (
        "import os, subprocess, sys\n"
        "from tempo_attn.serving.ledger import open_ledger\n"
        "open_ledger().asked('x', 'a', 1)\n"
        "child = 'from tempo_attn.serving.ledger import open_ledger; "
        'print(open_ledger().of_request("x"))\'\n'
        "print(subprocess.run([sys.executable, '-c', child], capture_output=True, text=True))\n"
        "print(os.environ['TEMPO_ATTN_SCALE_LEDGER'])\n"
        "assert os.path.exists(os.environ['TEMPO_ATTN_SCALE_LEDGER'])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    environment.pop(LEDGER, None)
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert "'configuration': 'a'" in ran.stdout
    path = Path(ran.stdout.splitlines()[-1])
    assert path.is_relative_to(tmp_path)
    assert not path.parent.exists()


def test_other_processes_open_the_same_file(tmp_path):
    environment = {LEDGER: str(tmp_path / "edits.sqlite")}
    one, other = open_ledger(environment), open_ledger(environment)
    one.asked("x", "a", 1)
    assert other.of_request("x")["configuration"] == "a"
    one.close()
    other.close()
