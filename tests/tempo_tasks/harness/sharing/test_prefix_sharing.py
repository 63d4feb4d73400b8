"""A clip's questions share what they begin with: the same answers, and fewer operations."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from tempo_attn import AttnScaleConfig
from tempo_tasks.audio import file_handle, silenced_handle
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.harness.sharing import shared_inputs
from tests.support.tiny_checkpoints import ARGUMENTS, CHECKPOINTS, save
from tests.support.tiny_models import without_timm

QUESTIONS = [
    "<audio>which is last?\na. bell\nb. horn",
    "<audio>which is longest?\na. bell\nb. horn or not",
    "<audio>which is earliest, or which else?\na. bell or not\nb. horn",
]
NOT_SHARED = {
    "desta25": "no key/value cache",
    "moss_transcribe_diarize": "no key/value cache",
    "voxtral": "not encoded as text",
    "kimi_audio": "not encoded as text",
    "gemma3n": "DynamicSlidingWindowLayer",
    "gemma4": "DynamicSlidingWindowLayer",
    "gemma4_unified": "DynamicSlidingWindowLayer",
}
"""Families whose prompts are run as a whole, and a word of the reason."""


@pytest.fixture(autouse=True)
def timm_is_not_needed(monkeypatch):
    """Gemma 3n's vision tower is left out: see `without_timm`."""
    monkeypatch.setattr("tempo_attn.families.gemma3n.require_extra", lambda *args: None)
    with without_timm():
        yield


@pytest.fixture(scope="module")
def noises(tmp_path_factory):
    """Two clips of different lengths, and silence of one of these lengths."""
    folder, rng = tmp_path_factory.mktemp("noises"), np.random.default_rng(0)
    handles = []
    for name, n_samples in (("short", 9000), ("long", 15000)):
        path = folder / f"{name}.wav"
        soundfile.write(path, 0.1 * rng.standard_normal(n_samples), 16000)
        handles.append(file_handle(path))
    return [*handles, silenced_handle(handles[1])]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """A function from a family's name to its checkpoint's folder, written once."""
    return cache(lambda name: save(name, tmp_path_factory.mktemp(name)))


def request(text, second, handle):
    return SimpleNamespace(doc={}, args=(text, second, {"audio": [handle]}))


def answers(model, handles):
    scored = [
        request(text, answer, handle)
        for text in QUESTIONS
        for handle in handles
        for answer in ("a", "b", "bell is")
    ]
    until = {"until": [], "max_gen_toks": 3}
    generated = [request(text, until, handle) for text in QUESTIONS for handle in handles]
    scores = [score for score, _ in model.loglikelihood(scored, disable_tqdm=True)]
    return scores, model.generate_until(generated, disable_tqdm=True)


@pytest.mark.parametrize("edited", [False, True], ids=["plain", "edit"])
@pytest.mark.parametrize("name", sorted(CHECKPOINTS))
def test_answers_are_those_of_prompts_run_as_a_whole(name, edited, folder_of, noises):
    full = {name: [1, 3, 4] for name in ("gemma3n", "gemma4", "gemma4_unified")}
    edit = AttnScaleConfig(strength=3.0, layers=full.get(name, "all")) if edited else None
    arguments = {"pretrained": str(folder_of(name)), "batch_size": 4, "attn_scale": edit}
    arguments |= ARGUMENTS.get(name, {})
    sharing, whole = (LALM(**arguments, dtype="float32", share_prefix=s) for s in (True, False))
    scores, texts = answers(sharing, noises)
    expected_scores, expected_texts = answers(whole, noises)
    assert scores == pytest.approx(expected_scores, rel=1e-5, abs=1e-5)
    assert texts == expected_texts
    said = sharing.sharing.to_dict()
    assert NOT_SHARED.get(name, "") in (said["reason_against"] or "")
    assert (name in NOT_SHARED) == bool(said["reason_against"])
    # Qwen3-ASR's logits differ by as much when its prompts are put into another batch, unshared.
    allowed = 5e-5 if name == "qwen3_asr" else 1e-5
    assert name in NOT_SHARED or said["logit_difference"] < allowed
    if edited:
        assert sharing.model.status().prefills[1] > 0


# ---------------------------------------------------------------------- on the embedded model


class Operations:
    """What a model was made to do: encoder passes, prefilled tokens, decoding steps."""

    def __init__(self, lm):
        self.encoded = self.prefilled = self.steps = 0
        lm.model.model.audio_tower.register_forward_pre_hook(self._encode)
        lm.model.model.language_model.register_forward_pre_hook(self._decode, with_kwargs=True)

    def _encode(self, module, args):
        self.encoded += len(args[0])

    def _decode(self, module, args, kwargs):
        n_rows, n_tokens = kwargs["inputs_embeds"].shape[:2]
        if n_tokens == 1:
            self.steps += n_rows
        else:
            self.prefilled += n_rows * n_tokens


