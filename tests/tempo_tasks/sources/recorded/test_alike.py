"""Labels that sound alike."""

import numpy as np
import pytest

from tempo_tasks.errors import BadTableError
from tempo_tasks.sources.recorded.alike import GROUPS, built_in, none_alike, read_groups
from tests.support.recorded_sounds import write_rows


def test_built_in_groups_know_the_usual_confusions():
    alike = built_in(["rain", "Sea_waves", "dog", "dog bark", "siren"])
    assert alike["rain"] == {"Sea_waves"}
    assert alike["Sea_waves"] == {"rain"}
    assert alike["dog"] == {"dog bark"}  # its words are among the other's
    assert alike["siren"] == frozenset()


def test_groups_are_written_as_they_are_compared():
    for group in GROUPS:
        assert all(label == " ".join(label.casefold().split()) for label in group)
        assert len(set(group)) == len(group) > 1


def test_a_file_replaces_them(tmp_path):
    rows = [("rain", "a"), ("dog", "a"), ("dog", "b"), ("siren", "b")]
    file = write_rows(tmp_path / "g.csv", ("label", "group"), rows)
    alike = read_groups(file, ["Rain", "Dog", "Siren", "Waves"])
    assert alike == {
        "Rain": {"Dog"},
        "Dog": {"Rain", "Siren"},
        "Siren": {"Dog"},
        "Waves": frozenset(),
    }


def test_a_group_of_an_unknown_label_is_named(tmp_path):
    file = write_rows(tmp_path / "g.csv", ("label", "group"), [("rian", "a"), ("Rain", "")])
    with pytest.raises(BadTableError, match=r"(?s)no label of.*its group is empty"):
        read_groups(file, ["Rain"])


def test_of_those_alike_the_first_stays():
    alike = {"a": frozenset("b"), "b": frozenset("ac"), "c": frozenset("b")}
    assert none_alike("abc", alike) == ["a", "c"]
    assert none_alike("bac", alike) == ["b"]
    assert np.array_equal(none_alike("xyz", {}), list("xyz"))
