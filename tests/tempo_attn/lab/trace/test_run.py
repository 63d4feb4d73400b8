"""Causal tracing: a decoder whose way to the answer is known, and patches by plain hooks."""

import copy
import json
from dataclasses import replace

import pytest
import torch

from tempo_attn.errors import (
    ConfigError,
    NonFiniteLogitsError,
    PositionError,
    UnsupportedModelError,
)
from tempo_attn.families import get_family
from tempo_attn.lab.engine.hidden_states import COMPONENTS, keeping
from tempo_attn.lab.engine.memory_and_batches import BatchPlan
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.engine.readout import Readout
from tempo_attn.lab.trace.patcher import Patcher
from tempo_attn.lab.trace.patches import PatchedBatch, Source
from tempo_attn.lab.trace.records import DIRECTIONS, TraceRecord, dropped
from tempo_attn.lab.trace.run import Tracer
from tempo_attn.lab.trace.sites import GROUPS, Site, places, sites
from tests.support.lab_items import CANDIDATES
from tests.support.prompts import SCENES, build_case
from tests.support.tiny_models import FAMILIES
from tests.support.twins import ByHooks, Twins, own_probability, traced, tracer_of, twin, twins_of
from tests.support.wired import FETCH, N_LAYERS, TELL, THINK, wired_model, wired_twins

SLOW_WAY = {"gemma4", "granite_speech_hybrid"}
NO_STATES = {"gemma3n"}
"""Layers hand on several states, not one of (batch, tokens, width)."""
RESIDUAL_ONLY = {"granite_speech_hybrid"}
SINGLE_GROUPS = ("early", "keyword", "option", "late", "last", "audio")


@pytest.fixture(scope="module")
def twins(prepared):
    return Twins(prepared)


@pytest.fixture
def tracer(tiny_model, twins):
    def make(chosen, **settings):
        return tracer_of(tiny_model, twins, chosen, **settings)

    return make


def close(found, expected):
    """Probabilities differ by about 1e-7 between the engines; patches of tiny models do 1e-3."""
    return float((found - expected).abs().max()) < 1e-5


def mask_of(batch, group):
    return torch.zeros_like(batch.real).scatter(1, places(batch, group).index, True)


def inputs_of(twins, direction):
    """Inputs of the run that is patched, and of the one that states come from."""
    both = twins.clean.inputs, twins.corrupted.inputs
    return both[::-1] if direction == "recover" else both


def rates_of(model, twins, found, direction):
    """How much of the way from the patched run to the other one, (items, sites)."""
    base, source = (own_probability(model, i, twins.items) for i in inputs_of(twins, direction))
    return (found.patched[direction] - base[:, None]) / (source - base)[:, None]


# ------------------------------------------------------------------------------ the known way


def on_the_way(site, mlp=False):
    """Whether what is heard passes a site of the wired model; see `wired`."""
    if site.component == "residual":
        if site.group == "audio":
            return site.layer < FETCH
        if site.group == "keyword":
            return FETCH <= site.layer < TELL
        return site.group == "last" and site.layer >= TELL
    if site.component == "attention":
        return (site.group, site.layer) in {("keyword", FETCH), ("last", TELL)}
    return mlp and (site.group, site.layer) == ("keyword", THINK)


@pytest.fixture(scope="module")
def wired(tiny_processor):
    """The model whose way leads through attention alone, and its prompts."""
    return wired_model(tiny_processor), wired_twins(tiny_processor)


def grid(groups=SINGLE_GROUPS, **settings):
    return sites(N_LAYERS, components=COMPONENTS, groups=groups, nulls=False, **settings)


@pytest.mark.parametrize("mlp", [False, True], ids=["attention", "mlp"])
def test_a_trace_finds_the_one_way_that_there_is(tiny_processor, wired, mlp):
    """1 at every site on the way, 0 at every other; and first order ranks the same ones on top."""
    model, known = (wired_model(tiny_processor, mlp=True), wired[1]) if mlp else wired
    tracer = tracer_of(model, known, grid(), method="both", engine="fast")
    found = traced(tracer, known)
    expected = torch.tensor([float(on_the_way(site, mlp)) for site in tracer.true_sites])
    rates = rates_of(model, known, found, "recover")
    assert expected.sum() == FETCH + 1 + (TELL - FETCH) + (N_LAYERS - TELL) + 2 + mlp
    assert float((rates - expected).abs().max()) < 1e-4
    first_order = found.attributed["recover"]
    lowest = first_order[:, expected == 1].min(1).values
    highest = first_order[:, expected == 0].max(1).values
    assert bool((lowest > 2 * highest).all())
    assert float(lowest.min()) > 1e-3


