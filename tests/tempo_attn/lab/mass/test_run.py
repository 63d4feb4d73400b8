"""Attention masses against the eager weights of the plain model, and their table by hand."""

import copy
import json
import warnings

import numpy as np
import pytest
import torch

from tempo_attn.errors import ConfigError, NonFiniteLogitsError, PositionError
from tempo_attn.families import get_family
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.mass.records import MassRecord
from tempo_attn.lab.mass.run import MassMeter
from tempo_attn.lab.mass.table import mass_rows
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.lab.sweep.run import Sweeper
from tempo_attn.statistics import interval_of_mean
from tests.support.lab_items import make_prepared
from tests.support.prompts import SCENES, build_case
from tests.support.tiny_models import FAMILIES

ROWS = [("last",), ("option",), ("keyword", "last")]


@pytest.fixture
def meter(tiny_model, prepared):
    subject = ModelUnderStudy(tiny_model, prepared, tokenizer=prepared.tokenizer)
    return MassMeter(subject, ROWS)


# ------------------------------------------------------------------------------ what is measured


def test_masses_are_the_eager_attention_weights(tiny_model, tiny_processor, prepared, meter):
    """Of every layer: the mean over heads and rows of the softmax on audio, and on the start."""
    case = build_case(tiny_processor, SCENES)  # its rows come from the tokenizer's own offsets
    twin = copy.deepcopy(tiny_model)
    twin.set_attn_implementation({"text_config": "eager"})
    with torch.no_grad():
        output = twin(**prepared.inputs, output_attentions=True)
    logits, masses, over_keys = meter.measure(meter.subject.read(prepared.items))
    assert masses.shape == (2, len(ROWS), len(output.attentions), 2)
    assert over_keys == {}
    assert torch.allclose(logits, output.logits[:, -1, 20:24], atol=1e-4)
    n_checked = 0
    for item in range(2):
        audio = case.audio[item]
        first = int(case.real[item].nonzero()[0])
        assert (first > 0) == (item == 0)  # the first prompt is padded
        for number, names in enumerate(ROWS):
            rows = torch.stack([case.rows[name][item] for name in names]).any(0)
            for layer, weights in enumerate(output.attentions):
                mine = weights[item][:, rows]  # (heads, rows, keys)
                expected = [mine[..., audio].sum(-1).mean(), mine[..., first].mean()]
                found = masses[item, number, layer].tolist()
                assert found == pytest.approx([float(e) for e in expected], abs=1e-5)
                n_checked += 1
    assert n_checked == 2 * 3 * 6
    assert float(masses[..., 0].std()) > 0.01  # nothing uniform that any mean would fit


def test_attention_over_time_is_the_eager_weights_on_each_audio_position(
    tiny_model, tiny_processor, prepared
):
    case = build_case(tiny_processor, SCENES)
    twin = copy.deepcopy(tiny_model)
    twin.set_attn_implementation({"text_config": "eager"})
    with torch.no_grad():
        attentions = twin(**prepared.inputs, output_attentions=True).attentions
    subject = ModelUnderStudy(tiny_model, prepared, tokenizer=prepared.tokenizer)
    records = MassMeter(subject, ROWS, over_time=[4, 1, 4]).run_batch(prepared.items)
    for item, record in enumerate(records):
        assert list(record.over_time) == list(record.audio)
        for names, (label, by_layer) in zip(ROWS, record.over_time.items(), strict=True):
            rows = torch.stack([case.rows[name][item] for name in names]).any(0)
            assert list(by_layer) == ["1", "4"]
            for layer, found in by_layer.items():
                expected = attentions[int(layer)][item][:, rows].mean((0, 1))[case.audio[item]]
                assert found == pytest.approx(expected.tolist(), abs=2e-6)
                assert sum(found) == pytest.approx(record.audio[label][int(layer)], abs=2e-5)
        assert MassRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_attention_over_time_of_a_layer_without_attention_is_none():
    tiny = FAMILIES["granite_speech_hybrid"]()
    masks = {f"{name}_mask": mask for name, mask in tiny.spans.items()}
    prepared = make_prepared({**tiny.inputs, **masks}, n_items=1)
    subject = ModelUnderStudy(tiny.model, prepared, forward=tiny.run)
    attentions = get_family(tiny.config).attentions(tiny.model)
    meter = MassMeter(subject, [("last",)], over_time=range(len(attentions)))
    (record,) = meter.run_batch(prepared.items)
    for layer, module in enumerate(attentions):
        assert (record.over_time["last"][str(layer)] is None) == (module is None)


