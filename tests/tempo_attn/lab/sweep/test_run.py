"""The sweep engine against one full forward of the wrapper for every variant, on every family."""

import copy
from dataclasses import replace

import pytest
import torch

from tempo_attn.attention.masks import Visibility
from tempo_attn.errors import (
    AdapterError,
    ConfigError,
    NonFiniteLogitsError,
    PositionError,
    UnsupportedModelError,
)
from tempo_attn.families import get_family
from tempo_attn.lab.engine.fast_against_full import TOLERANCE
from tempo_attn.lab.engine.memory_and_batches import BatchPlan
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.sweep.fast_engine import EditedBatch
from tempo_attn.lab.sweep.grid import Grid, Variant
from tempo_attn.lab.sweep.run import Sweeper
from tests.support.lab_items import CANDIDATES, answer, make_prepared, wrapped_logits
from tests.support.tiny_models import FAMILIES

MODES = {
    "scale": (0.5, 2.0),
    "scale_preserving": (2.0,),
    "upweight": (-1.0,),
    "upweight_matched": (0.5,),
    "upweight_relative": (0.5,),
    "knockout": (),
}
SLOW_WAY = {"gemma3n", "gemma4", "granite_speech_hybrid"}


def close(found, expected):
    return float(((found - expected).abs() / expected.abs().clamp(min=1.0)).max()) < TOLERANCE


def variants_of(model, rows, layers="each", heads=(None,), nulls=()):
    config = get_family(model.config).decoder(model).config
    grid = Grid(strengths=MODES, rows=rows, layers=layers, heads=heads, nulls=nulls)
    return grid.variants(config.num_hidden_layers, config.num_attention_heads)


# ------------------------------------------------------------------------------ exactness


@pytest.mark.parametrize("name", sorted(FAMILIES))
@pytest.mark.parametrize("form", [pytest.param("one", marks=pytest.mark.slow), "batch"])
def test_every_family(name, form):
    tiny = FAMILIES[name]()
    inputs, spans = (tiny.inputs, tiny.spans) if form == "one" else (tiny.batch, tiny.batch_spans)
    if inputs is None:
        pytest.skip("the family takes one prompt at a time")
    masks = {f"{name}_mask": mask for name, mask in spans.items()}
    prepared = make_prepared({**inputs, **masks}, n_items=len(spans["audio"]))
    family = get_family(tiny.config)
    attentions = family.attentions(tiny.model)
    layers = [[i] for i, module in enumerate(attentions) if module is not None]
    n_heads = family.decoder(tiny.model).config.get_text_config().num_attention_heads
    grid = Grid(
        strengths={"scale": (0.5,), "knockout": ()},
        rows=[("last",), ("all_text",)],
        layers=[*layers, [i for (i,) in layers]],
        nulls=(),
    )
    variants = grid.variants(len(attentions), n_heads)
    sweeper = Sweeper(ModelUnderStudy(tiny.model, prepared, forward=tiny.run), variants)
    found = answer(sweeper, prepared)
    assert sweeper.choice.engine == ("full" if name in SLOW_WAY else "fast")
    assert bool(sweeper.choice.reason) == (name in SLOW_WAY)
    assert close(found.logits, wrapped_logits(tiny.model, tiny.run, inputs, variants))
    assert close(found.plain, found.logits[:, 0])  # a control, recomputed
    assert float((found.logits - found.plain[:, None]).abs().max()) > 1e-3  # the edits do something


@pytest.mark.parametrize(
    ("layers", "rows"),
    [
        *(
            pytest.param(layers, rows, id=f"{layers}-{'+'.join(rows)}")
            for rows in (["last"], ["keyword"], ["keyword", "last"], ["option"], ["all_text"])
            for layers in ([[0, 2], [1, 2]], "all")
        ),
        pytest.param("each", ["keyword", "last"], id="each"),
    ],
)
def test_rows_and_layer_sets(tiny_model, prepared, sweep, rows, layers):
    heads = [None, [0, 3]] if rows == ["keyword", "last"] else [None]
    variants = variants_of(tiny_model, [rows], layers, heads=heads)
    found = answer(sweep(variants, engine="fast"), prepared)
    expected = wrapped_logits(tiny_model, tiny_model, prepared.inputs, variants, prepared.tokenizer)
    assert close(found.logits, expected)


@pytest.mark.parametrize("memory", [1, 2**22])
def test_small_chunks_change_nothing(tiny_model, prepared, sweep, memory):
    variants = variants_of(tiny_model, [["last"], ["keyword", "last"]])
    whole = answer(sweep(variants, engine="fast", plan=BatchPlan(memory=2**30)), prepared)
    pieces = answer(sweep(variants, engine="fast", plan=BatchPlan(memory=memory)), prepared)
    assert close(pieces.logits, whole.logits)