def test_the_other_direction_breaks_the_same_way(wired):
    """Sites of a serial way are each sufficient and each necessary."""
    model, known = wired
    tracer = tracer_of(model, known, grid(), directions=["shift"], engine="fast")
    rates = rates_of(model, known, traced(tracer, known), "shift")
    expected = torch.tensor([float(on_the_way(site)) for site in tracer.true_sites])
    assert float((rates - expected).abs().max()) < 1e-4


def test_text_as_a_whole_has_it_from_where_it_is_fetched(wired):
    model, known = wired
    chosen = sites(N_LAYERS, groups=["text"], nulls=False)
    tracer = tracer_of(model, known, chosen, engine="fast")
    rates = rates_of(model, known, traced(tracer, known), "recover")
    expected = torch.tensor([float(site.layer >= FETCH) for site in chosen])
    assert float((rates - expected).abs().max()) < 1e-4


def test_every_row_holds_the_answer_but_only_one_is_looked_at(wired):
    """What a probe finds is not what the model uses: the options' rows hold the same code."""
    model, known = wired
    tracer = tracer_of(model, known, [Site(layer=FETCH, group="option")], engine="fast")
    batch = tracer.subject.read(known.items)
    with torch.no_grad():
        states = model(**known.clean.inputs, output_hidden_states=True).hidden_states[FETCH + 1]
    held = [
        states[row, mask_of(batch, group)[row]][:, 64:128].mean(0)
        for group in ("keyword", "option")
        for row in range(4)
    ]
    for keyword, option in zip(held[:4], held[4:], strict=True):
        assert torch.nn.functional.cosine_similarity(keyword, option, dim=0) > 0.999
    rates = rates_of(model, known, traced(tracer, known), "recover")
    assert float(rates.abs().max()) < 1e-4


def test_random_changes_of_the_same_size_carry_nothing(wired):
    """At the very sites on the way; over some draws of signs, as a few hit a code by chance."""
    model, known = wired
    chosen = [site.null for site in grid(SINGLE_GROUPS[1:]) if on_the_way(site)]
    chosen = [s for s in chosen if s.component == "attention" or s.layer in (0, FETCH, TELL)]
    assert len(chosen) == 5
    rates = []
    for seed in range(5):
        tracer = tracer_of(model, known, chosen, seed=seed, engine="fast")
        rates.append(rates_of(model, known, traced(tracer, known), "recover"))
    rates = torch.stack(rates)  # (seeds, items, sites)
    assert float(rates.std()) > 1e-4  # they are changes, of other signs for every seed and item
    assert float(rates.mean((0, 1)).max()) < 0.1


def test_one_position_of_many_that_say_the_same_is_too_little(wired):
    """All audio positions say the answer: the mean over single ones finds next to nothing."""
    model, known = wired
    chosen = [Site(layer=0, group="audio"), Site(layer=FETCH, group="keyword")]
    together, alone = (
        rates_of(model, known, traced(tracer, known), "recover")
        for tracer in (tracer_of(model, known, chosen, single=s, engine="fast") for s in (0, 1))
    )
    assert float((together - 1).abs().max()) < 1e-4
    assert float(alone[:, 0].max()) < 0.05
    assert float((alone[:, 1] - 1).abs().max()) < 1e-4  # the keyword is one position


# ------------------------------------------------------------------------------ exactness


# Each way of layers, states and inputs; those that share a way with one of them are slow.
WAYS = {
    *("qwen2_audio", "gemma4", "granite_speech_hybrid", "phi4_multimodal", "desta25", "kimi_audio"),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in WAYS else pytest.mark.slow)
        for name in sorted(set(FAMILIES) - NO_STATES)
    ],
)
def test_every_family(name):
    """The fast engine, the full one and plain hooks, on all components and layers."""
    tiny = FAMILIES[name]()
    known = twins_of(tiny)
    n_layers = len(get_family(tiny.config).decoder(tiny.model).layers)
    components = ["residual"] if name in RESIDUAL_ONLY else COMPONENTS
    chosen = sites(n_layers, components=components, groups=["text", "last", "audio"], nulls=False)
    chosen += [site.null for site in chosen[::3]]
    chosen = chosen[::2] if name == "gemma4" else chosen  # which takes its time
    found, engine = by_engine(tiny, known, chosen[::5], "recover", "auto")
    assert engine == ("full" if name in SLOW_WAY else "fast")
    engines = [engine, "full"] if engine == "fast" else [engine]
    for engine, direction, some in [
        (engines[0], "recover", chosen),
        (engines[0], "shift", chosen[1::4]),
        (engines[-1], "recover", chosen[2::4]),
    ]:
        found, _ = by_engine(tiny, known, some, direction, engine)
        base, source = inputs_of(known, direction)
        by_hooks = ByHooks(tiny.model, tiny.run, base, source, known.items)
        batch = ModelUnderStudy(tiny.model, known).read(known.items)
        expected = torch.stack([by_hooks(site, mask_of(batch, site.group)) for site in some], 1)
        assert close(found, expected)
        plain = own_probability(tiny.run, base, known.items)
        assert float((found - plain[:, None]).abs().max()) > 1e-3  # the patches do something


