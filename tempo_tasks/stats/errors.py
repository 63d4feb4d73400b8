"""Errors of reading what the harness wrote."""

from __future__ import annotations

from tempo_tasks.errors import TempoError


class SamplesNotFoundError(TempoError, FileNotFoundError):
    """No samples where a run should be; the message says how to have them written."""


class SamplesError(TempoError, ValueError):
    """Samples that cannot be read: half-written, of other tasks, or with an item twice."""


class StatsOptionError(TempoError, ValueError):
    """An option of `tempo stats` that cannot be: a level, a run given twice."""
