"""Which engine is taken: what is compared, what rounding explains, and what an error means."""

import math
from types import SimpleNamespace

import pytest
import torch

from tempo_attn.errors import ConfigError, PositionError, UnsupportedInputError
from tempo_attn.lab.engine.fast_against_full import Comparison, EngineChoice

FULL = torch.tensor([[0.5, -20.0]])
GOOD, BAD = Comparison("rows", 1e-6, 1e-4), Comparison("rows give logits", 0.25, 1e-4)


@pytest.fixture
def choice(monkeypatch):
    """A choice whose model has a readout."""
    monkeypatch.setattr(
        "tempo_attn.lab.engine.fast_against_full.Readout", lambda model, family: "readout"
    )
    subject = SimpleNamespace(model=torch.nn.Linear(1, 1), family=None)
    return EngineChoice(subject, "auto", "variant")


@pytest.mark.parametrize(
    ("dtype", "error", "noise", "agrees"),
    [
        (torch.float32, [0.9e-4, 0.0], 1.0, True),
        (torch.float32, [1.1e-4, 0.0], 1.0, False),  # recomputing rows is no excuse
        (torch.float32, [0.0, 1.9e-3], 0.0, True),  # relative to a logit above 1
        (torch.float32, [0.0, 2.1e-3], 0.0, False),
        (torch.bfloat16, [0.15, 0.0], 0.0, True),  # 20 has steps of 0.15625
        (torch.bfloat16, [0.17, 0.0], 0.0, False),
        (torch.bfloat16, [0.55, 0.0], 0.1, True),
        (torch.bfloat16, [0.57, 0.0], 0.1, False),
    ],
)
def test_logits_may_differ_by_what_rounding_explains(dtype, error, noise, agrees):
    compared = Comparison.of_logits("", FULL + torch.tensor([error]), FULL, noise, dtype)
    assert compared.agrees is agrees


@pytest.mark.parametrize(
    ("dtype", "error", "agrees"),
    [
        (torch.float32, 0.9e-4, True),
        (torch.float32, 1.1e-4, False),
        (torch.bfloat16, 0.019, True),
        (torch.bfloat16, 0.021, False),
    ],
)
def test_probabilities_may_differ_by_what_rounding_explains(dtype, error, agrees):
    full = torch.tensor([0.25, 0.75])
    assert Comparison.of_probabilities("", full + error, full, dtype).agrees is agrees


def test_nan_is_never_explained_and_nothing_always():
    nan = torch.tensor([math.nan])
    for dtype in (torch.float32, torch.bfloat16):
        assert not Comparison.of_logits("", nan, FULL, 0.0, dtype).agrees
        assert Comparison.of_logits("", FULL[:0], FULL[:0], 0.0, dtype).agrees


def test_the_fast_engine_is_taken_where_all_agree(choice):
    assert choice.open
    choice.decide([GOOD, Comparison("rows", 3e-5, 1e-4)])
    assert (choice.engine, choice.reason, choice.checked) == ("fast", "", 3e-5)


def test_one_disagreement_takes_the_full_engine(choice, caplog):
    choice.decide([GOOD, BAD, GOOD])
    assert (choice.engine, choice.checked) == ("full", 0.25)
    assert choice.reason == "rows give logits that differ by 0.25 from a full forward"
    assert "every variant takes one full forward, which is slow: Linear" in caplog.text


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (IndexError("12"), "IndexError: 12"),
        (UnsupportedInputError("a cache"), "UnsupportedInputError: a cache"),
    ],
)
def test_a_model_that_refuses_takes_the_full_engine(choice, error, reason):
    def fails(readout):
        assert readout == "readout"
        raise error

    assert choice.try_fast(fails) is None
    assert (choice.engine, choice.reason) == ("full", reason)


@pytest.mark.parametrize("error", [PositionError("no audio"), MemoryError(), SystemExit()])
def test_wrong_items_and_lack_of_memory_say_nothing_of_the_engine(choice, error):
    def fails(readout):
        raise error

    with pytest.raises(type(error)):
        choice.try_fast(fails)
    assert choice.open


def test_an_engine_that_there_is_not_is_refused(choice):
    with pytest.raises(ConfigError, match="engine is 'replay'; expected one of 'auto', 'fast'"):
        EngineChoice(choice._subject, "replay", "variant")