def test_a_readout_that_is_not_the_models_is_noticed(monkeypatch):
    """Both engines' patches are read by it, so that they agree with each other all the same."""
    read = Readout.__call__
    monkeypatch.setattr(Readout, "__call__", lambda *args: 2 * read(*args))
    tiny = FAMILIES["qwen2_audio"]()
    known = twins_of(tiny)
    chosen = sites(3, groups=["last"], nulls=False)
    tracer = tracer_of(tiny.model, known, chosen, tiny.run, directions=["recover"], engine="auto")
    found = traced(tracer, known).patched["recover"]
    assert tracer.patcher.choice.engine == "full"
    assert "final norm and the unembedding" in tracer.patcher.choice.reason
    monkeypatch.undo()
    expected, engine = by_engine(tiny, known, chosen, "recover", "auto")
    assert engine == "fast"
    assert close(found, expected)


def by_engine(tiny, known, chosen, direction, engine):
    """Probabilities of all sites, and the engine that was taken."""
    one = tracer_of(tiny.model, known, chosen, tiny.run, directions=[direction], engine=engine)
    found = traced(one, known).patched[direction]
    if engine == "auto":
        assert bool(one.patcher.choice.reason) == (one.patcher.choice.engine == "full")
        assert (one.patcher.choice.checked is None) == (one.patcher.choice.engine == "full")
    return found, one.patcher.choice.engine


@pytest.mark.parametrize("name", sorted(NO_STATES))
def test_layers_without_states_say_so(name):
    tiny = FAMILIES[name]()
    known = twins_of(tiny)
    tracer = tracer_of(tiny.model, known, sites(5, groups=["last"]), tiny.run)
    with pytest.raises(
        UnsupportedModelError, match=r"Gemma3nTextDecoderLayer is called with \(4, 2, 24, 32\)"
    ):
        traced(tracer, known)


@pytest.mark.parametrize("component", ["attention", "mlp"])
def test_layers_without_a_component_say_so(component):
    tiny = FAMILIES["granite_speech_hybrid"]()
    known = twins_of(tiny)
    chosen = sites(3, components=[component], groups=["last"])
    with pytest.raises(UnsupportedModelError, match=f"no {component} module.*residual stream"):
        traced(tracer_of(tiny.model, known, chosen, tiny.run), known)


def test_all_groups_of_a_padded_batch(tiny_model, twins, tracer):
    chosen = sites(6, components=COMPONENTS, layers=[-1, 2, 4], nulls=False)
    chosen += [site.null for site in chosen[::7]]
    assert {site.group for site in chosen} == set(GROUPS)
    fast = tracer(chosen, engine="fast")
    found = traced(fast, twins)
    batch = fast.subject.read(twins.items)
    assert bool((~batch.real).any())
    by_hooks = ByHooks(tiny_model, tiny_model, *inputs_of(twins, "recover"), twins.items)
    expected = [by_hooks(site, mask_of(batch, site.group)) for site in chosen]
    assert close(found.patched["recover"], torch.stack(expected, 1))


def test_order_and_repetition_of_sites_do_not_matter(twins, tracer):
    chosen = sites(6, components=COMPONENTS, groups=["last", "keyword"], layers=[-1, 1, 4])
    found = traced(tracer(chosen, engine="fast"), twins).patched["recover"]
    mixed = [*chosen[::-1], chosen[3]]
    again = traced(tracer(mixed, engine="fast"), twins).patched["recover"]
    assert close(again[:, :-1].flip(1), found)
    assert close(again[:, -1], found[:, 3])


def test_patches_come_back_in_the_order_they_are_given(tiny_model, twins, tracer):
    """Below `Patcher`, which sorts them by layer."""
    mixed = [Site(layer=layer, group="keyword") for layer in (3, 1, 4, 0)]
    mixed.insert(2, Site(component="mlp", layer=3, group="keyword"))
    subject = tracer(mixed).subject
    clean, corrupted = (subject.read(i) for i in (twins.items, [twin(i) for i in twins.items]))
    at, n_tokens = places(clean, "keyword"), clean.real.shape[1]
    with subject.studied():
        with keeping(subject.decoder, ["residual", "mlp"], at.first, n_tokens) as states:
            subject.call(clean)
        source = Source(states, at.first, [[0, 0], [0, 1]])
        prefill, _ = subject.decoder.remember(lambda: subject.call(corrupted), at.first)
        found = PatchedBatch(subject.decoder, prefill, source, at, mixed).run()
        for number, site in enumerate(mixed):
            alone = PatchedBatch(subject.decoder, prefill, source, at, [site]).run()
            assert torch.allclose(found[:, number], alone[:, 0], atol=1e-4)
            others = found[:, [n for n in range(5) if n != number]] - alone
            assert float(others.abs().amax(-1).min()) > 1e-3


