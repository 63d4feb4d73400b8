"""Enrichments in a sweep: both engines against the wrapper, effects, choosing, and end to end."""

import csv
import json
from dataclasses import replace

import lm_eval
import numpy as np
import pytest
import torch
from lm_eval.tasks import TaskManager

from tempo_attn import AttnScaleConfig, apply_attn_scale
from tempo_attn.attention.mode_formulas import STATE_FORMULAS
from tempo_attn.errors import AdapterError, ConfigError, OptionError, UnsupportedModelError
from tempo_attn.families import get_family
from tempo_attn.lab.engine.fast_against_full import TOLERANCE
from tempo_attn.lab.engine.memory_and_batches import BatchPlan
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.run_folder.folder import read_run
from tempo_attn.lab.sweep.choose import choose
from tempo_attn.lab.sweep.effects import effects
from tempo_attn.lab.sweep.fast_engine import EditedBatch
from tempo_attn.lab.sweep.grid import Grid, Variant
from tempo_attn.lab.sweep.panels import by_panel, edit_name
from tempo_attn.lab.sweep.records import SweepResults
from tempo_attn.lab.sweep.run import Sweeper
from tempo_attn.lab.sweep.table import to_rows
from tempo_attn.lab.sweep.variants_run_in_full import probes
from tempo_attn.modes import MODES
from tempo_tasks.lab.choose import ChooseRequest, choose_from, sweep_and_choose
from tempo_tasks.lab.grid_request import parse_grid
from tempo_tasks.lab.options import parse_some_layers
from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.sweep import SweepRequest, run_sweep
from tempo_tasks.paths import task_yamls_dir
from tests.support.lab_items import answer, make_prepared, wrapped_logits
from tests.support.sweep_results import sweep as results_with
from tests.support.tiny_models import FAMILIES

MIXED = {"enrich": (0.3, 0.8), "scale": (0.5,), "upweight": (1.5,), "knockout": ()}
ROWS = [["last"], ["last", "keyword"], ["option"], ["all_text"]]
SINGLE, SEVERAL = [[1], [2], [5]], [[2, 4]]
BOTH = [*SINGLE, [2, 4], [1, 2, 3, 4, 5]]


def enrichment(strength=0.4, layers=(3,), rows=("last",), source=1, **fields):
    fields = {"mode": "enrich"} | fields
    return Variant(layers=layers, rows=rows, strength=strength, source=source, **fields)


def far(found, expected):
    return float(((found - expected).abs() / expected.abs().clamp(min=1.0)).max())


def mixed(layers, rows=ROWS, **fields):
    """Enrichments and edits of attention in one grid."""
    fields = {"sources": [0, 1, 3], "nulls": ()} | fields
    return Grid(strengths=MIXED, rows=rows, layers=layers, **fields).variants(6, 4)


# ------------------------------------------------------------------------------ exactness


@pytest.mark.parametrize("rows", ROWS, ids="+".join)
@pytest.mark.parametrize(
    ("layers", "n_enriched"),
    [
        pytest.param(SINGLE, 6, id="single", marks=pytest.mark.slow),  # they are in both, too
        pytest.param(SEVERAL, 2, id="several"),
        pytest.param(BOTH, 9, id="both"),
    ],
)
def test_replay_full_and_the_wrapper_agree(tiny_model, prepared, sweep, layers, n_enriched, rows):
    heads = [None, [0, 3]] if rows == ["last", "keyword"] else [None]
    variants = mixed(layers, [rows], heads=heads)
    enriched = [n for n, variant in enumerate(variants) if variant.mode == "enrich"]
    assert len(enriched) == n_enriched * 2  # pairs of source and layers, weights
    assert {variants[n].source for n in enriched} >= {0, 1}
    expected = wrapped_logits(tiny_model, tiny_model, prepared.inputs, variants, prepared.tokenizer)
    fast = answer(sweep(variants, engine="fast"), prepared)
    slow = answer(sweep(variants, engine="full"), prepared)
    assert far(fast.logits, expected) < TOLERANCE
    assert far(slow.logits, expected) < TOLERANCE
    change = (fast.logits - fast.plain[:, None])[:, enriched].abs().amax((0, 2))
    # From layer to layer there is nothing left to see in the last layer's earlier rows.
    seen = [n for n in enriched if "last" in rows or variants[n].layers != (5,)]
    assert float(change[[enriched.index(n) for n in seen]].min()) > 1e-3
    assert fast.audio[:, enriched].isnan().all()
    assert slow.audio[:, enriched].isnan().all()
    others = [n for n in range(len(variants)) if n not in enriched]
    assert torch.equal(fast.audio[:, others].isnan(), slow.audio[:, others].isnan())
    statistics = [found.audio[:, others].nan_to_num() for found in (fast, slow)]
    assert far(*statistics) < TOLERANCE


