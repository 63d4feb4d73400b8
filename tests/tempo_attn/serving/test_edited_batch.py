"""Edits in an engine's flat batches, against attention that is worked out whole."""

import pytest
import torch

from tempo_attn import AttnScaleConfig
from tempo_attn.attention.mode_formulas import edit_logits
from tempo_attn.errors import EditNotAppliedError
from tempo_attn.runtime.resolve_edit import ResolvedEdit
from tempo_attn.serving.edited_batch import BatchEditor
from tempo_attn.serving.request_edits import RequestEdit

HEADS, KV, DIM = 4, 2, 8
SCALING = DIM**-0.5
LAYERS = (0, 1)


class Engine:
    """Runs made-up layers over requests, in batches of chosen chunks, with a kernel of its own."""

    def __init__(self, edits, requests):
        self.editor = BatchEditor(edits)
        self.requests = requests
        rng = torch.Generator().manual_seed(0)
        self.tensors = {
            name: [
                [torch.randn(length, heads, DIM, generator=rng) for heads in (HEADS, KV, KV)]
                for _ in LAYERS
            ]
            for name, (length, _) in requests.items()
        }
        self.out = {
            name: torch.zeros(len(LAYERS), length, HEADS, DIM)
            for name, (length, _) in requests.items()
        }

    def run(self, *batch, layers=LAYERS):
        """Run one forward over (name, start, stop) chunks; return what was edited."""
        parts, at = [], 0
        for name, start, stop in batch:
            edit = self.requests[name][1]
            if edit is not None:
                parts.append((name, edit, at, stop - start, start))
            at += stop - start
        self.editor.begin(parts)
        for layer in layers:
            chunks = [
                [tensor[start:stop] for tensor in self.tensors[name][layer]]
                for name, start, stop in batch
            ]
            query, key, value = (torch.cat(tensors) for tensors in zip(*chunks, strict=True))
            out = torch.cat(
                [
                    by_hand(*self.tensors[name][layer], None, None)[start:stop]
                    for name, start, stop in batch
                ]
            )
            self.editor.edit(layer, query, key, value, out, SCALING)
            at = 0
            for name, start, stop in batch:
                self.out[name][layer, start:stop] = out[at : at + stop - start]
                at += stop - start
        return {done.request.request: done for done in self.editor.end()}

    def expected(self, name, config, rows):
        edit = self.requests[name][1]
        keys = edit.prompt().keys(config)[0] if edit else torch.zeros(0).bool()
        return torch.stack([by_hand(*self.tensors[name][i], (config, keys), rows) for i in LAYERS])


