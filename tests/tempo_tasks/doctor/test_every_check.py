"""Each check passes on the embedded model, and fails on a model with the piece that it is for."""

import re
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from tempo_attn import AttnScaleConfig, AttnScaleModel
from tempo_attn.errors import UnsupportedModelError
from tempo_attn.lab.engine.prefill import Decoder
from tempo_tasks.doctor import edit_checks
from tempo_tasks.doctor.diagnosis import passed
from tempo_tasks.doctor.every_check import ATTN_SCALE, CHECKS
from tests.support import wrong_pieces as wrong
from tests.support.steered_by_hand import directions, steer

BY_NAME = {check.name: check for check in CHECKS}
NO_AUDIO = "{% for m in messages %}{{ m['role'] }}: {% for p in m['content'] %}{{ p['text'] }}\n"
NO_AUDIO += "{% endfor %}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
AUDIO_ALONE = (
    "{% for m in messages %}{% for p in m['content'] %}{% if p['type'] == 'audio' %}"
    "<|audio_bos|><|AUDIO|><|audio_eos|>{% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture
def fails(exam):
    """Run a check and return the reason of its failure, which must match."""

    def run(name, pattern):
        finding = BY_NAME[name].finding(exam)
        assert finding.status == "failed", finding
        assert re.search(pattern, finding.reason), finding.reason
        assert finding.to_do
        return finding

    return run


def replace_inputs(monkeypatch, lm, change):
    monkeypatch.setattr(lm, "inputs", wrong.changed_inputs(lm, change))


@pytest.mark.parametrize("name", BY_NAME)
def test_it_passes_on_the_embedded_model(name, exam):
    finding = BY_NAME[name].finding(exam)
    assert finding.status == "passed", finding
    assert finding.to_do == ""
    assert finding.reason


# ---------------------------------------------------------------------- hearing


@pytest.mark.parametrize(
    ("template", "pattern"), [(NO_AUDIO, "audio marker"), (AUDIO_ALONE, "drops text|audio marker")]
)
def test_a_template_without_audio_or_without_text(template, pattern, patient, monkeypatch, fails):
    monkeypatch.setattr(patient.processor, "chat_template", template)
    monkeypatch.delattr(patient, "_assistant_turn", raising=False)
    fails("template_has_audio", pattern)
    monkeypatch.delattr(patient, "_assistant_turn", raising=False)


def test_a_processor_that_drops_audio(patient, monkeypatch, fails):
    monkeypatch.setattr(patient, "processor", wrong.drops_audio(patient.processor))
    fails("positions_match", "tokens in the text but no audio inputs were passed|1 audio positions")


def test_another_number_of_positions_than_foretold(patient, monkeypatch, fails):
    count = patient.family.n_audio_tokens
    other = wrong.Wrapped(patient.family, n_audio_tokens=lambda *given: count(*given) + 1)
    monkeypatch.setattr(patient, "family", other)
    fails("positions_match", "has 125 audio positions, and its 1 waveform.s. fill 126")
    # Not only the harness's own check finds it.
    monkeypatch.setattr("tempo_tasks.harness.audio_hflm.check_placeholders", lambda *given: None)
    fails("positions_match", "10.00 s has 125 positions in the ids, .* foretells 126")


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        (wrong.half_unfilled, r"125 audio positions, and the encoder's output reaches \d+ of them"),
        (wrong.spilt, "reaches 1 positions that are not audio"),
        (lambda states: states * 0 + 1, "output reaches 0 of them"),
    ],
)
def test_an_encoder_that_fills_other_positions(change, pattern, patient, fails):
    with wrong.states_changed(patient, change):
        fails("positions_match", pattern)


def test_a_deaf_model(patient, monkeypatch, fails):
    replace_inputs(monkeypatch, patient, wrong.deaf)
    fails("silence_differs", "the same with audio and with silence")


# ---------------------------------------------------------------------- batches


def test_a_batch_in_which_audio_is_swapped(patient, monkeypatch, fails):
    replace_inputs(monkeypatch, patient, wrong.features_of_others)
    finding = fails("batch_equals_single", "logits differ by .* from one at a time .* row 0, 1, 2")
    assert finding.numbers["difference"] > finding.numbers["allowed"]


