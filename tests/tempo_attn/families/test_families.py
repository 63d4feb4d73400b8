"""Every family on a tiny model: where its audio is, which modules attend, and that edits are right.

The edits are made without the attention wrapper: a hand-made plan for one layer, compared with a
dense reference that builds the whole matrix of logits and edits it entry by entry.
"""

import inspect
import sys
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
import transformers
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import (
    _get_feat_extract_output_lengths as qwen3_lengths,
)

import tempo_attn.families
from tempo_attn.attention.edited_attention import LayerEdit
from tempo_attn.attention.row_plan import RowPlan
from tempo_attn.errors import UnknownFamilyError, UnsupportedInputError, UnsupportedModelError
from tempo_attn.families import _FAMILIES, get_family, model_types
from tempo_attn.families.refused import REFUSED
from tempo_attn.families.shared.audio_lengths import encoder_tokens, qwen3_encoder_tokens
from tests.support.paths import ROOT
from tests.support.tiny_models import AUDIO, FAMILIES, TOO_NEW, lay_out, without_timm
from tests.support.tiny_processors import PROCESSORS, save_processor

ALPHA = 3.0
NAMES = sorted(FAMILIES)
_BUILT = {}


@pytest.fixture(autouse=True)
def timm_is_not_needed(monkeypatch):
    """Gemma 3n's vision tower is left out: see `without_timm`."""
    monkeypatch.setattr("tempo_attn.families.gemma3n.require_extra", lambda *args: None)
    with without_timm():
        yield


def tiny_of(name):
    if name not in _BUILT:
        _BUILT[name] = FAMILIES[name]()
    return _BUILT[name]


@pytest.fixture(params=NAMES)
def tiny(request):
    return tiny_of(request.param)


# ------------------------------------------------------------------------------ helpers


def qwen2_5_lengths(frames):
    """Positions by the model's own encoder."""
    modules = tiny_of("qwen2_5_omni_thinker").model.named_modules()
    encoder = next(module for name, module in modules if name.endswith("audio_tower"))
    return encoder._get_feat_extract_output_lengths(frames)[1]


class OneEdit:
    """A session with one plan for all layers."""

    def __init__(self, plan):
        self.plan = plan
        self.seen = []

    def plan_for(self, layer):
        return self.plan

    def applied(self, layer, seen):
        self.seen.append((layer, seen.tolist()))


def last_row_plan(keys, layer):
    """Scale the last query row's logits on `keys`, in every batch row."""
    chosen = torch.zeros_like(keys)
    chosen[:, -1] = True
    return RowPlan.of(chosen, keys, 0, "scale", ALPHA, {layer: None})


class Redirected:
    """A layer's attention sent through `attend` with a plan, and back."""

    def __init__(self, family, attention, plan, layer):
        self.family, self.attention, self.layer = family, attention, layer
        self.session = OneEdit(plan)

    def __enter__(self):
        self.attention._tempo_edit = LayerEdit(self.layer, self.session)
        self.undo = self.family.redirect(self.attention)
        return self.session

    def __exit__(self, *error):
        self.undo()
        del self.attention._tempo_edit


def edited_layer(tiny, family):
    """The last layer with attention that can be checked to the end: the highest one."""
    attentions = family.attentions(tiny.model)
    layer = max(i for i, attention in enumerate(attentions) if attention is not None)
    return layer, attentions[layer]


def output_of(attention, call):
    """Run `call` and return it with the attention module's output, (batch, tokens, hidden)."""
    caught = []
    handle = attention.register_forward_hook(lambda module, args, out: caught.append(out[0]))
    try:
        return call(), caught[-1]
    finally:
        handle.remove()


def all_keys(spans):
    return torch.stack(list(spans.values())).any(0)


