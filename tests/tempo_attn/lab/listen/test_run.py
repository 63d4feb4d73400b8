"""Where heads look: a model in which one head hears the event, and eager attention weights."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tempo_attn.errors import ConfigError
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.engine.option_names import name_rows
from tempo_attn.lab.listen.change import changes, last_rows
from tempo_attn.lab.listen.figures import listens
from tempo_attn.lab.listen.records import ListenRecord
from tempo_attn.lab.listen.run import Listener, Truth
from tempo_attn.lab.listen.table import MEAN, best_rows, listen_rows
from tests.support.listening import BIASED, HEAD, LAYER, RATE, listening_items, listening_model
from tests.support.twins import Twins, twin


def listener_of(model, twins, truths, **more):
    subject = ModelUnderStudy(model, twins, tokenizer=twins.clean.tokenizer)
    return Listener(subject, more.pop("rows", [("last",)]), truths, twin, **more)


@pytest.fixture(scope="module")
def heard(tiny_processor):
    twins, truths = listening_items(tiny_processor)
    listener = listener_of(listening_model(tiny_processor), twins, truths, recorded=[LAYER])
    return [record for batch in listener.run(twins.items) for record in batch]


def test_the_head_that_hears_is_found_and_no_other(heard):
    """From the rows of each option's name, at the event of that name."""
    table = listen_rows(heard)
    assert {(row["rows"], row["target"]) for row in table} == {
        ("name", "right"), ("name", "others"), ("last", "right"),
    }  # fmt: skip
    for row in table:
        if row["rows"] == "name" and (row["layer"], row["head"]) == (LAYER, HEAD):
            assert listens(row)
            assert row["iou"] > 0.97
            assert row["hit"] == 1
            assert row["error"] < 0.05
            assert max(row[name] for name in ("chance", "silence", "other_clips")) < 0.4
            assert row["mass"] > 0.9
        elif (row["layer"], row["head"]) != (LAYER, MEAN):  # which that head is a part of
            assert not listens(row)


def test_a_head_that_looks_at_the_end_is_the_same_in_silence(heard):
    rows = [r for r in listen_rows(heard) if (r["layer"], r["head"]) == (LAYER, BIASED)]
    assert len(rows) == 3
    for row in rows:
        assert row["n"] > 0
        assert row["above_silence"] == 0
        assert row["above_silence_p"] == 1


def test_the_best_head_is_told_of_the_other_half(heard):
    (head,) = [
        row
        for row in best_rows(heard)
        if (row["rows"], row["target"], row["best"]) == ("name", "right", "head")
    ]
    assert (head["layer"], head["head"]) == (LAYER, HEAD)
    assert (head["n"], head["n_chosen_on"]) == (8, 8)
    assert head["iou"] > 0.97
    assert head["wrong_and_not_attended"] == 0
    assert head["right"] + head["wrong_though_attended"] == pytest.approx(1)


def test_records_come_back_and_are_the_same_every_time(heard, tiny_processor):
    twins, truths = listening_items(tiny_processor)
    again = listener_of(listening_model(tiny_processor), twins, truths, recorded=[LAYER])
    records = [record for batch in again.run(twins.items) for record in batch]
    lines = [json.dumps(record.to_dict()) for record in heard]
    assert [json.dumps(record.to_dict()) for record in records] == lines
    assert [ListenRecord.from_dict(json.loads(line)) for line in lines] == [
        ListenRecord.from_dict(record.to_dict()) for record in heard
    ]
    for record in heard:
        shown = record.over_time["name"][str(LAYER)]
        ((start, end),) = record.events[record.answer]
        event = slice(round(RATE * start), round(RATE * end))
        assert min(shown[event]) > 2 * np.median(shown)
        assert len(shown) == record.n_positions == 50


def test_windows_are_those_of_the_eager_weights(tiny_model, prepared):
    """Of every layer and head, from each option's own name and from the rows that are asked for."""
    twins = Twins(prepared)
    events = [[(0.1, 0.3)], None, [(0.2, 0.4), (0.45, 0.5)], [(0.0, 0.52)]]
    truths = {
        item.key: Truth(
            25.0, 9.0, [*events[: item.answer], [(0.1, 0.3)], *events[item.answer + 1 :]]
        )
        for item in prepared.items
    }
    listener = listener_of(tiny_model, twins, truths, rows=[("last", "keyword")])
    eager = copy.deepcopy(tiny_model)
    eager.set_attn_implementation({"text_config": "eager"})
    batch = listener.subject.read(prepared.items)
    names = torch.stack(name_rows(batch), 1)
    asked = batch.rows(("last", "keyword"))
    assert torch.equal(names.any(1), batch.rows(("option",)))
    assert int(names.sum()) == int(names.any(1).sum())  # no token is in two names
    for inputs, silent in ((twins.clean.inputs, False), (twins.corrupted.inputs, True)):
        with torch.no_grad():
            weights = eager(**inputs, output_attentions=True).attentions
        for row, record in enumerate(listener.run_batch(prepared.items)):
            audio = batch.audio[row]
            assert record.n_positions == int(audio.sum())
            for look in record.looks:
                rows = (names[row, look.option] if look.rows == "name" else asked[row]).bool()
                for layer, of_layer in enumerate(weights):
                    mine = of_layer[row][:, rows][..., audio].mean(1).double()
                    mine = torch.cat([mine, mine.mean(0, keepdim=True)])
                    sums = mine.unfold(-1, look.width, 1).sum(-1)
                    starts = (look.silent if silent else look.starts)[layer]
                    found = sums[range(len(starts)), starts]
                    assert found == pytest.approx(sums.max(-1).values, abs=1e-6)
                    if not silent:
                        assert look.masses[layer] == pytest.approx(found.tolist(), abs=2e-5)


