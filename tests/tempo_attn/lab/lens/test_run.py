"""The lens against models whose layers are known, against plain hidden states, on every family."""

import copy
import json
from dataclasses import replace
from unittest import mock

import pytest
import torch

from tempo_attn.errors import (
    ConfigError,
    NonFiniteLogitsError,
    PositionError,
    UnsupportedModelError,
)
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.lens.critical import critical_rows
from tempo_attn.lab.lens.records import LensRecord
from tempo_attn.lab.lens.run import Lens, check
from tempo_attn.lab.lens.table import lens_rows
from tests.support import tiny_models
from tests.support.lab_items import CANDIDATES, make_prepared
from tests.support.prompts import SCENES, build_case
from tests.support.tiny_models import AUDIO, FAMILIES

ROWS = ["last", "option", ("keyword", "last"), "audio"]


@pytest.fixture
def lens(tiny_model, prepared):
    return Lens(ModelUnderStudy(tiny_model, prepared, tokenizer=prepared.tokenizer), ROWS)


# ------------------------------------------------------------------------------ known answers

WRITER, N_LAYERS = 2, 4
CLUES = (60, 61, 62, 63)  # a token for each answer, at one place of the prompt
PLACE = 27  # behind the 22 audio tokens, which begin at 5


def knowing_model():
    """A real Qwen2-Audio whose every layer is the identity, but for the attention of one.

    A clue of the answer stands at `PLACE`. Its embedding has 1 in dimension 8 + answer, where no
    other token has anything. The attention of layer `WRITER` is uniform, copies these dimensions to
    0 to 3, and those are what the unembedding reads for the four candidates.
    """
    with mock.patch.dict(tiny_models.TEXT, num_hidden_layers=N_LAYERS):
        tiny = FAMILIES["qwen2_audio"]()
    decoder = tiny.model.get_decoder()
    with torch.no_grad():
        for parameter in tiny.model.model.multi_modal_projector.parameters():
            parameter.zero_()  # audio is heard as nothing
        for layer in decoder.layers:
            for part in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj):
                part.weight.zero_()
                part.bias.zero_()
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        decoder.norm.weight.fill_(2.0)  # a lens without the norm reads other probabilities
        embedding = decoder.embed_tokens.weight
        embedding.zero_()
        embedding[:, 31] = 1.0
        embedding[10:80, 0] = 0.001  # without a clue, the first candidate is a little likelier
        head = tiny.model.get_output_embeddings().weight
        head.zero_()
        writer = decoder.layers[WRITER].self_attn
        for answer, clue in enumerate(CLUES):
            embedding[clue] = 0.0
            embedding[clue, 8 + answer] = 1.0
            head[CANDIDATES[answer], answer] = 1.0
            writer.v_proj.weight[answer, 8 + answer] = 1.0
            writer.o_proj.weight[answer, answer] = 1.0  # of head 0
    return tiny.model, tiny.inputs


@pytest.fixture(scope="module")
def known():
    """Eight items: the clue says the answer, every answer twice."""
    model, inputs = knowing_model()
    assert inputs["input_ids"][0, PLACE - 1] == AUDIO != inputs["input_ids"][0, PLACE]
    inputs = {name: value.repeat(8, *[1] * (value.dim() - 1)) for name, value in inputs.items()}
    inputs["input_ids"][:, PLACE] = torch.tensor(CLUES * 2)
    prepared = make_prepared(inputs)
    subject = ModelUnderStudy(model, prepared)
    reader = Lens(subject, ["last", "all_text", "audio"], candidates=["letters"])
    return model, inputs, reader.run_batch(prepared.items)


def test_information_arrives_where_it_is_written(known):
    """At the last row: chance before the layer that writes the answer, all of it from there on."""
    scores = {
        row["layer"]: row["score"]
        for row in lens_rows(known[2])
        if (row["rows"], row["group"]) == ("last", "all")
    }
    assert scores == {0: 0.25, 1: 0.25, 2: 1.0, 3: 1.0}


