"""`lalm-api` on a server that behaves: what is sent, what is read, what the results say."""

import base64
import io
import json
import logging

import numpy as np
import pytest
import soundfile

from tempo_attn.errors import AudioNotDeliveredError, OptionError
from tempo_tasks.audio import read_audio
from tempo_tasks.errors import (
    BadClipsError,
    CacheMismatchError,
    GenerationArgumentError,
    LogprobsError,
    PromptError,
    QuestionError,
    ServerRefusedError,
    ServersDifferError,
)
from tempo_tasks.serving.lalm_api import LALMApi
from tests.support.audio_server import audio_server, heard

PROOF = 3
EO, EO_LL = "tempo_synth_eo_aqa", "tempo_synth_eo_aqa_ll"


def test_through_lm_eval(evaluate):
    with audio_server() as server:
        results = evaluate(
            server, EO, EO_LL, "tempo_synth_eo_cqa", "tempo_synth_eo_silence", price_in=2.0
        )
    told = results["config"]["tempo"]
    assert results["config"]["model_args"]["model"] == "hearing-model"  # names the folder
    assert told["pretrained"] == "hearing-model"
    assert told["served"]["server"] == "vllm"
    assert told["served"]["server_version"] == "0.32.0"
    assert told["served"]["base_model"] == "me/hearing-model"
    assert told["served"]["answered_as"] == ["hearing-model"]
    assert told["checks"]["hearing_proved_by"] == "log-probabilities"
    assert told["checks"]["first_clip_logprob_change_by_silence"] > 0
    traffic = told["traffic"]
    assert traffic["requests"] == PROOF + 4 * 8
    assert traffic["retries"] == 0
    assert traffic["cost"] == round(traffic["prompt_tokens"] * 2e-6, 6) > 0
    assert 0 < traffic["latency_seconds"]["p50"] <= traffic["latency_seconds"]["p99"]
    assert results["results"][EO]["parse_failure,none"] == 0.0
    # Both kinds of task ask the same and are answered the same.
    by_letter = [sample["acc"] for sample in results["samples"][EO]]
    assert by_letter == [sample["acc"] for sample in results["samples"][EO_LL]]


def test_the_clip_arrives_to_the_last_bit_and_silence_and_twins_as_such(ask, requests_of):
    with audio_server() as server:
        for task in (EO, "tempo_synth_eo_silence", "tempo_synth_eo_cqa"):
            server.asked.clear()
            ask(server, task, num_concurrent=1)
            for request, (body, _) in zip(
                requests_of(task), server.asked[-len(requests_of(task)) :], strict=True
            ):
                wave, rate, text = heard(body)
                handles = (request.args[2] if len(request.args) > 2 else {}).get("audio") or []
                sent = [read_audio(handle, 16_000) for handle in handles]
                assert np.array_equal(wave, np.concatenate([*sent, np.zeros(0, np.float32)]))
                assert rate == 16_000
                assert text == request.args[0].replace("<audio>", "")
                assert (task == EO) == bool(wave.any())


@pytest.mark.parametrize(
    ("settings", "subtype", "kind"),
    [
        ({}, "PCM_16", "input_audio"),
        ({"audio_format": "wav_float"}, "FLOAT", "input_audio"),
        ({"audio_part": "audio_url"}, "PCM_16", "audio_url"),
    ],
)
def test_formats(settings, subtype, kind, ask):
    with audio_server() as server:
        plain, _ = ask(server)
        found, _ = ask(server, **settings)
        assert found == plain
        part = server.asked[-1][0]["messages"][0]["content"][0]
        assert part["type"] == kind
        data = part[kind].get("data") or part[kind]["url"].removeprefix("data:audio/wav;base64,")
        assert soundfile.info(io.BytesIO(base64.b64decode(data))).subtype == subtype


def test_a_chat_template_changes_nothing(ask):
    with audio_server() as server:
        assert ask(server, chat=True)[0] == ask(server)[0]
        bodies = [body for body, _ in server.asked]
        assert bodies[-1]["messages"][0]["content"][0]["type"] == "input_audio"


def test_a_system_turn_is_sent_and_a_begun_answer_refused(served):
    with audio_server() as server:
        lm = served(server)
        system = {"role": "system", "content": "Listen."}
        user = {"role": "user", "content": "Hm?"}
        chat = lm.render(lm.apply_chat_template([system, user]), [])
        with lm.connected() as session:
            session.call(lm.ask, chat, [], {})
        assert server.asked[-1][0]["messages"] == [system, user]
        begun = lm.apply_chat_template([user, {"role": "assistant", "content": "It is"}])
        with pytest.raises(PromptError, match="gen_prefix"):
            lm.render(begun, [])
        with pytest.raises(AudioNotDeliveredError, match="1 `<audio>` for 0"):
            lm.render("<audio>Hm?", [])


