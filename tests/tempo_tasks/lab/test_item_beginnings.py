"""A clip is encoded and its beginning prefilled once for all its items: exact numbers."""

from collections import Counter

import pytest
import torch

from tempo_attn.lab.lens.run import Lens
from tempo_attn.lab.sweep.grid import Grid
from tempo_attn.lab.sweep.run import Sweeper
from tempo_attn.lab.trace.run import Tracer
from tempo_attn.lab.trace.sites import sites
from tempo_tasks.lab.corruptions import corruption
from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.study import Study

TASKS = ["tempo_synth_eo_aqa", "tempo_synth_lo_aqa", "tempo_synth_ld_aqa"]
CLIPS, SIZE = 4, 5
pytestmark = pytest.mark.usefixtures("loaded_once")


class Operations:
    """What a model was made to do: clips encoded, and positions that its decoder ran."""

    def __init__(self, study):
        self.encoded = self.prefilled = 0
        model = study.lm.model.model
        self._hooks = [
            model.audio_tower.register_forward_pre_hook(self._encode),
            model.language_model.register_forward_pre_hook(self._decode, with_kwargs=True),
        ]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for hook in self._hooks:
            hook.remove()

    def _encode(self, module, args):
        self.encoded += len(args[0])

    def _decode(self, module, args, kwargs):
        given = kwargs.get("inputs_embeds")
        given = kwargs["input_ids"] if given is None else given
        self.prefilled += given.shape[0] * given.shape[1]


def study_of(**arguments):
    torch.set_num_threads(1)
    settings = Settings(
        tasks=TASKS, metadata={"synth_scenes": CLIPS}, batch_size=SIZE, model_args=arguments
    )
    study = Study(settings)
    assert len(study.items) == 3 * CLIPS
    assert set(Counter(item.beginning for item in study.items).values()) == {3}
    return study


def lengths(study):
    """Return the beginnings' length, all clips being of one, and each item's question's."""
    source = study.beginnings._source
    before = {source.inputs(item)["input_ids"].shape[1] for item in study.items}
    assert len(before) == 1
    return before.pop(), {item.key: len(source.question(item)) for item in study.items}


def tokens(items, after):
    """Return the positions of a batch's questions, padding included."""
    return len(items) * max(after[item.key] for item in items) if items else 0


def check(study, before, after):
    """Return what the check runs: two items as a whole, encoded once, and prefilled once."""
    two = study.plan.extremes(study.items)
    return 2 * (2 * before + tokens(two, after)) + tokens(two, after)


def run(study, experiment):
    batches = study.plan.batches(study.items)
    with Operations(study) as counted:
        records = [record for batch in batches for record in experiment.run_batch(batch)]
    return batches, counted, records


def same(records, others, tolerance=1e-4):
    """Check that records hold the same; numbers as rounded to five decimals."""
    by_key = {record.key: record.to_dict() for record in others}
    for record in records:
        for name, value in record.to_dict().items():
            _same(value, by_key[record.key][name], tolerance)


def _same(one, other, tolerance):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = list(one.values()), list(other.values())
    if isinstance(one, list):
        for left, right in zip(one, other, strict=True):
            _same(left, right, tolerance)
    else:
        assert one == (pytest.approx(other, abs=tolerance) if isinstance(one, float) else other)


def lens_of(study):
    return Lens(study.subject, ["last", "option", "audio"], plan=study.plan)


def sweep_of(study):
    grid = Grid(strengths={"scale": (0.5,)}, rows=[("last",), ("option",)], nulls=("sign", "keys"))
    variants = grid.variants(study.n_layers, study.n_heads)
    return Sweeper(study.subject, variants, plan=study.plan, engine="fast")


@pytest.mark.parametrize("make", [lens_of, sweep_of])
def test_a_clip_is_encoded_and_prefilled_once(make):
    study = study_of()
    before, after = lengths(study)
    batches, counted, records = run(study, make(study))
    assert not study.beginnings.reason
    assert study.beginnings.difference < 1e-4
    assert counted.encoded == CLIPS + 2
    questions = sum(tokens(batch, after) for batch in batches)
    assert counted.prefilled == CLIPS * before + questions + check(study, before, after)

    whole = study_of(share_prefix=False)
    assert whole.beginnings.reason == "share_prefix=False"
    batches, counted, others = run(whole, make(whole))
    assert counted.encoded == 3 * CLIPS
    assert counted.prefilled == 3 * CLIPS * before + sum(tokens(b, after) for b in batches)
    same(records, others)


def trace_of(study):
    items, corrupt = corruption("silence", study.items)
    assert items == study.items
    return Tracer(
        study.subject,
        corrupt,
        sites(study.n_layers, groups=("last", "audio"), layers=(1, 3)),
        plan=study.plan,
        engine="fast",
    )


def test_a_trace_encodes_each_clip_and_one_silence():
    study = study_of()
    before, after = lengths(study)
    batches, counted, records = run(study, trace_of(study))
    assert counted.encoded == CLIPS + 1 + 2
    kept = {record.key for record in records if record.dropped is None}
    assert kept
    patched = [[item for item in batch if item.key in kept] for batch in batches]
    # Both runs' logits, then of those that are patched the clean states, the corrupted prefill and
    # once more the clean logits: all but the second pair from the beginnings' keys and values.
    expected = (CLIPS + 1) * before + check(study, before, after)
    expected += sum(2 * tokens(batch, after) for batch in batches)
    expected += sum(2 * len(some) * before + 3 * tokens(some, after) for some in patched)
    assert counted.prefilled == expected

    whole = study_of(share_prefix=False)
    _, counted, others = run(whole, trace_of(whole))
    assert counted.encoded == 2 * 3 * CLIPS + 3 * len(kept)
    same(records, others)


def test_beginnings_are_the_same_in_any_batch():
    """To the last bit: a run that goes on, or a part of one, has the records of the whole."""
    study = study_of()
    one = study.items[0]
    other = next(item for item in study.items if item.beginning != one.beginning)
    first = study.subject.read([one], behind=True)
    study.beginnings._forget()
    second = study.subject.read([other, one], behind=True)
    keys = first.before.prefixes[0].blocks, second.before.prefixes[1].blocks
    for alone, beside in zip(*keys, strict=True):
        assert torch.equal(alone, beside)


def test_what_is_kept_has_a_bound():
    study = study_of(cache_mb=1)
    run(study, lens_of(study))
    kept = study.beginnings._prefilled
    assert kept.n_bytes <= kept.limit == 2**20


def test_a_fault_is_found_and_items_are_run_as_a_whole(caplog, monkeypatch):
    study = study_of()
    monkeypatch.setattr(
        "tempo_attn.lab.engine.shared_beginnings.positions_of", lambda mask: 0 * mask.long()
    )
    _, _, records = run(study, lens_of(study))
    assert "differ by" in study.beginnings.reason
    assert "which is slow" in caplog.text
    whole = study_of(share_prefix=False)
    same(records, run(whole, lens_of(whole))[2])