def dense(query, key, value, mask, scaling, keys):
    """Attention with whole matrices in float64; the last row's logits on `keys` times ALPHA.

    Shapes (batch, heads, tokens, dim); one query head at a time.
    """
    n_heads, n_queries = query.shape[1], query.shape[2]
    group = n_heads // key.shape[1]
    out = torch.empty(*query.shape[:3], value.shape[-1], dtype=torch.float64)
    for row in range(len(query)):
        for head in range(n_heads):
            k, v = key[row, head // group].double(), value[row, head // group].double()
            logits = query[row, head].double() @ k.T * scaling
            for position in keys[row].nonzero()[:, 0].tolist():
                logits[n_queries - 1, position] *= ALPHA
            if mask is not None:
                logits = logits + mask[row, 0].double()
            out[row, head] = logits.softmax(-1) @ v
    return out.to(query.dtype).transpose(1, 2)


def reference_logits(tiny, attention, inputs, keys):
    """Logits of the model with the dense reference in the place of one layer's kernel."""
    called = []
    if hasattr(attention, "_flash_attention_forward"):

        def kernel(query, key, value, padding_mask, *args, **kwargs):
            called.append(1)
            length = query.shape[1]
            allowed = torch.ones(length, length).tril().bool().expand(len(query), 1, -1, -1)
            if padding_mask is not None:
                allowed = allowed & padding_mask.bool()[:, None, None]
                allowed = allowed | torch.eye(length, dtype=torch.bool)
            mask = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)
            q, k, v = (t.transpose(1, 2) for t in (query, key, value))
            return dense(q, k, v, mask, q.shape[-1] ** -0.5, keys)

        with mock.patch.object(attention, "_flash_attention_forward", kernel):
            logits = tiny.logits(inputs)
    else:
        file = sys.modules[type(attention).__module__]
        original = file.eager_attention_forward

        def eager(module, query, key, value, attention_mask, *args, scaling=None, **kwargs):
            if module is not attention:
                out = original(
                    module, query, key, value, attention_mask, *args, scaling=scaling, **kwargs
                )
                return out
            called.append(1)
            return dense(query, key, value, attention_mask, scaling, keys), None

        with as_eager(tiny), mock.patch.object(file, "eager_attention_forward", eager):
            logits = tiny.logits(inputs)
    assert called == [1]
    return logits


@contextmanager
def as_eager(tiny):
    """Run a model's decoder with its eager attention for a while."""
    decoder = get_family(tiny.config).decoder(tiny.model)
    decoder.set_attn_implementation("eager")
    try:
        yield
    finally:
        decoder.set_attn_implementation("sdpa")


def apart(a, b):
    """Largest difference, relative to the magnitude."""
    return float((a - b).abs().max() / b.abs().max())


# ------------------------------------------------------------------------------ each family


def test_spans_are_where_the_prompt_was_laid_out(tiny):
    family = get_family(tiny.config)
    for inputs, wanted in ((tiny.inputs, tiny.spans), (tiny.batch, tiny.batch_spans)):
        found = family.spans(tiny.config, inputs)
        assert set(found) == set(wanted) == set(family.key_spans)
        for name, mask in wanted.items():
            assert mask.any(1).all()
            assert torch.equal(found[name], mask)
        assert torch.equal(family.audio_mask(tiny.config, inputs), wanted["audio"])
        assert family.token_ids(inputs).shape == wanted["audio"].shape


def test_the_model_is_accepted(tiny):
    family = get_family(tiny.config)
    family.check_model(tiny.model)
    family.check_inputs(tiny.config, tiny.inputs)


def test_the_audio_matters(tiny):
    features = {"input_features", "audio_input_features", "batch_features"}
    features |= {"whisper_input_feature", "input_values"}
    silent = {k: v * 0 if k in features else v for k, v in tiny.inputs.items()}
    assert apart(tiny.logits(silent), tiny.logits()) > 1e-3


def test_every_layer_is_found(tiny):
    """Counted by hand in the configurations; the hybrid's middle layer has no attention."""
    attentions = get_family(tiny.config).attentions(tiny.model)
    assert len(attentions) == (5 if tiny.name.startswith("gemma") else 3)
    assert [i for i, attention in enumerate(attentions) if attention is None] == (
        [1] if tiny.name == "granite_speech_hybrid" else []
    )
    found = [attention for attention in attentions if attention is not None]
    assert len({id(attention) for attention in found}) == len(found)
    run = []
    handles = [
        attention.register_forward_hook(lambda *args, number=number: run.append(number))
        for number, attention in enumerate(found)
    ]
    tiny.logits()
    for handle in handles:
        handle.remove()
    assert run == list(range(len(found)))


