"""The figure of head scores."""

import pytest

from tempo_attn.errors import ConfigError
from tempo_attn.lab.heads.figures import score_table


def row(layer, head, r, p_holm):
    labels = {"kind": "eo", "condition": "aqa", "rows": "last", "target": "audio"}
    return {**labels, "layer": layer, "head": head, "n": 40, "r": r, "p_holm": p_holm}


def test_what_is_significant_has_a_star_also_where_p_is_rounded_to_nothing(drawn):
    rows = [row(0, 0, 0.5, 0.0), row(0, 1, -0.25, 0.04), row(1, 0, 0.1, 0.9), row(1, 1, None, None)]
    (figure,) = drawn(score_table, rows)
    texts = sorted(text.get_text() for text in figure.axes[0].texts)
    assert texts == ["+0.10", "+0.50*", "\u22120.25*"]


def test_many_heads_have_no_numbers(drawn):
    rows = [row(0, head, 0.5, 0.0 if head == 3 else 1.0) for head in range(32)]
    (figure,) = drawn(score_table, rows)
    assert sorted({text.get_text() for text in figure.axes[0].texts}) == ["", "*"]


def test_without_scores_there_is_no_figure(tmp_path):
    with pytest.raises(ConfigError, match="does not vary"):
        score_table([row(0, 0, None, None)], tmp_path / "heads")
