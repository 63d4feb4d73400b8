"""The laboratory's fixtures."""

from tests.support.lab_fixtures import loaded_once, prepared, tiny_model, tiny_processor

__all__ = ["loaded_once", "prepared", "tiny_model", "tiny_processor"]
