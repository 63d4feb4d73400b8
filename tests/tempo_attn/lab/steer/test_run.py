"""A trial's answers are those of the wrapped model with the same rows moved."""

import dataclasses

import numpy as np
import pytest
import torch

from tempo_attn import AttnScaleConfig, apply_attn_scale
from tempo_attn.directions import Directions
from tempo_attn.errors import ConfigError, PositionError
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.engine.option_names import name_rows
from tempo_attn.lab.steer import moved_batch
from tempo_attn.lab.steer.pushes import Push, Steps, pushes
from tempo_attn.lab.steer.run import SteerTrial
from tests.support.steered_by_hand import directions

SIGNS = {"eo": -1, "lo": 1}
PUSHES = [
    Push(layers=(1,), strength=2.0),
    Push(layers=(1,), strength=2.0, draw=1),
    Push(layers=(0, 2, 4), strength=-0.7),
    Push(layers=(3, 5), strength=1.0, draw=2),
    Push(layers=(4,), strength=3.0),
]


@pytest.fixture
def subject(tiny_model, prepared):
    return ModelUnderStudy(tiny_model, prepared, tokenizer=prepared.tokenizer)


def of_two_kinds(prepared):
    """The prepared items, the second one of which asks for the latest."""
    return [dataclasses.replace(item, kind=("eo", "lo")[item.index]) for item in prepared.items]


def expected_logits(model, prepared, push, rows, sign, steps):
    """By the wrapper, whose directions are those of the push, drawn or not."""
    along = directions()
    if push.draw:
        like = torch.zeros(1)
        along = Directions.of(
            {n: steps.of(n, push.draw, like).numpy() / along.rho(n) for n in push.layers},
            {n: along.rho(n) for n in push.layers},
        )
    config = AttnScaleConfig(
        mode="steer", strength=push.strength * sign, layers=list(push.layers), directions=along
    )
    wrapped = apply_attn_scale(model, config)
    try:
        with torch.no_grad(), wrapped.positions(query_mask=rows):
            return wrapped(**prepared.inputs).logits[:, -1, 20:24]
    finally:
        wrapped.unload()


@pytest.mark.parametrize("engine", ["fast", "full"])
def test_answers_are_those_of_the_wrapper(tiny_model, prepared, subject, engine):
    items = of_two_kinds(prepared)
    trial = SteerTrial(subject, directions(), PUSHES, SIGNS, engine=engine, seed=3)
    records = trial.run_batch(items)
    names = name_rows(subject.read(items))
    steps, moves = Steps(directions(), 3), []
    for number, push in enumerate(PUSHES):
        for option, rows in enumerate(names):
            for item, record in zip(items, records, strict=True):
                sign = SIGNS[item.kind]
                logits = expected_logits(tiny_model, prepared, push, rows, sign, steps)
                wanted = logits[item.index].tolist()
                assert record.pushed[number][option] == pytest.approx(wanted, abs=1e-4)
                if push.layers != (3, 5):
                    moves.append(np.abs(np.subtract(wanted, record.plain)).max())
    assert min(moves) > 1e-3
    for record in records:
        assert record.engine == engine
        for control in record.control:
            assert control == pytest.approx(record.plain, abs=1e-4)


def test_the_engine_is_chosen_and_the_same_items_give_the_same_records(prepared, subject):
    items = of_two_kinds(prepared)
    first = SteerTrial(subject, directions(), PUSHES, SIGNS, seed=3)
    first.settle(items)
    assert first.choice.engine == "fast"
    again = SteerTrial(subject, directions(), PUSHES, SIGNS, seed=3)
    again.settle(items)
    assert again.run_batch(items) == first.run_batch(items)
    other = SteerTrial(subject, directions(), PUSHES, SIGNS, seed=4).run_batch(items)
    assert other[0].pushed[0] == first.run_batch(items)[0].pushed[0]
    assert other[0].pushed[1] != first.run_batch(items)[0].pushed[1]


def test_a_fast_engine_that_forgets_to_move_is_found_out(prepared, subject, monkeypatch):
    monkeypatch.setattr(moved_batch.MovedBatch, "_leave", lambda self, layer, h, numbers: h)
    trial = SteerTrial(subject, directions(), PUSHES, SIGNS)
    trial.settle(of_two_kinds(prepared))
    assert trial.choice.engine == "full"
    assert "differ" in trial.choice.reason


