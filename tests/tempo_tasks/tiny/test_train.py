"""The recipe: a killed run goes on where it was; a changed one refuses."""

import json

import pytest
import torch
import typer
from safetensors.torch import load_file

from tempo_tasks.tiny import train as recipe

SMALL = {"scenes": 4, "rows": 2, "warmup": 1, "threads": 1, "save_every": 2}


@pytest.mark.slow
def test_a_killed_run_ends_like_an_unbroken_one(tmp_path, monkeypatch):
    recipe.train(tmp_path / "whole", steps=4, **SMALL)

    def killed_after_saving(state, path, save=recipe.save_atomically):
        save(state, path)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recipe, "save_atomically", killed_after_saving)
        with pytest.raises(KeyboardInterrupt):
            recipe.train(tmp_path / "broken", steps=4, **SMALL)
    assert not (tmp_path / "broken/model").exists()
    recipe.train(tmp_path / "broken", steps=4, **SMALL)

    whole, broken = (
        load_file(tmp_path / name / "model/model.safetensors") for name in ("whole", "broken")
    )
    assert whole.keys() == broken.keys()
    assert all(torch.equal(whole[key], broken[key]) for key in whole)

    with pytest.raises(typer.BadParameter, match="name another --out"):
        recipe.train(tmp_path / "broken", steps=5, **SMALL)


@pytest.mark.slow
def test_training_lowers_the_loss_on_what_it_sees(tmp_path):
    recipe.train(tmp_path, steps=40, peak=3e-3, **SMALL)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["option"] < 0.8 * rows[0]["option"]
    assert rows[-1]["letter"] < rows[0]["letter"]


def test_learning_rate_warms_up_and_ends_at_zero():
    rates = [recipe.learning_rate(s, peak=1.0, warmup=10, steps=100) for s in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[10] == pytest.approx(1.0)
    assert rates[-1] < 0.001