def test_a_redirected_layer_without_a_plan_changes_nothing(tiny):
    family = get_family(tiny.config)
    before = tiny.logits()
    layer, attention = edited_layer(tiny, family)
    with Redirected(family, attention, None, layer):
        assert torch.equal(tiny.logits(), before)
    assert torch.equal(tiny.logits(), before)


# Kimi-Audio's kernel is its own.
BASES = [(name, base) for name in NAMES for base in ("sdpa", "eager")]
BASES.remove(("kimi_audio", "eager"))


@pytest.mark.parametrize(("name", "base"), BASES)
@pytest.mark.parametrize("rows", ["one", "batch"])
def test_an_edit_is_the_dense_reference(name, base, rows):
    """Last row, alpha = 3, last layer: that row as by hand, every other bit for bit."""
    tiny = tiny_of(name)
    inputs, spans = (tiny.inputs, tiny.spans) if rows == "one" else (tiny.batch, tiny.batch_spans)
    family = get_family(tiny.config)
    layer, attention = edited_layer(tiny, family)
    keys = all_keys(spans)
    wanted = reference_logits(tiny, attention, inputs, keys)

    def run():
        before, plain = output_of(attention, lambda: tiny.logits(inputs))
        with Redirected(family, attention, last_row_plan(keys, layer), layer) as session:
            edited, changed = output_of(attention, lambda: tiny.logits(inputs))
        assert session.seen == [(layer, [True] * len(keys))]
        assert torch.equal(tiny.logits(inputs), before)
        assert torch.equal(changed[:, :-1], plain[:, :-1])
        assert (changed[:, -1] != plain[:, -1]).any(-1).all()
        assert torch.equal(edited[:, :-1], before[:, :-1])
        assert apart(edited[:, -1], before[:, -1]) > 1e-3
        assert apart(edited[:, -1], wanted[:, -1]) < 1e-5

    if base == "eager":
        with as_eager(tiny):
            run()
    else:
        run()


def test_every_layer_can_be_edited(tiny):
    """A plan for each layer in turn changes the last row, and only in that layer's output."""
    family = get_family(tiny.config)
    keys = all_keys(tiny.spans)
    for layer, attention in enumerate(family.attentions(tiny.model)):
        if attention is None:
            continue
        _, plain = output_of(attention, tiny.logits)
        with Redirected(family, attention, last_row_plan(keys, layer), layer) as session:
            _, changed = output_of(attention, tiny.logits)
        assert session.seen == [(layer, [True])]
        assert torch.equal(changed[:, :-1], plain[:, :-1])
        assert not torch.equal(changed[:, -1], plain[:, -1])


# ------------------------------------------------------------------------------ single families


def test_a_single_audio_token_of_qwen2_audio_is_refused():
    """The model would expand it inside its forward, where positions cannot be followed."""
    tiny = tiny_of("qwen2_audio")
    ids, _ = lay_out([(5, 1, 7)])
    with pytest.raises(UnsupportedInputError, match="Let the processor expand it"):
        get_family(tiny.config).check_inputs(tiny.config, tiny.inputs | ids)


def test_voxtral_knows_its_audio_token_without_a_configured_one():
    family = get_family(tiny_of("voxtral").config)
    assert family.audio_token_id(transformers.VoxtralConfig()) == 24
    assert family.audio_token_id(transformers.VoxtralConfig(audio_token_id=30)) == 30


def test_padding_with_the_audio_token_is_not_audio():
    """GLM-ASR's audio token is its pad token."""
    config = tiny_of("glmasr").config
    inputs, audio = lay_out([(5, 9, 7), (2, 4, 3)], pad=AUDIO)
    assert bool((inputs["input_ids"][1, :12] == AUDIO).all())
    family = get_family(config)
    assert torch.equal(family.audio_mask(config, inputs), audio)
    prepared = inputs | {"attention_mask": {"full_attention": torch.ones(2, 1, 21, 21).tril()}}
    assert torch.equal(family.audio_mask(config, prepared), audio)
    ids = {"input_ids": inputs["input_ids"][:1]}
    assert torch.equal(family.audio_mask(config, ids), audio[:1])