def test_items_alone_or_together_are_the_same(twins, tracer):
    """Alone, nothing is padded: the tokens in front are cut off."""
    chosen = sites(6, groups=["option", "audio"], layers=[-1, 2, 5])
    together = traced(tracer(chosen, engine="fast"), twins).patched["recover"]
    for row, item in enumerate(twins.items):
        n_padding = int((twins.clean.inputs["attention_mask"][row] == 0).sum())

        def alone(items, n_padding=n_padding):
            inputs = twins(items)
            for name in ("input_ids", "attention_mask"):
                inputs[name] = inputs[name][:, n_padding:]
            return inputs

        tracer_alone = tracer(chosen, engine="fast")
        tracer_alone.subject.prepare = alone
        found = tracer_alone.trace([item], [twin(item)]).patched["recover"]
        assert close(found[0], together[row])


@pytest.mark.parametrize("single", [False, True])
def test_small_chunks_change_nothing(twins, tracer, single):
    chosen = sites(6, components=COMPONENTS, groups=["last", "keyword", "option"], layers=[0, 3])
    whole, pieces = (
        traced(tracer(chosen, engine="fast", single=single, plan=BatchPlan(memory=memory)), twins)
        for memory in (2**30, 1)
    )
    assert close(whole.patched["recover"], pieces.patched["recover"])


@pytest.mark.parametrize("engine", ["fast", "full"])
def test_single_positions_by_hand(tiny_model, twins, tracer, engine):
    """The mean over one full forward for every position; items have unlike many of them."""
    chosen = [
        Site(layer=4, group="option"),
        Site(component="attention", layer=3, group="option").null,
        Site(layer=4, group="keyword"),
    ]
    one = tracer(chosen, single=True, engine=engine)
    found = traced(one, twins).patched["recover"]
    batch = one.subject.read(twins.items)
    by_hooks = ByHooks(tiny_model, tiny_model, *inputs_of(twins, "recover"), twins.items)
    for number, site in enumerate(chosen):
        at = [row.nonzero().flatten().tolist() for row in mask_of(batch, site.group)]
        assert (len(at[0]) != len(at[1])) == (site.group == "option")
        for item, positions in enumerate(at):
            alone = []
            for position in positions:
                where = torch.zeros_like(batch.real)
                where[item, position] = True
                alone.append(by_hooks(site, where)[item])
            assert close(found[item, number], torch.stack(alone).mean())
    together = traced(tracer(chosen, engine=engine), twins).patched["recover"]
    assert float((found - together)[:, 0].abs().max()) > 1e-3
    assert close(found[:, 2], together[:, 2])


# ------------------------------------------------------------------------------ what must hold


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_all_that_differs_gives_all_of_the_other_run(tiny_model, twins, tracer, direction):
    """What enters the first layer differs at audio only; what leaves the last one is read at last.

    No other position of the last layer does anything, nor do attention and MLP there.
    """
    whole = [Site(layer=-1, group="audio"), Site(layer=5, group="last")]
    nothing = [
        Site(component=component, layer=5, group=group)
        for component in COMPONENTS
        for group in GROUPS
        if group not in ("text", "last")
    ]
    nothing += [Site(layer=-1, group=group) for group in GROUPS if group != "audio"]
    tracing = tracer([*whole, *nothing], directions=[direction], engine="fast")
    found = traced(tracing, twins).patched[direction]
    base, source = (
        own_probability(tiny_model, inputs, twins.items) for inputs in inputs_of(twins, direction)
    )
    assert float((source - base).abs().min()) > 1e-3
    assert float((found[:, :2] - source[:, None]).abs().max()) < 1e-6
    assert float((found[:, 2:] - base[:, None]).abs().max()) < 1e-6


def test_the_same_run_written_over_itself_changes_nothing(tiny_model, twins, tracer):
    """With its null: no change has a random change of the same size."""
    chosen = sites(6, components=COMPONENTS, layers=[-1, 1, 4])
    one = tracer(chosen, directions=DIRECTIONS, engine="fast")
    found = one.trace(twins.items, twins.items)
    plain = own_probability(tiny_model, twins.clean.inputs, twins.items)
    for direction in DIRECTIONS:
        assert float((found.patched[direction] - plain[:, None]).abs().max()) < 1e-6