def test_the_critical_layer_of_a_known_model(known):
    """s_l = 1 - 1.2 / 4 at layers 2 and 3: their mean.

    Draws of the eight clips in which the first answer is frequent have layers 0 and 1 above chance.
    """
    (row,) = [
        row for row in critical_rows(known[2]) if (row["rows"], row["group"]) == ("last", "all")
    ]
    assert row["weights"] == [0, 0, 0.7, 0.7]
    assert row["critical"] == (2 * 0.7 + 3 * 0.7) / 1.4 == 2.5
    assert (row["high"], row["defined"]) == (2.5, 1.0)
    assert 1.5 < row["low"] < 2.5


def test_rows_before_the_clue_never_know(known):
    """Audio comes before the clue, and is heard as nothing: all candidates are alike, no answer."""
    for record in known[2]:
        assert record.probabilities["letters"]["audio"] == [[0.25] * 4] * N_LAYERS
    scores = [row["score"] for row in lens_rows(known[2]) if row["rows"] == "audio"]
    assert scores
    assert set(scores) == {0.0}


def test_probabilities_of_a_known_model_by_hand(known):
    """The last row is (0.001, 0, ... 1), plus its share of the normed clue; then the norm."""
    _, inputs, records = known
    n_tokens = inputs["input_ids"].shape[1]
    base = torch.zeros(32)
    base[0], base[31] = 0.001, 1.0
    for record in records:
        written = base.clone()
        written[record.answer] += 32**0.5 / n_tokens  # the clue, normed, has the root of the width
        for layer, hidden in enumerate([base, base, written, written]):
            normed = 2.0 * hidden / hidden.square().mean().sqrt()
            expected = normed[:4].softmax(-1)
            found = record.probabilities["letters"]["last"][layer]
            assert found == pytest.approx(expected.tolist(), abs=2e-5)


def test_several_rows_count_the_same(known):
    """All text behind the audio is the clue's own row and the six others, which are alike."""
    _, inputs, records = known
    n_text = inputs["input_ids"].shape[1] - PLACE
    clue = torch.zeros(32)
    clue[8 + records[1].answer] = 1.0
    n_before = PLACE  # the clue sees itself, too
    pooled = records[1].probabilities["letters"]
    for layer in (0, WRITER):
        hidden = clue.clone()
        rest = []
        for place in range(PLACE + 1, inputs["input_ids"].shape[1]):
            row = torch.zeros(32)
            row[0], row[31] = 0.001, 1.0
            if layer == WRITER:
                row[records[1].answer] += 32**0.5 / (place + 1)
            rest.append(row)
        if layer == WRITER:
            hidden[records[1].answer] += 32**0.5 / (n_before + 1)
        rows = torch.stack([hidden, *rest])
        normed = 2.0 * rows / rows.square().mean(-1, keepdim=True).sqrt()
        expected = normed[:, :4].softmax(-1).mean(0)
        assert len(rows) == n_text
        assert pooled["all_text"][layer] == pytest.approx(expected.tolist(), abs=2e-5)


# ------------------------------------------------------------------------------ real models


