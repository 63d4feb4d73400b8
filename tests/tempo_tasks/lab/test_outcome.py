"""From a run to its tables: every command has what writes and what shows them."""

from importlib import import_module

import pytest

from tempo_attn.errors import ConfigError, RunFolderError
from tempo_attn.lab.run_folder.folder import Run
from tempo_tasks.lab.outcome import COMMANDS, reading, write_tables
from tests.support.run_folders import manifest, record


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_what_writes_and_what_shows_its_tables(command):
    assert callable(import_module(f"tempo_attn.lab.{command}.write").write)
    assert callable(import_module(f"tempo_tasks.lab.show.{command}").show)


@pytest.mark.parametrize("command", ["merge", "../sweep", ""])
def test_a_run_of_a_command_without_tables_is_refused(tmp_path, command):
    run = Run(tmp_path, manifest(command=command), [record(0)])
    with pytest.raises(RunFolderError, match=r"has no tables; expected one of sweep, mass, heads"):
        write_tables(run)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (KeyError("sites"), RunFolderError, r"run: its manifest .* damaged \(KeyError: 'sites'\)"),
        (ConfigError("no item"), ConfigError, "run: no item"),
    ],
)
def test_an_error_of_a_damaged_run_names_its_folder(tmp_path, error, kind, message):
    with pytest.raises(kind, match=message), reading(tmp_path / "run"):
        raise error