def test_directions_are_each_others_mirror(twins, tracer):
    chosen = sites(6, groups=["text", "audio"], layers=[-1, 2, 5])
    corrupted = [twin(item) for item in twins.items]
    one = tracer(chosen, directions=["recover"], engine="fast").trace(twins.items, corrupted)
    other = tracer(chosen, directions=["shift"], engine="fast").trace(corrupted, twins.items)
    assert torch.equal(one.patched["recover"], other.patched["shift"])


def test_the_null_is_of_the_size_of_the_change():
    """Every component of the difference, with its own size and a sign of its own."""
    states, old = torch.randn(2, 9, 16), torch.randn(2, 3, 4, 16)
    index = torch.tensor([[2, 3, 5, 8], [4, 4, 6, 7]])
    source = Source({"residual": [states]}, 0, [[0, 1], [0, 2]])
    new = source.written("residual", -1, index, old, [False, True, True])
    expected = torch.stack([states[row][index[row]] for row in range(2)])
    assert torch.equal(new[:, 0], expected)
    size = expected[:, None] - old
    assert torch.allclose((new - old)[:, 1:].abs(), size[:, 1:].abs(), atol=1e-6)
    signs = torch.sign((new - old)[:, 1:] / size[:, 1:])
    assert torch.equal(signs, signs[:, :1, :1].expand_as(signs))  # the same at all positions
    assert {-1.0, 1.0} == set(signs.unique().tolist())
    assert not torch.equal(signs[0], signs[1])  # of every item
    other = Source({"residual": [states]}, 0, [[1, 1], [1, 2]])
    assert not torch.equal(other.written("residual", -1, index, old, [True] * 3), new)


# ------------------------------------------------------------------------------ which items


def fake_logits(tracer, monkeypatch, clean, corrupted):
    """Let the plain runs answer this, (candidates,) for each item."""
    answers = iter([torch.tensor(clean), torch.tensor(corrupted)])
    monkeypatch.setattr(tracer, "_logits", lambda items: next(answers))


RIGHT, WRONG, TIE = [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("clean", "corrupted", "why"),
    [
        (RIGHT, WRONG, None),
        (RIGHT, TIE, None),  # a tie is no answer
        (WRONG, WRONG, "clean answer wrong"),
        (TIE, WRONG, "clean answer wrong"),
        (WRONG, RIGHT, "clean answer wrong"),
        (RIGHT, [0.5, 0.0, 0.0, 0.0], "corrupted answer right"),
        (RIGHT, [4.0, 5.0, -9.0, -9.0], None),
        # Right by little among many, and wrong by little among two.
        ([0.1, 0.0, 0.0, 0.0], [0.0, 0.1, -9.0, -9.0], "no gap"),
    ],
)
def test_which_items_tell_something(prepared, clean, corrupted, why):
    item = replace(prepared.items[0], answer=0)
    assert dropped(item, torch.tensor(clean), torch.tensor(corrupted)) == why


def test_dropped_items_are_kept_without_patches(twins, tracer, monkeypatch):
    """The second one has answer 1; the first one's numbers are those of the first one alone."""
    chosen = sites(6, groups=["last"], layers=[1, 3])
    one = tracer(chosen, method="both", engine="fast", directions=DIRECTIONS)
    fake_logits(one, monkeypatch, [WRONG, WRONG], [TIE, TIE])
    first, second = one.run_batch(twins.items)
    assert (first.dropped, first.patched, first.attributed) == ("clean answer wrong", {}, {})
    assert (first.plain, first.corrupted) == (WRONG, TIE)
    assert second.dropped is None
    expected = one.trace(twins.items[1:], [twin(item) for item in twins.items[1:]])
    for direction in DIRECTIONS:
        patched, attributed = second.patched[direction], second.attributed[direction]
        assert patched == pytest.approx(expected.patched[direction][0].tolist(), abs=6e-6)
        assert attributed == pytest.approx(expected.attributed[direction][0].tolist(), abs=6e-6)
        assert (len(patched), len(attributed)) == (4, 2)


def test_every_record_has_its_own_items_numbers(twins, tracer, monkeypatch):
    one = tracer(sites(6, groups=["last"], layers=[1, 3]), engine="fast")
    fake_logits(one, monkeypatch, [RIGHT, WRONG], [WRONG, RIGHT])  # answers 0 and 1
    records = one.run_batch(twins.items)
    expected = traced(one, twins).patched["recover"].tolist()
    assert expected[0] != pytest.approx(expected[1], abs=1e-2)
    for record, probabilities in zip(records, expected, strict=True):
        assert record.patched["recover"] == pytest.approx(probabilities, abs=6e-6)


def test_nothing_is_patched_where_no_item_tells_anything(twins, tracer, monkeypatch):
    one = tracer(sites(6, groups=["last"]))
    fake_logits(one, monkeypatch, [WRONG, RIGHT], [WRONG, RIGHT])
    monkeypatch.setattr(one, "trace", None)
    assert [r.dropped for r in one.run_batch(twins.items)] == ["clean answer wrong"] * 2


