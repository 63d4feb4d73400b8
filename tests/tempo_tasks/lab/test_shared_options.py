"""The options that commands share: every command has those that it takes, and one `Settings`."""

from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from tempo_tasks import cli
from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.shared_options import Seed, settings_of, takes_settings

ALL = {"tasks", "model", "model_args", "limit", "metadata", "device", "batch_size"}
RUN = {"out", "shard"}
VARIANTS = {"memory", "seed", "engine"}
GRID = {"edit", "layers", "rows", "heads", "source"}
TRACE = {"corrupt", "direction", "components", "groups", "layers", "method", "single", "nulls"}
OPTIONS = {
    "sweep": ALL | RUN | VARIANTS | GRID | {"nulls", "generate"},
    "mass": ALL | RUN | {"rows", "over_time"},
    "lens": ALL | RUN | {"rows", "candidates"},
    "trace": ALL | RUN | VARIANTS | TRACE,
    "choose": ALL | GRID | {"memory", "seed", "out", "run", "folds", "objective", "kind"},
    "compare": ALL | RUN | VARIANTS | {"strengths", "layers", "rows", "nulls"},
    "presets": ALL | RUN | VARIANTS | {"presets", "layers", "nulls"},
    "merge": {"runs", "out"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_the_options_of_a_command(name):
    parameters = get_command(cli.app).commands[name].params
    assert {parameter.name for parameter in parameters} == OPTIONS[name]
    assert all(parameter.help for parameter in parameters)


def test_the_defaults_are_those_of_settings():
    assert settings_of(tasks="a, b,") == Settings(tasks=["a", "b"], model_args={}, metadata={})


@pytest.fixture
def told():
    return []


@pytest.fixture
def app(told):
    app = typer.Typer()

    @app.command()
    @takes_settings("seed")
    def study(
        settings: Settings,
        where: Annotated[Path, typer.Option(help="A place.")],
        seed: Seed = 3,
        tasks: Annotated[str, typer.Option(help="May be left out.")] = "",
    ) -> None:
        """Do something.

        With all of this said.
        """
        told.append((settings, where, seed, tasks))

    return app


def test_a_function_gets_settings_and_its_own_options(app, told):
    typed = ["--where", "x", "--tasks", "a,b", "--seed", "5", "--limit", "2"]
    result = CliRunner().invoke(app, typed)
    assert result.exit_code == 0, result.output
    settings = Settings(tasks=["a", "b"], seed=5, limit=2, model_args={}, metadata={})
    assert told == [(settings, Path("x"), 5, "a,b")]


def test_an_option_that_the_function_names_has_its_default_and_help(app, told):
    assert CliRunner().invoke(app, ["--where", "x"]).exit_code == 0
    ((settings, _, seed, _),) = told
    assert (settings.tasks, settings.seed, seed) == ([], 3, 3)
    shown = CliRunner().invoke(app, ["--help"]).output
    assert "May be left out." in shown
    assert "With all of this said." in shown


def test_options_that_a_command_does_not_take_are_unknown(app):
    for option in ("--memory", "--shard", "--out"):
        result = CliRunner().invoke(app, ["--where", "x", option, "1"])
        assert result.exit_code == 2
        assert "No such option" in result.output