def test_a_padded_item_alone_or_in_a_batch_is_the_same(prepared, meter):
    """Alone, nothing is padded: the tokens in front are cut off."""
    together = meter.run_batch(prepared.items)
    for item, padded in zip(prepared.items, together, strict=True):
        n_padding = int((prepared.inputs["attention_mask"][item.index] == 0).sum())
        alone = prepared([item])
        for name in ("input_ids", "attention_mask"):
            alone[name] = alone[name][:, n_padding:]
        meter.subject.prepare = lambda items, alone=alone: alone
        (record,) = meter.run_batch([item])
        assert record.plain == pytest.approx(padded.plain, abs=1e-4)
        for rows in padded.audio:
            assert record.audio[rows] == pytest.approx(padded.audio[rows], abs=2e-5)
            assert record.first[rows] == pytest.approx(padded.first[rows], abs=2e-5)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_familys_share_is_what_a_sweep_calls_mass(name):
    """Measured by a full forward with the rows written over, in every layer that has attention."""
    tiny = FAMILIES[name]()
    masks = {f"{name}_mask": mask for name, mask in tiny.spans.items()}
    prepared = make_prepared({**tiny.inputs, **masks}, n_items=1)
    subject = ModelUnderStudy(tiny.model, prepared, forward=tiny.run)
    (record,) = MassMeter(subject, [("last",), ("all_text",)]).run_batch(prepared.items)
    attentions = get_family(tiny.config).attentions(tiny.model)
    layers = [number for number, module in enumerate(attentions) if module is not None]
    variants = [
        Variant(layers=(layer,), rows=(rows,), mode="scale", strength=1.0, role="control")
        for rows in ("last", "all_text")
        for layer in layers
    ]
    (swept,) = Sweeper(subject, variants, engine="full").run_batch(prepared.items)
    assert record.plain == pytest.approx(swept.plain, abs=1e-4)
    for variant, (before, after, *_) in zip(variants, swept.audio, strict=True):
        share = record.audio["+".join(variant.rows)][variant.layers[0]]
        assert share == pytest.approx(before, abs=2e-5)
        assert before == pytest.approx(after, abs=2e-5)
    without = [number for number, module in enumerate(attentions) if module is None]
    for masses in (record.audio, record.first):
        assert all(mass[layer] is None for mass in masses.values() for layer in without)


def test_a_family_without_attention_in_some_layers_is_among_them():
    """The test above must have met a layer of another kind, or it says nothing about those."""
    tiny = FAMILIES["granite_speech_hybrid"]()
    assert None in get_family(tiny.config).attentions(tiny.model)


# ------------------------------------------------------------------------------ records


def test_a_record_goes_through_json(prepared, meter):
    for record in meter.run_batch(prepared.items):
        assert "over_time" not in record.to_dict()
        text = json.dumps(record.to_dict(), allow_nan=False)
        assert MassRecord.from_dict(json.loads(text)) == record
        assert list(record.audio) == list(record.first)
        assert [len(layers) for layers in record.audio.values()] == [6] * len(ROWS)


def test_out_of_memory_halves_the_batch_and_loses_nothing(prepared, meter, monkeypatch):
    (expected,) = meter.run(prepared.items)
    measure, sizes = meter.measure, []

    def scarce(batch):
        sizes.append(len(batch.items))
        if len(batch.items) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return measure(batch)

    monkeypatch.setattr(meter, "measure", scarce)
    (found,) = meter.run(prepared.items)
    assert sizes == [2, 1, 1]
    assert [record.id for record in found] == [record.id for record in expected]
    assert found[1].audio["last"] == pytest.approx(expected[1].audio["last"], abs=2e-5)