# ---------------------------------------------------------------------- rows


def test_each_option_has_its_own_rows(prepared, subject):
    batch = subject.read(prepared.items)
    names = name_rows(batch)
    assert len(names) == 4
    together = torch.stack(names)
    assert together.any(2).all()  # every option of every item
    assert int(together.sum(0).max()) == 1  # no token is in two names
    assert together.any(0).equal(batch.rows(("option",)))
    for row, item in enumerate(prepared.items):
        texts = [
            prepared.tokenizer.decode(prepared.inputs["input_ids"][row][rows[row]]).strip()
            for rows in names
        ]
        assert len(set(texts)) == 4
        prompt = prepared.tokenizer.decode(prepared.inputs["input_ids"][row])
        places = [prompt.rindex(text) for text in texts]
        assert places == sorted(places), item.id


def test_other_numbers_of_options_are_refused(prepared, subject):
    items = [dataclasses.replace(item, candidates=(20, 21, 22)) for item in prepared.items]
    with pytest.raises(PositionError, match="4 names of options in the prompt and 3 candidate"):
        name_rows(subject.read(items))
    items = [dataclasses.replace(item, options=("Owl", "Fox", "a", "b")) for item in prepared.items]
    with pytest.raises(PositionError, match="'item 0': option 'Owl' is not in the prompt"):
        name_rows(subject.read(items))


def test_a_kind_without_a_direction_is_refused(prepared, subject):
    items = [dataclasses.replace(item, kind="ld") for item in prepared.items]
    trial = SteerTrial(subject, directions(), PUSHES, SIGNS)
    with pytest.raises(ConfigError, match="kind 'ld', in which no option wins"):
        trial.run_batch(items)


def test_what_does_not_fit(subject):
    with pytest.raises(ConfigError, match="no push"):
        SteerTrial(subject, directions(), [], SIGNS)
    with pytest.raises(ConfigError, match="directions have 64 components"):
        SteerTrial(subject, directions(width=64), PUSHES, SIGNS)


# ---------------------------------------------------------------------- pushes


def test_the_grid():
    found = pushes(directions([1, 2]), [(1,), (2,), (-1, 1)], [1, -0.5], 2, 3)
    assert len(found) == 3 * 2 * 3
    assert found[:3] == [Push(layers=(1,), strength=1.0, draw=draw) for draw in (0, 1, 2)]
    assert found[-1] == Push(layers=(1, 2), strength=-0.5, draw=2)
    assert found[-1].name == "layer 1+2, -0.5, random direction 2"
    assert [Push.from_dict(push.to_dict()) for push in found] == found


@pytest.mark.parametrize(
    ("sets", "strengths", "message"),
    [
        ([], [1], "nothing to try"),
        ([(1,)], [], "nothing to try"),
        ([(1,)], [0, 1], "strength 0 changes nothing"),
        ([(1,)], [1, 1.0], "strengths: 1.0 is named twice"),
        ([(1,), (-2,)], [1], r"layers: \(1,\) is named twice"),
        ([(0,)], [1], "layer 0 is steered and has no direction"),
        ([(7,)], [1], "layer 7 is out of range"),
        ([(1,)], [float("nan")], "expected a finite number"),
    ],
)
def test_a_wrong_grid(sets, strengths, message):
    with pytest.raises(ConfigError, match=message):
        pushes(directions([1, 2]), sets, strengths, 2, 3)


def test_random_directions_have_the_size_and_not_the_aim():
    steps, like = Steps(directions(), 0), torch.zeros(1)
    drawn = [steps.of(3, draw, like) for draw in range(5)]
    assert drawn[0].tolist() == directions().step(3).tolist()
    for one in drawn[1:]:
        assert float(one.norm()) == pytest.approx(float(drawn[0].norm()), rel=1e-5)
        assert abs(float(torch.cosine_similarity(one, drawn[0], dim=0))) < 0.4
    assert not steps.of(2, 1, like).equal(drawn[1])
    assert Steps(directions(), 0).of(3, 1, like).equal(drawn[1])
    assert not Steps(directions(), 1).of(3, 1, like).equal(drawn[1])
