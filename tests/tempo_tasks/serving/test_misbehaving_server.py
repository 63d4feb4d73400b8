"""No answer is lost and none asked for twice, whatever a server does; and the end is clear."""

import time

import pytest

from tempo_tasks.errors import ServerRefusedError, ServerUnreachableError
from tempo_tasks.serving.lalm_api import LALMApi
from tests.support.audio_server import FAULTS, audio_server, says, status

PROOF = 3  # requests of the proof of hearing
N = 8  # questions, one a scene


def patience(kind):
    """How long an attempt may take: long, unless it is to run out."""
    return {"timeout": 1.5} if kind == "timeout" else {}


@pytest.fixture(scope="module")
def right_answers(requests_of):
    with audio_server() as server:
        found = LALMApi(base_url=server.base_url).generate_until(requests_of("tempo_synth_eo_aqa"))
    assert len(found) == N
    assert len(set(found)) > 1
    return found


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_now_and_then_loses_no_answer_and_doubles_none(name, ask, right_answers, tmp_path):
    fault, kind = FAULTS[name]
    with audio_server(faults=[None] * PROOF + [fault, None, fault, None, None, fault]) as server:
        begun = time.monotonic()
        found, lm = ask(server, cache=tmp_path / "cache", **patience(kind))
        assert found == right_answers
        assert server.received == PROOF + N + 3  # each failed attempt was repeated once
        assert len(server.asked) == PROOF + N
        traffic = lm.traffic.to_dict()
        assert traffic["retries_by_reason"] == {kind: 3}
        assert traffic["requests"] == PROOF + N
        if "Retry-After" in name:
            assert time.monotonic() - begun > 0.3


@pytest.mark.parametrize("name", FAULTS)
def test_when_retries_are_used_up_the_end_is_clear_and_the_run_resumes(
    name, ask, right_answers, tmp_path
):
    fault, kind = FAULTS[name]
    cache = tmp_path / "cache"
    with audio_server(faults=[None] * (PROOF + 3), always=fault) as server:
        with pytest.raises(ServerUnreachableError) as raised:
            ask(server, cache=cache, max_retries=1, num_concurrent=1, **patience(kind))
        assert f"3 of {N} requests of this kind were answered" in str(raised.value)
        assert "no answer in 2 attempts" in str(raised.value)
        assert server.received == PROOF + 3 + 2
        # The server is well again: proof by noise and by the first clip, and what is missing.
        server.always = None
        server.asked.clear()
        found, _ = ask(server, cache=cache)
        assert found == right_answers
        assert len(server.asked) == 2 * PROOF + N - 3
        # And once more: all is there, and nothing but the proof is asked.
        server.asked.clear()
        assert ask(server, cache=cache)[0] == right_answers
        assert len(server.asked) == PROOF


def test_what_is_under_way_when_one_request_fails_is_kept(ask, tmp_path):
    """One request of four fails at once, the others take their time: they are in the cache."""
    cache = tmp_path / "cache"
    with audio_server(faults=[None] * PROOF + [status(400, "too long")], delay=0.2) as server:
        with pytest.raises(ServerRefusedError, match=r"HTTP 400.*too long(.|\n)*3 of 8 requests"):
            ask(server, cache=cache)
        assert server.received == PROOF + 4
        server.asked.clear()
        ask(server, cache=cache)
        assert len(server.asked) == 2 * PROOF + N - 3


def test_a_refusal_is_not_repeated(ask):
    with (
        audio_server(faults=[None] * PROOF, always=status(400, "no such field")) as server,
        pytest.raises(ServerRefusedError, match="no such field"),
    ):
        ask(server, num_concurrent=1)
    assert server.received == PROOF + 1


def test_a_server_that_asks_for_an_hour_ends_the_run(ask):
    fault = status(429, "quota", Retry_After="3600")
    with (
        audio_server(faults=[None] * PROOF, always=fault) as server,
        pytest.raises(ServerRefusedError, match="asks to wait 3,600 s"),
    ):
        ask(server, num_concurrent=1)


def test_nobody_there(ask):
    with audio_server() as server:
        pass
    with pytest.raises(ServerUnreachableError, match=r"127.0.0.1.*no answer in 2 attempts"):
        ask(server, max_retries=1)


def test_concurrency_is_bounded_and_used(ask):
    with audio_server(delay=0.1) as server:
        ask(server, num_concurrent=3)
        assert server.most_at_a_time == 3


def test_one_of_two_servers_may_fail(served, right_answers, requests_of):
    with audio_server() as good, audio_server() as bad:
        model = served(good, bad)
        bad.always = says(b"")
        assert model.generate_until(requests_of("tempo_synth_eo_aqa")) == right_answers
        assert bad.received
        assert len(good.asked) == PROOF + N


def test_likelihoods_lose_nothing_either(ask, tmp_path):
    task = "tempo_synth_lo_aqa_ll"
    with audio_server() as server:
        right, _ = ask(server, task)
    faults = [fault for fault, kind in FAULTS.values() if kind != "timeout"][:6]
    cache = tmp_path / "cache"
    with audio_server(faults=[None] * PROOF + faults) as server:
        assert ask(server, task, cache=cache)[0] == right
        assert len(server.asked) == PROOF + len(right) // 4  # one request for the four letters
        server.asked.clear()
        assert ask(server, task, cache=cache)[0] == right
        assert len(server.asked) == PROOF
