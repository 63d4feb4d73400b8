"""From the temporal IDs of a timeline to a direction of time; and files that are refused."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save

from tempo_attn.errors import RunFolderError
from tempo_tasks.lab.instruments.timeline_directions import TIMELINE_FILE, left_out, read_timeline
from tests.support.timeline_files import metadata, tensors, write_timeline


def test_the_direction_leads_from_the_first_bin_to_the_last(tmp_path):
    made = tensors([2, 11])
    found = read_timeline(write_timeline(tmp_path, made))
    assert found.later.layers == [2, 11]
    for layer in (2, 11):
        tau = made[f"tau.{layer}"]
        step = tau[3] - tau[0]
        np.testing.assert_allclose(
            found.later.vector(layer), step / np.linalg.norm(step), rtol=1e-5, atol=1e-6
        )
        assert float(np.linalg.norm(found.later.vector(layer))) == pytest.approx(1.0, abs=1e-5)
        assert found.later.rho(layer) == pytest.approx(10.0 + layer)
    assert (found.first, found.last) == (0, 3)
    assert found.about == {"bin_seconds": "2.5", "relative": "false", "times": "midpoint"}
    assert found.clips_used is None
    assert found.model_weights is None
    assert read_timeline(tmp_path / TIMELINE_FILE) == found  # the file itself


def test_bins_without_events_are_passed_over(tmp_path):
    made = tensors(empty=[0])
    changes = {"relative": "true", "model": "abc", "empty_bins": "3"}
    found = read_timeline(write_timeline(tmp_path, made, **changes))
    assert (found.first, found.last, found.about["relative"]) == (1, 2, "true")
    assert found.model_weights == "abc"
    step = made["tau.3"][2] - made["tau.3"][1]
    np.testing.assert_allclose(found.later.vector(3), step / np.linalg.norm(step), atol=1e-6)


def test_the_clips_that_it_was_made_from(tmp_path):
    found = read_timeline(write_timeline(tmp_path, clips_used=json.dumps(["a", "b"])))
    assert left_out(["a", "c", "b", "c"], found) == [True, False, True, False]
    assert left_out(["a"], read_timeline(write_timeline(tmp_path / "other"))) == [False]


def without(name):
    made = tensors()
    del made[name]
    return made


@pytest.mark.parametrize(
    ("made", "changes", "message"),
    [
        (None, {"schema": "2"}, "its schema is '2'; expected '1'"),
        (None, {"schema": None}, "its schema is 'None'"),
        (None, {"empty_bins": "1,x"}, "empty_bins is '1,x'; expected numbers of bins"),
        (None, {"empty_bins": "1,2,3"}, "1 bins of time have events in them; expected 2"),
        (None, {"clips_used": "{"}, "clips_used is '{'; expected JSON"),
        (tensors([0]) | {"tau.0": np.ones(4, np.float32)}, {}, "the shape of tau.0"),
        (tensors([0]) | {"tau.0": np.array(1, np.float32)}, {}, "the shape of tau.0"),
        (None, {"clips_used": "[1]"}, "clips_used is .*; expected a JSON list of names"),
        (without("rho.3"), {}, "expected tau and rho of the same layers"),
        ({"x": np.ones(2, np.float32)}, {}, "expected tau and rho of the same layers"),
        (tensors([0]) | {"tau.x": np.ones((4, 2), np.float32)}, {}, "a tensor's name is 'tau.x'"),
        (tensors(empty=[1, 2, 3]), {}, "1 bins of time have events in them; expected 2"),
        (tensors() | {"tau.2": np.ones((4, 128), np.float32)}, {}, "layer 2 are the same in all"),
        (tensors() | {"rho.2": np.array(-1, np.float32)}, {}, "rho.2 is -1; expected one number"),
        (tensors() | {"rho.2": np.ones(2, np.float32)}, {}, "the shape of rho.2"),
        (tensors([0, 2]) | tensors([2], width=3), {}, "expected .*the same for all layers"),
    ],
)
def test_wrong_files(tmp_path, made, changes, message):
    folder = write_timeline(tmp_path, made, **changes)
    with pytest.raises(RunFolderError, match=re.escape(str(folder)) + ".*" + message):
        read_timeline(folder)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00" * 7, (2**62).to_bytes(8, "little") + b"{}", save(tensors(), metadata())[:-1]],
    ids=["empty", "zeros", "huge", "cut short"],
)
def test_other_bytes(tmp_path, data):
    (tmp_path / TIMELINE_FILE).write_bytes(data)
    with pytest.raises(RunFolderError, match="no safetensors file"):
        read_timeline(tmp_path)


def test_no_file(tmp_path):
    with pytest.raises(RunFolderError, match="no such file; give the run folder of a finished"):
        read_timeline(tmp_path)
    (tmp_path / TIMELINE_FILE).mkdir()
    with pytest.raises(RunFolderError, match="not a regular file"):
        read_timeline(tmp_path)


def test_the_clips_of_the_run_beside_it(tmp_path, monkeypatch):
    """A run folder has the clips of its items; the run of another command is none."""
    (write_timeline(tmp_path) / "manifest.json").touch()
    read = SimpleNamespace(
        manifest=SimpleNamespace(command="timeline", shard=None),
        complete=True,
        records=[{"cluster": "a"}, {"cluster": "b"}, {"cluster": "a"}],
    )
    monkeypatch.setattr("tempo_attn.lab.run_folder.folder.read_run", lambda path: read)
    assert read_timeline(tmp_path).clips_used == {"a", "b"}
    read.complete = False
    with pytest.raises(RunFolderError, match="is not a whole, finished run"):
        read_timeline(tmp_path)
    read.manifest.command = "lens"
    with pytest.raises(RunFolderError, match="is a run of tempo lens; give one of tempo timeline"):
        read_timeline(tmp_path)
