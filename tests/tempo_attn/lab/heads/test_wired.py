"""A model wired by hand, in which one head hears, and only sometimes: it is found, no other is."""

from dataclasses import replace

import numpy as np
import torch

from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.heads.run import HeadMeter
from tempo_attn.lab.heads.scores import head_rows
from tests.support.lab_items import make_prepared
from tests.support.prompts import build_case
from tests.support.wired import FETCH, lay_decoy, saying, wired_model

OPTIONS = ["Dog bark", "Siren", "Door slam", "Bell"]
QUESTIONS = ("Which event has the earliest onset?", "Which event has the latest offset?")


def test_the_one_head_that_hears_is_found(tiny_processor):
    """It is held up by the word "latest", and then the answer is not known.

    All other heads see every position alike, so that their mass is the share of audio in the
    prompt, which both questions have in every size.
    """
    seconds = np.linspace(0.4, 1.6, 12)
    scenes = [(question, OPTIONS, float(size)) for size in seconds for question in QUESTIONS]
    case = build_case(tiny_processor, scenes)
    prepared = make_prepared(case.inputs, tiny_processor.tokenizer)
    right = torch.tensor([item.answer for item in prepared.items])
    prepared = replace(prepared, inputs=saying(case.inputs, right))
    model = wired_model(tiny_processor)
    lay_decoy(model, tiny_processor, "latest")

    subject = ModelUnderStudy(model, prepared, tokenizer=prepared.tokenizer)
    records = HeadMeter(subject, [("last",)]).run_batch(prepared.items)
    table = [row for row in head_rows(records) if row["target"] == "audio"]
    found = {(row["layer"], row["head"]): row for row in table}
    hearing = found.pop((FETCH, 0))
    assert hearing["r"] > 0.999
    assert hearing["p_holm"] < 1e-6
    for row in found.values():
        assert row["r"] is None or (abs(row["r"]) < 0.3 and row["p_holm"] > 0.05)
    assert sum(row["r"] is not None for row in found.values()) > 10  # there was something to find