def test_every_layer_is_the_plain_models_hidden_state(tiny_model, tiny_processor, prepared, lens):
    """Rows by the tokenizer's own offsets; layers by `output_hidden_states`; the norm by hand."""
    case = build_case(tiny_processor, SCENES)
    with torch.no_grad():
        output = tiny_model(**prepared.inputs, output_hidden_states=True)
        decoder = tiny_model.get_decoder()
        raw = [*output.hidden_states[1:-1]]
        normed = [*(decoder.norm(hidden) for hidden in raw), output.hidden_states[-1]]
        logits = [tiny_model.get_output_embeddings()(hidden) for hidden in normed]
    records = lens.run_batch(prepared.items)
    n_checked = 0
    for item, record in enumerate(records):
        ids = prepared.inputs["input_ids"][item].tolist()
        assert record.labels == labels_by_offsets(tiny_processor.tokenizer, ids, SCENES[item][1])
        sets = {
            "last": case.rows["last"][item],
            "option": case.rows["option"][item],
            "last+keyword": case.rows["last"][item] | case.rows["keyword"][item],
            "audio": case.audio[item],
        }
        for name, tokens in (("letters", list(CANDIDATES)), ("labels", record.labels)):
            assert list(record.probabilities[name]) == list(sets)
            for rows, chosen in sets.items():
                assert len(record.probabilities[name][rows]) == len(logits) == 6
                for layer, every in enumerate(logits):
                    expected = every[item][chosen][:, tokens].softmax(-1).mean(0)
                    found = record.probabilities[name][rows][layer]
                    assert found == pytest.approx(expected.tolist(), abs=3e-5)
                    n_checked += 1
    assert n_checked == 2 * 2 * 4 * 6


def labels_by_offsets(tokenizer, ids, options):
    """The first token of each option in a prompt, by the tokenizer's own offsets."""
    start = ids.index(tokenizer.convert_tokens_to_ids("<|audio_eos|>")) + 1
    text = tokenizer.decode(ids[start:])
    parts = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    assert parts["input_ids"] == ids[start:]
    found = []
    for option in options:
        begin = text.index(f". {option}") + 2
        found.append(
            next(
                token
                for token, (left, right) in zip(ids[start:], parts["offset_mapping"], strict=True)
                if left <= begin < right
            )
        )
    return found


def test_labels_are_the_tokens_of_the_prompt_not_of_the_bare_name(prepared, lens, tiny_processor):
    """Behind "A. " it is " Siren", the bare name begins with "S"; and " " stands before "Door"."""
    records = lens.run_batch(prepared.items)
    tokenizer = tiny_processor.tokenizer
    found = [tokenizer.convert_ids_to_tokens(record.labels) for record in records]
    assert found == [["ĠDog", "ĠSiren", "D", "ĠBell"], ["ĠA", "ĠBird", "ĠHorn", "ĠRain"]]


def test_options_that_begin_alike_have_no_reading_of_labels(tiny_model, tiny_processor):
    scenes = [
        ("Which event has the earliest onset?", ["Dog bark", "Dog growl", "Siren", "Bell"], 0.6),
        SCENES[1],
    ]
    inputs = build_case(tiny_processor, scenes).inputs
    prepared = make_prepared(inputs, tiny_processor.tokenizer)
    subject = ModelUnderStudy(tiny_model, prepared, tokenizer=prepared.tokenizer)
    alike, other = Lens(subject, ["last", "option"]).run_batch(prepared.items)
    assert alike.labels[0] == alike.labels[1]
    assert alike.probabilities["labels"] is None
    assert set(alike.probabilities["letters"]) == {"last", "option"}
    assert set(other.probabilities["labels"]) == {"last", "option"}


@pytest.mark.parametrize("name", sorted(set(FAMILIES) - {"gemma3n"}))
def test_the_lens_at_the_end_is_the_model_in_every_family(name):
    """The last layer's last row gives the model's own answer; no other layer does."""
    tiny = FAMILIES[name]()
    masks = {f"{key}_mask": mask for key, mask in tiny.spans.items()}
    prepared = make_prepared({**tiny.inputs, **masks}, n_items=1)
    subject = ModelUnderStudy(tiny.model, prepared, forward=tiny.run)
    reader = Lens(subject, ["last", "all_text", "audio"], candidates=["letters"])
    (record,) = reader.run_batch(prepared.items)
    found = record.probabilities["letters"]
    own = torch.tensor(tiny.logits()[0, -1, list(CANDIDATES)].tolist()).softmax(-1)
    assert found["last"][-1] == pytest.approx(own.tolist(), abs=2e-5)
    assert found["last"][-2] != pytest.approx(own.tolist(), abs=1e-3)
    for layers in found.values():
        assert all(sum(layer) == pytest.approx(1, abs=5e-5) for layer in layers)


