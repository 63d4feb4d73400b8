"""Temporal IDs of states that are made of them, and the file that steering reads."""

import numpy as np
from safetensors import safe_open

from tempo_attn.lab.timeline.directions import write_directions
from tempo_attn.lab.timeline.temporal_ids import class_centred, path, temporal_ids


def test_ids_are_found_beside_class_offsets():
    rng = np.random.default_rng(0)
    of, labels = np.repeat(np.arange(4), 60), np.tile(np.arange(6), 40)
    wanted = np.outer(np.arange(4) - 1.5, rng.normal(size=8))
    states = wanted[of] + 5 * rng.normal(size=(6, 8))[labels]
    ids = temporal_ids(class_centred(states, labels), of, 4)
    assert np.allclose(ids, wanted)
    places, shares = path(ids, np.bincount(of))
    assert shares[0] > 0.999
    assert (np.diff(places[:, 0]) > 0).all()


def test_empty_bins_are_zeros_and_have_no_place():
    ids = temporal_ids(np.ones((2, 3)), np.array([0, 2]), 3)
    assert (ids[1] == 0).all()
    places, _ = path(ids, np.array([1, 0, 1]))
    assert np.isnan(places[1]).all()


def test_directions_have_the_same_bytes_every_time(tmp_path):
    about = {"schema": "1", "times": "midpoint", "relative": "false", "bin_seconds": "2.5"}
    first, second = (
        write_directions(tmp_path / name, {0: np.ones((4, 3))}, {0: 2.5}, given).read_bytes()
        for name, given in (("a", about), ("b", dict(reversed(about.items()))))
    )
    assert first == second
    with safe_open(tmp_path / "a", "np") as file:
        assert file.metadata() == about
        assert file.get_tensor("tau.0").shape == (4, 3)
        assert float(file.get_tensor("rho.0")) == 2.5
        assert file.get_tensor("rho.0").dtype == np.float32
