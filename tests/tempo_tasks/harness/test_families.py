"""Families in the harness: `LALM` on a tiny checkpoint of each that has a processor here."""

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from tempo_attn import AttnScaleConfig
from tempo_tasks.audio import file_handle
from tempo_tasks.harness.lalm import LALM
from tests.support.tiny_models import FAMILIES
from tests.support.tiny_processors import PROCESSORS

TEXT = "<audio>which is last?\na. bell\nb. horn"


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


@pytest.mark.parametrize("attn_scale", [None, AttnScaleConfig(strength=3.0)], ids=["plain", "edit"])
@pytest.mark.parametrize("name", sorted(PROCESSORS))
def test_batches_of_mixed_lengths_are_as_single_clips(name, attn_scale, tmp_path, clips):
    PROCESSORS[name]().save_pretrained(tmp_path)
    FAMILIES[name]().model.save_pretrained(tmp_path)
    model = LALM(pretrained=str(tmp_path), batch_size=3, dtype="float32", attn_scale=attn_scale)
    one = LALM(pretrained=str(tmp_path), batch_size=1, dtype="float32", attn_scale=attn_scale)
    requests = [
        SimpleNamespace(doc={}, args=(TEXT, answer, {"audio": [clip]}))
        for clip in clips
        for answer in "ab"
    ]
    batched, single = (m.loglikelihood(requests, disable_tqdm=True) for m in (model, one))
    for (ours, _), (theirs, _) in zip(batched, single, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-3)
    assert len({round(score, 5) for score, _ in batched}) == len(batched)  # clips and answers count
    generate = [
        SimpleNamespace(doc={}, args=(TEXT, {"until": [], "max_gen_toks": 3}, {"audio": [clip]}))
        for clip in clips
    ]
    assert model.generate_until(generate, disable_tqdm=True) == one.generate_until(
        generate, disable_tqdm=True
    )
    if attn_scale is not None:
        assert model.model.status().prefills[0] > 0
