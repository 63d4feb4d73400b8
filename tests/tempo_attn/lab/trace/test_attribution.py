"""Attribution patching: finite differences, linear read-outs, nothing left behind."""

import copy

import pytest
import torch
from torch import nn

from tempo_attn.errors import UnsupportedModelError
from tempo_attn.lab.engine.hidden_states import COMPONENTS, keeping, place
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.trace.attribution import attributed
from tempo_attn.lab.trace.patches import Source, run_patched
from tempo_attn.lab.trace.sites import GROUPS, Site, places, sites
from tests.support.lab_items import CANDIDATES
from tests.support.tiny_models import FAMILIES
from tests.support.twins import Twins, traced, tracer_of, twin, twins_of


@pytest.fixture(scope="module")
def twins(prepared):
    return Twins(prepared)


def subject_of(model, twins, forward=None):
    return ModelUnderStudy(model, twins, tokenizer=twins.clean.tokenizer, forward=forward)


def states_of(subject, batch, components=COMPONENTS, start=0):
    with (
        torch.no_grad(),
        keeping(subject.decoder, components, start, batch.real.shape[1]) as states,
    ):
        subject.call(batch)
    return states


def patched_by(subject, batch, states, site):
    """The right answers' probabilities where these states are written over a site, (items,)."""
    source = Source(states, 0, [[0, 0]] * len(batch.items))
    at, n_tokens = places(batch, site.group), batch.real.shape[1]
    with torch.no_grad():
        forward = run_patched(
            subject.decoder, lambda: subject.call(batch), source, at, site, n_tokens
        )
        return probability(subject.candidate_logits(forward, batch), batch.items)


def right_of(items):
    """The right candidates, as `attributed` takes them."""
    return [item.answer for item in items]


def probability(logits, items):
    return logits.double().softmax(-1)[range(len(items)), [item.answer for item in items]]


# ------------------------------------------------------------------------------ what it is


@pytest.mark.parametrize(
    "site",
    [
        Site(layer=-1, group="audio"),
        Site(layer=1, group="option"),
        Site(layer=4, group="last"),
        Site(component="attention", layer=0, group="text"),
        Site(component="attention", layer=3, group="last"),
        Site(component="mlp", layer=2, group="late"),
        Site(component="mlp", layer=5, group="last"),
    ],
    ids=lambda site: f"{site.component} {site.layer} {site.group}",
)
def test_it_is_the_derivative_along_the_change(tiny_model, twins, site):
    """For a tiny change in any direction: half of what it does minus what its opposite does."""
    subject = subject_of(tiny_model, twins)
    batch = subject.read(twins.items)
    plain = states_of(subject, batch)
    generator = torch.Generator().manual_seed(1)
    moved = [
        {
            component: [
                old + sign * torch.randn(old.shape, generator=generator.manual_seed(at)) * 3e-3
                for at, old in enumerate(layers)
            ]
            for component, layers in plain.items()
        }
        for sign in (1.0, -1.0)
    ]
    ahead, back = (patched_by(subject, batch, states, site) for states in moved)
    where = {site.group: places(batch, site.group)}
    for states, sign in zip(moved, (1.0, -1.0), strict=True):
        found = attributed(subject, batch, right_of(batch.items), states, 0, where, [site])
        expected = sign * (ahead - back) / 2
        assert found.shape == (2, 1)
        assert float(expected.abs().max()) > 1e-5
        # The patches are in float32, so their difference is known to about 1e-7.
        assert found[:, 0].tolist() == pytest.approx(expected.tolist(), rel=0.02, abs=5e-7)


def test_groups_are_sums_over_their_positions(tiny_model, twins):
    """First order is additive; items have unlike many option tokens, and none counts twice."""
    subject = subject_of(tiny_model, twins)
    clean, corrupted = (subject.read(i) for i in (twins.items, [twin(i) for i in twins.items]))
    where = {group: places(clean, group) for group in GROUPS}
    start = min(at.first for at in where.values())
    states = states_of(subject, clean, start=start)
    assert len(set(where["option"].counts.tolist())) == 2
    chosen = sites(6, components=COMPONENTS, nulls=False)
    found = attributed(subject, corrupted, right_of(twins.items), states, start, where, chosen)
    by_site = dict(zip(chosen, found.T, strict=True))
    parts = ("early", "keyword", "option", "late", "last")
    for site in chosen:
        if site.group == "text":
            total = sum(
                by_site[Site(component=site.component, layer=site.layer, group=part)]
                for part in parts
            )
            assert by_site[site].tolist() == pytest.approx(total.tolist(), rel=1e-4, abs=1e-6)


