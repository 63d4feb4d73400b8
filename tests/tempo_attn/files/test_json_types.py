"""JSON data against the types that a dataclass, a TypedDict or a hint says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

import pytest

from tempo_attn.files.json_types import misfit
from tempo_attn.files.strict_json import parse_json
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.lab.sweep.records import SweepRecord


class Inner(TypedDict):
    n: int


class More(Inner, total=False):
    text: str


@dataclass
class Record:
    key: str
    numbers: Sequence[float | None]
    inner: Mapping[str, Sequence[Sequence[float]] | None]
    rows: tuple[str, ...] = ()
    three: tuple[float, float, float] | None = None
    role: Literal["a", "b"] = "a"
    more: list[More] = field(default_factory=list)
    rest: Any = None


GOOD = {"key": "k", "numbers": [1, 2.5, None], "inner": {"x": [[1.0], []], "y": None}}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"rows": [], "three": [1, 2, 3], "role": "b", "rest": [{}]},
        {"more": [{"n": 1}, {"n": 2, "text": "x", "other": []}]},
    ],
)
def test_what_fits(more):
    assert misfit({**GOOD, **more}, Record) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": 1}, "key is 1, expected str"),
        ({"key": None}, "key is None, expected str"),
        ({"numbers": "12"}, "numbers is '12', expected "),
        ({"numbers": [1, True]}, "numbers[1] is True, expected "),
        ({"numbers": [[1]]}, "numbers[0] is [1], expected "),
        ({"inner": []}, "inner is [], expected "),
        ({"inner": {"x": [[None]]}}, "inner.x is [[None]], expected "),
        ({"rows": [1]}, "rows[0] is 1, expected str"),
        ({"three": [1, 2]}, "three is [1, 2], expected "),
        ({"role": "c"}, "role is 'c', expected "),
        ({"more": [{"n": 1.0}]}, "more[0].n is 1.0, expected int"),
        ({"more": [{"text": "x"}]}, "['n'] are missing in more[0]"),
        ({"unknown": 1}, "['unknown'] are not known"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    assert misfit({**GOOD, **change}, Record).startswith(message)
    assert misfit({"numbers": []}, Record) == "['inner', 'key'] are missing"
    assert misfit([], Record) == "it is [], expected Record"


def test_records_and_variants_of_runs_fit_their_own_types():
    variant = Variant(layers=(0, 2), rows=("last",), strength=0.5, adaptive=(0.5, 1.0, 2.0))
    assert misfit(variant.to_dict(), Variant) is None
    record = SweepRecord(
        **dict.fromkeys(("key", "id", "cluster", "kind", "condition"), "x"),
        index=0,
        answer=1,
        plain=[0.0, 1.0],
        logits=[[0.0, 1.0]],
        audio=[[None, 0.5, None, 1]],
    )
    assert SweepRecord.from_dict(record.to_dict()) == record


# JSON itself


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": {"c": 2, "c": 3}}', "the key 'c' stands twice"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5000, "integer string conversion"),
        (b'"\xff"', "decode"),
        ("", "Expecting value"),
    ],
)
def test_what_is_wrong_with_json_is_a_value_error(text, message):
    with pytest.raises(ValueError, match=message):
        parse_json(text)


@pytest.mark.parametrize("text", ["[NaN]", "[-Infinity]", "[1e999]", "[-1e999]"])
def test_numbers_that_are_none_are_refused_where_asked(text):
    parse_json(text)
    with pytest.raises(ValueError, match="is no finite number"):
        parse_json(text, finite=True)