@pytest.mark.parametrize(
    ("name", "thinker"),
    [
        ("qwen2_5_omni", transformers.Qwen2_5OmniThinkerForConditionalGeneration),
        ("qwen3_omni_moe", transformers.Qwen3OmniMoeThinkerForConditionalGeneration),
    ],
)
def test_the_thinker_of_a_full_omni_checkpoint_is_loaded(name, thinker, tmp_path):
    """The Auto class would load a model without a forward; the family's class gives the thinker."""
    tiny = tiny_of(name)
    family = get_family(tiny.config)
    assert not any(cls.__dict__.get("forward") for cls in type(tiny.model).__mro__[:1])
    tiny.model.save_pretrained(tmp_path)
    assert family.auto_class is thinker
    loaded = family.auto_class.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(loaded(**tiny.inputs).logits, tiny.logits())
    assert get_family(loaded.config) is family


def test_gemma4_without_an_audio_encoder_is_refused():
    tiny = tiny_of("gemma4")
    deaf = mock.Mock(config=mock.Mock(audio_config=None, _name_or_path="gemma"))
    get_family(tiny.config).check_model(tiny.model)
    with pytest.raises(UnsupportedModelError, match="no audio encoder"):
        get_family(tiny.config).check_model(deaf)


def test_a_key_outside_a_sliding_window_is_not_edited():
    """Gemma's sliding layers see 12 positions: audio before them is out of the last row's reach."""
    tiny = tiny_of("gemma4")
    family = get_family(tiny.config)
    attention = family.attentions(tiny.model)[0]
    assert attention.sliding_window == 12
    keys = tiny.spans["audio"].clone()
    keys[:, -12:] = False
    with Redirected(family, attention, last_row_plan(keys, 0), 0) as session:
        edited = tiny.logits()
    assert session.seen == [(0, [False])]
    assert apart(edited, tiny.logits()) < 1e-5


def test_desta_tells_its_prompt_before_forward_and_generate():
    """The LLM sees embeddings only; `watch` is told the arguments that `spans` understands."""
    tiny = tiny_of("desta25")
    family = get_family(tiny.config)
    before = tiny.logits()
    told = []
    undo = family.watch(tiny.model, told.append)
    assert torch.equal(tiny.logits(tiny.batch), tiny.logits(tiny.batch))
    tiny.model.generate(tiny.inputs, max_new_tokens=3, do_sample=False)
    assert len(told) == 3
    for inputs, wanted in ((told[0], tiny.batch_spans), (told[2], tiny.spans)):
        found = family.spans(tiny.config, inputs)
        assert all(torch.equal(found[name], wanted[name]) for name in family.key_spans)
        assert family.token_ids(inputs) is inputs["input_ids"]
        assert inputs["attention_mask"].shape == inputs["input_ids"].shape
    undo()
    assert torch.equal(tiny.logits(), before)
    assert len(told) == 3


def test_desta_decoder_inside_a_lora_is_found():
    peft = pytest.importorskip("peft")
    tiny = FAMILIES["desta25"]()
    family = get_family(tiny.config)
    plain = family.attentions(tiny.model)
    lora = peft.LoraConfig(target_modules=["q_proj", "v_proj"], r=2, init_lora_weights=False)
    torch.manual_seed(0)
    peft.get_peft_model(tiny.model.llm_model, lora)  # in place
    assert family.attentions(tiny.model) == plain
    assert isinstance(plain[0].q_proj, peft.tuners.lora.LoraLayer)


def test_a_model_inside_peft_has_the_same_layers():
    peft = pytest.importorskip("peft")
    for name in ("audioflamingo3", "qwen2_5_omni", "phi4_multimodal", "kimi_audio"):
        tiny = FAMILIES[name]()
        family = get_family(tiny.config)
        plain = family.attentions(tiny.model)
        lora = peft.LoraConfig(target_modules=["o_proj"], r=2)
        assert family.attentions(peft.PeftModel(tiny.model, lora)) == plain


def test_the_wrong_class_is_refused():
    for name, missing in (("desta25", "llm_model"), ("kimi_audio", "_flash_attention_forward")):
        family = get_family(tiny_of(name).config)
        with pytest.raises(UnsupportedModelError, match=missing):
            family.check_model(tiny_of("qwen2_audio").model)


