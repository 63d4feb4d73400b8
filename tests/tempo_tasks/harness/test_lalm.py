"""The model class: batches, likelihoods, prompts, proof of delivery."""

import copy
import json
import shutil

import pytest
import torch
from lm_eval.api.instance import Instance
from transformers import Qwen2AudioForConditionalGeneration

from tempo_attn.errors import (
    AudioNotDeliveredError,
    NoAudioTokenError,
    NonFiniteLogitsError,
    UnknownFamilyError,
)
from tempo_tasks.errors import AudioNotFoundError, BadClipsError, LongAudioError
from tempo_tasks.harness.lalm import LALM

GREEDY = {"max_gen_toks": 6, "do_sample": False, "until": ["\n\n"]}


def request(kind, handles, *, text="Which?", more=None, index=0):
    context = "<audio>" * len(handles) + text
    second = GREEDY if kind == "generate_until" else more
    arguments = (context, second, {"audio": handles})
    return Instance(request_type=kind, doc={}, arguments=arguments, idx=index)


def generations(clips):
    return [
        request("generate_until", [clip], text=f"Which of the {n} sounds?")
        for n, clip in enumerate(clips)
    ]


def letters(clips):
    return [
        request("loglikelihood", [clip], text=f"Which of the {n} sounds?", more=letter)
        for n, clip in enumerate(clips)
        for letter in "ABCD"
    ]


@pytest.mark.parametrize("batch_size", [2, 4, "auto"])
def test_mixed_lengths_in_a_batch_equal_one_by_one(lalm, checkpoint, clips, batch_size):
    batched = LALM(pretrained=str(checkpoint), batch_size=batch_size)
    assert batched.generate_until(generations(clips), disable_tqdm=True) == lalm.generate_until(
        generations(clips), disable_tqdm=True
    )
    one, many = (
        model.loglikelihood(letters(clips), disable_tqdm=True) for model in (lalm, batched)
    )
    assert [greedy for _, greedy in one] == [greedy for _, greedy in many]
    torch.testing.assert_close(
        torch.tensor([score for score, _ in one]),
        torch.tensor([score for score, _ in many]),
        atol=1e-4,
        rtol=1e-4,
    )


def test_a_loaded_head_is_not_replaced_by_the_embeddings(checkpoint, tmp_path, monkeypatch):
    """As in transformers 5.10, whose Qwen2-Audio configuration says "tied" where nothing is said.

    `from_pretrained` keeps a head that the checkpoint has; HFLM then ties by the configuration.
    """
    folder = shutil.copytree(checkpoint, tmp_path / "tied")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    plain = Qwen2AudioForConditionalGeneration.from_pretrained(checkpoint)
    expected = plain.get_output_embeddings().weight
    tied = {"lm_head.weight": "model.language_model.embed_tokens.weight"}  # gone since then
    monkeypatch.setattr(Qwen2AudioForConditionalGeneration, "_tied_weights_keys", tied)
    model = LALM(pretrained=str(folder)).model
    assert model.get_output_embeddings().weight.equal(expected)
    assert "tie_weights" not in vars(model)
    assert LALM(pretrained=model).model.get_output_embeddings().weight.equal(expected)


def test_different_clips_give_different_answers(lalm, clips):
    scores = lalm.loglikelihood(
        [request("loglikelihood", [clip], more="A") for clip in clips], disable_tqdm=True
    )
    assert len({round(score, 5) for score, _ in scores}) == len(clips)


def test_four_letters_are_one_forward(lalm, clips, monkeypatch):
    calls = []
    forward = lalm.model.forward
    monkeypatch.setattr(
        lalm.model, "forward", lambda **kw: calls.append(len(kw["input_ids"])) or forward(**kw)
    )
    monkeypatch.setattr(lalm.hearing, "clip_change", 1.0)
    lalm.loglikelihood(letters(clips), disable_tqdm=True)
    assert calls == [1] * len(clips)


def test_likelihood_of_several_tokens_is_the_sum_of_its_steps(lalm, clips):
    clip, text = clips[1], "Dog Barking"
    ((score, _),) = lalm.loglikelihood(
        [request("loglikelihood", [clip], more=text)], disable_tqdm=True
    )
    prompt = lalm.render("<audio>Which?", [clip])
    inputs = lalm.inputs([prompt + text], [lalm.waves([clip])])
    tokens = lalm.tok_encode(text, add_special_tokens=False)
    assert len(tokens) > 1
    with torch.inference_mode():
        steps = lalm.model(**inputs).logits[0, -len(tokens) - 1 : -1].log_softmax(-1)
    expected = sum(float(step[token]) for step, token in zip(steps, tokens, strict=True))
    assert score == pytest.approx(expected, abs=1e-4)


