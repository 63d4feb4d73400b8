"""torch's attention in the place of flash-attn."""

import sys
from importlib.util import find_spec

import pytest
import torch
import transformers.utils

from tempo_attn.families.kimi.kernel import _attend, importable


@pytest.fixture
def without_flash_attention():
    if find_spec("flash_attn") is not None:
        pytest.skip("flash-attn is installed")


def test_code_that_needs_flash_attention_is_imported_and_nothing_is_left(without_flash_attention):
    before = transformers.utils.is_flash_attn_2_available
    with importable():
        assert transformers.utils.is_flash_attn_2_available()
        from flash_attn import flash_attn_func
        from flash_attn.bert_padding import pad_input

        assert flash_attn_func is pad_input is None
    assert not {"flash_attn", "flash_attn.bert_padding"} & sys.modules.keys()
    assert transformers.utils.is_flash_attn_2_available is before


def test_what_was_imported_inside_stays(without_flash_attention, tmp_path, monkeypatch):
    (tmp_path / "tests_code_of_kimi.py").write_text("from flash_attn import flash_attn_func\n")
    monkeypatch.syspath_prepend(tmp_path)
    with importable():
        import tests_code_of_kimi  # noqa: F401
    assert sys.modules.pop("tests_code_of_kimi").flash_attn_func is None
    assert "flash_attn" not in sys.modules


@pytest.mark.parametrize("n_queries", [5, 1])
@pytest.mark.parametrize("padded", [False, True])
def test_attention_is_causal_and_sees_no_padding(n_queries, padded):
    """By loops; two query heads share a key head."""
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(2, n_queries, 4, 8, generator=generator)
    key, value = torch.randn(2, 2, 5, 2, 8, generator=generator)
    mask = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]]) if padded else None
    found = _attend(torch.nn.Identity(), query, key, value, mask, n_queries)
    assert found.shape == query.shape
    for row in range(2):
        for at in range(n_queries):
            last = 5 - n_queries + at
            seen = [k for k in range(last + 1) if mask is None or mask[row, k]]
            if not seen:
                assert bool(found[row, at].isfinite().all())
                continue
            for head in range(4):
                logits = key[row, seen, head // 2] @ query[row, at, head] * 8**-0.5
                expected = logits.softmax(0) @ value[row, seen, head // 2]
                assert torch.allclose(found[row, at, head], expected, atol=1e-6)
