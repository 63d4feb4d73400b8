"""Training scenes as log-mel features, rendered once into the cache.

A scene is drawn from its split's name, so none of these is a scene of the test set.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from tempo_attn.files.atomic import replacing
from tempo_tasks.cache_folder import cache_dir
from tempo_tasks.questions.events import Clip
from tempo_tasks.sources.synth.caption import weak_caption
from tempo_tasks.sources.synth.scene import (
    SCENE_VERSION,
    TRAIN_SPLIT,
    draw_scene,
    pcm16,
    render,
    scene_name,
)
from tempo_tasks.sources.synth.sounds import LABELS
from tempo_tasks.tiny.tokenizer_and_model import build_processor

CAPTION_VARIANTS = 4
_CHUNK = 64
Mels = npt.NDArray[np.float16]


@dataclass(frozen=True)
class TrainingSet:
    """Scenes with everything the losses need.

    Attributes:
        clips: The scenes' clips.
        captions: Several weak captions of each clip, by clip.
        mels: (scenes, mel bands, frames) log-mel features.
    """

    clips: list[Clip]
    captions: list[list[str]]
    mels: Mels

    def activity(self, index: int, frames: int, seconds: float) -> npt.NDArray[np.float32]:
        """Return which event sounds when: (frames, labels), each frame's covered share."""
        grid = np.zeros((frames, len(LABELS)), dtype=np.float32)
        edges = np.linspace(0, seconds, frames + 1)
        for event in self.clips[index].events:
            column = LABELS.index(event.label)
            for start, end in event.intervals:
                overlap = np.minimum(edges[1:], end) - np.maximum(edges[:-1], start)
                grid[:, column] += np.clip(overlap, 0, None) * frames / seconds
        return grid


def load_training_set(scenes: int, *, workers: int | None = None) -> TrainingSet:
    """Draw `scenes` training scenes; render their features on first use."""
    drawn = [
        draw_scene(scene_name(TRAIN_SPLIT, number)).clip
        for number in tqdm(range(scenes), desc="drawing scenes")
    ]
    captions = [[weak_caption(clip, v) for v in range(CAPTION_VARIANTS)] for clip in drawn]
    path = cache_dir() / f"tiny-train-scenes{SCENE_VERSION}-{scenes}.npy"
    if not path.exists():
        _render_all(scenes, path, workers or os.cpu_count() or 1)
    return TrainingSet(drawn, captions, np.load(path, mmap_mode="r"))


def _render_all(scenes: int, path: Path, workers: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    chunks = [range(i, min(i + _CHUNK, scenes)) for i in range(0, scenes, _CHUNK)]
    # Not forked: torch's threads do not survive that.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        parts = list(
            tqdm(pool.map(_render_chunk, chunks), total=len(chunks), desc="rendering scenes")
        )
    with replacing(path) as partial:
        np.save(partial, np.concatenate(parts))


def _render_chunk(numbers: range) -> Mels:
    torch.set_num_threads(1)
    extractor = build_processor().feature_extractor
    drawn = [draw_scene(scene_name(TRAIN_SPLIT, number)) for number in numbers]
    # As a decoder reads the 16-bit files of the test set.
    waves = [pcm16(render(scene)).astype(np.float32) / 32768 for scene in drawn]
    features = extractor(
        waves, sampling_rate=extractor.sampling_rate, return_tensors="np", padding="max_length"
    )
    return np.asarray(features["input_features"], dtype=np.float16)