def test_both_ways_agree_on_random_perturbations_and_audio_statistics(tiny_model, prepared, sweep):
    rows = [["last"], ["option"], ["all_text"]]
    variants = variants_of(tiny_model, rows, [[1], [0, 2]], nulls=("sign", "keys"))
    fast = answer(sweep(variants, engine="fast"), prepared)
    slow = answer(sweep(variants, engine="full"), prepared)
    assert close(fast.logits, slow.logits)
    assert torch.equal(fast.audio.isnan(), slow.audio.isnan())
    assert close(fast.audio.nan_to_num(), slow.audio.nan_to_num())


def test_items_alone_or_together_are_the_same(tiny_model, prepared, sweep):
    variants = variants_of(tiny_model, [["last"], ["option"]], nulls=("sign", "keys"))
    sweeper = sweep(variants, engine="fast")
    together = answer(sweeper, prepared)
    for row, item in enumerate(prepared.items):
        alone = sweeper.answer(sweeper.subject.read([item]))
        assert close(alone.logits[0], together.logits[row])
        assert close(alone.audio[0].nan_to_num(), together.audio[row].nan_to_num())


# ------------------------------------------------------------------------------ what is reported


def test_audio_statistics_by_hand(tiny_model, prepared, sweep):
    """Mass and entropy against the eager attention weights of the plain model."""
    edits = [
        Variant(layers=(1,), rows=("last",), mode=mode, strength=strength)
        for mode, strength in [("scale_preserving", 3.0), ("upweight", 2.0), ("knockout", None)]
    ]
    audio = answer(sweep(edits, engine="fast"), prepared).audio
    twin = copy.deepcopy(tiny_model)
    twin.set_attn_implementation({"text_config": "eager"})
    with torch.no_grad():
        weights = twin(**prepared.inputs, output_attentions=True).attentions[1][:, :, -1]
    heard = prepared.inputs["input_ids"] == twin.config.audio_token_id
    for row in range(len(weights)):
        share = weights[row][:, heard[row]]
        mass = share.sum(-1)
        inside = share / mass[:, None]
        entropy = -(inside * inside.log()).sum(-1).mean()
        for number in range(3):
            assert audio[row, number, 0].item() == pytest.approx(mass.mean().item(), abs=1e-5)
            assert audio[row, number, 2].item() == pytest.approx(entropy.item(), abs=1e-4)
        preserving, upweight, knockout = audio[row]
        assert preserving[1].item() == pytest.approx(mass.mean().item(), abs=1e-5)
        assert preserving[3] < entropy
        b = torch.tensor(2.0).exp()  # m' = m e^b / (1 - m + m e^b), facts of a pure bias
        assert upweight[1].item() == pytest.approx(
            (mass * b / (1 - mass + mass * b)).mean().item(), abs=1e-5
        )
        assert upweight[3].item() == pytest.approx(entropy.item(), abs=1e-4)
        assert knockout[1] == 0
        assert knockout[3].isnan()


def test_the_random_sign_has_the_size_of_the_edit(tiny_model, prepared, sweep):
    """With a bias of b, the perturbation is +b or -b at every audio key, by the item's content."""
    edit = Variant(layers=(0,), rows=("last",), mode="upweight", strength=0.7)
    sweeper = sweep([edit, edit.null("sign"), edit.null("keys")], engine="full")
    batch = sweeper.subject.read(prepared.items)
    rows = sweeper._edited_rows(batch)[("last",)]
    assert set(rows.signs[batch.audio].tolist()) == {-1.0, 1.0}
    assert set(rows.signs[~batch.audio].tolist()) == {1.0}
    assert not bool((rows.random & batch.audio).any())
    assert not bool((rows.random & ~batch.real).any())
    n_text = (batch.real & ~batch.audio).sum(1)
    assert torch.equal(rows.random.sum(1), torch.minimum(batch.audio.sum(1), n_text))
    again = sweep([edit], engine="full", seed=1)._edited_rows(batch)[("last",)]
    assert not torch.equal(again.signs, rows.signs)

    seen = batch.real[:, None, None, None, :]
    logits = torch.randn(2, 1, 4, 1, batch.real.shape[1], generator=torch.manual_seed(0))
    sight = Visibility(seen, None)
    change = rows.edit(logits, sight, [edit])[0] - logits
    random = rows.edit(logits, sight, [edit.null("sign")])[0] - logits
    assert float(change.abs().max()) > 0.5
    assert close(random, rows.signs[:, None, None, None, :] * change)


def test_records(sweep, tiny_model, prepared):
    variants = variants_of(tiny_model, [["last"]])
    records = [r for batch in sweep(variants).run(prepared.items) for r in batch]
    assert {record.index for record in records} == {0, 1}
    assert all(len(record.logits) == len(variants) for record in records)
    knockout = next(n for n, v in enumerate(variants) if v.mode == "knockout")
    assert records[0].audio[knockout][3] is None  # no entropy where nothing is left


