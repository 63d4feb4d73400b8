"""Directions as a file: what is read back is what was written, and nothing else is read."""

import copy
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from tempo_attn.directions import MAX_DIRECTIONS_BYTES, Directions
from tempo_attn.errors import ConfigError
from tests.support.steered_by_hand import directions

ONE = {"direction.2": np.ones(3, np.float32), "rho.2": np.array(2, np.float32)}


def test_numbers_and_back():
    found = Directions.of({4: [0.0, 3.0], 1: [1.0, 0.5]}, {1: 2.0, 4: 0.5})
    assert found.layers == [1, 4]
    assert found.width == 2
    assert found.rho(4) == 0.5
    assert found.vector(4).tolist() == [0.0, 3.0]
    assert found.step(1).tolist() == [2.0, 1.0]
    again = Directions.from_bytes(found.data, "here")
    assert again == found
    assert again.data == found.data
    assert again.step(4).tolist() == [0.0, 1.5]
    with pytest.raises(ValueError, match="read-only"):
        found.vector(1)[0] = 5


def test_the_same_numbers_give_the_same_bytes():
    """In another process too, and whatever the order in which they are given."""
    code = (
        "from tests.support.steered_by_hand import directions;"
        "print(directions(range(5, -1, -1)).layers, directions().sha256)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("] ")[1].strip() == directions().sha256
    forth = Directions.of({0: [1.0], 1: [2.0]}, {0: 1, 1: 2})
    assert Directions.of({1: [2.0], 0: [1.0]}, {1: 2, 0: 1}).data == forth.data


def test_a_hash_alone():
    known = directions()
    named = Directions.named(known.sha256)
    assert named == known
    assert hash(named) == hash(known)
    assert not named.loaded
    for use in (lambda: named.data, lambda: named.width):
        with pytest.raises(ConfigError, match=r"are not loaded.*from_pretrained\(folder\)"):
            use()
    assert "not loaded" in repr(named)


def test_copies_are_the_same():
    known = directions()
    assert copy.deepcopy([known])[0] is known
    assert pickle.loads(pickle.dumps(known)).data == known.data


def float64():
    return {"direction.2": np.ones(3), "rho.2": np.array(2, np.float32)}


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({}, r"has directions of the layers \[\] and norms \(rho\) of \[\]"),
        ({"direction.2": ONE["direction.2"]}, r"of the layers \[2\] and norms \(rho\) of \[\]"),
        (ONE | {"weight": np.ones(1, np.float32)}, "has a tensor 'weight'; expected direction"),
        (ONE | {"direction.-1": np.ones(3, np.float32)}, "has a tensor 'direction.-1'"),
        (ONE | {"direction.02": np.ones(3, np.float32)}, "has a tensor 'direction.02'"),
        (ONE | {"../../x": np.ones(3, np.float32)}, "has a tensor '../../x'"),
        (float64(), "direction.2 is F64; expected F32"),
        (ONE | {"direction.2": np.full(3, np.nan, np.float32)}, "numbers that are not finite"),
        (ONE | {"rho.2": np.array(np.inf, np.float32)}, "rho.2 has numbers that are not finite"),
        (ONE | {"rho.2": np.array(0, np.float32)}, "rho.2 is 0; expected one number above 0"),
        (ONE | {"rho.2": np.ones(2, np.float32)}, r"rho.2 is of the shape \(2,\)"),
        (ONE | {"direction.2": np.zeros(3, np.float32)}, "has the length 0; expected more than 0"),
        (ONE | {"direction.2": np.full(3, 3e38, np.float32)}, "has the length 5"),
        (
            ONE | {"direction.2": np.ones((3, 1), np.float32)},
            r"shape \(3, 1\); expected \(width,\)",
        ),
        (ONE | {"direction.2": np.ones(0, np.float32)}, r"shape \(0,\); expected"),
        (
            ONE | {"direction.5": np.ones(4, np.float32), "rho.5": np.array(2, np.float32)},
            r"direction.5 has the shape \(4,\); expected \(width,\), the same for all",
        ),
    ],
)
def test_other_tensors_are_refused(tensors, message):
    with pytest.raises(ConfigError, match=f"a file: .*{message}"):
        Directions.from_bytes(save(tensors), "a file")


def test_one_is_fine():
    assert Directions.from_bytes(save(ONE), "a file").layers == [2]


WHOLE = directions([1, 2], 5).data


@given(st.integers(0, len(WHOLE) - 1))
def test_a_file_cut_short_is_refused(length):
    with pytest.raises(ConfigError, match="no safetensors file"):
        Directions.from_bytes(WHOLE[:length], "cut")


@given(st.binary(max_size=300))
def test_other_bytes_are_refused(data):
    with pytest.raises(ConfigError, match="noise: "):
        Directions.from_bytes(data, "noise")


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_changed_byte_raises_nothing_else(at, value):
    """What is read then are numbers, or a message."""
    data = bytearray(WHOLE)
    data[at % len(data)] = value
    try:
        found = Directions.from_bytes(bytes(data), "changed")
    except ConfigError:
        return
    assert np.isfinite(found.step(found.layers[0])).all()


def test_a_header_that_promises_more_is_refused():
    header = json.dumps(
        {"direction.0": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
    ).encode()
    with pytest.raises(ConfigError, match="no safetensors file"):
        Directions.from_bytes(len(header).to_bytes(8, "little") + header, "huge")
    with pytest.raises(ConfigError, match="no safetensors file"):
        Directions.from_bytes((2**62).to_bytes(8, "little") + header, "huge")


def test_files(tmp_path):
    known = directions()
    path = tmp_path / "directions"
    with pytest.raises(ConfigError, match="cannot be read"):
        Directions.read(path, known.sha256)
    path.write_bytes(known.data)
    assert Directions.read(path, known.sha256) == known
    other = directions(seed=1)
    with pytest.raises(ConfigError, match=f"SHA-256 is {known.sha256}.*names {other.sha256}"):
        Directions.read(path, other.sha256)
    with path.open("wb") as file:
        file.truncate(MAX_DIRECTIONS_BYTES + 1)
    with pytest.raises(ConfigError, match=r"expected a safetensors file .* of at most 33,554,432"):
        Directions.read(path, known.sha256)
    path.unlink()
    path.mkdir()
    with pytest.raises(ConfigError, match="not a regular file; expected a safetensors file"):
        Directions.read(path, known.sha256)


def test_of_other_layers():
    with pytest.raises(ConfigError, match=r"of the layers \[1\] and norms of \[2\]"):
        Directions.of({1: [1.0]}, {2: 1.0})
