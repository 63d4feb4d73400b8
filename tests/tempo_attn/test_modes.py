"""The table of modes: a mode is its entry and its formula, and nothing else knows it by name."""

import ast
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import tempo_attn
from tempo_attn import AttnScaleConfig, apply_attn_scale
from tempo_attn.adaptive import Adaptive
from tempo_attn.attention.mode_formulas import LOGIT_FORMULAS, edit_logits
from tempo_attn.errors import ConfigError, OptionError
from tempo_attn.hub.model_card import model_card
from tempo_attn.lab.sweep.grid import Grid
from tempo_attn.modes import MODES, ModeSpec
from tempo_tasks.lab.options import parse_edits

ROOT = Path(tempo_attn.__file__).parents[1]

SHRINK = ModeSpec(
    name="shrink",
    summary="L <- L / n",
    maths="L ← L / n",
    explanation="A mode of this test.",
    neutral=1.0,
    range=(1.0, math.inf),
    expected="1 or more: it only shrinks",
    usual_strengths=(2.0, 4.0),
    nulls=("keys",),
)


@pytest.fixture
def shrink(monkeypatch):
    """A new mode: an entry of the table, and a formula."""
    monkeypatch.setitem(MODES, "shrink", SHRINK)
    formula = lambda logits, strength, keys, bias: logits / strength  # noqa: E731
    monkeypatch.setitem(LOGIT_FORMULAS, "shrink", formula)
    return "shrink"


def test_a_configuration_knows_a_new_mode(shrink):
    config = AttnScaleConfig(mode=shrink, strength=2, layers=[1])
    assert AttnScaleConfig.from_json(config.to_json()) == config
    assert not config.is_identity
    assert replace(config, strength=1.0).is_identity
    with pytest.raises(ConfigError, match=r"strength is 0.5; expected 1 or more: it only shrinks"):
        AttnScaleConfig(mode=shrink, strength=0.5)
    with pytest.raises(ConfigError, match=r"strength is None; expected a number: mode 'shrink'"):
        AttnScaleConfig(mode=shrink)
    assert AttnScaleConfig(mode=shrink, adaptive=Adaptive(0.3, 1, 1)).is_identity


def test_a_mode_that_is_not_in_the_table_is_refused_also_after_construction():
    config = AttnScaleConfig(strength=2.0)
    config.mode = "shrink"
    with pytest.raises(ConfigError, match="mode is 'shrink'; expected one of 'scale', "):
        _ = config.is_identity


def test_a_new_mode_without_a_strength_refuses_one(shrink, monkeypatch):
    monkeypatch.setitem(MODES, shrink, replace(SHRINK, neutral=None))
    assert AttnScaleConfig(mode=shrink).strength is None
    with pytest.raises(ConfigError, match=r"expected None: shrink has no strength"):
        AttnScaleConfig(mode=shrink, strength=2.0)
    with pytest.raises(ConfigError, match=r"a mode other than 'knockout' or 'shrink'"):
        AttnScaleConfig(mode=shrink, adaptive=Adaptive(0.3, 1, 1))


def test_the_model_card_tells_of_a_new_mode(shrink):
    card = str(model_card({"default": AttnScaleConfig(mode=shrink, strength=2.0)}))
    assert "- **shrink**: L ← L / n — A mode of this test." in card


def test_a_sweep_tries_a_new_mode_with_its_own_nulls(shrink):
    assert parse_edits([shrink]) == {shrink: (2.0, 4.0)}
    grid = Grid(strengths={shrink: (2.0,)}, layers=[[0]], rows=[["last"]], nulls=("sign", "keys"))
    control, edit, null = grid.variants(2, 4)
    assert (control.role, edit.role, null.role) == ("control", "edit", "keys")
    assert (edit.mode, edit.strength) == ("shrink", 2.0)


def test_a_sweep_asks_for_strengths_where_a_new_mode_has_no_usual_ones(shrink, monkeypatch):
    monkeypatch.setitem(MODES, shrink, replace(SHRINK, usual_strengths=(), example_strengths=(2,)))
    with pytest.raises(OptionError, match="say the strengths, as in shrink=2"):
        parse_edits([shrink])


def test_a_model_is_edited_in_a_new_mode(shrink, model, batch):
    inputs = batch.inputs
    with torch.no_grad():
        same = apply_attn_scale(model, AttnScaleConfig(strength=0.5, layers=[1]))
        expected = same(**inputs).logits
        same.unload()
        edited = apply_attn_scale(model, AttnScaleConfig(mode=shrink, strength=2.0, layers=[1]))
        assert edited(**inputs).logits.equal(expected)
    logits, keys = torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([True, False])
    assert edit_logits(logits, keys, shrink, 2.0).flatten().tolist() == [0.5, 2.0]


# ---------------------------------------------------------------------- nobody else asks by name

NAMES_ONE_MODE = {
    "tempo_tasks/lab/compare.py": "stands scaling beside its two parts",
    "tempo_attn/lab/presets/write.py": "a note on the preset of this name",
}
"""Files that compare with the name of a mode because they are about that one mode."""


def _compared(tree):
    """Strings that a file compares something with: ==, !=, in, not in, or a `case`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            sides = [node.value]
        else:
            continue
        for side in sides:
            parts = side.elts if isinstance(side, (ast.Tuple, ast.List, ast.Set)) else [side]
            yield from (part.value for part in parts if isinstance(part, ast.Constant))


def test_no_file_compares_with_a_modes_name():
    found = set()
    for package in ("tempo_attn", "tempo_tasks"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if set(MODES) & set(_compared(ast.parse(path.read_text()))):
                found.add(path.relative_to(ROOT).as_posix())
    assert found == set(NAMES_ONE_MODE)


def test_the_table_is_cheap_to_import():
    code = (
        "import sys, tempo_attn.modes\n"
        "assert not {'torch', 'numpy', 'huggingface_hub'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("mode", MODES.values(), ids=list(MODES))
def test_every_entry_is_whole(mode):
    assert MODES[mode.name] is mode
    assert mode.maths.isprintable()
    assert mode.explanation.endswith(".")
    assert mode.nulls or mode.states_with == "directions"  # whose command draws random ones
    lowest, highest = mode.range
    assert (mode.range == (-math.inf, math.inf)) == (not mode.expected)
    if mode.has_strength:
        assert mode.size(mode.neutral) == 0
        for strength in (mode.neutral, *(mode.usual_strengths or mode.example_strengths)):
            assert lowest <= strength <= highest
    else:
        assert mode.size(None) == math.inf
        assert not mode.usual_strengths
