"""A tiny Qwen2-Audio model (4 query heads on 2 key/value heads) and prompts for it."""

import copy

import pytest
import torch

from tempo_tasks.tiny.tokenizer_and_model import build_model, build_processor
from tests.support.prompts import SCENES, build_case


@pytest.fixture(scope="session")
def processor():
    return build_processor()


@pytest.fixture(scope="session")
def pristine(processor):
    torch.set_num_threads(2)
    model = build_model(processor).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3.0)  # the default makes attention uniform, which hides mistakes
    return model


@pytest.fixture
def model(pristine):
    """A copy for each test: a test that fails leaves no edit on the next one's model."""
    return copy.deepcopy(pristine)


@pytest.fixture(scope="session")
def batch(processor):
    return build_case(processor)


@pytest.fixture(scope="session")
def one(processor):
    return build_case(processor, SCENES[1:])