def test_what_cannot_be_measured_is_refused(tiny_model, prepared, meter):
    with pytest.raises(ConfigError, match="rows are missing: whose attention"):
        MassMeter(meter.subject, [])
    deaf = dict(prepared.inputs, input_ids=prepared.inputs["input_ids"].clone())
    deaf["input_ids"][1][deaf["input_ids"][1] == tiny_model.config.audio_token_id] = 5
    meter.subject.prepare = lambda items: deaf
    with pytest.raises(PositionError, match="'item 1': no audio positions"):
        meter.run_batch(prepared.items)
    model = copy.deepcopy(tiny_model)
    with torch.no_grad():
        model.get_output_embeddings().weight.fill_(torch.nan)
    with pytest.raises(NonFiniteLogitsError, match="item 0"):
        MassMeter(ModelUnderStudy(model, prepared), [("last",)]).run_batch(prepared.items)


def test_a_set_of_rows_has_one_name_however_it_is_written(meter, prepared):
    """The name that a sweep's tables have, so that the two can be joined."""
    both = MassMeter(meter.subject, [("keyword", "last"), ("last", "keyword")])
    name = "+".join(Variant(layers=(0,), rows=("last", "keyword"), strength=2.0).config().queries)
    assert [list(record.audio) for record in both.run_batch(prepared.items)] == [[name], [name]]


# ------------------------------------------------------------------------------ the table


def record(index, *, right, audio, first=None, cluster=None, rows="last", **fields):
    """An item whose rows give audio these masses, layer by layer."""
    logits = [1.0, 0.0, 0.0, 0.0]
    return MassRecord(
        key=f"{index:064x}",
        index=index,
        id=f"item {index}",
        cluster=cluster or f"clip {index}",
        answer=0 if right else 1,
        plain=logits,
        audio={rows: audio},
        first={rows: first or [0.05] * len(audio)},
        **{"kind": "eo", "condition": "aqa", **fields},
    )


RECORDS = [
    record(0, right=True, audio=[0.2, 0.6], first=[0.1, 0.1], cluster="a"),
    record(1, right=True, audio=[0.4, 0.6], first=[0.3, 0.1], cluster="a"),
    record(2, right=True, audio=[0.6, 0.3], first=[0.2, 0.4], cluster="b"),
    record(3, right=False, audio=[0.1, 0.1], first=[0.0, 0.0], cluster="b"),
    record(4, right=False, audio=[0.2, 0.5], first=[0.4, 0.4], cluster="c"),
]


def of(table, group, layer=0):
    (row,) = [row for row in table if (row["group"], row["layer"]) == (group, layer)]
    return row


def test_the_table_by_hand():
    table = mass_rows(RECORDS)
    assert [(row["group"], row["layer"]) for row in table] == [
        (group, layer) for group in ("all", "right", "wrong", "right - wrong") for layer in (0, 1)
    ]
    assert all(
        (row["kind"], row["condition"], row["rows"]) == ("eo", "aqa", "last") for row in table
    )
    everything, right, wrong = (of(table, group) for group in ("all", "right", "wrong"))
    assert (everything["n"], everything["n_clusters"]) == (5, 3)
    assert (right["n"], right["n_clusters"]) == (3, 2)
    assert (wrong["n"], wrong["n_clusters"]) == (2, 2)
    assert everything["mass"] == pytest.approx(1.5 / 5)
    assert everything["first"] == pytest.approx(1.0 / 5)
    assert everything["text"] == pytest.approx(1 - 0.3 - 0.2)
    assert everything["sd"] == pytest.approx(0.2)  # of 0.2, 0.4, 0.6, 0.1, 0.2: sqrt(0.16 / 4)
    assert (right["mass"], right["sd"]) == (pytest.approx(0.4), pytest.approx(0.2))
    assert (wrong["mass"], wrong["first"]) == (pytest.approx(0.15), pytest.approx(0.2))
    assert wrong["sd"] == pytest.approx(0.1 / 2**0.5, abs=1e-6)
    gap = of(table, "right - wrong")
    assert gap["mass"] == pytest.approx(0.4 - 0.15)
    assert of(table, "right - wrong", 1)["mass"] == pytest.approx(0.5 - 0.3)
    assert (gap["n"], gap["n_clusters"]) == (5, 3)
    assert gap["sd"] is gap["first"] is gap["text"] is None