def test_an_event_that_the_clip_does_not_have_is_not_looked_for(tiny_model, prepared):
    twins = Twins(prepared)
    only = {
        item.key: Truth(25.0, 9.0, [[(0.1, 0.2)] if n == item.answer else None for n in range(4)])
        for item in prepared.items
    }
    for record in listener_of(tiny_model, twins, only).run_batch(prepared.items):
        assert [(look.rows, look.option) for look in record.looks] == [
            ("name", record.answer), ("last", record.answer),
        ]  # fmt: skip


def test_changes_are_those_of_plain_hooks(tiny_model, prepared):
    """The last token's attention, where what leaves the later layers is moved, by torch's hooks."""
    twins = Twins(prepared)
    subject = ModelUnderStudy(tiny_model, twins, tokenizer=prepared.tokenizer)
    batch = subject.read(prepared.items)
    counts = [int(n) for n in batch.audio.sum(1)]
    eager = copy.deepcopy(tiny_model)
    eager.set_attn_implementation({"text_config": "eager"})
    layers = eager.get_decoder().layers
    later = range(len(layers) // 2, len(layers))

    def attention(inputs, steps=None):
        states, hooks = {}, []
        for layer in later:

            def hook(module, args, output, layer=layer):
                first = output[0] if isinstance(output, tuple) else output
                if steps is not None:
                    first = first.clone()
                    first[:, -1] += steps[layer]
                states[layer] = first[:, -1]
                return (first, *output[1:]) if isinstance(output, tuple) else first

            hooks.append(layers[layer].register_forward_hook(hook))
        with torch.no_grad():
            weights = eager(**inputs, output_attentions=True).attentions
        for one in hooks:
            one.remove()
        on_audio = [
            [w[row, :, -1][:, batch.audio[row]] for row in range(len(batch.items))] for w in weights
        ]
        return on_audio, states

    one, states = attention(twins.clean.inputs)
    other, others = attention(twins.corrupted.inputs)
    moved, _ = attention(
        twins.clean.inputs, {layer: states[layer] - others[layer] for layer in later}
    )
    plain = {
        layer: [torch.cat([w, w.mean(0, keepdim=True)]).double().numpy() for w in of_layer]
        for layer, of_layer in enumerate(one)
    }
    assert bool(last_rows(batch)[:, -1].all())
    pairs = [(item, twin(item)) for item in prepared.items]
    found = changes(subject, batch, pairs, counts, plain)
    assert list(found["asked"]) == list(range(len(layers)))
    assert list(found["steered"]) == list(later)[1:]
    for reading, after, before in (("asked", one, other), ("steered", moved, one)):
        for layer, of_layer in found[reading].items():
            for row, change in enumerate(of_layer):
                expected = after[layer][row] - before[layer][row]
                assert change[:-1] == pytest.approx(expected.numpy(), abs=1e-5)
    largest = max(float(np.abs(one).max()) for of in found["steered"].values() for one in of)
    assert largest > 1e-3  # else nothing would be tested


def test_a_change_is_recorded_as_readings_of_their_own(tiny_model, prepared):
    twins = Twins(prepared)
    truths = {item.key: Truth(25.0, 9.0, [[(0.1, 0.3)]] * 4) for item in prepared.items}

    def asked(item):
        return replace(item, content=None), twin(item)

    listener = listener_of(tiny_model, twins, truths, asked=asked)
    table = listen_rows(listener.run_batch(prepared.items))
    of_changes = [row for row in table if row["reading"] != "attention"]
    assert {(row["reading"], row["rows"]) for row in of_changes} == {
        ("asked", "last"), ("steered", "last"),
    }  # fmt: skip
    assert all(row["silence"] is None for row in of_changes)
    steered = [row for row in of_changes if row["reading"] == "steered"]
    assert all((row["n"] == 0) == (row["layer"] <= 3) for row in steered)


def test_layers_to_record(tiny_model, prepared):
    twins = Twins(prepared)
    with pytest.raises(ConfigError, match="no layer 6"):
        listener_of(tiny_model, twins, {}, recorded=[6])
    with pytest.raises(ConfigError, match="3 layers; expected 2 at most"):
        listener_of(tiny_model, twins, {}, recorded=[0, 1, 2])
