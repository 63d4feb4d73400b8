"""`tempo data tasks`: from a description to files that lm_eval indexes, and what it refuses."""

import pytest
from lm_eval.tasks import TaskManager
from typer.testing import CliRunner

from tempo_attn.errors import OptionError
from tempo_tasks.cli import app
from tempo_tasks.errors import DataUnavailableError
from tests.support.other_benchmarks import SEVENTH


def run(*arguments):
    return CliRunner().invoke(app, ["data", "tasks", *map(str, arguments)])


def test_it_writes_tasks_and_says_how_to_run_them(tmp_path):
    (tmp_path / "doors.yaml").write_text(SEVENTH)
    result = run(tmp_path / "doors.yaml", "--out", tmp_path / "tasks")
    assert result.exit_code == 0, result.output
    assert "TEMPO_DATA_DOORS=COPY lm_eval" in result.output
    manager = TaskManager(include_defaults=False, include_path=tmp_path / "tasks")
    assert "tempo_doors_all_silence_text" in manager.all_subtasks
    again = tmp_path / "again"
    run(tmp_path / "doors.yaml", "--out", again)
    for file in again.iterdir():
        assert file.read_bytes() == (tmp_path / "tasks" / file.name).read_bytes()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("name: doors", "name: Doors"), "name is 'Doors'; expected lower-case"),
        (("name: doors", "name: aqa"), "none of the words of task names"),
        (("question: text", "questoin: text"), "no key 'questoin'.*Did you mean 'question'"),
        (("  all: {}", "  all: {answer_is: number}"), "answer_is is 'number'"),
        (("get: ask me\n", ""), "expected `hub`.*or `get`"),
        (("parts:\n  all: {}\n", ""), "parts is None"),
        (("audio: file", "audio: 3"), "audio is 3; expected a name"),
        (("name: doors", "name: doors\nruns: 3"), "runs is 3"),
        ((SEVENTH, "- a list"), "expected keys"),
        ((SEVENTH, "a: [b"), "not readable as YAML"),
    ],
)
def test_a_wrong_description_is_told(tmp_path, changed, message):
    (tmp_path / "doors.yaml").write_text(SEVENTH.replace(*changed))
    result = run(tmp_path / "doors.yaml", "--out", tmp_path / "tasks")
    assert isinstance(result.exception, OptionError)
    with pytest.raises(OptionError, match=f"(?s){message}"):
        raise result.exception
    assert not (tmp_path / "tasks").exists()


def test_a_file_that_is_not_there(tmp_path):
    result = run(tmp_path / "none.yaml", "--out", tmp_path / "tasks")
    assert isinstance(result.exception, DataUnavailableError)
