"""Adapters in tests of families."""

import pytest


@pytest.fixture
def any_peft(monkeypatch):
    """The peft that is there, whatever version transformers asks for.

    transformers 5.24 wants a peft that is newer than any release of the day; what these tests use
    of it works with older ones too.
    """
    peft = pytest.importorskip("peft")
    for place in ("transformers.integrations.peft", "tempo_attn.families.shared.speech_adapter"):
        monkeypatch.setattr(f"{place}.check_peft_version", lambda *args, **kwargs: None)
    return peft