def test_records_go_through_json_and_name_the_two_runs(tiny_model, twins, tracer, monkeypatch):
    one = tracer(sites(6, groups=["last"], layers=[5]))
    records = [record for batch in one.run(twins.items) for record in batch]
    assert sorted(record.index for record in records) == [0, 1]
    for record in records:
        text = json.dumps(record.to_dict(), allow_nan=False)
        assert TraceRecord.from_dict(json.loads(text)) == record
        for logits, side in ((record.plain, twins.clean), (record.corrupted, twins.corrupted)):
            with torch.no_grad():
                own = tiny_model(**side.inputs).logits[record.index, -1, list(CANDIDATES)]
            assert logits == pytest.approx(own.tolist(), abs=1e-4)


# ------------------------------------------------------------------------------ trouble


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"directions": ["back"]}, "directions is 'back'; expected one of 'recover', 'shift'"),
        ({"directions": []}, "expected some of recover, shift"),
        (
            {"method": "gradient"},
            "method is 'gradient'; expected one of 'patching', 'attribution', 'both'",
        ),
        ({"method": "both", "single": True}, "use method 'patching' for single ones"),
        ({"engine": "quick"}, "engine is 'quick'; expected one of 'auto', 'fast', 'full'"),
    ],
)
def test_what_there_is_not_is_refused(tracer, settings, message):
    with pytest.raises(ConfigError, match=message):
        tracer(sites(6, groups=["last"]), **settings)


def test_no_sites_are_refused(tracer):
    with pytest.raises(ConfigError, match="nothing to patch: no site is given"):
        tracer([])


@pytest.mark.parametrize("corrupted_run", [False, True], ids=["clean", "corrupted"])
def test_nan_logits_are_an_error(tiny_model, twins, corrupted_run):
    one = tracer_of(tiny_model, twins, sites(6, groups=["last"]))
    own = one._logits

    def broken(items):
        logits = own(items)
        if (items[0].content == "corrupted") == corrupted_run:
            logits = logits.clone()
            logits[1, 2] = torch.nan
        return logits

    one._logits = broken
    with pytest.raises(NonFiniteLogitsError, match="item 0"):
        one.run_batch(twins.items)


def test_twins_of_another_length_are_refused(tiny_model, tiny_processor, prepared):
    longer = [(*scene[:2], scene[2] + 0.2) for scene in SCENES]
    corrupted = build_case(tiny_processor, longer).inputs
    known = Twins(prepared, corrupted)
    one = tracer_of(tiny_model, known, sites(6, groups=["last"]))
    with pytest.raises(PositionError, match="'item 0' and its corrupted twin do not have the same"):
        traced(one, known)


def test_the_twin_of_another_length_is_named(tiny_model, tiny_processor, prepared):
    """The batch keeps its length: the longest prompt's twin is alike."""
    shorter = [(*SCENES[0][:2], SCENES[0][2] / 2), SCENES[1]]
    known = Twins(prepared, build_case(tiny_processor, shorter).inputs)
    assert known.corrupted.inputs["input_ids"].shape == prepared.inputs["input_ids"].shape
    one = tracer_of(tiny_model, known, sites(6, groups=["last"]))
    with pytest.raises(PositionError, match="'item 0' and its corrupted twin"):
        traced(one, known)
    one.trace(known.items[1:], [twin(item) for item in known.items[1:]])


def all_right(tracer, monkeypatch):
    """Let no item be dropped."""
    monkeypatch.setattr("tempo_attn.lab.trace.run.dropped", lambda item, clean, corrupted: None)


def test_out_of_memory_halves_the_batch_and_loses_nothing(twins, tracer, monkeypatch, caplog):
    one = tracer(sites(6, groups=["last"], layers=[1]))
    all_right(one, monkeypatch)
    (expected,) = one.run(twins.items)
    trace, sizes = one.trace, []

    def scarce(items, corrupted):
        sizes.append(len(items))
        if len(items) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return trace(items, corrupted)

    monkeypatch.setattr(one, "trace", scarce)
    (found,) = one.run(twins.items)
    assert sizes == [2, 1, 1]
    assert "out of memory" in caplog.text
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.id == theirs.id
        assert mine.patched["recover"] == pytest.approx(theirs.patched["recover"], abs=2e-5)


def test_memory_that_runs_out_while_engines_are_compared_is_no_reason(twins, tracer, monkeypatch):
    """The batch is halved, and the fast engine is still to be had."""
    run, sizes = PatchedBatch.run, []

    def scarce(patching):
        sizes.append(len(patching._index))
        if sizes[-1] > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return run(patching)

    monkeypatch.setattr(PatchedBatch, "run", scarce)
    one = tracer(sites(6, groups=["last"], layers=[1, 3]))
    all_right(one, monkeypatch)
    assert len(one.run_batch(twins.items)) == 2
    assert one.patcher.choice.engine == "fast"
    assert sizes[:2] == [2, 1]