def test_kimi_answers_from_a_cache_of_tuples():
    """A step's new row is edited at its absolute position, on the audio of the prompt."""
    tiny = tiny_of("kimi_audio")
    family = get_family(tiny.config)
    layer, attention = edited_layer(tiny, family)
    length = tiny.inputs["input_ids"].shape[1]
    whole = {k: v for k, v in tiny.inputs.items() if k != "attention_mask"}
    step = torch.tensor([[20]])
    grown = {k: torch.cat([whole[k], step], 1) for k in ("input_ids", "text_input_ids")}
    mask = torch.nn.functional.pad(whole["is_continuous_mask"], (0, 1))
    plan = last_row_plan(mask, layer)
    with Redirected(family, attention, plan, layer):
        wanted = tiny.logits(whole | grown | {"is_continuous_mask": mask})[:, -1]
    with torch.no_grad():
        past = tiny.model(**whole).past_key_values
        plan = last_row_plan(mask[:, -1:], layer)
        plan.keys, plan.first = mask, length
        with Redirected(family, attention, plan, layer) as session:
            logits = tiny.model(step, step, past_key_values=past).logits
    assert session.seen == [(layer, [True])]
    assert apart(logits[:, -1], wanted) < 1e-5


# ------------------------------------------------------------------------------ processors


LONGEST = {"gemma3n": 1.5}  # its twelve positions; the released model's 188 are 30 s


@pytest.mark.parametrize("name", sorted(PROCESSORS))
@pytest.mark.parametrize("seconds", [0.1, 0.97, 1.0, 2.3, 5.0])
def test_a_waveform_fills_the_counted_positions(name, seconds):
    """Real processor and real model, two rows of different lengths, several windows."""
    if seconds > LONGEST.get(name, seconds):
        pytest.skip("longer than the tiny model hears")
    tiny, processor = tiny_of(name), PROCESSORS[name]()
    family = get_family(tiny.config)
    family.check(tiny.config, processor)
    rng = np.random.default_rng(0)
    lengths = [int(seconds * 16000) + 37, 6000]
    waves = [0.1 * rng.standard_normal(length).astype(np.float32) for length in lengths]
    texts = ["<audio>what is it?", "<audio>and this one, which is longer?"]
    prompts = [family.chat(processor, [{"role": "user", "content": text}]) for text in texts]
    inputs = family.process(processor, prompts, waves)
    found = family.audio_mask(tiny.config, inputs) & inputs["attention_mask"].bool()
    assert found.sum(1).tolist() == [family.n_audio_tokens(processor, n) for n in lengths]
    assert inputs["attention_mask"][:, -1].tolist() == [1, 1]  # padded on the left
    family.prepare(tiny.model)
    logits = tiny.logits(dict(inputs))
    assert torch.isfinite(logits).all()
    silent = tiny.logits(dict(family.process(processor, prompts, [wave * 0 for wave in waves])))
    assert (logits[:, -1] != silent[:, -1]).any(-1).all()