def test_two_modes_of_states_in_one_sweep_have_each_its_own_formula(prepared, sweep, monkeypatch):
    monkeypatch.setitem(MODES, "replace", replace(MODES["enrich"], name="replace"))
    formula = lambda deep, early, weight: deep.float() * 0 + early * weight  # noqa: E731
    monkeypatch.setitem(STATE_FORMULAS, "replace", formula)
    one, other = enrichment(0.5), enrichment(0.5, mode="replace")
    together = answer(sweep([one, other], engine="fast"), prepared)
    for number, variant in enumerate((one, other)):
        alone = answer(sweep([variant], engine="full"), prepared)
        assert far(together.logits[:, number], alone.logits[:, 0]) < TOLERANCE
    assert far(together.logits[:, 0], together.logits[:, 1]) > 10 * TOLERANCE


@pytest.mark.parametrize("memory", [1, 2**21])
def test_small_chunks_change_nothing(prepared, sweep, memory):
    variants = mixed(SINGLE)
    whole = answer(sweep(variants, engine="fast", plan=BatchPlan(memory=2**30)), prepared)
    pieces = answer(sweep(variants, engine="fast", plan=BatchPlan(memory=memory)), prepared)
    assert far(pieces.logits, whole.logits) < TOLERANCE
    assert torch.equal(pieces.audio.isnan(), whole.audio.isnan())


def test_items_alone_or_together_are_the_same(prepared, sweep):
    edit = enrichment(0.6, (2, 4), ("option",), 0)
    sweeper = sweep([edit.control, edit, edit.null("sign")], engine="fast")
    together = answer(sweeper, prepared)
    for row, item in enumerate(prepared.items):
        alone = sweeper.answer(sweeper.subject.read([item]))
        assert far(alone.logits[0], together.logits[row]) < TOLERANCE


def test_all_sorts_of_sets_of_layers_run_the_fast_way(prepared, sweep):
    """Not the slow one, which is what becomes of a grid whose replay fails."""
    for layers in (SINGLE, SEVERAL, [[1], [3, 4]]):
        sweeper = sweep(mixed(layers, [["last"]]))
        answer(sweeper, prepared)
        assert sweeper.choice.engine == "fast", sweeper.choice.reason


@pytest.mark.parametrize("layers", [BOTH, [[2], [1, 3]]], ids=str)
def test_further_sets_of_layers_run_the_fast_way(prepared, sweep, layers):
    sweeper = sweep(mixed(layers, [["last"]]))
    answer(sweeper, prepared)
    assert sweeper.choice.engine == "fast", sweeper.choice.reason


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_family(name):
    tiny = FAMILIES[name]()
    masks = {f"{span}_mask": mask for span, mask in tiny.batch_spans.items()}
    prepared = make_prepared({**tiny.batch, **masks}, n_items=len(tiny.batch_spans["audio"]))
    family = get_family(tiny.config)
    decoder = family.decoder(tiny.model)
    last = len(decoder.layers) - 1
    hybrid = family.attentions(tiny.model)[1] is None  # where nothing is recomputed as a control
    edits = [
        enrichment(0.4, layers, rows, source)
        for layers in (((last,),) if hybrid else ((1,), (last,), (1, last)))
        for rows in (("last",), ("all_text",))
        for source in (0, 1)
        if source < layers[0]
    ]
    sweeper = Sweeper(ModelUnderStudy(tiny.model, prepared, forward=tiny.run), edits)
    if name == "gemma3n":
        with pytest.raises(UnsupportedModelError, match=r"expected states of \(batch, tokens"):
            answer(sweeper, prepared)
        return
    found = answer(sweeper, prepared)
    expected = wrapped_logits(tiny.model, tiny.run, tiny.batch, edits)
    assert far(found.logits, expected) < TOLERANCE
    assert float((found.logits - found.plain[:, None]).abs().max()) > 1e-3


