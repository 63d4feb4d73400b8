"""Classes of transformers that older releases do not have."""

import pytest

from tempo_attn.errors import UnsupportedModelError
from tempo_attn.families.shared.audio_half import young_class


def test_a_class_that_this_release_has_not():
    with pytest.raises(UnsupportedModelError, match=r"has no Gemma9Processor .* a newer transf"):
        young_class("Gemma9Processor")