def test_generation_arguments(ask, requests_of):
    with audio_server() as server:
        lm = LALMApi(base_url=server.base_url)
        (one, *_) = requests_of(EO)

        def sent(**kwargs):
            given = type(one)(
                request_type="generate_until",
                doc=one.doc,
                arguments=(one.args[0], kwargs, one.args[2]),
                idx=0,
            )
            (text,) = lm.generate_until([given], disable_tqdm=True)
            return text, server.asked[-1][0]

        text, body = sent(until=["\n"], max_gen_toks=7, do_sample=False)
        assert text in "ABCD"  # what the server says begins with a line break, and goes on
        assert body["max_tokens"] == 7
        assert body["temperature"] == 0.0
        assert "stop" not in body
        text, body = sent(until=[])
        assert text.endswith("as I hear")
        assert body["temperature"] == 0.0  # said, for the server's default may be another
        assert sent(do_sample=True)[1]["temperature"] == 1.0
        body = sent(do_sample=True, temperature=0.7, top_p=0.9, top_k=5, seed=3)[1]
        assert (body["temperature"], body["top_p"], body["top_k"], body["seed"]) == (0.7, 0.9, 5, 3)
        assert sent(max_completion_tokens=5)[1]["max_completion_tokens"] == 5
        with pytest.raises(GenerationArgumentError, match="'num_beams'"):
            sent(num_beams=3)
        lm = LALMApi(base_url=server.base_url, think_end_token="as", max_thinking_toks=100)
        text, body = sent(until=["\n"], max_gen_toks=7)
        assert text == "I hear"
        assert body["max_tokens"] == 107


# ------------------------------------------------------------------------------ likelihoods


def test_letters_are_read_however_the_tokens_are_written(ask):
    with audio_server() as server:
        plain, _ = ask(server, EO_LL)
        server.letters = " {}"
        blank, _ = ask(server, EO_LL)
    assert [answer for answer, _ in blank] == [answer for answer, _ in plain]
    assert sum(greedy for _, greedy in plain) == len(plain) / 4


def test_a_letter_that_is_not_listed(ask):
    with audio_server() as server:
        plain, _ = ask(server, EO_LL)
        server.likelier = [("The", -0.01)]
        with pytest.raises(LogprobsError, match=r"is not among the 4 likeliest.*missing_letters"):
            ask(server, EO_LL, top_logprobs=4)
        found, lm = ask(server, EO_LL, top_logprobs=4, missing_letters="floor")
        assert lm.traffic.to_dict()["letters_below_top_logprobs"] == len(plain) / 4
        for n in range(0, len(plain), 4):
            given = [value for value, _ in plain[n : n + 4]]
            floored = [value for value, _ in found[n : n + 4]]
            assert np.argsort(floored).tolist() == np.argsort(given).tolist()
            assert sorted(floored)[1:] == sorted(given)[1:]
            assert min(floored) > min(given)


@pytest.mark.parametrize("how", ["refused", "absent"])
def test_a_server_without_log_probabilities(how, ask, evaluate):
    with audio_server(logprobs=how) as server:
        results = evaluate(server)
        checks = results["config"]["tempo"]["checks"]
        assert checks["hearing_proved_by"] == "prompt tokens"
        assert checks["first_clip_tokens"] == 250  # 10 s
        with pytest.raises(LogprobsError, match="by generation"):
            ask(server, EO_LL)


def test_only_letters_are_scored(ask, requests_of):
    with audio_server() as server:
        lm = LALMApi(base_url=server.base_url)
        one = requests_of(EO_LL)[0]
        given = type(one)(
            request_type="loglikelihood",
            doc=one.doc,
            arguments=(one.args[0], " a dog", one.args[2]),
            idx=0,
        )
        with pytest.raises(OptionError, match="single letters"):
            lm.loglikelihood([given])
        with pytest.raises(LogprobsError, match="whole texts"):
            lm.loglikelihood_rolling([given])


# ------------------------------------------------------------------------------ hearing


@pytest.mark.parametrize("logprobs", ["given", "refused"])
def test_a_deaf_server_is_found_out(logprobs, ask):
    with audio_server(deaf=True, logprobs=logprobs) as server:
        with pytest.raises(AudioNotDeliveredError, match="does not reach the model"):
            ask(server)
        assert len(server.asked) <= PROOF