def test_silence_is_zeros_of_the_same_length(lalm, clips):
    silent = {**clips[2], "silence": True}
    heard, nothing = lalm.waves([clips[2]]), lalm.waves([silent])
    assert len(heard[0]) == len(nothing[0]) == 4 * 16000
    assert not nothing[0].any()
    assert heard[0].any()


def test_a_prompt_rendered_by_the_harness_is_not_rendered_twice(lalm, clips):
    once = lalm.render("<audio>Which?", clips[:1])
    harness = lalm.apply_chat_template([{"role": "user", "content": "<audio>Which?"}])
    assert lalm.render(harness, clips[:1]) == once
    assert once == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        "Audio 1: <|audio_bos|><|AUDIO|><|audio_eos|>\nWhich?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_a_prefix_of_the_answer_stays_outside_the_user_turn(lalm, clips):
    user = {"role": "user", "content": "<audio>Which?"}
    harness = lalm.apply_chat_template([user, {"role": "assistant", "content": "It is"}], False)
    assert lalm.render(harness, clips[:1]) == harness
    assert harness.endswith("<|im_start|>assistant\nIt is")


def test_older_templates_that_look_for_the_audio_key_render_the_same(lalm, clips):
    import copy

    older = copy.copy(lalm.processor)
    older.chat_template = lalm.processor.default_chat_template.replace(
        " or content['type'] == 'audio'", ""
    )
    message = [{"role": "user", "content": "<audio>Which?"}]
    assert older.chat_template != lalm.processor.default_chat_template
    assert lalm.family.chat(older, message) == lalm.family.chat(lalm.processor, message)


def test_text_only_requests_go_to_hflm(lalm, clips):
    text = Instance(request_type="generate_until", doc={}, arguments=("Once upon", GREEDY), idx=0)
    mixed = [text, *generations(clips[:1]), text]
    answers = lalm.generate_until(mixed, disable_tqdm=True)
    assert answers[0] == answers[2] == lalm.generate_until([text], disable_tqdm=True)[0]
    assert answers[1] == lalm.generate_until(generations(clips[:1]), disable_tqdm=True)[0]


def test_a_prompt_without_its_placeholder_is_refused(lalm, clips):
    arguments = ("Which?", GREEDY, {"audio": clips[:1]})
    with pytest.raises(AudioNotDeliveredError, match="0 audio marker"):
        lalm.generate_until(
            [Instance(request_type="generate_until", doc={}, arguments=arguments, idx=0)]
        )


def test_a_processor_that_drops_audio_is_caught(lalm, clips, monkeypatch):
    """The published mistake: a wrong keyword, ignored; the placeholder is left unexpanded."""
    family = type(lalm.family)

    def deaf(self, processor, prompts, waves):
        return processor.tokenizer(list(prompts), return_tensors="pt", padding=True)

    monkeypatch.setattr(family, "process", deaf)
    with pytest.raises(AudioNotDeliveredError, match="1 audio positions"):
        lalm.generate_until(generations(clips), disable_tqdm=True)


def test_a_model_that_ignores_audio_is_caught(checkpoint, clips, monkeypatch):
    model = LALM(pretrained=str(checkpoint), batch_size=2)
    with torch.no_grad():
        projector = model.model.model.multi_modal_projector.linear
        projector.weight.zero_()
    with pytest.raises(AudioNotDeliveredError, match="same with audio and with silence"):
        model.generate_until(generations(clips), disable_tqdm=True)


def test_a_model_that_answers_nan_is_caught(checkpoint, clips):
    model = LALM(pretrained=str(checkpoint), batch_size=2)
    with torch.no_grad():
        model.model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(NonFiniteLogitsError, match="dtype=bfloat16"):
        model.loglikelihood(letters(clips), disable_tqdm=True)
    without_audio = [request("loglikelihood", [], more="A")]
    with pytest.raises(NonFiniteLogitsError):
        model.loglikelihood(without_audio, disable_tqdm=True)


def test_arguments_that_would_be_ignored_are_refused(checkpoint):
    with pytest.raises(ValueError, match="no 'tokenizer'"):
        LALM(pretrained=str(checkpoint), tokenizer="gpt2")
    with pytest.raises(ValueError, match="long_audio"):
        LALM(pretrained=str(checkpoint), long_audio="loop")