@pytest.mark.parametrize("name", sorted(PROCESSORS))
def test_a_saved_checkpoint_is_loaded_by_the_family(name, tmp_path):
    """As the harness does it: processor and model from one folder."""
    tiny = tiny_of(name)
    save_processor(PROCESSORS[name](), tmp_path)
    tiny.model.save_pretrained(tmp_path)
    family = get_family(transformers.AutoConfig.from_pretrained(tmp_path))
    processor = family.load_processor(str(tmp_path))
    model = family.auto_class.from_pretrained(tmp_path).eval()
    family.check(model.config, processor)
    with torch.no_grad():
        # Not bit by bit: Gemma 3n's kernels differ between a built model and a loaded one.
        torch.testing.assert_close(model(**tiny.inputs).logits, tiny.logits(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["qwen2_5_omni", "qwen3_omni_moe"])
def test_the_thinker_is_loaded_out_of_a_full_checkpoint(name, tmp_path):
    tiny = tiny_of(name)
    tiny.model.save_pretrained(tmp_path)
    model = get_family(tiny.config).auto_class.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(model(**tiny.inputs).logits, tiny.logits())


def test_an_omni_processor_is_loaded_without_its_eyes(tmp_path):
    """Settings and template come from whichever file has them."""
    save_processor(PROCESSORS["qwen2_5_omni_thinker"](), tmp_path)
    processor = get_family(tiny_of("qwen2_5_omni").config).load_processor(str(tmp_path))
    assert isinstance(processor, transformers.Qwen2_5OmniProcessor)
    assert processor.image_processor is processor.video_processor is None
    (tmp_path / "chat_template.json").unlink()
    (tmp_path / "chat_template.jinja").write_text("newer")
    again = get_family(tiny_of("qwen2_5_omni").config).load_processor(str(tmp_path))
    assert again.chat_template == "newer"


def test_longer_audio_than_the_window_is_heard():
    processor = PROCESSORS["audioflamingo3"]()
    family = get_family(tiny_of("audioflamingo3").config)
    assert family.max_seconds(processor) == 3.0
    assert family.n_audio_tokens(processor, 48000) == 75
    assert family.n_audio_tokens(processor, 480000) == 75


def test_two_clips_in_a_prompt_are_refused_where_the_processor_pairs_them():
    processor = PROCESSORS["audioflamingo3"]()
    family = get_family(tiny_of("audioflamingo3").config)
    wave = np.ones(3200, dtype=np.float32)
    prompts = [
        family.chat(processor, [{"role": "user", "content": content}])
        for content in ("<audio>one", "<audio><audio>two")
    ]
    with pytest.raises(UnsupportedInputError, match="row 1 of the batch has 2 audio markers"):
        family.process(processor, prompts, [wave, wave, wave])


@pytest.mark.parametrize(
    ("tokens", "lengths"),
    [
        (encoder_tokens, qwen2_5_lengths),
        (qwen3_encoder_tokens, qwen3_lengths),
    ],
)
def test_frames_to_positions_is_what_the_models_own_code_says(tokens, lengths):
    frames = torch.arange(1, 3001)
    assert [tokens(n) for n in frames.tolist()] == lengths(frames).tolist()


# ------------------------------------------------------------------------------ the registry


def test_every_registered_type_resolves():
    for model_type in model_types():
        family = get_family(mock.Mock(model_type=model_type, _name_or_path=""))
        assert model_type in family.model_types
    assert len(model_types()) == sum(len(family.model_types) for family in _FAMILIES)


def test_every_family_has_a_tiny_model():
    tested = {tiny_of(name).config.model_type for name in NAMES}
    assert set(model_types()) - tested == TOO_NEW
    assert not set(model_types()) & set(REFUSED)


def test_a_refused_model_gets_its_reason():
    for model_type, reason in REFUSED.items():
        with pytest.raises(UnsupportedModelError) as error:
            get_family(mock.Mock(model_type=model_type, _name_or_path="some/model"))
        assert reason in str(error.value)
        assert "some/model" in str(error.value)
    for model_type in ("voxtral_realtime", "kyutai_speech_to_text", "moshi"):
        assert "no position of its prompts is audio" in REFUSED[model_type]
    assert "cross-attention" in REFUSED["whisper"]
    assert "only a few layers" in REFUSED["nemotron_h_omni"]


def test_an_unknown_model_is_told_what_there_is():
    with pytest.raises(UnknownFamilyError) as error:
        get_family(mock.Mock(model_type="voxtrol", _name_or_path=""))
    assert "Did you mean 'voxtral'?" in str(error.value)
    assert all(model_type in str(error.value) for model_type in model_types())


def test_a_family_is_a_short_file():
    folder = Path(tempo_attn.families.__file__).parent
    files = {Path(inspect.getfile(type(family))) for family in _FAMILIES}
    assert {file.parent for file in files} == {folder, folder / "desta", folder / "kimi"}
    assert all(len(file.read_text().splitlines()) < 80 for file in files)


def test_the_documentation_shows_the_real_file_and_every_type():
    page = (ROOT / "docs" / "families.md").read_text()
    folder = Path(tempo_attn.families.__file__).parent
    assert f"```python\n{(folder / 'qwen3_asr.py').read_text()}```" in page
    assert "    Qwen3Asr(),\n" in (folder / "__init__.py").read_text()
    assert all(f"`{model_type}`" in page for model_type in (*model_types(), *REFUSED))