def test_a_server_that_tells_nothing_is_refused(ask):
    with (
        audio_server(logprobs="absent", usage=False) as server,
        pytest.raises(AudioNotDeliveredError, match="neither"),
    ):
        ask(server)


def test_a_deaf_server_is_found_out_though_all_answers_are_cached(ask, tmp_path):
    with audio_server() as server:
        ask(server, cache=tmp_path / "cache")
        server.deaf = True
        with pytest.raises(AudioNotDeliveredError):
            ask(server, cache=tmp_path / "cache")


def test_text_tasks_ask_for_no_proof(ask):
    with audio_server(deaf=True) as server:
        answers, lm = ask(server, "tempo_synth_eo_cqa")
        assert len(server.asked) == len(answers) == 8
        assert lm.hearing.to_dict()["hearing_proved_by"] is None


def test_long_clips_and_control_tokens_are_refused(ask, served, requests_of):
    with audio_server() as server:
        with pytest.raises(BadClipsError, match=r"LongAudioError.*hears at most 4 s"):
            ask(server, max_seconds=4)
        one = requests_of(EO)[0]
        given = type(one)(
            request_type="generate_until",
            doc={"id": "x", "prompt": "<audio>A. a <|im_end|>"},
            arguments=one.args,
            idx=0,
        )
        with pytest.raises(QuestionError, match="im_end"):
            served(server).generate_until([given])
        assert not server.received


# ------------------------------------------------------------------------------ caches


def test_a_cache_serves_one_model_wherever_it_runs(ask, tmp_path):
    cache = tmp_path / "cache"
    with audio_server() as server:
        ask(server, cache=cache)
    with audio_server() as elsewhere:  # another port
        ask(elsewhere, cache=cache)
        assert len(elsewhere.asked) == PROOF
        with pytest.raises(CacheMismatchError, match="audio_format"):
            ask(elsewhere, cache=cache, audio_format="wav_float")
    with (
        audio_server(model="other-model") as other,
        pytest.raises(CacheMismatchError, match="other-model"),
    ):
        ask(other, cache=cache)
    with (
        audio_server(root="me/another-base") as other,
        pytest.raises(CacheMismatchError, match="another-base"),
    ):
        ask(other, cache=cache)


# ------------------------------------------------------------------------------ servers


def test_which_model(served):
    with audio_server(model="/models/of/mine") as server:
        lm = served(server)
        assert lm.model == "/models/of/mine"
        assert lm.get_model_info()["tempo"]["pretrained"] == "mine"
        with pytest.raises(OptionError, match="no model 'mime'"):
            served(server, model="mime")
    with audio_server(listed=False) as server:
        with pytest.raises(OptionError, match="lists 0 models"):
            served(server)
        assert served(server, model="anything").server.kind == "unknown"


def test_several_servers_must_be_the_same(served):
    with audio_server() as one, audio_server() as two, audio_server(version="0.33.0") as other:
        assert served(one, two).server.version == "0.32.0"
        with pytest.raises(ServersDifferError, match=r"server_version: 0.33.0 and 0.32.0"):
            served(one, other)


def test_commas_between_urls_as_lm_eval_splits_them(manager):
    import lm_eval

    with audio_server() as one, audio_server() as two:
        results = lm_eval.simple_evaluate(
            model="lalm-api",
            model_args=f"base_url={one.base_url},{two.base_url},num_concurrent=4",
            tasks=[EO],
            task_manager=manager,
            bootstrap_iters=1,
        )
        assert one.asked
        assert two.asked
        assert len(one.asked) + len(two.asked) == PROOF + 8
        assert results["config"]["tempo"]["served"]["servers"] == 2


# ------------------------------------------------------------------------------ keys


def test_a_key_is_sent_and_told_nowhere(evaluate, monkeypatch, caplog, capfd):
    secret = "sk-tempo-0123456789abcdef"
    caplog.set_level(logging.DEBUG)
    with audio_server(key=secret) as server:
        with pytest.raises(ServerRefusedError, match="api_key_env"):
            evaluate(server)
        monkeypatch.setenv("MY_KEY", secret)
        results = evaluate(server, api_key_env="MY_KEY")
        assert server.asked
        server.key = "another"  # the refusal says the key back
        with pytest.raises(ServerRefusedError) as raised:
            evaluate(server, api_key_env="MY_KEY")
    assert "Incorrect API key provided: Bearer (key)" in str(raised.value)
    error = raised.value
    told = json.dumps(results, default=str) + caplog.text + "".join(capfd.readouterr())
    while error is not None:
        told += str(error) + repr(error)
        error = error.__cause__
    assert secret not in told
