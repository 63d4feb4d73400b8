"""Manifests: what they are on disk, which items they stand for, and how two differ."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from tempo_attn.errors import RunFolderError
from tempo_attn.lab.run_folder.differences import differences, without_info
from tempo_attn.lab.run_folder.manifest import Manifest, manifest_text
from tests.support.run_folders import FINGERPRINTS, SETTINGS, manifest


def checked(data):
    return Manifest.from_dict(data, "the file")


def test_a_manifest_is_what_it_is_on_disk():
    given = manifest(of_command={"layers": ((0,), (1, 2))}, shard=(0, 2), shard_items=(1, 8))
    found = checked(given.to_dict())
    assert found == checked(json.loads(manifest_text(found.to_dict())))
    assert found.settings.of_command == {"layers": [[0], [1, 2]]}
    assert (found.shard, found.shard_items) == ([0, 2], [1, 8])
    assert (found.fingerprints, found.settings.tasks) == (FINGERPRINTS, SETTINGS.tasks)
    assert found.unsharded == checked(manifest(of_command={"layers": [[0], [1, 2]]}).to_dict())


def test_settings_of_the_command_stand_beside_the_others():
    data = manifest().to_dict()
    assert data["schema"] == 2
    assert data["command"] == "sweep"
    assert data["settings"] == {
        **{"strengths": [0.5, 2.0], "tasks": ["eo_aqa"], "limit": None, "metadata": {}},
        **{"batch_size": 2, "memory": 1 << 30, "seed": 0},
    }


def test_numbers_are_on_one_line_and_texts_are_as_they_are():
    text = manifest_text(
        {"a": [1, -2.5e-7], "b": "[\n1,\n2]", "c": [[3]], "d": ["[1,  2]"], "é": []}
    )
    assert text == (
        '{\n  "a": [1, -2.5e-07],\n  "b": "[\\n1,\\n2]",\n  "c": [\n    [3]\n  ],\n'
        '  "d": [\n    "[1,  2]"\n  ],\n  "é": []\n}\n'
    )


def test_the_items_of_a_run_and_of_a_shard():
    assert list(manifest(n_items=3).item_indices) == [0, 1, 2]
    assert list(manifest(shard=(1, 2), shard_items=[3, 7]).item_indices) == [3, 7]
    assert list(manifest(shard=(9, 10), shard_items=[]).item_indices) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"n_items": -1},
        {"n_items": None},
        {"shard": (3, 3), "shard_items": [0]},
        {"shard": (-1, 3), "shard_items": [0]},
        {"shard": (0, 3)},
        {"shard_items": [0]},
        {"shard": (0, 3), "shard_items": [0, 0]},
        {"shard": (0, 3), "shard_items": [10]},
    ],
)
def test_items_that_cannot_be(fields):
    with pytest.raises(RunFolderError, match="the file: n_items, shard, shard_items are"):
        checked(manifest(**fields).to_dict())


@pytest.mark.parametrize("value", [math.nan, {1}, b"x"])
def test_a_manifest_is_json(value):
    with pytest.raises(RunFolderError, match="the file: is not JSON data"):
        checked(manifest(of_command={"strength": value}).to_dict())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda data: data["fingerprints"].pop("model"),
            r"\['model'\] are missing in f",
        ),
        (lambda data: data["fingerprints"]["model"].pop("name"), "in fingerprints.model"),
        (lambda data: data["fingerprints"].update(code=3), "fingerprints.code is 3, expected str"),
        (lambda data: data["settings"].pop("seed"), r"\['seed'\] are missing in settings"),
        (lambda data: data["settings"].update(limit="7"), "settings.limit is '7'"),
        (lambda data: data.pop("settings"), r"\['settings'\] are missing"),
        (lambda data: data.update(settings=[]), r"settings is \[\]"),
        (lambda data: data.pop("command"), r"\['command'\] are missing"),
        (lambda data: data.update(verb="sweep"), r"\['verb'\] are not known"),
    ],
)
def test_a_part_that_is_missing_or_of_another_type_is_named(change, words):
    data = manifest().to_dict()
    change(data)
    with pytest.raises(RunFolderError, match=f"the file: .*{words}.*; it was damaged or is of"):
        checked(data)


@pytest.mark.parametrize("schema", [1, 3, "2", None])
def test_a_manifest_of_another_schema_is_refused(schema):
    with pytest.raises(RunFolderError, match=r"the file: has schema .*writes schema 2"):
        checked({**manifest().to_dict(), "schema": schema})


def test_differences_between_lists_objects_and_nothing():
    one = {"a": [1, 2], "b": {"c": None}, "d": {"e": 1}, "info": 1}
    other = {"a": [1, 3], "b": {}, "d": 5, "info": 2}
    assert list(differences(one, other, ("A", "B"))) == [
        "a: A has [1, 2], B has [1, 3]",
        "b.c: A has null, B has nothing",
        'd: A has {"e": 1}, B has 5',
    ]
    assert without_info({"a": {"info": 1, "b": 2}, "info": 3}) == {"a": {"b": 2}}


@dataclass
class Own:
    strengths: Sequence[float]
    seeds: int = 1


def test_settings_of_a_command_are_read_as_what_they_are():
    settings = manifest(of_command={"strengths": [1, 2.5], "rows": ["last"]}).settings
    assert settings.own(Own) == Own([1, 2.5])
    for wrong in ({}, {"strengths": ["x"]}, {"strengths": 3}):
        with pytest.raises(RunFolderError, match=r"its manifest's settings: .*strengths"):
            manifest(of_command=wrong).settings.own(Own)