def test_a_batch_that_gives_no_numbers(patient, monkeypatch, fails):
    def without_numbers(inputs):
        if len(inputs["input_ids"]) > 1:
            inputs["input_features"] = inputs["input_features"] * torch.nan

    replace_inputs(monkeypatch, patient, without_numbers)
    assert fails("batch_equals_single", "differ by nan").numbers["difference"] is None


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        (wrong.padded_on_the_right, r"padded on the right \(45 positions\)"),
        (wrong.padding_is_read, "is not padded in a batch, or not masked"),
    ],
)
def test_padding_in_the_wrong_place(change, pattern, patient, monkeypatch, fails):
    replace_inputs(monkeypatch, patient, change)
    fails("left_padding_harmless", pattern)


def test_positions_that_count_padding(patient, fails):
    with wrong.states_changed(patient, wrong.places_with_padding):
        fails("left_padding_harmless", "45 positions of padding on the left change logits by")


# ---------------------------------------------------------------------- prompts


def test_letters_that_share_their_first_token(patient, monkeypatch, fails):
    monkeypatch.setattr(patient, "continuation", lambda prompt, letter: (7, ord(letter)))
    fails("letters_told_apart", "A = 7, B = 7, C = 7, D = 7: .* does not tell them apart")


@pytest.mark.parametrize(
    ("old", "new", "pattern"),
    [
        ("earliest", "first", "none of the keywords"),
        ("A. ", "A: ", "option"),
        ("Which sound event starts earliest", "Latest news. Say which starts early", "expected"),
    ],
)
def test_rows_that_are_not_found(old, new, pattern, exam, fails):
    exam.documents[0]["prompt"] = exam.documents[0]["prompt"].replace(old, new)
    fails("rows_found", pattern)


def test_rows_that_are_others_where_the_question_is_stated(exam, monkeypatch, fails):
    found = exam.found_rows

    def one_more(prompt, *names):
        rows = found(prompt, *names).clone()
        rows[:, int(rows[0].nonzero()[0]) - 2] = True
        return rows

    monkeypatch.setattr(exam, "found_rows", one_more)
    fails("rows_found", "others where its question and options are stated")


# ---------------------------------------------------------------------- edits


def test_an_edit_that_does_not_reach_the_attention(patient, monkeypatch, fails):
    monkeypatch.setattr(type(patient.family), "redirect", lambda self, attention: lambda: None)
    fails("edit_applied", "EditNotAppliedError")


def test_an_edit_of_other_rows(exam, monkeypatch, fails):
    found = exam.found_rows
    monkeypatch.setattr(exam, "found_rows", lambda prompt, *names: found(prompt, "keyword", "last"))
    fails("edit_applied", "8 rows and 125 keys were edited; expected 2")


def test_an_edit_that_counts_and_does_nothing(monkeypatch, fails):
    monkeypatch.setattr(
        "tempo_attn.attention.edited_attention.edit_logits", lambda logits, *rest: logits
    )
    fails("edit_applied", "count as edited in 6 layers, and the logits change by")


def test_an_edit_that_stays(exam, patient, monkeypatch, fails):
    left = []
    assert BY_NAME["edit_applied"].finding(exam).status == "passed"
    unload = AttnScaleModel.unload
    with monkeypatch.context() as patch:
        patch.setattr(AttnScaleModel, "unload", lambda self: left.append(self))
        fails("edit_removed", "after its removal, logits differ by")
    unload(left[0])
    with monkeypatch.context() as patch:
        patch.setattr(AttnScaleModel, "disable_adapter", lambda self: nullcontext())
        fails("edit_removed", "switched off, logits differ by")
    assert BY_NAME["edit_removed"].finding(exam).status == "passed"


def test_a_neutral_edit_that_is_not(monkeypatch, fails):
    edit = edit_checks._edit
    monkeypatch.setattr(edit_checks, "_edit", lambda exam, strength: edit(exam, 1.01))
    fails("neutral_edit_changes_nothing", "alpha = 1 changes logits by")


def test_nothing_is_said_of_bits_where_the_model_itself_changes(exam, patient):
    with wrong.states_changed(patient, lambda states: states + 0.01 * torch.randn_like(states)):
        for name in ("edit_removed", "neutral_edit_changes_nothing"):
            finding = BY_NAME[name].finding(exam)
            assert finding.status == "skipped"
            assert "from one run to the next" in finding.reason