class LogOfLinear(nn.Module):
    """An unembedding whose softmax over the candidates is linear in the states."""

    def __init__(self, head):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        weight = 1e-3 * torch.randn(len(CANDIDATES), head.weight.shape[1], generator=generator)
        self.weight = nn.Parameter(weight - weight.mean(0))  # probabilities sum to 1
        self.n_tokens = len(head.weight)

    def forward(self, hidden):
        shares = 1 / len(CANDIDATES) + hidden @ self.weight.T
        logits = torch.zeros(*hidden.shape[:-1], self.n_tokens)
        index = torch.tensor(CANDIDATES).expand(*hidden.shape[:-1], -1)
        return logits.scatter(-1, index, shares.clamp(min=1e-6).log())


def test_for_a_linear_read_out_it_is_the_patch(tiny_model, twins):
    """Everything behind the last layer's attention is linear: no MLP, no norm, no softmax."""
    model = copy.deepcopy(tiny_model)
    decoder = model.get_decoder()
    decoder.norm = nn.Identity()
    model.lm_head = LogOfLinear(model.lm_head)
    with torch.no_grad():
        decoder.layers[5].mlp.down_proj.weight.zero_()
    chosen = sites(6, components=COMPONENTS, groups=["last", "text"], layers=[5], nulls=False)
    both = ("recover", "shift")
    one = tracer_of(model, twins, chosen, method="both", directions=both, engine="full")
    found = traced(one, twins)
    for direction, side in zip(both, (twins.corrupted, twins.clean), strict=True):
        with torch.no_grad():
            logits = model(**side.inputs).logits[:, -1, list(CANDIDATES)]
        assert float(logits.min()) > -5  # no probability was cut at 0
        change = found.patched[direction] - probability(logits, twins.items)[:, None]
        assert float(change[:, :4].abs().min()) > 1e-4  # of residual and attention
        assert float((found.attributed[direction] - change).abs().max()) < 1e-6


@pytest.mark.parametrize("name", sorted(set(FAMILIES) - {"gemma3n"}))
def test_small_changes_in_every_family(name):
    """The source is the patched run with a little of the other one: first order is all there is."""
    tiny = FAMILIES[name]()
    known = twins_of(tiny)
    subject = subject_of(tiny.model, known, tiny.run)
    subject.keep_all_rows()  # as a tracer does where layers leave rows out
    clean, corrupted = (subject.read(i) for i in (known.items, [twin(i) for i in known.items]))
    components = ["residual"] if name == "granite_speech_hybrid" else COMPONENTS
    near = [states_of(subject, batch, components) for batch in (clean, corrupted)]
    share = 2e-3
    ahead, back = (
        {c: [b + s * (a - b) for a, b in zip(near[0][c], near[1][c], strict=True)] for c in near[0]}
        for s in (share, -share)
    )
    n_layers = len(subject.decoder.layers)
    chosen = [
        Site(component=c, layer=layer, group=group)
        for c, layer, group in [
            ("residual", -1, "audio"),
            ("residual", n_layers - 1, "last"),
            ("attention", 1, "audio"),
            ("mlp", n_layers - 1, "last"),
        ]
        if c in components
    ]
    where = {group: places(clean, group) for group in ("audio", "last")}
    found = attributed(subject, corrupted, right_of(known.items), ahead, 0, where, chosen)
    expected = torch.stack(
        [
            (patched_by(subject, corrupted, ahead, s) - patched_by(subject, corrupted, back, s)) / 2
            for s in chosen
        ],
        1,
    )
    assert float(expected.abs().max()) > 1e-5
    assert float((found - expected).abs().max()) < 0.03 * float(expected.abs().max()) + 5e-7


# ------------------------------------------------------------------------------ nothing stays