# ------------------------------------------------------------------------------ trouble


def test_out_of_memory_halves_the_batch_and_loses_nothing(sweep, tiny_model, prepared, caplog):
    variants = variants_of(tiny_model, [["last"]])
    sweeper = sweep(variants)
    expected = [r for batch in sweeper.run(prepared.items) for r in batch]
    answer, sizes = sweeper.answer, []

    def scarce(batch):
        sizes.append(len(batch.items))
        if len(batch.items) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return answer(batch)

    sweeper.answer = scarce
    found = [r for batch in sweeper.run(prepared.items) for r in batch]
    assert sizes == [2, 1, 1]
    assert [r.id for r in found] == [r.id for r in expected]
    assert "out of memory" in caplog.text


def test_out_of_memory_with_one_item_takes_fewer_variants_at_once(sweep, tiny_model, prepared):
    sweeper = sweep(variants_of(tiny_model, [["last"]]))
    answer, budgets = sweeper.answer, []

    def scarce(batch):
        budgets.append(sweeper.plan.memory)
        if len(budgets) < 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return answer(batch)

    sweeper.answer = scarce
    assert len(sweeper.run_batch(prepared.items[:1])) == 1
    assert budgets[2] == budgets[0] // 4


def test_memory_that_never_suffices_is_an_error_in_the_end(sweep, tiny_model, prepared):
    sweeper = sweep(variants_of(tiny_model, [["last"]]))

    def never(batch):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    sweeper.answer = never
    with pytest.raises(torch.cuda.OutOfMemoryError):
        sweeper.run_batch(prepared.items)


def test_a_model_that_fools_the_fast_way_is_found_out(tiny_model, prepared, sweep, caplog):
    """A layer that mixes rows by itself: running it on some rows alone gives something else."""
    model = copy.deepcopy(tiny_model)
    mlp = model.get_decoder().layers[1].mlp
    mlp.register_forward_hook(lambda module, args, output: output + output.mean(1, keepdim=True))
    variants = variants_of(model, [["keyword", "last"]])
    sweeper = Sweeper(ModelUnderStudy(model, prepared, tokenizer=prepared.tokenizer), variants)
    found = answer(sweeper, prepared)
    assert sweeper.choice.engine == "full"
    assert "differ by" in sweeper.choice.reason
    assert "full forward" in caplog.text
    expected = wrapped_logits(model, model, prepared.inputs, variants, prepared.tokenizer)
    assert close(found.logits, expected)


def test_the_model_is_left_as_it_was(tiny_model, prepared, sweep):
    before = [a.config for a in get_family(tiny_model.config).attentions(tiny_model)]
    answer(sweep(variants_of(tiny_model, [["last"]])), prepared)
    after = get_family(tiny_model.config).attentions(tiny_model)
    assert all(a.config is b for a, b in zip(after, before, strict=True))
    assert not any(hasattr(a, "_tempo_edit") or a._forward_pre_hooks for a in after)


def test_a_wrapped_model_is_refused(tiny_model, prepared, sweep):
    from tempo_attn import AttnScaleConfig, apply_attn_scale

    wrapped = apply_attn_scale(tiny_model, AttnScaleConfig(strength=2.0))
    try:
        with pytest.raises(AdapterError, match="unload"):
            sweep([Variant(layers=(0,), rows=("last",), strength=2.0)])
    finally:
        wrapped.unload()


def test_items_without_audio_are_named(tiny_model, prepared, sweep):
    deaf = dict(prepared.inputs, input_ids=prepared.inputs["input_ids"].clone())
    deaf["input_ids"][1][deaf["input_ids"][1] == tiny_model.config.audio_token_id] = 5
    sweeper = sweep([Variant(layers=(0,), rows=("last",), strength=2.0)])
    sweeper.subject.prepare = lambda items: deaf
    with pytest.raises(PositionError, match="'item 1': no audio positions"):
        sweeper.run_batch(prepared.items)


def test_an_empty_grid_is_refused(sweep):
    with pytest.raises(ConfigError, match="empty"):
        sweep([])
    with pytest.raises(ConfigError, match="empty"):
        Grid(strengths={}).variants(3, 4)
    with pytest.raises(ConfigError, match="empty"):
        Grid(strengths={"scale": (2.0,)}, rows=[]).variants(3, 4)


def test_nan_logits_are_an_error(tiny_model, prepared):
    model = copy.deepcopy(tiny_model)
    with torch.no_grad():
        model.get_output_embeddings().weight.fill_(torch.nan)
    variants = [Variant(layers=(0,), rows=("last",), strength=2.0)]
    with pytest.raises(NonFiniteLogitsError, match="item 0"):
        Sweeper(ModelUnderStudy(model, prepared), variants).run_batch(prepared.items)