@pytest.mark.parametrize(
    ("config", "status", "pattern"),
    [
        (AttnScaleConfig(strength=0.5, layers=[3]), "passed", "mode scale, .*125 keys: changes"),
        (
            AttnScaleConfig(strength=0.5, base_model_name_or_path="me/other"),
            "passed",
            "6 layers, .*but the configuration was made for 'me/other'",
        ),
        (AttnScaleConfig(mode="knockout"), "passed", "mode knockout, 6 layers, 1 rows"),
        (AttnScaleConfig(mode="enrich", strength=0.5, source=1, layers=[4]), "passed", "enrich"),
        (steer(layers=[3]), "passed", "mode steer, 1 layer, .*changes logits"),
        (steer(directions=directions(width=4)), "failed", "directions have 4 components"),
        (AttnScaleConfig(strength=1.0), "passed", "by its strength changes nothing"),
        (AttnScaleConfig(strength=0.5, layers=[6]), "failed", "this model has 6 layers"),
        (AttnScaleConfig(strength=0.5, heads=[4]), "failed", "head 4 of layer 0 is out of range"),
        (AttnScaleConfig(strength=0.5, keys="transcript"), "failed", "have only"),
        (AttnScaleConfig(strength=0.5, queries="keyword", keywords=["dog"]), "failed", "none of"),
    ],
)
def test_a_configuration_is_tried(config, status, pattern, exam):
    exam.attn_scale = config
    finding = ATTN_SCALE.finding(exam)
    assert finding.status == status
    assert re.search(pattern, finding.reason), finding.reason


# ---------------------------------------------------------------------- answers, laboratory


def test_generation_that_is_penalised(patient, monkeypatch, fails):
    letters = [patient.continuation("", letter)[0] for letter in "ABCD"]
    monkeypatch.setattr(patient.model.generation_config, "repetition_penalty", 50.0)
    monkeypatch.setattr(patient.model.generation_config, "suppress_tokens", letters)
    finding = fails("generation_agrees", "generation_config has repetition_penalty=50.0, suppress")
    assert "--gen_kwargs repetition_penalty=1.0" in finding.to_do


def test_likelihoods_of_other_letters(patient, monkeypatch, fails):
    ask = patient.loglikelihood
    monkeypatch.setattr(patient, "loglikelihood", lambda *given, **more: ask(*given, **more)[::-1])
    fails("generation_agrees", "generation answers '[A-D]', and the likeliest letter is [A-D]")


def test_generation_that_begins_with_another_token(patient, monkeypatch, fails):
    monkeypatch.setattr(patient, "generate_batch", lambda batch, kwargs: ["Z" for _ in batch])
    fails("generation_agrees", "generation begins with 'Z', and the likeliest token is '[A-D]'")


def test_a_fast_engine_that_differs(monkeypatch, fails):
    run_again = Decoder.run_again
    monkeypatch.setattr(Decoder, "run_again", lambda *given: run_again(*given) * 1.01)
    finding = fails("engine_agrees", "the two engines differ: running layers again")
    assert finding.numbers["engine"] == "full"


def test_a_fast_engine_that_breaks_off(monkeypatch, fails):
    monkeypatch.setattr(Decoder, "run_again", lambda *given: 1 / 0)
    fails("engine_agrees", "the fast engine breaks off: ZeroDivisionError")


def test_what_is_no_number_is_none_in_json(exam):
    check = replace(CHECKS[0], run=lambda exam: passed("?", a=float("inf"), b=float("nan"), c=1.5))
    assert check.finding(exam).numbers == {"a": None, "b": None, "c": 1.5}


def test_a_fast_engine_that_does_not_fit_is_no_failure(exam, monkeypatch):
    def refuse(*given):
        raise UnsupportedModelError("its layers take 'time', which cannot be told by row")

    monkeypatch.setattr(Decoder, "remember", refuse)
    finding = BY_NAME["engine_agrees"].finding(exam)
    assert finding.status == "skipped"
    assert "a full forward for each variant: UnsupportedModelError: its layers" in finding.reason


def test_an_exception_is_the_failure_of_its_own_check(exam, monkeypatch):
    def broken(*given, **named):
        raise RuntimeError("no kernel\nfor this in " + exam.handles[0]["path"])

    monkeypatch.setattr(exam.lm.model, "forward", broken)
    findings = [check.finding(exam) for check in CHECKS]
    failed = {f.name for f in findings if f.status == "failed"}
    assert failed == set(BY_NAME) - {"template_has_audio", "letters_told_apart", "rows_found"}
    assert "RuntimeError: no kernel for this in clip-0.wav" in {f.reason for f in findings}
