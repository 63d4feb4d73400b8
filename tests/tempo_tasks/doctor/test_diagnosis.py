"""The doctor's JSON, written and read."""

import json

import pytest

from tempo_attn.files.strict_json import parse_json
from tempo_tasks.doctor.diagnosis import FORMAT, SCHEMA_VERSION, Diagnosis
from tests.support.diagnoses import diagnosis


def written(made):
    return parse_json(json.dumps(made.to_dict(), allow_nan=False), finite=True)


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        (("passed", "passed"), "passed"),
        (("passed", "skipped"), "passed"),
        (("skipped", "failed"), "failed"),
    ],
)
def test_it_is_read_as_it_was_written(statuses, status):
    made = diagnosis(*statuses)
    data = written(made)
    assert (data[FORMAT], data["status"]) == (SCHEMA_VERSION, status)
    assert Diagnosis.from_dict(data) == made
    assert written(Diagnosis.from_dict(data)) == data


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({FORMAT: 2}, "a diagnosis of version 2; this version of tempo reads version 1"),
        ({FORMAT: None}, "a diagnosis of version None"),
        ({"checks": 1}, "no diagnosis: checks is 1"),
        ({"checks": [{"name": "x"}]}, "are missing in checks"),
        ({"model": {}}, "are missing in model"),
        ({"prompt": [{"text": "x", "role": 1, "n_positions": 1}]}, r"prompt\[0\].role is 1"),
        ({"status": "passed"}, "its status is not that of its checks, 'failed'"),
        ({"speed": {"x": []}}, "no diagnosis: speed"),
    ],
)
def test_what_is_none_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Diagnosis.from_dict({**written(diagnosis()), **changes})


def test_a_part_that_is_missing_is_named():
    data = written(diagnosis())
    del data["memory"]
    with pytest.raises(ValueError, match="it has no 'memory'"):
        Diagnosis.from_dict(data)


def test_an_outcome_that_is_none_is_refused():
    data = written(diagnosis())
    data["checks"][0]["status"] = "ill"
    with pytest.raises(ValueError, match=r"checks\[0\].status is 'ill'"):
        Diagnosis.from_dict(data)
