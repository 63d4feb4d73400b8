"""A tiny Qwen2-Audio checkpoint with random weights, and clips of different lengths."""

import numpy as np
import pytest
import soundfile
import torch

from tempo_tasks.audio import file_handle
from tempo_tasks.tiny.tokenizer_and_model import build_model, build_processor


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """Folder of an untrained model; larger weights than the default, which hides mistakes."""
    folder = tmp_path_factory.mktemp("checkpoint")
    processor = build_processor()
    model = build_model(processor)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3.0)
    processor.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    """Handles of noise clips of 1 to 10 seconds, in several rates and channel counts."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.RandomState(0)
    handles = []
    for seconds, rate, channels in [(10, 16000, 1), (1, 16000, 1), (4, 44100, 2), (7.3, 8000, 1)]:
        wave = 0.1 * rng.standard_normal((int(seconds * rate), channels))
        path = folder / f"{seconds}.wav"
        soundfile.write(path, wave, rate)
        handles.append(file_handle(path))
    return handles


@pytest.fixture(scope="session")
def lalm(checkpoint):
    from tempo_tasks.harness.lalm import LALM

    return LALM(pretrained=str(checkpoint), batch_size=1)


@pytest.fixture(autouse=True)
def without_pip_list(monkeypatch):
    """Each `simple_evaluate` asks pip for all versions, which takes seconds and tests nothing."""
    monkeypatch.setattr("lm_eval.evaluator.add_env_info", lambda results: None)