def test_a_decoder_with_several_states_says_so():
    tiny = FAMILIES["gemma3n"]()
    prepared = make_prepared(tiny.inputs, n_items=1)
    reader = Lens(ModelUnderStudy(tiny.model, prepared), ["last"], candidates=["letters"])
    with pytest.raises(UnsupportedModelError, match=r"Gemma3nTextDecoderLayer gives \(4, 1, 24"):
        reader.run_batch(prepared.items)


def test_a_padded_item_alone_or_in_a_batch_is_the_same(prepared, lens):
    together = lens.run_batch(prepared.items)
    for item, padded in zip(prepared.items, together, strict=True):
        n_padding = int((prepared.inputs["attention_mask"][item.index] == 0).sum())
        alone = prepared([item])
        for name in ("input_ids", "attention_mask"):
            alone[name] = alone[name][:, n_padding:]
        lens.subject.prepare = lambda items, alone=alone: alone
        (record,) = lens.run_batch([item])
        for kind, by_rows in padded.probabilities.items():
            for rows, layers in by_rows.items():
                for mine, theirs in zip(record.probabilities[kind][rows], layers, strict=True):
                    assert mine == pytest.approx(theirs, abs=3e-5)


def test_nothing_stays_on_the_model(prepared, lens):
    before = [list(layer._forward_hooks) for layer in lens.subject.decoder.layers]
    lens.run_batch(prepared.items)
    assert [list(layer._forward_hooks) for layer in lens.subject.decoder.layers] == before


# ------------------------------------------------------------------------------ checks


def test_a_norm_that_is_not_the_last_one_is_found_out(tiny_model, prepared):
    """A model that does more behind its norm than the lens knows of."""
    model = copy.deepcopy(tiny_model)
    head = model.get_output_embeddings()
    call = head.forward
    head.forward = lambda hidden: call(hidden) * 1.01
    with pytest.raises(UnsupportedModelError, match="final norm and unembedding were not found"):
        Lens(ModelUnderStudy(model, prepared), ["last"], candidates=["letters"]).run_batch(
            prepared.items
        )


@pytest.mark.parametrize(
    ("dtype", "difference", "fine"),
    [
        (torch.float32, 5e-4, True),
        (torch.float32, 2e-3, False),
        (torch.bfloat16, 0.2, True),
        (torch.bfloat16, 2.0, False),
        (torch.float32, float("nan"), False),
    ],
)
def test_the_check_allows_what_rounding_explains(dtype, difference, fine):
    own = torch.tensor([[10.0, 8.0, -3.0, 0.5]])
    found = own + torch.tensor([difference, 0.0, 0.0, 0.0])
    if fine:
        check(found, own, dtype)
    else:
        with pytest.raises(UnsupportedModelError, match="nothing can be read"):
            check(found, own, dtype)


def test_a_bfloat16_model_passes_its_own_check(tiny_model, prepared):
    model = copy.deepcopy(tiny_model).to(torch.bfloat16)
    cast = {
        name: value.to(torch.bfloat16) if value.is_floating_point() else value
        for name, value in prepared.inputs.items()
    }
    subject = ModelUnderStudy(model, lambda items: cast)
    (record, _) = Lens(subject, ["last"], candidates=["letters"]).run_batch(prepared.items)
    own = torch.tensor(record.plain).softmax(-1)
    assert record.probabilities["letters"]["last"][-1] == pytest.approx(own.tolist(), abs=0.02)


def test_logits_that_are_nan_are_refused(tiny_model, prepared):
    model = copy.deepcopy(tiny_model)
    with torch.no_grad():
        model.get_output_embeddings().weight.fill_(torch.nan)
    with pytest.raises(NonFiniteLogitsError, match="item 0"):
        Lens(ModelUnderStudy(model, prepared), ["last"], candidates=["letters"]).run_batch(
            prepared.items
        )


