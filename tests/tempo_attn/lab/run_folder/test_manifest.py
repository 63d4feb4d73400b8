"""Manifests: what they are on disk, which items they stand for, and how two differ."""

import json
import math

import pytest

from tempo_attn.errors import RunFolderError
from tempo_attn.lab.run_folder.manifest import (
    differences,
    expected_items,
    manifest_text,
    run_manifest,
)


def manifest(**changes):
    fields = {"verb": "sweep", "settings": {}, "fingerprints": {}, "n_items": 10}
    return run_manifest(**{**fields, **changes})


def test_a_manifest_is_what_it_is_on_disk():
    found = manifest(settings={"layers": ((0,), (1, 2))}, shard=(0, 2), shard_items={8, 1})
    assert found == json.loads(manifest_text(found))
    assert found["settings"] == {"layers": [[0], [1, 2]]}
    assert (found["schema"], found["shard"], found["shard_items"]) == (1, [0, 2], [1, 8])


def test_numbers_are_on_one_line_and_texts_are_as_they_are():
    text = manifest_text(
        {"a": [1, -2.5e-7], "b": "[\n1,\n2]", "c": [[3]], "d": ["[1,  2]"], "é": []}
    )
    assert text == (
        '{\n  "a": [1, -2.5e-07],\n  "b": "[\\n1,\\n2]",\n  "c": [\n    [3]\n  ],\n'
        '  "d": [\n    "[1,  2]"\n  ],\n  "é": []\n}\n'
    )


def test_the_items_of_a_run_and_of_a_shard():
    assert list(expected_items(manifest(n_items=3))) == [0, 1, 2]
    assert list(expected_items(manifest(shard=(1, 2), shard_items=[7, 3]))) == [3, 7]
    assert list(expected_items(manifest(shard=(9, 10), shard_items=[]))) == []


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
    with pytest.raises(
        RunFolderError, match="this run's manifest: n_items, shard, shard_items are"
    ):
        manifest(**fields)


@pytest.mark.parametrize("value", [math.nan, {1}, b"x"])
def test_a_manifest_is_json(value):
    with pytest.raises(RunFolderError, match="this run's manifest: is not JSON data"):
        manifest(settings={"strength": value})


def test_differences_between_lists_objects_and_nothing():
    one = {"a": [1, 2], "b": {"c": None}, "d": {"e": 1}, "info": 1}
    other = {"a": [1, 3], "b": {}, "d": 5, "info": 2}
    assert list(differences(one, other, ("A", "B"))) == [
        "a: A has [1, 2], B has [1, 3]",
        "b.c: A has null, B has nothing",
        'd: A has {"e": 1}, B has 5',
    ]
