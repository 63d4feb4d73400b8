"""The fixed test set of rendered scenes, in the cache.

400 scenes of the split "test"; each gives one EO, one LO and one LD question. Rendered on first
use, once for all processes, and checked against its own hashes on every load.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from tempo_attn.files.strict_json import parse_json
from tempo_tasks.audio import Handle, make_handle
from tempo_tasks.cache_folder import cache_dir
from tempo_tasks.questions.events import Clip
from tempo_tasks.questions.question_set import QuestionSet
from tempo_tasks.questions.questions import Kind, Question, build_questions
from tempo_tasks.sources.synth.caption import weak_caption
from tempo_tasks.sources.synth.scene import (
    MARGIN,
    SCENE_VERSION,
    Scene,
    draw_scene,
    render,
    scene_name,
    wav_bytes,
)
from tempo_tasks.sources.synth.sounds import LABELS

TEST_SPLIT = "test"
TEST_SCENES = 400
_INDEX = "index.json"


def load_synth(kind: Kind, *, scenes: int = TEST_SCENES) -> QuestionSet:
    """Return the test questions of one kind, rendering the scenes on first use.

    Args:
        kind: EO, LO or LD.
        scenes: How many scenes of the test split; only the default is the benchmark.
    """
    version = f"tempo-synth-{SCENE_VERSION}"
    return QuestionSet(
        name=version if scenes == TEST_SCENES else f"{version}[:{scenes}]",
        questions=synth_questions(kind, scenes),
        audio=_audio(scenes),
        captions=synth_captions(scenes),
        clips=synth_clips(scenes),
    )


# Cached: a run of all tasks loads the set 24 times.
@lru_cache(maxsize=4)
def draw_test_scenes(count: int) -> tuple[Scene, ...]:
    """Draw the first `count` scenes of the test split."""
    return tuple(draw_scene(scene_name(TEST_SPLIT, number)) for number in range(count))


@lru_cache(maxsize=12)
def synth_questions(kind: Kind, scenes: int = TEST_SCENES) -> tuple[Question, ...]:
    """Return the test questions of one kind; nothing is rendered."""
    clips = synth_clips(scenes).values()
    return tuple(build_questions(clips, kind, seed=0, margin=MARGIN, labels=LABELS))


def synth_clips(scenes: int = TEST_SCENES) -> dict[str, Clip]:
    """Return the test clips with their events, by name."""
    return {scene.name: scene.clip for scene in draw_test_scenes(scenes)}


@lru_cache(maxsize=4)
def synth_captions(scenes: int = TEST_SCENES) -> dict[str, str]:
    """Return a weak caption of each test clip, by name."""
    return {scene.name: weak_caption(scene.clip) for scene in draw_test_scenes(scenes)}


@lru_cache(maxsize=4)
def _audio(scenes: int) -> dict[str, Handle]:
    return rendered(draw_test_scenes(scenes), f"{SCENE_VERSION}-{TEST_SPLIT}-{scenes}")


def rendered(drawn: Sequence[Scene], name: str, tail: str = "") -> dict[str, Handle]:
    """Return a handle for each scene, from a cache folder that is whole or absent.

    Args:
        drawn: The scenes; rendered where the folder is absent, incomplete or damaged.
        name: The folder's name.
        tail: Follows the number in a file's name.
    """
    folder = cache_dir() / "synth" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A second process waits for the first one's folder instead of rendering its own.
    with FileLock(f"{folder}.lock"):
        index = _read_index(folder, drawn)
        if index is None:
            _render_folder(drawn, folder, tail)
            index = _read_index(folder, drawn)
    assert index is not None, f"{folder} changed while it was being read"
    return {
        name: make_handle(folder / entry["file"], entry["sha256"]) for name, entry in index.items()
    }


def _read_index(folder: Path, drawn: Sequence[Scene]) -> dict[str, dict[str, str]] | None:
    """Return the folder's index, or None where it is absent, incomplete or damaged."""
    try:
        index: dict[str, dict[str, str]] = parse_json((folder / _INDEX).read_bytes())
        whole = set(index) == {scene.name for scene in drawn} and all(
            hashlib.sha256((folder / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]
            for entry in index.values()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return index if whole else None


def _render_folder(drawn: Sequence[Scene], folder: Path, tail: str) -> None:
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    index = {}
    for number, scene in enumerate(tqdm(drawn, desc=f"Rendering tempo_synth {folder.name}")):
        content = wav_bytes(render(scene))
        name = f"{number:05d}{tail}.wav"
        (partial / name).write_bytes(content)
        index[scene.name] = {"file": name, "sha256": hashlib.sha256(content).hexdigest()}
    (partial / _INDEX).write_text(json.dumps(index, indent=1))
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)
