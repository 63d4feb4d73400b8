"""A study's manifest: what it says of a run, and what of the machine it leaves out."""

import json
import shutil

import pytest

from tempo_attn.lab.run_folder.folder import default_folder
from tempo_attn.lab.run_folder.manifest import Manifest
from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.study import Study
from tempo_tasks.tiny import WEIGHTS_DIR
from tests.support.released_layout import write_beside

pytestmark = pytest.mark.usefixtures("loaded_once")


def test_a_manifest_names_no_folder_of_this_machine(tmp_path, monkeypatch, released_folder):
    shutil.copytree(WEIGHTS_DIR, tmp_path / "models" / "x")
    shutil.copytree(released_folder("csv"), tmp_path / "sets" / "mine")
    write_beside(tmp_path / "sets" / "mine")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    settings = Settings(
        tasks=["tempo_eo_aqa"],
        metadata={"data": "../sets/mine", "data_intervals": ["../sets/mine/intervals.csv"]},
        model="../models/x",
        model_args={"processor": str(tmp_path / "models" / "x"), "dtype": "float32"},
    )
    manifest = Study(settings).manifest("mass", {}).to_dict()
    text = json.dumps(manifest)
    assert "../" not in text
    assert str(tmp_path) not in text
    assert manifest["fingerprints"]["model"]["name"] == "x"
    assert manifest["fingerprints"]["model"]["arguments"] == {"processor": "x", "dtype": "float32"}
    assert manifest["settings"]["metadata"] == {"data": "mine", "data_intervals": ["intervals.csv"]}


def test_what_is_only_for_the_reader_does_not_name_the_folder():
    settings = Settings(tasks=["tempo_synth_eo_aqa"], metadata={"synth_scenes": 2})
    manifest = Study(settings).manifest("sweep", {})
    other = manifest.to_dict()
    other["fingerprints"]["environment"]["info"]["python"] = "3.99"
    assert default_folder(Manifest.from_dict(other, "the other")) == default_folder(manifest)