def test_a_tracer_settles_on_an_engine_and_keeps_it(twins, tracer, monkeypatch):
    one = tracer(sites(6, groups=["last"], layers=[1, 3]))
    one.settle(twins.items)
    assert one.patcher.choice.engine == "fast"
    assert one.patcher.choice.checked < 1e-5
    monkeypatch.setattr(Patcher, "_in_full", None)
    traced(one, twins)
    other = tracer(sites(6, groups=["last"], layers=[1, 3]), method="attribution")
    other.settle(twins.items)  # which has no two engines
    assert other.patcher.choice.engine == "auto"


def test_a_model_that_fools_the_fast_way_is_found_out(tiny_model, twins):
    """A layer that mixes rows by itself: running it on some rows alone gives something else."""
    model = copy.deepcopy(tiny_model)
    mlp = model.get_decoder().layers[3].mlp
    mlp.register_forward_hook(lambda module, args, output: output + output.mean(1, keepdim=True))
    chosen = sites(6, groups=["keyword", "last"], layers=[2])
    one = tracer_of(model, twins, chosen)
    found = traced(one, twins).patched["recover"]
    assert one.patcher.choice.engine == "full"
    assert "differ by" in one.patcher.choice.reason
    batch = one.subject.read(twins.items)
    by_hooks = ByHooks(model, model, *inputs_of(twins, "recover"), twins.items)
    expected = [by_hooks(site, mask_of(batch, site.group)) for site in chosen]
    assert close(found, torch.stack(expected, 1))


def in_16_bits(model, inputs):
    model = copy.deepcopy(model).bfloat16()
    return model, {
        name: value.bfloat16() if value.is_floating_point() else value
        for name, value in inputs.items()
    }


@pytest.mark.parametrize("fooled", [False, True])
def test_16_bits_hide_no_mistake(tiny_model, twins, fooled):
    """The check allows for rounding, but not for a level that all logits share."""
    model, inputs = in_16_bits(tiny_model, twins.clean.inputs)
    _, others = in_16_bits(tiny_model, twins.corrupted.inputs)
    known = copy.copy(twins)
    known.clean, known.corrupted = copy.copy(twins.clean), copy.copy(twins.corrupted)
    known.clean.inputs, known.corrupted.inputs = inputs, others
    if fooled:
        mlp = model.get_decoder().layers[3].mlp
        mlp.register_forward_hook(lambda module, args, output: output + 4 * output.mean(1)[:, None])
    one = tracer_of(model, known, sites(6, groups=["keyword", "last"], layers=[2]))
    traced(one, known)
    assert one.patcher.choice.engine == ("full" if fooled else "fast"), one.patcher.choice.checked


def test_hooks_of_others_on_layers_count_once(tiny_model, twins):
    """A steering vector that somebody put before layer 1."""
    model = copy.deepcopy(tiny_model)
    steer = torch.randn(128, generator=torch.Generator().manual_seed(0))
    layer = model.get_decoder().layers[1]
    layer.register_forward_pre_hook(lambda module, args: (args[0] + steer, *args[1:]))
    chosen = [Site(layer=layer, group=group) for layer in (0, 1) for group in ("keyword", "last")]
    chosen += [Site(component=component, layer=1, group="keyword") for component in COMPONENTS[1:]]
    one = tracer_of(model, twins, chosen)
    found = traced(one, twins).patched["recover"]
    assert one.patcher.choice.engine == "fast"
    batch = one.subject.read(twins.items)
    by_hooks = ByHooks(model, model, *inputs_of(twins, "recover"), twins.items)
    expected = [by_hooks(site, mask_of(batch, site.group)) for site in chosen]
    assert close(found, torch.stack(expected, 1))


def test_a_hook_of_others_before_the_first_layer_counts_once(tiny_model, twins):
    """What enters the first layer is kept and written in front of it."""
    model = copy.deepcopy(tiny_model)
    steer = torch.randn(128, generator=torch.Generator().manual_seed(0))
    layer = model.get_decoder().layers[0]
    layer.register_forward_pre_hook(lambda module, args: (args[0] + steer, *args[1:]))
    for engine in ("fast", "full"):
        one = tracer_of(model, twins, [Site(layer=-1, group="audio")], engine=engine)
        found = traced(one, twins).patched["recover"]
        assert close(found[:, 0], own_probability(model, twins.clean.inputs, twins.items))


def hooks_on(model):
    return [
        (name, list(part._forward_hooks), list(part._forward_pre_hooks))
        for name, part in model.named_modules()
    ]


