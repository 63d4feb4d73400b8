"""`tempo view`: one address, until Ctrl-C; a port that is taken is said before anything is made."""

import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from tests.support.lab_commands import tempo


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")
def test_it_serves_until_ctrl_c(plain_run):
    words = [sys.executable, "-m", "tempo_tasks", "view", str(plain_run), "--no-audit"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as view:
        try:
            line = view.stdout.readline()
            address = line.split()[0]
            assert address.startswith("http://127.0.0.1:"), line + view.stderr.read()
            with urllib.request.urlopen(address, timeout=60) as answer:
                assert b"<title>" in answer.read()
            view.send_signal(signal.SIGINT)
            rest, errors = view.communicate(timeout=60)
        finally:
            view.kill()
    assert (view.returncode, rest.strip()) == (0, "ended")
    assert "Traceback" not in errors


def test_a_port_that_is_taken(plain_run, monkeypatch, capsys):
    monkeypatch.setattr("tempo_tasks.report.make_report.make_report", None)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert tempo(monkeypatch, "view", plain_run, "--port", port) == 2
    assert f"--port {port}: cannot be used" in capsys.readouterr().err
