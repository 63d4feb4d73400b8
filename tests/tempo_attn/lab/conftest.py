"""The laboratory's fixtures."""

from functools import partial

import pytest

from tests.support.drawing import figures_of
from tests.support.lab_fixtures import loaded_once, prepared, sweep, tiny_model, tiny_processor

__all__ = ["drawn", "loaded_once", "prepared", "sweep", "tiny_model", "tiny_processor"]


@pytest.fixture
def drawn(monkeypatch):
    """A function that calls one that draws, and returns the figures instead of writing them."""
    return partial(figures_of, monkeypatch)
