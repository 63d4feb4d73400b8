"""A trial's answers are those of the wrapped model with the same heads edited."""

import copy

import numpy as np
import pytest
import torch

from tempo_attn import AttnScaleConfig, apply_attn_scale
from tempo_attn.errors import ConfigError
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.lab.try_heads.records import HeadSet, head_sets
from tempo_attn.lab.try_heads.run import HeadTrial

SETS = [
    HeadSet(heads=[(3, 1), (0, 2), (3, 0)]),
    HeadSet(heads=[(1, 1), (2, 2), (5, 3)], random=True),
    HeadSet(heads=[(0, 0)]),
]


@pytest.mark.parametrize(("mode", "strength"), [("scale", 2.0), ("knockout", None)])
def test_answers_are_those_of_the_wrapper(tiny_model, prepared, mode, strength):
    subject = ModelUnderStudy(tiny_model, prepared, tokenizer=prepared.tokenizer)
    edit = Variant(layers=(0,), rows=("last", "option"), mode=mode, strength=strength)
    records = HeadTrial(subject, SETS, edit).run_batch(prepared.items)
    moved = []
    for number, heads in enumerate(SETS):
        config = AttnScaleConfig(
            mode=mode,
            strength=strength,
            layers=sorted(heads.by_layer),
            heads=heads.by_layer,
            queries=["last", "option"],
        )
        model = apply_attn_scale(copy.deepcopy(tiny_model), config, tokenizer=prepared.tokenizer)
        with torch.no_grad():
            logits = model(**prepared.inputs).logits[:, -1, 20:24].tolist()
        for record, expected in zip(records, logits, strict=True):
            assert record.edited[number] == pytest.approx(expected, abs=1e-4)
            moved.append(max(abs(np.subtract(expected, record.plain))))
    assert min(moved) > 1e-3
    for record in records:
        assert record.control == pytest.approx(record.plain, abs=1e-4)


def test_states_have_no_heads(tiny_model, prepared):
    subject = ModelUnderStudy(tiny_model, prepared, tokenizer=prepared.tokenizer)
    edit = Variant(layers=(2,), rows=("last",), mode="enrich", strength=0.5, source=0)
    with pytest.raises(ConfigError, match="no heads"):
        HeadTrial(subject, SETS, edit)
    with pytest.raises(ConfigError, match="no set"):
        HeadTrial(subject, SETS[1:2], Variant(layers=(0,), rows=("last",), mode="knockout"))


def test_the_best_heads_and_as_many_others():
    scores = np.array([[0.1, 0.9, np.nan], [0.5, -0.2, 0.3], [0.2, 0.0, 0.4]])
    sets = head_sets(scores, [1, 3], 10, seed=0)
    best = [one for one in sets if not one.random]
    assert [one.heads for one in best] == [[(0, 1)], [(0, 1), (1, 0), (2, 2)]]
    assert best[1].by_layer == {0: [1], 1: [0], 2: [2]}
    for one in sets:
        if one.random:
            top = best[0] if len(one.heads) == 1 else best[1]
            assert not set(one.heads) & set(top.heads)
            assert len(set(one.heads)) == len(one.heads)
            assert (0, 2) not in one.heads  # it has no score
    assert len(sets) == 22
    assert sets == head_sets(scores, [1, 3], 10, seed=0)
    assert sets != head_sets(scores, [1, 3], 10, seed=1)
    with pytest.raises(ConfigError, match="expected 1 to 4"):
        head_sets(scores, [5], 1, seed=0)
