"""Rows are processed ahead by another thread, by a processor of its own."""

import threading

import pytest

from tempo_tasks.harness.sharing.ahead import Ahead

ROWS = [("<audio>?", [{"path": "a.wav"}])]


class Processor:
    """Its copies are told from it."""


@pytest.fixture
def calls():
    return []


@pytest.fixture
def ahead(calls):
    own = Processor()

    def process(rows, processor):
        calls.append((threading.current_thread().name, processor is own))
        if rows[0][0] == "bad":
            raise ValueError("a bad clip")
        return rows, []

    ahead = Ahead(process, lambda: own)
    yield ahead
    ahead.end()


def test_what_was_begun_is_taken_once(ahead, calls):
    ahead.begin(ROWS)
    while not calls:  # otherwise it is not begun yet, and done here
        pass
    assert ahead.take(ROWS) == (ROWS, [])
    (thread, own), *more = calls
    assert thread.startswith("tempo-ahead")
    assert not own
    assert not more
    ahead.take(ROWS)
    assert calls[1:] == [("MainThread", True)]


def test_an_error_is_raised_where_the_rows_are_needed(ahead, calls):
    bad = [("bad", ROWS[0][1])]
    ahead.begin(bad)
    with pytest.raises(ValueError, match="a bad clip"):
        ahead.take(bad)
    assert calls[-1] == ("MainThread", True)


def test_text_alone_is_not_begun_and_the_end_forgets(ahead, calls):
    ahead.begin([("text", [])])
    ahead.begin([])
    ahead.end()
    assert not calls
    ahead.begin(ROWS)
    ahead.end()
    calls.clear()
    ahead.take(ROWS)
    assert calls == [("MainThread", True)]
