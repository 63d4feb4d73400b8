"""Packages that some families need: a missing one is told before anything is loaded."""

import pytest

from tempo_attn.errors import MissingExtraError
from tempo_attn.families import _FAMILIES
from tempo_attn.families.shared import extras
from tests.support.paths import ROOT

NEEDED = {"gemma-3n": "gemma3n", "voxtral": "voxtral"}


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_a_missing_package_names_an_extra_that_there_is(name, monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda package: None)
    (family,) = [family for family in _FAMILIES if family.name == name]
    with pytest.raises(MissingExtraError, match="it is missing") as error:
        family.load_processor("owner/model")
    assert f'pip install "tempo-lalm[{NEEDED[name]}]"' in str(error.value)
    assert f"\n{NEEDED[name]} = [\n" in (ROOT / "pyproject.toml").read_text()


def test_a_package_that_will_not_do_is_told_apart():
    extras.require_extra("voxtral", "json", "a model", lambda: True)
    with pytest.raises(MissingExtraError, match="too old"):
        extras.require_extra("voxtral", "json", "a model", lambda: False)
