"""The laboratory's fixtures."""

import pytest

from tempo_tasks.lab import tasks_to_items
from tests.support.lab_fixtures import loaded_once, prepared, tiny_model, tiny_processor

__all__ = ["loaded_once", "prepared", "tiny_model", "tiny_processor"]


@pytest.fixture
def nothing_loads(monkeypatch):
    """No model is loaded and no data are: no scene is rendered."""

    def fail(*args, **kwargs):
        raise AssertionError("something is loaded")

    monkeypatch.setattr("tempo_tasks.lab.study.LALM", fail)
    monkeypatch.setattr(tasks_to_items, "load_tasks", fail)