# ------------------------------------------------------------------------------ the self-check


def sweeper_of(model, prepared, variants, **settings):
    return Sweeper(
        ModelUnderStudy(model, prepared, tokenizer=prepared.tokenizer), variants, **settings
    )


def test_hooks_on_layers_run_once_where_a_variant_joins(tiny_model, prepared):
    """A steering vector that somebody put before layer 1."""
    model = copy.deepcopy(tiny_model)
    torch.manual_seed(0)
    steer = torch.randn(model.config.text_config.hidden_size)
    layer = model.get_decoder().layers[1]
    layer.register_forward_pre_hook(lambda module, args: (args[0] + steer, *args[1:]))
    variants = variants_of(model, [["last"]])
    sweeper = sweeper_of(model, prepared, variants)
    found = answer(sweeper, prepared)
    assert sweeper.choice.engine == "fast"
    assert close(found.logits, wrapped_logits(model, model, prepared.inputs, variants))


def unedited(self, logits, allowed, numbers):
    """A replay that forgets the edit."""
    return logits.expand(-1, len(numbers), -1, -1, -1).clone()


@pytest.mark.parametrize(
    "dtype",
    [torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.slow)],  # slow on a CPU
    ids=str,
)
def test_a_replay_that_edits_nothing_is_found_out(tiny_model, prepared, monkeypatch, dtype):
    model = copy.deepcopy(tiny_model).to(dtype)
    inputs = {k: v.to(dtype) if v.is_floating_point() else v for k, v in prepared.inputs.items()}
    prepared = replace(prepared, inputs=inputs)
    variants = variants_of(model, [["option"]])
    honest = sweeper_of(model, prepared, variants)
    answer(honest, prepared)
    assert honest.choice.engine == "fast"
    monkeypatch.setattr(EditedBatch, "_edited_logits", unedited)
    mutated = sweeper_of(model, prepared, variants)
    answer(mutated, prepared)
    assert mutated.choice.engine == "full"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_an_adapter_on_the_unembedding_counts(tiny_model, prepared, dtype):
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    model = peft.inject_adapter_in_model(
        peft.LoraConfig(target_modules=["lm_head"], init_lora_weights=False, lora_alpha=32),
        copy.deepcopy(tiny_model).to(dtype),
    ).eval()
    inputs = {k: v.to(dtype) if v.is_floating_point() else v for k, v in prepared.inputs.items()}
    prepared = replace(prepared, inputs=inputs)
    variants = variants_of(model, [["last"]])
    sweeper = sweeper_of(model, prepared, variants)
    found = answer(sweeper, prepared)
    assert sweeper.choice.engine == "fast"
    with torch.no_grad():
        own = model(**inputs).logits[:, -1, list(CANDIDATES)].float()
    assert float((found.plain - own).abs().max()) < (1e-4 if dtype == torch.float32 else 0.1)


def test_a_layer_that_cannot_run_on_few_rows_takes_the_slow_way(tiny_model, prepared):
    """A hook that counts on the prompt's length."""
    model = copy.deepcopy(tiny_model)

    def hook(module, args, output):
        output[:, 10] *= 1.5
        return output

    model.get_decoder().layers[1].mlp.register_forward_hook(hook)
    variants = variants_of(model, [["last"]])
    sweeper = sweeper_of(model, prepared, variants)
    found = answer(sweeper, prepared)
    assert sweeper.choice.engine == "full"
    assert "IndexError" in sweeper.choice.reason
    assert close(found.logits, wrapped_logits(model, model, prepared.inputs, variants))


def test_a_row_always_sees_its_own_key(tiny_model, prepared, sweep):
    """Random keys are never all that a row sees: a knockout of them leaves something."""
    edit = Variant(layers=(0,), rows=("all_text",), mode="knockout")
    sweeper = sweep([edit.null("keys")], engine="full")
    batch = sweeper.subject.read(prepared.items)
    rows = sweeper._edited_rows(batch)[("all_text",)]
    n_rows, n_tokens = rows.index.shape[1], batch.audio.shape[1]
    own = rows.index[:, None, None, :, None] == torch.arange(n_tokens)
    logits = torch.zeros(2, 1, 4, n_rows, n_tokens)
    alone = Visibility(own)  # each row sees itself and nothing else
    new, _ = rows.edit(logits, alone, [edit.null("keys")])
    assert bool(new.masked_select(own.expand_as(new)).isfinite().all())


def test_training_mode_is_refused(tiny_model, prepared):
    model = copy.deepcopy(tiny_model).train()
    with pytest.raises(UnsupportedModelError, match=r"model\.eval\(\)"):
        ModelUnderStudy(model, prepared)