def counted(handles, kind, second, **arguments):
    lm = LALM(batch_size=3, **arguments)
    requests = [request(text, second, handle) for handle in handles for text in QUESTIONS]
    lm.hearing.clip_change = 1.0  # its two passes are not counted here
    lengths = {len(lm.tokenizer(lm.render(text, handles[:1])).input_ids) for text in QUESTIONS}
    operations = Operations(lm)
    answer = getattr(lm, kind)(requests, disable_tqdm=True)
    return lm, operations, answer, lengths


def test_a_clip_is_encoded_and_prefilled_once(noises):
    """Exact numbers: three clips, three questions each, in batches of three rows.

    Two prompts are also run as a whole, which is the check.
    """
    lm, shared, answer, lengths = counted(noises, "loglikelihood", "A")
    whole_lm, whole, expected, _ = counted(noises, "loglikelihood", "A", share_prefix=False)
    assert [score for score, _ in answer] == pytest.approx([score for score, _ in expected], 1e-5)
    assert (whole.encoded, shared.encoded) == (9, 3 + 1)
    assert whole.steps == shared.steps == 0
    beginnings = {prefix.n_tokens for prefix in lm.sharing.store._values.values()}
    n_audio = {lm.family.n_audio_tokens(lm.processor, n) for n in (9000, 15000)}
    longest, fewest = max(beginnings), min(beginnings)
    assert longest - fewest == max(n_audio) - min(n_audio)
    head = longest - max(n_audio)
    questions = [length - head - 1 for length in sorted(lengths)]  # without the marker
    # Beginnings of both clips and the silence, then batches of questions of one length, then the
    # first prompt of the first batch, as a whole and as a question with one position of padding.
    n_batch = 3
    expected_tokens = 3 * longest + sum(n_batch * length for length in questions)
    check = fewest + questions[-1] + questions[-1] + 1
    assert shared.prefilled == expected_tokens + check
    assert whole_lm.sharing.reason == "share_prefix=False"


def test_rows_and_steps_of_a_generation(noises):
    """One token is asked for: the prefill gives it, and no decoding step is made."""
    until = {"until": [], "max_gen_toks": 1}
    _, shared, answer, _ = counted(noises, "generate_until", until)
    _, whole, expected, _ = counted(noises, "generate_until", until, share_prefix=False)
    assert answer == expected
    assert shared.steps == whole.steps == 0
    assert (whole.encoded, shared.encoded) == (9, 3 + 1)


def test_a_letter_takes_one_decoding_step(noises):
    """Exact numbers: nine prompts, each answered by a letter and the end of the turn."""
    until = {"until": [], "max_gen_toks": 32}
    _, shared, answer, _ = counted(noises, "generate_until", until)
    _, whole, expected, _ = counted(noises, "generate_until", until, share_prefix=False)
    assert answer == expected
    assert all(text in "ABCD" for text in answer)
    assert (whole.steps, shared.steps) == (9, 9)


def test_silence_of_one_length_is_one_clip(noises):
    handles = [silenced_handle(handle) for handle in (noises[1], noises[1], noises[0])]
    _, shared, _, _ = counted(handles, "loglikelihood", "A")
    assert shared.encoded == 2 + 1  # two lengths, and the check


def test_what_is_kept_between_calls_has_a_bound(noises):
    lm, _, answer, _ = counted(noises, "loglikelihood", "A", cache_mb=0)
    _, _, expected, _ = counted(noises, "loglikelihood", "A")
    assert lm.sharing.store.n_bytes == lm.clips._waves.n_bytes == 0
    assert answer == [(pytest.approx(score, 1e-5), greedy) for score, greedy in expected]


def test_a_fault_is_found_and_prompts_are_run_as_a_whole(noises, monkeypatch, caplog):
    join_prefixes = shared_inputs.join_prefixes

    def another_clip(*args):
        cache = join_prefixes(*args)
        cache.layers[0].keys.neg_()
        return cache

    monkeypatch.setattr(shared_inputs, "join_prefixes", another_clip)
    lm, _, answer, _ = counted(noises, "loglikelihood", "A")
    _, _, expected, _ = counted(noises, "loglikelihood", "A", share_prefix=False)
    assert answer == expected
    assert "that differ by" in lm.sharing.reason
    assert "with all of its audio" in caplog.text


def test_beams_are_given_whole_prompts(noises):
    beams = {"until": [], "max_gen_toks": 2, "num_beams": 2}
    _, shared, answer, _ = counted(noises, "generate_until", beams)
    _, whole, expected, _ = counted(noises, "generate_until", beams, share_prefix=False)
    assert answer == expected
    assert shared.encoded == whole.encoded
