"""The address `/tempo/edits`."""

import asyncio
from types import SimpleNamespace

import pytest

from tempo_attn import AttnScaleConfig
from tempo_attn.serving.endpoint import EditsEndpoint, overview, served_name
from tempo_attn.serving.ledger import Ledger
from tempo_attn.serving.settings import Settings

CONFIG = AttnScaleConfig(strength=2.0, layers=[1])


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "edits.sqlite")
    yield ledger
    ledger.close()


@pytest.mark.parametrize(
    ("default", "shown", "choice_required"),
    [("a", "a", False), ("none", None, False), (None, None, True)],
)
def test_the_overview_says_what_can_be_asked_for(ledger, default, shown, choice_required):
    ledger.asked("x", "a", 5)
    about = overview(Settings({"a": CONFIG}, default), ledger, "m", "0.32.0")
    assert about["default"] == shown
    assert about["choice_required"] == choice_required
    assert about["configurations"]["a"]["sha256"] == CONFIG.fingerprint()
    assert AttnScaleConfig.from_dict(about["configurations"]["a"]["config"]) == CONFIG
    assert about["totals"]["requests"] == 1
    assert (about["model"], about["vllm"]) == ("m", "0.32.0")


def test_the_addresses_answer(ledger):
    """FastAPI is vLLM's, not ours: an application that takes routes is all that is needed."""
    routes = {}
    app = SimpleNamespace(
        state=SimpleNamespace(args=SimpleNamespace(served_model_name=["m"])),
        add_api_route=lambda path, function, **kwargs: routes.update({path: function}),
    )
    pytest.importorskip("fastapi")
    EditsEndpoint(Settings({"a": CONFIG}, "a"), ledger, "0.32.0").attach_router(app)
    assert routes["/tempo/edits"]().status_code == 200
    assert routes["/tempo/edits/{request_id}"]("x").status_code == 404
    ledger.asked("chatcmpl-x", None, 5)
    assert b'"edited_rows":0' in routes["/tempo/edits/{request_id}"]("x").body


def test_a_folder_is_served_under_its_last_name(tmp_path):
    assert served_name(SimpleNamespace(served_model_name=["a", "b"], model="c")) == "a"
    assert served_name(SimpleNamespace(served_model_name=None, model="owner/name")) == "owner/name"
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    assert served_name(SimpleNamespace(served_model_name=None, model=str(folder))) == "checkpoint"


def test_vllm_may_initialise_it(ledger):
    endpoint = EditsEndpoint(Settings({}, None), ledger, "0.32.0")
    asyncio.run(endpoint.init_state(None, None, None))
    assert endpoint.required_tasks is None
