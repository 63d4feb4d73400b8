"""LoRA and an edit on one model, in both orders, with real PEFT: numbers, saving, loading."""

import copy
import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from tempo_attn import AttnScaleConfig, AttnScaleModel, apply_attn_scale

peft = pytest.importorskip("peft")

CONFIG = AttnScaleConfig(strength=4.0, layers=[2])
TARGETS = ["q_proj", "v_proj"]
RELOAD = """
import sys, torch
from peft import PeftModel
from transformers import Qwen2AudioForConditionalGeneration
from tempo_attn import AttnScaleModel, apply_attn_scale

base, lora, edit, inputs, out, order = sys.argv[1:]
model = Qwen2AudioForConditionalGeneration.from_pretrained(base)
if order == "edit on LoRA":
    model = AttnScaleModel.from_pretrained(PeftModel.from_pretrained(model, lora), edit)
else:
    model = PeftModel.from_pretrained(AttnScaleModel.from_pretrained(model, edit), lora)
with torch.no_grad():
    torch.save(model.eval()(**torch.load(inputs)).logits, out)
"""


def lora_on(model):
    torch.manual_seed(3)
    config = peft.LoraConfig(r=4, target_modules=TARGETS, init_lora_weights=False)
    return peft.get_peft_model(model, config).eval()


def edit_on_lora(model):
    return apply_attn_scale(lora_on(model), CONFIG)


def lora_on_edit(model):
    return lora_on(apply_attn_scale(model, CONFIG))


ORDERS = {"edit on LoRA": edit_on_lora, "LoRA on edit": lora_on_edit}


def logits(model, case):
    with torch.no_grad():
        return model(**case.inputs).logits


@pytest.fixture(scope="module")
def saved(pristine, tmp_path_factory):
    """A base checkpoint, with a LoRA that was saved from the plain model."""
    folder = tmp_path_factory.mktemp("peft")
    pristine.save_pretrained(folder / "base")
    base = type(pristine).from_pretrained(folder / "base")
    lora_on(base).save_pretrained(folder / "lora")
    return folder


@pytest.fixture
def base(saved, pristine):
    return type(pristine).from_pretrained(saved / "base")


@pytest.fixture
def both(base, one):
    """The logits with LoRA and edit; the LoRA alone and the edit alone give others."""
    adapted = edit_on_lora(copy.deepcopy(base))
    expected = logits(adapted, one)
    assert not expected.equal(logits(adapted.unload(), one))
    assert not expected.equal(logits(apply_attn_scale(copy.deepcopy(base), CONFIG), one))
    return expected


@pytest.mark.parametrize("order", ORDERS)
def test_both_orders_give_both(base, one, both, order):
    assert logits(ORDERS[order](base), one).equal(both)


def test_a_lora_of_the_plain_model_is_loaded_around_the_wrapper(base, saved, one, both, recwarn):
    wrapped = apply_attn_scale(base, CONFIG)
    model = peft.PeftModel.from_pretrained(wrapped, saved / "lora").eval()
    assert logits(model, one).equal(both)
    assert not [w for w in recwarn if "missing" in str(w.message).lower()]
    generated = model.generate(**one.inputs, max_new_tokens=2, do_sample=False)
    assert generated.shape[1] == one.inputs["input_ids"].shape[1] + 2
    assert set(wrapped.status().prefills.values()) == {2}
    assert model.unload() is wrapped
    assert type(wrapped.unload()) is type(base)


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
def test_what_is_saved_loads_on_the_plain_model(base, saved, one, both, tmp_path, order):
    """In the other order, in a new process; with the keys of a plain LoRA."""
    model = ORDERS[order](base)
    inner = model.base_model if order == "edit on LoRA" else model
    edited = model if order == "edit on LoRA" else model.get_base_model()
    inner.save_pretrained(tmp_path / "lora")
    edited.save_pretrained(tmp_path / "edit")
    torch.save(dict(one.inputs), tmp_path / "inputs.pt")
    found, plain = (load_file(f / "lora/adapter_model.safetensors") for f in (tmp_path, saved))
    assert found.keys() == plain.keys()
    assert all(found[key].equal(plain[key]) for key in plain)
    about = json.loads((tmp_path / "lora/adapter_config.json").read_text())
    assert about["base_model_name_or_path"] == str(saved / "base")
    other = next(name for name in ORDERS if name != order)
    files = [saved / "base", *(tmp_path / n for n in ("lora", "edit", "inputs.pt", "out.pt"))]
    command = [sys.executable, "-c", RELOAD, *map(str, files), other]
    subprocess.run(command, check=True, capture_output=True)
    assert torch.allclose(torch.load(tmp_path / "out.pt"), both, atol=1e-5)


def test_merging_a_lora_gives_the_wrapper_back(base, one, both):
    merged = lora_on_edit(base).merge_and_unload()
    assert isinstance(merged, AttnScaleModel)
    assert torch.allclose(logits(merged, one), both, atol=1e-4)


def test_a_wrapper_has_the_names_of_its_model(base):
    names = [name for name, _ in base.named_parameters()]
    states = list(base.state_dict())
    wrapped = apply_attn_scale(base, CONFIG)
    assert [name for name, _ in wrapped.named_parameters()] == names
    assert list(wrapped.state_dict()) == states
    base.load_state_dict(wrapped.state_dict())
    wrapped.train()
    assert wrapped.training
    assert base.training
    assert base.get_decoder().layers[0].training
    wrapped.eval()
    assert not base.training
    base.train()
    assert wrapped.training
    base.eval()
    wrapped.to(torch.bfloat16)
    assert base.dtype == torch.bfloat16


def test_a_lora_is_trained_around_the_wrapper(base, one):
    """The gradient of the edited model reaches the LoRA's weights, and nothing else learns."""
    model = lora_on_edit(base).train()
    model(**one.inputs).logits[:, -1].sum().backward()
    learning = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert {n.split(".lora_")[0].rsplit(".", 1)[1] for n in learning} == set(TARGETS)
    decoder = [p for n, p in learning.items() if "language_model" in n]
    assert all(float(p.grad.abs().sum()) > 0 for p in decoder)


@pytest.mark.parametrize(
    "arguments",
    [{"safe_serialization": True}, {"state_dict": {}}, {"max_shard_size": "5GB"}],
    ids=str,
)
def test_it_is_saved_as_training_scripts_do(base, tmp_path, arguments):
    wrapped = apply_attn_scale(base, CONFIG)
    wrapped.save_pretrained(tmp_path / "other", is_main_process=False)
    assert not (tmp_path / "other").exists()
    wrapped.save_pretrained(tmp_path, **arguments)
    assert AttnScaleConfig.from_pretrained(tmp_path).fingerprint() == CONFIG.fingerprint()