def test_a_layer_that_overflows_is_refused(tiny_model, prepared, lens):
    """Behind the last layer, another row than the last one: the model's own answer survives it."""
    layer = lens.subject.decoder.layers[-1]
    row = int(lens.subject.read(prepared.items).rows(("option",))[0].nonzero()[0])

    def spoil(module, args, output):
        hidden = (output[0] if isinstance(output, tuple) else output).clone()
        hidden[0, row] = torch.inf
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    hook = layer.register_forward_hook(spoil)
    try:
        with pytest.raises(NonFiniteLogitsError):
            lens.run_batch(prepared.items)
    finally:
        hook.remove()


def test_what_cannot_be_read_is_refused(tiny_model, prepared, lens):
    subject = lens.subject
    with pytest.raises(ConfigError, match="rows are missing: where is the lens to look"):
        Lens(subject, [])
    with pytest.raises(ConfigError, match="'first'"):
        Lens(subject, ["first"])
    with pytest.raises(ConfigError, match="candidates"):
        Lens(subject, ["last"], candidates=[])
    with pytest.raises(ConfigError, match="'words'"):
        Lens(subject, ["last"], candidates=["words"])
    with pytest.raises(PositionError, match=r"'item 0': labels are read.*no tokenizer"):
        Lens(ModelUnderStudy(tiny_model, prepared), ["last"]).run_batch(prepared.items)
    few = [replace(item, candidates=CANDIDATES[:3]) for item in prepared.items]
    with pytest.raises(PositionError, match=r"'item 0': found 4 options.*and 3 letters"):
        lens.run_batch(few)


def test_a_model_that_leaves_rows_out_is_asked_for_all(prepared, lens, monkeypatch):
    """Some decoders run their last layers for the last row alone, as long as no more is asked."""
    expected = lens.run_batch(prepared.items)
    lens.subject._more["logits_to_keep"] = 1
    call = lens.subject.call

    def leaving_out(batch, first=0):
        if lens.subject._more.pop("logits_to_keep", None) is None:
            return call(batch)
        lens.subject._more["logits_to_keep"] = 1
        last = lens.subject.decoder.layers[-1]
        enter = last.register_forward_hook(
            lambda module, args, output: output[:, -1:], prepend=True
        )
        try:
            return call(batch)
        finally:
            enter.remove()

    monkeypatch.setattr(lens.subject, "call", leaving_out)
    found = lens.run_batch(prepared.items)
    assert "logits_to_keep" not in lens.subject._more
    assert found == expected


# ------------------------------------------------------------------------------ records


def test_a_record_goes_through_json(prepared, lens):
    for record in lens.run_batch(prepared.items):
        text = json.dumps(record.to_dict(), allow_nan=False)
        assert LensRecord.from_dict(json.loads(text)) == record


def test_a_set_of_rows_has_one_name_however_it_is_written(prepared, lens):
    both = Lens(lens.subject, [("keyword", "last"), "last+keyword", "audio"])
    assert both.rows == [("last", "keyword"), ("audio",)]
    (record, _) = both.run_batch(prepared.items)
    assert list(record.probabilities["letters"]) == ["last+keyword", "audio"]


def test_out_of_memory_halves_the_batch_and_loses_nothing(prepared, lens, monkeypatch):
    (expected,) = lens.run(prepared.items)
    read, sizes = lens.read, []

    def scarce(batch):
        sizes.append(len(batch.items))
        if len(batch.items) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return read(batch)

    monkeypatch.setattr(lens, "read", scarce)
    (found,) = lens.run(prepared.items)
    assert sizes == [2, 1, 1]
    assert [record.id for record in found] == [record.id for record in expected]
    assert found[1].labels == expected[1].labels
