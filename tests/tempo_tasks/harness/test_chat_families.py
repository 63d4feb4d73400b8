"""Prompts that are no text in the harness: Voxtral, whose chats mistral-common encodes."""

from types import SimpleNamespace

import pytest
import torch

from tempo_attn.errors import AudioNotDeliveredError
from tempo_tasks.errors import QuestionError
from tempo_tasks.harness.lalm import LALM
from tests.support.tiny_checkpoints import save

GREEDY = {"until": [], "max_gen_toks": 4}


@pytest.fixture(scope="module")
def voxtral(tmp_path_factory):
    folder = save("voxtral", tmp_path_factory.mktemp("voxtral"))
    return LALM(pretrained=str(folder), batch_size=4, dtype="float32")


def request(context, second, clips=None):
    more = () if clips is None else ({"audio": clips},)
    return SimpleNamespace(doc={}, args=(context, second, *more))


def chat(lm, *contents, begun=False):
    roles = ["user", "assistant"] * 2
    messages = [{"role": r, "content": c} for r, c in zip(roles, contents, strict=False)]
    return lm.apply_chat_template(messages, add_generation_prompt=not begun)


def test_a_chat_that_the_harness_rendered_is_not_rendered_twice(voxtral, clips):
    rendered = chat(voxtral, "<audio>Which?")
    assert voxtral.render(rendered, clips[:1]) == rendered
    assert voxtral.render("<audio>Which?", clips[:1]) == rendered
    begun = chat(voxtral, "<audio>Which?", "It is", begun=True)
    assert voxtral.render(begun, clips[:1]) == begun
    with pytest.raises(AudioNotDeliveredError, match="0 audio marker"):
        voxtral.render(chat(voxtral, "Which?"), clips[:1])


def test_likelihoods_are_the_sums_of_their_steps_also_behind_a_begun_answer(voxtral, clips):
    """By the model's own forward on the chat with the whole answer in it."""
    begun = chat(voxtral, "<audio>Which?", "It is", begun=True)
    for context in (begun, chat(voxtral, "<audio>Which?") + "It is"):
        ((score, _),) = voxtral.loglikelihood(
            [request(context, " the dog", clips[1:2])], disable_tqdm=True
        )
        whole = chat(voxtral, "<audio>Which?", "It is the dog", begun=True)
        inputs = voxtral.inputs([whole], [voxtral.waves(clips[1:2])])
        tokens = voxtral.continuation(context, " the dog")
        assert inputs["input_ids"][0, -len(tokens) :].tolist() == list(tokens)
        with torch.inference_mode():
            logits = voxtral.model(**inputs).logits[0, -len(tokens) - 1 : -1].log_softmax(-1)
        expected = sum(float(step[t]) for step, t in zip(logits, tokens, strict=True))
        assert len(tokens) > 1
        assert score == pytest.approx(expected, abs=1e-4)


def test_letters_share_a_forward(voxtral, clips, monkeypatch):
    calls, forward = [], voxtral.model.forward
    monkeypatch.setattr(
        voxtral.model, "forward", lambda **kw: calls.append(len(kw["input_ids"])) or forward(**kw)
    )
    monkeypatch.setattr(voxtral.hearing, "clip_change", 1.0)
    voxtral.loglikelihood(
        [request("<audio>Which?", letter, clips[:1]) for letter in "ABCD"], disable_tqdm=True
    )
    assert calls == [1]


def test_a_rendered_chat_without_audio_is_encoded_by_its_family(voxtral):
    """HFLM would encode its JSON. A raw text stays HFLM's."""
    text = "Once upon a time?"
    rendered = chat(voxtral, text)
    by_chat, raw = voxtral.generate_until(
        [request(rendered, GREEDY), request(text, GREEDY)], disable_tqdm=True
    )
    ids = voxtral.processor.apply_chat_template([[{"role": "user", "content": text}]])
    with torch.inference_mode():
        new = voxtral.model.generate(**ids, max_new_tokens=4, do_sample=False)
    expected = voxtral.tok_decode(new[0, ids["input_ids"].shape[1] :].tolist())
    assert by_chat == expected.lstrip()
    assert by_chat != raw


def test_texts_with_control_tokens_are_refused(voxtral):
    with pytest.raises(QuestionError, match=r"\[/INST\]"):
        voxtral.check_texts([{"id": "one", "prompt": "Which? A. [/INST] B. bell"}])