def test_a_replay_that_forgets_to_enrich_is_found_out(prepared, sweep, monkeypatch):
    """The self-check probes an enrichment of each set of rows beside the edits of attention."""
    variants = mixed(SINGLE)
    probed = [variants[number] for number in probes(variants)]
    for rows in {variant.rows for variant in variants}:
        assert {v.mode == "enrich" for v in probed if v.rows == rows} == {True, False}
    honest = sweep(variants)
    expected = answer(honest, prepared).logits
    assert honest.choice.engine == "fast"
    monkeypatch.setattr(EditedBatch, "_enriched", lambda self, layer, rows, numbers: rows)
    mutated = sweep(variants)
    found = answer(mutated, prepared)
    assert mutated.choice.engine == "full"
    assert "differ by" in mutated.choice.reason
    assert far(found.logits, expected) < TOLERANCE


def test_the_model_is_left_as_it_was(tiny_model, prepared, sweep):
    def hooks():
        layers = tiny_model.model.language_model.layers
        return [(dict(layer._forward_hooks), dict(layer._forward_pre_hooks)) for layer in layers]

    before = hooks()  # transformers 5.24 leaves its own, once hidden states were asked for
    sweeper = sweep([enrichment(), enrichment(0.6, (2, 4), ("option",), 0)])
    answer(sweeper, prepared)
    answer(sweep([enrichment()], engine="full"), prepared)
    assert hooks() == before


def test_an_enriched_model_is_refused(tiny_model, prepared, sweep):
    wrapped = apply_attn_scale(tiny_model, enrichment().config())
    try:
        with pytest.raises(AdapterError, match="unload"):
            sweep([enrichment()])
    finally:
        wrapped.unload()


# ------------------------------------------------------------------------------ the random sign


def test_layers_without_attention_have_no_control():
    tiny = FAMILIES["granite_speech_hybrid"]()
    subject = ModelUnderStudy(tiny.model, make_prepared(tiny.inputs), forward=tiny.run)
    with pytest.raises(ConfigError, match=r"layers \[1\] have no attention"):
        Sweeper(subject, [enrichment(layers=(1,), source=0)])


def changes_of_states(rows, deep, early, variants):
    return rows.enrich(deep, early, variants) - deep


def test_the_random_sign_has_the_size_of_the_change(prepared, sweep):
    """Every component changes by as much, with a sign that the item's content draws."""
    edit = enrichment(0.6, rows=("option",))
    items = [replace(item, key=f"{number:x}" * 64) for number, item in enumerate(prepared.items, 5)]
    sweeper = sweep([edit])
    batch = sweeper.subject.read(items)
    rows = sweeper._edited_rows(batch)[("option",)]
    torch.manual_seed(0)
    n_items, n_rows, width = *rows.index.shape, 64
    deep = torch.randn(n_items, 1, n_rows, width).expand(-1, 3, -1, -1)
    early = torch.randn(n_items, n_rows, width)
    other = replace(edit, strength=0.2).null("sign")
    variants = [edit, edit.null("sign"), other]
    change, random, weak = changes_of_states(rows, deep, early, variants).unbind(1)
    torch.testing.assert_close(random.abs(), change.abs())
    signs = (random / change).sign()
    assert signs.equal(signs[:, :1].expand_as(signs))  # one draw for all rows of an item,
    assert 0.25 < float((signs[:, 0] > 0).float().mean()) < 0.75
    assert not signs[0].equal(signs[1])  # another one for each item,
    plain = changes_of_states(rows, deep, early, [edit, edit, replace(edit, strength=0.2)])
    assert (weak / plain[:, 2]).sign().equal(signs)  # and the same for all variants
    again = sweep([edit], seed=1)._edited_rows(batch)[("option",)]
    assert not again.enrich(deep, early, variants)[:, 1].equal(deep[:, 1] + random)