def by_hand(query, key, value, edit, rows):
    """Causal attention of one request, written out; the rows of an edit are edited."""
    n = len(query)
    key, value = (t.repeat_interleave(HEADS // KV, 1) for t in (key, value))
    logits = torch.einsum("qhd,khd->hqk", query, key) * SCALING
    allowed = torch.ones(n, n).bool().tril()
    if edit is not None:
        config, keys = edit
        wide = torch.zeros(n).bool()
        wide[: len(keys)] = keys
        chosen = wide[None] & allowed & torch.isin(torch.arange(n), torch.tensor(rows))[:, None]
        chosen = chosen[None, None].expand(1, HEADS, n, n).clone()
        if config.heads is not None:
            chosen[:, [h for h in range(HEADS) if h not in config.heads]] = False
        logits = edit_logits(logits[None], chosen, config.mode, config.strength)[0]
    weights = logits.masked_fill(~allowed, -torch.inf).softmax(-1)
    return torch.einsum("hqk,khd->qhd", weights, value)


def resolved(config, layers=LAYERS):
    heads = config.heads
    return ResolvedEdit(config, {layer: heads and list(heads) for layer in layers})


def edit(request, name="a", length=12):
    return RequestEdit(request, name, length, [(2, 6)], [(4, 5), (8, 10), (11, 12)])


ROWS = [4, 8, 9, 11]


@pytest.mark.parametrize("mode", ["scale", "scale_preserving", "upweight_matched", "knockout"])
@pytest.mark.parametrize("cuts", [[], [7], [1, 5, 9], [3, 4, 11]], ids=str)
def test_chunks_are_edited_as_the_whole(mode, cuts):
    config = AttnScaleConfig(mode=mode, strength=None if mode == "knockout" else 0.3)
    if mode == "knockout":  # a row of the audio itself might see nothing
        wanted = RequestEdit("x", "a", 12, [(2, 4)], [(4, 5), (8, 10), (11, 12)])
    else:
        wanted = edit("x")
    engine = Engine({"a": resolved(config)}, {"x": (12, wanted)})
    counted = 0
    for start, stop in zip([0, *cuts], [*cuts, 12], strict=True):
        done = engine.run(("x", start, stop))
        counted += done["x"].new_rows if "x" in done else 0
    torch.testing.assert_close(engine.out["x"], engine.expected("x", config, ROWS))
    assert counted == len(ROWS) == done["x"].rows
    assert done["x"].layers == LAYERS


def test_requests_of_one_batch_have_edits_of_their_own():
    weak = AttnScaleConfig(strength=0.2)
    strong = AttnScaleConfig(mode="upweight", strength=3.0, heads=[1, 2])
    engine = Engine(
        {"weak": resolved(weak), "strong": resolved(strong, layers=[1])},
        {"x": (12, edit("x", "weak")), "plain": (7, None), "y": (12, edit("y", "strong"))},
    )
    done = engine.run(("x", 0, 12), ("plain", 0, 7), ("y", 0, 12))
    torch.testing.assert_close(engine.out["x"], engine.expected("x", weak, ROWS))
    torch.testing.assert_close(engine.out["plain"], engine.expected("plain", weak, []))
    torch.testing.assert_close(engine.out["y"][1], engine.expected("y", strong, ROWS)[1])
    torch.testing.assert_close(engine.out["y"][0], engine.expected("y", strong, [])[0])
    assert done["y"].layers == (1,)
    assert done["x"].rows == done["y"].rows == 4


@pytest.mark.parametrize(("phase", "edited"), [("prefill", []), ("all", [12, 13, 14])])
def test_the_answer_is_edited_in_phase_all_only(phase, edited):
    config = AttnScaleConfig(strength=0.2, phase=phase)
    engine = Engine({"a": resolved(config)}, {"x": (15, edit("x")), "y": (12, edit("y"))})
    engine.run(("x", 0, 12), ("y", 0, 5))
    engine.run(("x", 12, 13), ("y", 5, 12))  # one decodes, the other is still in its prompt
    engine.run(("x", 13, 14))
    done = engine.run(("x", 14, 15))
    torch.testing.assert_close(engine.out["x"], engine.expected("x", config, [*ROWS, *edited]))
    torch.testing.assert_close(engine.out["y"], engine.expected("y", config, ROWS))
    assert (done["x"].rows if edited else len(done)) == len(edited and ROWS + edited)


def test_a_preempted_request_begins_again():
    config = AttnScaleConfig(strength=0.2, phase="all")
    engine = Engine({"a": resolved(config)}, {"x": (14, edit("x"))})
    engine.run(("x", 0, 12))
    engine.run(("x", 12, 13))
    engine.editor.forget(["x"])
    assert len(engine.editor) == 0
    engine.out["x"].zero_()
    engine.run(("x", 0, 9))
    done = engine.run(("x", 9, 14))  # its answer so far is part of what is computed again
    torch.testing.assert_close(engine.out["x"], engine.expected("x", config, [*ROWS, 12, 13]))
    assert done["x"].rows == 6


def test_keys_are_kept_only_for_rows_to_come():
    config = AttnScaleConfig(strength=0.2)
    engine = Engine({"a": resolved(config)}, {"x": (12, edit("x"))})
    engine.run(("x", 0, 12))
    (request,) = engine.editor._requests.values()
    assert request.done
    assert not request.stores


def test_an_edit_of_strength_one_is_counted_and_changes_nothing():
    config = AttnScaleConfig(strength=1.0)
    engine = Engine({"a": resolved(config)}, {"x": (12, edit("x"))})
    assert engine.run(("x", 0, 12))["x"].rows == 4
    torch.testing.assert_close(engine.out["x"], engine.expected("x", config, []))


def test_a_layer_that_runs_without_its_edit_is_an_error():
    engine = Engine({"a": resolved(AttnScaleConfig(strength=2.0))}, {"x": (12, edit("x"))})
    with pytest.raises(EditNotAppliedError, match=r"layer\(s\) \[1\] ran without"):
        engine.run(("x", 0, 12), layers=[0])


def test_a_prompt_whose_beginning_came_from_a_cache_is_an_error():
    engine = Engine({"a": resolved(AttnScaleConfig(strength=2.0))}, {"x": (12, edit("x"))})
    with pytest.raises(EditNotAppliedError, match="begins at position 10"):
        engine.run(("x", 10, 12))


def test_a_configuration_that_a_worker_has_not_is_an_error():
    engine = Engine({"b": resolved(AttnScaleConfig(strength=2.0))}, {"x": (12, edit("x"))})
    with pytest.raises(EditNotAppliedError, match="no configuration 'a', only"):
        engine.run(("x", 0, 12))


def test_a_rank_without_an_edited_head_edits_nothing():
    config = AttnScaleConfig(strength=2.0, heads=[7])
    engine = Engine({"a": ResolvedEdit(config, {})}, {"x": (12, edit("x"))})
    assert engine.run(("x", 0, 12)) == {}
