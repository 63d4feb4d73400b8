"""A run for the tests of the report."""

import pytest

from tests.support.report_runs import run_on, wrong_with_silence


@pytest.fixture(scope="session")
def plain_run(tmp_path_factory):
    """Six scenes, two kinds, right but under silence."""
    folder = tmp_path_factory.mktemp("runs") / "plain"
    return run_on(folder, kinds=("eo", "lo"), answer=wrong_with_silence)