def test_the_random_sign_is_the_same_in_both_ways(prepared, sweep):
    grid = Grid(
        strengths={"enrich": (0.3, 0.8), "scale": (2.0,)},
        rows=[["last"], ["option"], ["all_text"]],
        layers=[[1], [2, 4], [5]],
        sources=[0, 1],
    )
    variants = grid.variants(6, 4)
    fast = answer(sweep(variants, engine="fast"), prepared)
    slow = answer(sweep(variants, engine="full"), prepared)
    assert far(fast.logits, slow.logits) < TOLERANCE
    at = [n for n, v in enumerate(variants) if (v.mode, v.role) == ("enrich", "sign")]
    assert len(at) == 3 * 2 * (1 + 2 + 2)
    edited = [variants.index(replace(variants[n], role="edit")) for n in at]
    shift = (fast.logits[:, at] - fast.logits[:, edited]).abs().amax((0, 2))
    reaches = [variants[n].layers != (5,) or variants[n].rows == ("last",) for n in at]
    # Not the edit's own change under another name. (The last layer's earlier rows reach nothing.)
    assert float(shift[torch.tensor(reaches)].min()) > 1e-3


# ------------------------------------------------------------------------------ grids


def test_sources_before_the_first_layer_only():
    grid = Grid(
        strengths={"enrich": (0.5,)}, rows=[["last"]], nulls=("sign", "keys"), sources=[2, 0, 2]
    )
    variants = grid.variants(4, 4)
    edits = [variant for variant in variants if variant.role == "edit"]
    assert [(v.source, v.layers) for v in edits] == [(0, (1,)), (0, (2,)), (2, (3,)), (0, (3,))]
    assert {v.role for v in variants} == {"control", "edit", "sign"}
    sets = replace(grid, layers=[[1, 3], [2, 3]], sources=[0, 1]).variants(4, 4)
    found = [(v.source, v.layers) for v in sets if v.role == "edit"]
    assert found == [(0, (1, 3)), (0, (2, 3)), (1, (2, 3))]


def test_controls_have_no_source():
    """All enrichments of the same layers and rows share one, with the edits of attention."""
    grid = Grid(
        strengths={"enrich": (0.2, 0.5), "scale": (2.0,)}, rows=[["last"]], layers=[[3]], nulls=()
    )
    variants = replace(grid, sources=[0, 1]).variants(4, 4)
    assert [v.name for v in variants] == [
        "control, layer 3, last",
        "enrich 0.2 from layer 0, layer 3, last",
        "enrich 0.2 from layer 1, layer 3, last",
        "enrich 0.5 from layer 0, layer 3, last",
        "enrich 0.5 from layer 1, layer 3, last",
        "scale 2, layer 3, last",
    ]
    assert {v.control for v in variants} == {variants[0]}
    assert variants[0].source is None


def test_heads_do_not_matter_to_states():
    grid = Grid(strengths={"enrich": (0.5,)}, rows=[["last"]], layers=[[1]], nulls=(), sources=[0])
    expected = grid.variants(2, 4)
    assert replace(grid, heads=[[0], [1, 2]]).variants(2, 4) == expected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sources": []}, "mode 'enrich' needs the layers whose states are mixed in"),
        ({"sources": [2]}, "the grid is empty"),
        ({"layers": [[0]]}, "the grid is empty"),
        ({"layers": "all"}, "the grid is empty"),
        ({"strengths": {"enrich": (1.5,)}}, "strength is 1.5; expected the early states' weight"),
        ({"strengths": {"enrich": (-0.5,)}}, "strength is -0.5; expected the early states' weight"),
        ({"strengths": {"enrich": (0.0,)}}, "enrich 0 from layer 0, .*changes nothing"),
    ],
    ids=str,
)
def test_a_wrong_grid_is_refused(fields, message):
    grid = Grid(strengths={"enrich": (0.5,)}, rows=[["last"]], sources=[0])
    with pytest.raises(ConfigError, match=message):
        replace(grid, **fields).variants(3, 4)


def test_a_source_from_the_end_is_resolved_or_refused():
    grid = Grid(strengths={"enrich": (0.5,)}, rows=[["last"]], layers=[[3]], sources=[-1], nulls=())
    with pytest.raises(ConfigError, match="source"):
        grid.variants(6, 4)


def test_an_empty_grid_names_its_sources():
    grid = Grid(strengths={"enrich": (0.5,)}, rows=[["last"]], layers=[[1]], sources=[4])
    with pytest.raises(ConfigError, match=r"sources \[4\]"):
        grid.variants(6, 4)


def test_the_option_is_named_where_it_cannot_be_read():
    with pytest.raises(OptionError, match="--source first"):
        parse_some_layers("--source", "first")


