"""Model arguments of `lalm-api`: each mistake is one message, before any server is asked."""

import pytest

from tempo_attn.errors import OptionError
from tempo_tasks.serving.api_arguments import read_arguments
from tempo_tasks.serving.base_urls import base_urls, root_of

URL = "http://127.0.0.1:8000/v1"


@pytest.mark.parametrize(
    ("given", "urls"),
    [
        (URL, (URL,)),
        (URL + "/", (URL,)),
        (f"{URL};http://b/v1", (URL, "http://b/v1")),
        (f"{URL},http://b/v1", (URL, "http://b/v1")),
        (f"['{URL}', 'http://b/v1']", (URL, "http://b/v1")),
        ([URL, "https://b:81/v1", URL], (URL, "https://b:81/v1")),
    ],
)
def test_urls(given, urls):
    assert base_urls(given) == urls


@pytest.mark.parametrize(
    "given", [None, "", [], "127.0.0.1:8000", "ftp://x/v1", "http://", "http://x:99999/v1", 7]
)
def test_no_urls(given):
    with pytest.raises(OptionError, match="base_url"):
        base_urls(given)


@pytest.mark.parametrize("url", ["http://me:secret@x/v1", "http://x/v1?key=secret"])
def test_secrets_in_urls_are_refused_and_not_told(url):
    with pytest.raises(OptionError, match="environment") as raised:
        base_urls(url)
    assert "secret" not in str(raised.value)


def test_root():
    assert root_of("http://x/v1") == "http://x"
    assert root_of("http://x/some/v2") == "http://x/some"
    assert root_of("http://x/models") == "http://x/models"


@pytest.mark.parametrize("name", ["api_key", "openai_api_key", "token", "key"])
def test_keys_are_refused_and_not_told(name):
    with pytest.raises(OptionError, match="environment") as raised:
        read_arguments({"base_url": URL, name: "sk-secret"})
    assert "sk-secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("num_concurrent", 0, "1 or more"),
        ("num_concurent", 4, "Did you mean 'num_concurrent'"),
        ("timeout", 0, "seconds"),
        ("timeout", "soon", "seconds"),
        ("max_retries", -1, "0 or more"),
        ("max_retries", True, "0 or more"),
        ("audio_format", "mp3", "'wav' or 'wav_float'"),
        ("top_logprobs", 3, "4 or more"),
        ("missing_letters", "guess", "'error' or 'floor'"),
        ("price_in", "free", "a number"),
        ("price_in", float("nan"), "a number"),
        ("price_audio_in", 1, "without price_in"),
        ("model", " ", "a name"),
    ],
)
def test_wrong_values(name, value, says):
    with pytest.raises(OptionError, match=says):
        read_arguments({"base_url": URL, name: value})


def test_what_lm_eval_hands_to_every_model_is_ignored():
    given = {"batch_size": 4, "max_batch_size": None, "device": "cuda:0", "timeout": "7"}
    assert read_arguments({"base_url": URL, **given}).timeout == 7.0


def test_a_named_variable_must_be_set(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert read_arguments({"base_url": URL}).key() is None
    with pytest.raises(OptionError, match="no such variable"):
        read_arguments({"base_url": URL, "api_key_env": "NO_SUCH_VARIABLE_HERE"}).key()
