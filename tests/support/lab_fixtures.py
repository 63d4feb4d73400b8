"""Tiny models and prepared items for the laboratory."""

import pytest
import torch

from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.sweep.run import Sweeper
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.lab import tasks_to_items as lab_items
from tempo_tasks.tiny.tokenizer_and_model import build_model, build_processor
from tests.support.lab_items import Prepared, make_prepared
from tests.support.prompts import SCENES, build_case


@pytest.fixture(scope="session")
def tiny_processor():
    return build_processor()


@pytest.fixture(scope="session")
def tiny_model(tiny_processor):
    """A tiny Qwen2-Audio (4 query heads on 2 key/value heads), with attention far from uniform."""
    torch.manual_seed(0)
    model = build_model(tiny_processor).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3.0)
    return model


@pytest.fixture(scope="session")
def prepared(tiny_processor) -> Prepared:
    """Two prompts of different lengths, one padded on the left."""
    return make_prepared(build_case(tiny_processor, SCENES).inputs, tiny_processor.tokenizer)


@pytest.fixture
def sweep(tiny_model, prepared):
    """Make a sweeper for the tiny Qwen2-Audio model of six layers."""

    def make(variants, **settings):
        subject = ModelUnderStudy(tiny_model, prepared, tokenizer=prepared.tokenizer)
        return Sweeper(subject, variants, **settings)

    return make


@pytest.fixture(scope="module")
def loaded_once():
    """Models and tasks are loaded once for all runs of a file; it takes half a second."""
    once = {}

    def remembering(load):
        def loaded(*args, **kwargs):
            key = (load, repr(args), repr(sorted(kwargs.items())))
            if key not in once:
                once[key] = load(*args, **kwargs)
            return once[key]

        return loaded

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempo_tasks.lab.study.LALM", remembering(LALM))
        patch.setattr(lab_items, "load_tasks", remembering(lab_items.load_tasks))
        yield