def test_a_variant_is_its_configuration_and_comes_back():
    edit = enrichment(0.3, (3, 5), ("last", "option"), 2)
    config = edit.config(provenance={"n": 1})
    assert (config.mode, config.strength, config.source) == ("enrich", 0.3, 2)
    assert (config.layers, config.queries) == ([3, 5], ["last", "option"])
    assert AttnScaleConfig.from_json(config.to_json()) == config
    for variant in (edit, edit.null("sign"), edit.control):
        assert Variant.from_dict(json.loads(json.dumps(variant.to_dict()))) == variant
    assert "source" not in edit.control.to_dict()  # as in the runs before there were sources


# ------------------------------------------------------------------------------ effects, choosing


EDITS = [
    enrichment(0.3, source=0),
    enrichment(0.3, source=1),
    enrichment(0.5, source=1),
    Variant(layers=(3,), rows=("last",), strength=2.0),
]


def planted(helps=1, n=60):
    """Every second item is wrong; one of the edits makes half of these right."""
    plain = [index % 2 for index in range(n)]
    fixed = [pick if index % 4 else 0 for index, pick in enumerate(plain)]
    fixed = [0 if index % 4 == 1 else pick for index, pick in enumerate(fixed)]
    picks = {EDITS[0].control: plain} | dict.fromkeys(EDITS, plain) | {EDITS[helps]: fixed}
    picks |= {EDITS[helps].null("sign"): plain}
    audio = {EDITS[3]: [[0.5, 0.6, 1.0, 1.1]] * n}
    return results_with(picks, audio=audio)


def test_effects_of_an_enrichment_have_no_mass():
    found = {effect.variant: effect for effect in effects(planted(), resamples=100)}
    assert set(found) == set(EDITS)
    helped = found[EDITS[1]]
    assert helped.change == pytest.approx(0.25)
    assert helped.nulls["sign"].change == 0
    assert helped.mass_before is helped.mass_after is helped.entropy_after is None
    assert found[EDITS[3]].mass_after == pytest.approx(0.6)
    assert {effect.change for edit, effect in found.items() if edit != EDITS[1]} == {0.0}


def test_tables_tell_enrichments_of_several_sources_apart():
    rows = to_rows(effects(planted(), resamples=20))
    names = ("mode", "strength", "layers", "rows", "source")
    assert len({tuple(row.get(name) for name in names) for row in rows}) == len(EDITS)
    assert [row["source"] for row in rows] == [0, 1, 1, None]


def test_pictures_have_a_place_for_every_enrichment():
    places = [
        (panel, edit_name(effect, True), effect.variant.layers)
        for panel, found in by_panel(effects(planted(), resamples=20), by_mode=True).items()
        for effect in found
    ]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("helps", [0, 1, 2])
def test_the_enrichment_that_helps_is_chosen(helps):
    choice = choose(planted(helps), resamples=200)
    assert choice.variant == EDITS[helps]
    assert choice.held_out == pytest.approx(0.25)
    assert choice.optimism == pytest.approx(0.0)
    assert choice.p_procedure < 0.05
    assert choice.to_dict()["variant"]["source"] == EDITS[helps].source


def test_of_two_that_help_alike_the_smaller_weight_is_chosen():
    strong = planted(2)
    weak, at = strong.variants.index(EDITS[1]), strong.variants.index(EDITS[2])
    records = []
    for record in strong.records:
        logits = list(record.logits)
        logits[weak] = logits[at]
        records.append(replace(record, logits=logits))
    results = SweepResults(strong.variants, records)
    assert choose(results, resamples=20).variant == EDITS[1]


# ------------------------------------------------------------------------------ end to end

TASK = "tempo_synth_eo_aqa"
SETTINGS = Settings(tasks=[TASK], metadata={"synth_scenes": 8}, batch_size=4)
GRID = parse_grid(["enrich=0.3,0.7", "scale=2"], "1,4,2+5", ["last,option"], source="0,1")


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A finished sweep of the embedded model on 8 items."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("enriched") / "run"
    run_sweep(replace(SETTINGS, out=folder), SweepRequest(grid=GRID, n_generated=0))
    return folder