def traces_of(model):
    return (
        [(name, weight.requires_grad, weight.grad) for name, weight in model.named_parameters()],
        [(n, list(m._forward_hooks), list(m._forward_pre_hooks)) for n, m in model.named_modules()],
        [module.training for module in model.modules()],
    )


@pytest.fixture
def half_frozen(tiny_model):
    """A model of whose weights some learn and some do not."""
    model = copy.deepcopy(tiny_model)
    for number, weight in enumerate(model.parameters()):
        weight.requires_grad_(number % 3 > 0)
    return model


def test_the_model_is_left_as_it_was(half_frozen, twins):
    before = traces_of(half_frozen)
    with torch.no_grad():
        logits = half_frozen(**twins.clean.inputs).logits
    chosen = sites(6, components=COMPONENTS, groups=["last", "audio"], layers=[-1, 0, 5])
    one = tracer_of(half_frozen, twins, chosen, method="attribution")
    found = traced(one, twins)
    assert list(found.attributed) == ["recover"]
    assert (found.patched, found.twin, found.clean, found.corrupted) == ({}, {}, None, None)
    assert not found.attributed["recover"].requires_grad
    assert traces_of(half_frozen) == before
    with torch.no_grad():
        assert torch.equal(half_frozen(**twins.clean.inputs).logits, logits)


@pytest.mark.parametrize("layer", [0, 3])
def test_an_exception_leaves_nothing_behind(half_frozen, twins, layer):
    def fail(module, args, output):
        if torch.is_grad_enabled():
            raise ZeroDivisionError

    half_frozen.get_decoder().layers[layer].mlp.register_forward_hook(fail)
    before = traces_of(half_frozen)
    chosen = sites(6, components=COMPONENTS, groups=["last"], layers=[0, 5])
    with pytest.raises(ZeroDivisionError):
        traced(tracer_of(half_frozen, twins, chosen, method="attribution"), twins)
    assert traces_of(half_frozen) == before
    assert torch.is_grad_enabled()


def test_a_layer_that_passes_no_gradient_on_is_an_error(half_frozen, twins):
    half_frozen.get_decoder().layers[2].register_forward_hook(
        lambda module, args, output: output.detach()
    )
    before = traces_of(half_frozen)
    chosen = sites(6, groups=["last"], layers=[0, 5])
    with pytest.raises(UnsupportedModelError, match=r"passes no gradient on.*use true patches"):
        traced(tracer_of(half_frozen, twins, chosen, method="attribution"), twins)
    assert traces_of(half_frozen) == before


def test_it_does_not_matter_whether_the_caller_wants_gradients(tiny_model, twins):
    chosen = sites(6, components=COMPONENTS, groups=["last"], layers=[1, 5])
    one = tracer_of(tiny_model, twins, chosen, method="attribution")
    found = []
    for context in (torch.enable_grad, torch.no_grad):
        with context():
            found.append(traced(one, twins).attributed["recover"])
    assert torch.equal(*found)
    assert float(found[0].abs().max()) > 1e-4


def test_last_layer_states_that_nobody_reads_do_nothing(tiny_model, twins):
    """No gradient reaches them, which is 0 and not an error."""
    chosen = sites(6, components=COMPONENTS, groups=["option", "audio"], layers=[5], nulls=False)
    one = tracer_of(tiny_model, twins, chosen, method="attribution")
    assert traced(one, twins).attributed["recover"].abs().max() == 0


def test_the_source_is_taken_from_where_it_belongs(tiny_model, twins):
    """By component and layer: only one entry of the other run's states is not the run's own."""
    subject = subject_of(tiny_model, twins)
    batch = subject.read(twins.items)
    where = {"last": places(batch, "last")}
    chosen = sites(6, components=COMPONENTS, groups=["last"], nulls=False)
    for mine in chosen[::3]:
        states = states_of(subject, batch)
        kept = states[mine.component][place(mine.component, mine.layer)]
        kept += torch.randn(kept.shape, generator=torch.Generator().manual_seed(0))
        right = right_of(batch.items)
        effects = attributed(subject, batch, right, states, 0, where, chosen)
        found = effects.abs().max(0).values
        assert [site for site, f in zip(chosen, found.tolist(), strict=True) if f > 1e-6] == [mine]