@pytest.mark.parametrize("engine", ["fast", "full"])
def test_the_model_is_left_as_it_was(tiny_model, twins, tracer, engine):
    attentions = get_family(tiny_model.config).attentions(tiny_model)
    configs, hooks = [part.config for part in attentions], hooks_on(tiny_model)
    with torch.no_grad():
        before = tiny_model(**twins.clean.inputs).logits
    chosen = sites(6, components=COMPONENTS, groups=["last"], layers=[-1, 0, 5])
    one = tracer(chosen, engine=engine, method="both")
    traced(one, twins)
    assert hooks_on(tiny_model) == hooks
    assert all(part.config is old for part, old in zip(attentions, configs, strict=True))
    assert not any(hasattr(part, "_tempo_edit") for part in attentions)
    with torch.no_grad():
        assert torch.equal(tiny_model(**twins.clean.inputs).logits, before)


@pytest.mark.parametrize("engine", ["fast", "full"])
def test_an_exception_leaves_nothing_behind(tiny_model, twins, tracer, monkeypatch, engine):
    hooks = hooks_on(tiny_model)

    def broken(*args):
        raise ZeroDivisionError

    monkeypatch.setattr(Source, "written", broken)
    for component, layer in [("residual", -1), ("residual", 2), ("attention", 2), ("mlp", 2)]:
        one = tracer([Site(component=component, layer=layer, group="last")], engine=engine)
        with pytest.raises(ZeroDivisionError):
            traced(one, twins)
        assert hooks_on(tiny_model) == hooks


def test_layers_that_run_for_the_last_row_only_are_asked_for_all(tiny_model, twins, tracer):
    """As some models' last layers do where only the last logits are asked for."""
    chosen = sites(6, groups=["keyword", "last"], layers=[0, 5])
    expected = traced(tracer(chosen, engine="full"), twins).patched["recover"]
    model = copy.deepcopy(tiny_model)
    last = model.get_decoder().layers[-1]
    forward = model.forward

    def shortened(*args, logits_to_keep=0, **kwargs):
        hook = last.register_forward_hook(lambda module, args, output: output[:, -1:], prepend=True)
        try:
            return forward(*args, **kwargs)
        finally:
            hook.remove()

    def call(input_ids, attention_mask, logits_to_keep=0, **kwargs):
        run = shortened if logits_to_keep else forward
        return run(input_ids=input_ids, attention_mask=attention_mask, **kwargs)

    subject = ModelUnderStudy(model, twins, tokenizer=twins.clean.tokenizer, forward=call)
    assert "logits_to_keep" in subject._more
    one = Tracer(subject, twin, chosen, engine="full")
    assert close(traced(one, twins).patched["recover"], expected)
    assert "logits_to_keep" not in subject._more


# ------------------------------------------------------------------------------ twins' answers


def otherwise(item):
    """The wired model's twin with its own right answer: the one that its clip says."""
    return replace(twin(item), answer=(item.answer + 1) % 4)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_twins_own_answer_goes_the_other_way(wired, direction):
    """Where the right answer's probability comes, that of the twin's answer goes."""
    model, known = wired
    chosen = [Site(layer=2, group=group) for group in ("keyword", "option")]
    one = tracer_of(model, known, chosen, directions=[direction], engine="fast")
    corrupted = [otherwise(item) for item in known.items]
    found = one.trace(known.items, corrupted).twin[direction]
    inputs = inputs_of(known, direction)
    base, source = (own_probability(model, side, corrupted) for side in inputs)
    assert close(found, torch.stack([source, base], 1))
    assert float((source - base).abs().min()) > 0.9


def test_records_keep_the_twins_answer(wired):
    model, known = wired
    subject = ModelUnderStudy(model, known, tokenizer=known.clean.tokenizer)
    one = Tracer(subject, otherwise, [Site(layer=2, group="keyword")], engine="fast")
    for record in one.run_batch(known.items):
        assert record.dropped is None
        assert record.twin_answer == (record.answer + 1) % 4
        assert record.patched["recover"] == pytest.approx([0.9964], abs=1e-4)
        assert record.twin["recover"] == pytest.approx([0.0012], abs=1e-4)


def test_a_twins_answer_does_not_depend_on_the_batch(wired):
    """As in a run over several kinds: mirrored, the first event is another, the longest is not."""
    model, known = wired
    subject = ModelUnderStudy(model, known, tokenizer=known.clean.tokenizer)

    def some_otherwise(item):
        return otherwise(item) if item.index else twin(item)

    one = Tracer(subject, some_otherwise, [Site(layer=2, group="keyword")], engine="fast")
    same, *others = one.run_batch(known.items)
    assert (same.twin_answer, same.twin) == (None, {})
    for record in others:
        assert record.twin_answer is not None
        assert record.twin["recover"] == pytest.approx([0.0012], abs=1e-4)