def test_one_bad_clip_stops_the_run_before_inference(lalm, clips, tmp_path, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("inference began")

    monkeypatch.setattr(lalm.model, "generate", never)
    gone = {**clips[0], "path": str(tmp_path / "gone.wav")}
    with pytest.raises(AudioNotFoundError, match=r"gone\.wav"):
        lalm.generate_until(generations([*clips, gone]), disable_tqdm=True)
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"not audio")
    broken = {"path": str(bad), "sha256": None, "silence": False}
    with pytest.raises(BadClipsError) as caught:
        lalm.generate_until(generations([gone, *clips, broken]), disable_tqdm=True)
    assert "gone.wav" in str(caught.value)
    assert "bad.wav" in str(caught.value)


def test_silent_clips_are_counted_in_the_results(checkpoint, clips, tmp_path, caplog):
    import numpy as np
    import soundfile

    from tempo_tasks.audio import file_handle

    soundfile.write(tmp_path / "none.wav", np.zeros((32000, 2)), 16000)
    silent = file_handle(tmp_path / "none.wav")
    model = LALM(pretrained=str(checkpoint), batch_size=4)
    # By intent: zeros in the place of a clip that can be heard.
    asked = [*clips, silent, {**clips[0], "silence": True}, {**silent, "silence": True}]
    model.generate_until(generations(asked), disable_tqdm=True)
    assert "1 of 5 clips are silent in all channels (none.wav)" in caplog.text
    model.loglikelihood(letters([silent]), disable_tqdm=True)
    recorded = model.get_model_info()["tempo"]["checks"]
    assert recorded["clips_silent"] == 1
    assert recorded["clips_checked"] == 5


def test_a_clip_beyond_the_window_is_never_cut_silently(lalm, checkpoint, tmp_path):
    import numpy as np
    import soundfile

    from tempo_tasks.audio import file_handle

    path = tmp_path / "long.wav"
    soundfile.write(path, 0.1 * np.random.RandomState(0).standard_normal(12 * 16000), 16000)
    with pytest.raises(LongAudioError, match="at most 10 s"):
        lalm.generate_until(generations([file_handle(path)]), disable_tqdm=True)
    cutting = LALM(pretrained=str(checkpoint), long_audio="truncate")
    assert len(cutting.generate_until(generations([file_handle(path)]), disable_tqdm=True)) == 1
    assert cutting.get_model_info()["tempo"]["long_audio"] == "truncate"


def test_a_loaded_model_can_be_passed(lalm, checkpoint, clips):
    from transformers import AutoModelForMultimodalLM

    model = AutoModelForMultimodalLM.from_pretrained(checkpoint)
    passed = LALM(pretrained=model, processor=str(checkpoint), batch_size=4)
    assert passed.generate_until(generations(clips), disable_tqdm=True) == lalm.generate_until(
        generations(clips), disable_tqdm=True
    )


def test_unknown_family_is_refused(tmp_path):
    from transformers import GPT2Config

    GPT2Config().save_pretrained(tmp_path)
    with pytest.raises(UnknownFamilyError, match=r"model_type 'gpt2'.*qwen2_audio"):
        LALM(pretrained=str(tmp_path))


def test_checkpoint_without_audio_token_is_refused(lalm, checkpoint, tmp_path):
    import shutil

    from transformers import AutoConfig

    shutil.copytree(checkpoint, tmp_path / "c")
    config = AutoConfig.from_pretrained(tmp_path / "c")
    config.audio_token_id = 7
    config.save_pretrained(tmp_path / "c")
    with pytest.raises(NoAudioTokenError, match="audio_token_id 7"):
        LALM(pretrained=str(tmp_path / "c"))
    processor = copy.copy(lalm.processor)
    processor.audio_token = "<sound>"
    with pytest.raises(NoAudioTokenError):
        LALM(pretrained=str(checkpoint), processor=processor)


def test_dtype_and_attention_implementation_behave_as_for_hf(checkpoint):
    model = LALM(pretrained=str(checkpoint), dtype="bfloat16", attn_implementation="eager")
    assert model.model.dtype == torch.bfloat16
    assert model.model.config._attn_implementation == "eager"


def test_out_of_memory_halves_the_automatic_batch(checkpoint, clips, monkeypatch):
    model = LALM(pretrained=str(checkpoint), batch_size="auto")
    sizes = []
    generate = model.generate_batch

    def small_memory(batch, kwargs):
        sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return generate(batch, kwargs)

    monkeypatch.setattr(model, "generate_batch", small_memory)
    assert len(model.generate_until(generations(clips), disable_tqdm=True)) == len(clips)
    assert sizes == [4, 2, 2]