def test_intervals_are_over_clips():
    table = mass_rows(RECORDS, resamples=500, seed=3, level=0.9)
    audio = np.array([r.audio["last"] for r in RECORDS])
    clusters = [r.cluster for r in RECORDS]
    ends = interval_of_mean(audio, clusters, resamples=500, seed=3, level=0.9)
    for layer in (0, 1):
        row = of(table, "all", layer)
        assert [row["low"], row["high"]] == pytest.approx(ends[layer], abs=1e-6)
        assert row["low"] < row["mass"] < row["high"]
    one = of(mass_rows([r for r in RECORDS if r.cluster == "a"]), "all")
    assert (one["low"], one["high"]) == (None, None)  # one clip has no spread


def test_the_interval_of_the_difference_by_many_draws():
    """Clips are drawn with all their items, right and wrong; draws without a group are left out."""
    rng = np.random.default_rng(0)
    records = [
        record(i, right=bool(rng.random() < 0.5), audio=[float(rng.random())], cluster=f"c{i // 3}")
        for i in range(60)
    ]
    audio = np.array([r.audio["last"][0] for r in records])
    right = np.array([r.answer == 0 for r in records])
    drawn = []
    for _ in range(4000):
        items = (3 * rng.integers(0, 20, 20)[:, None] + np.arange(3)).ravel()
        a, r = audio[items], right[items]
        drawn.append(a[r].mean() - a[~r].mean())
    row = of(mass_rows(records), "right - wrong")
    assert [row["low"], row["high"]] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.02)


def test_one_clip_gives_the_difference_no_interval():
    records = [record(i, right=i > 2, audio=[0.1 * i], cluster="a") for i in range(6)]
    row = of(mass_rows(records), "right - wrong")
    assert row["mass"] == pytest.approx(0.3)
    assert (row["low"], row["high"]) == (None, None)


@pytest.mark.parametrize("right", [True, False])
def test_without_right_or_wrong_items_there_is_no_difference(right):
    table = mass_rows([record(i, right=right, audio=[0.5]) for i in range(3)])
    assert [row["group"] for row in table] == ["all", "right" if right else "wrong"]


def test_a_tie_is_wrong():
    tied = MassRecord.from_dict({**RECORDS[0].to_dict(), "plain": [1.0, 1.0, 0.0, 0.0]})
    assert "right" not in {row["group"] for row in mass_rows([tied])}


def test_kinds_conditions_and_rows_are_apart():
    records = [
        record(0, right=True, audio=[0.1], kind="lo"),
        record(1, right=True, audio=[0.2], kind="eo"),
        record(2, right=True, audio=[0.3], kind="lo", condition="silence"),
        record(3, right=True, audio=[0.5], kind="lo"),
    ]
    table = mass_rows(records[::-1])  # in any order
    masses = {(r["condition"], r["kind"]): r["mass"] for r in table if r["group"] == "all"}
    assert masses == {("aqa", "lo"): 0.3, ("aqa", "eo"): 0.2, ("silence", "lo"): 0.3}
    assert table == mass_rows(records)


def test_a_layer_without_attention_has_no_share():
    records = [
        record(i, right=i > 2, audio=[None, 0.1 * i], first=[None, 0.1], cluster=f"clip {i // 2}")
        for i in range(6)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        table = mass_rows(records)
    for group in ("all", "right", "wrong", "right - wrong"):
        row = of(table, group, 0)
        assert [row[name] for name in ("mass", "low", "high", "sd", "first", "text")] == [None] * 6
        assert of(table, group, 1)["low"] is not None