def test_a_sweep_of_the_embedded_model(swept):
    summary = json.loads((swept / "summary.json").read_text())
    assert summary["engine"] == ["fast"]
    run = read_run(swept)
    variants = [Variant.from_dict(v) for v in run.manifest.settings.of_command["variants"]]
    edits = [v for v in variants if v.role == "edit"]
    n_enriched = 2 * (1 + 2 + 2) * 2  # weights, pairs of source and layers, sets of rows
    assert sum(v.mode == "enrich" for v in edits) == n_enriched
    assert {v.source for v in edits} == {None, 0, 1}
    with (swept / "effects.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["mode"] == "enrich"]
    assert len(rows) == n_enriched
    assert {row["mass_after"] for row in rows} == {""}
    assert {row["entropy_after"] for row in rows} == {""}
    assert {row["null_keys_change"] for row in rows} == {""}
    assert "" not in {row["null_sign_change"] for row in rows}


def centred(logits):
    return np.asarray(logits) - np.asarray(logits).mean(-1, keepdims=True)


def plant(folder, swept, helps, n_items=40):
    """Write a finished sweep that nobody ran: `helps` makes every wrong item right."""
    manifest = json.loads((swept / "manifest.json").read_text())
    variants = [Variant.from_dict(v) for v in manifest["settings"]["variants"]]
    manifest["n_items"] = n_items
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (record,) = (swept / "items.jsonl").read_text().splitlines()[:1]
    with (folder / "items.jsonl").open("w") as file:
        for index in range(n_items):
            right, plain = [1.0, 0.0, 0.0, 0.0], [float(n == index % 2) for n in range(4)]
            written = json.loads(record) | {
                "key": f"{index:064x}",
                "index": index,
                "id": f"item {index}",
                "cluster": f"clip {index}",
                "answer": 0,
                "plain": plain,
                "logits": [right if variant == helps else plain for variant in variants],
                "audio": [[None] * 4] * len(variants),
            }
            file.write(json.dumps(written) + "\n")
    return folder


def test_fit_writes_the_enrichment_that_helps_and_the_harness_loads_it(swept, tmp_path):
    helps = enrichment(0.7, (2, 5), ("option",), 1)
    out = tmp_path / "edit"
    run = plant(tmp_path / "planted", swept, helps)
    choice, folder = choose_from(run, ChooseRequest(out=out, folds=4))
    assert folder == out
    assert choice.variant == helps
    assert choice.held_out == pytest.approx(0.5)
    config = AttnScaleConfig.from_pretrained(out)
    assert (config.mode, config.strength, config.source) == ("enrich", 0.7, 1)
    assert (config.layers, config.queries, config.heads) == ([2, 5], ["option"], None)
    assert "| default | enrich from layer 1 | 0.7 | 2, 5 |" in (out / "README.md").read_text()
    # What lm_eval makes of it is what the sweep did.
    manager = TaskManager(
        include_defaults=False, include_path=task_yamls_dir(), metadata=SETTINGS.metadata
    )
    found = lm_eval.simple_evaluate(
        model="lalm",
        model_args={"attn_scale": str(out)},
        tasks=[f"{TASK}_ll"],
        limit=3,
        batch_size=3,
        task_manager=manager,
        bootstrap_iters=0,
    )
    assert found["config"]["tempo"]["attn_scale"]["sha256"] == config.fingerprint()
    samples = sorted(found["samples"][f"{TASK}_ll"], key=lambda sample: sample["doc_id"])
    scores = [[score for ((score, _),) in sample["resps"]] for sample in samples]
    real = read_run(swept)
    variants = [Variant.from_dict(v) for v in real.manifest.settings.of_command["variants"]]
    number = variants.index(helps)
    edited = centred([record["logits"][number] for record in real.records[:3]])
    assert centred(scores) == pytest.approx(edited, abs=1e-3)
    plain = centred([record["plain"] for record in real.records[:3]])
    assert np.abs(edited - plain).max() > 1e-2


def test_choose_runs_a_sweep_where_it_is_given_tasks(tmp_path):
    grid = parse_grid(["enrich=0.5"], "3", ["last"], nulls="none", source="0")
    out = tmp_path / "edit"
    settings = replace(SETTINGS, limit=6)
    choice, folder = sweep_and_choose(
        settings, grid, ChooseRequest(out=out, folds=2, objective="margin")
    )
    variants = read_run(out / "sweep").manifest.settings.of_command["variants"]
    assert [v["role"] for v in variants] == ["control", "edit"]
    assert variants[1]["source"] == 0
    assert choice.n == 6
    assert (folder is None) == (choice.variant is None)
    if folder is not None:
        assert AttnScaleConfig.from_pretrained(folder).source == 0
