"""Families in the harness: `LALM` on a tiny checkpoint of each that has a processor here."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from tempo_attn import AttnScaleConfig
from tempo_tasks.audio import file_handle
from tempo_tasks.harness.lalm import LALM
from tests.support.tiny_checkpoints import ARGUMENTS, CHECKPOINTS, save
from tests.support.tiny_models import without_timm

TEXT = "<audio>which is last?\na. bell\nb. horn"


@pytest.fixture(autouse=True)
def timm_is_not_needed(monkeypatch):
    """Gemma 3n's vision tower is left out: see `without_timm`."""
    monkeypatch.setattr("tempo_attn.families.gemma3n.require_extra", lambda *args: None)
    with without_timm():
        yield


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("clips"), np.random.default_rng(0)
    handles = []
    # None a few samples longer than a window: MusicFlamingo itself fails on an empty last window.
    for name, n_samples in (("short", 9000), ("long", 21000), ("middle", 15000)):
        path = folder / f"{name}.wav"
        soundfile.write(path, 0.1 * rng.standard_normal(n_samples), 16000)
        handles.append({**file_handle(path), "silence": False})
    return handles


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """A function from a family's name to its checkpoint's folder, written once."""
    return cache(lambda name: save(name, tmp_path_factory.mktemp(name)))


def request(text, second, clips):
    return SimpleNamespace(doc={}, args=(text, second, {"audio": clips}))


# From the last row of these prompts, audio lies outside the other layers' sliding windows.
FULL_LAYERS = {name: [1, 3, 4] for name in ("gemma3n", "gemma4", "gemma4_unified")}


@pytest.mark.parametrize("edited", [False, True], ids=["plain", "edit"])
@pytest.mark.parametrize("name", sorted(CHECKPOINTS))
def test_batches_of_mixed_lengths_are_as_single_clips(name, edited, folder_of, clips):
    layers = FULL_LAYERS.get(name, "all")
    attn_scale = AttnScaleConfig(strength=3.0, layers=layers) if edited else None
    given = {"pretrained": str(folder_of(name)), "dtype": "float32", "attn_scale": attn_scale}
    given |= ARGUMENTS.get(name, {})
    model = LALM(**given, batch_size=3)
    if not model.family.pads_audio_alike:
        assert model._batch_size() == (1, False)  # and so they are single clips
    one = LALM(**given, batch_size=1)
    # Some families' clips all fill a whole window: so the texts' lengths differ as well.
    texts = [TEXT + " or not" * number for number in range(len(clips))]
    requests = [
        request(text, answer, [clip])
        for text, clip in zip(texts, clips, strict=True)
        for answer in "ab"
    ]
    batched, single = (m.loglikelihood(requests, disable_tqdm=True) for m in (model, one))
    for (ours, _), (theirs, _) in zip(batched, single, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)
    assert len({round(score, 5) for score, _ in batched}) == len(batched)  # clips and answers count
    generate = [
        request(text, {"until": [], "max_gen_toks": 3}, [clip])
        for text, clip in zip(texts, clips, strict=True)
    ]
    assert model.generate_until(generate, disable_tqdm=True) == one.generate_until(
        generate, disable_tqdm=True
    )
    if edited:
        assert model.model.status().prefills[1] > 0
