"""Where texts begin alike, and in which order they are run."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tempo_tasks.harness.sharing.beginnings import LEAST, common_parts, cut_at
from tempo_tasks.harness.sharing.order import in_order


def ids(*tokens):
    return np.array(tokens, dtype=np.int32)


def test_a_caption_is_shared_by_its_questions():
    one, other = range(100, 120), range(200, 240)
    texts = [ids(*one, 1, 2), ids(*other, 1, 2), ids(*one, 3), ids(*other, 4, 5), ids(*one, 6)]
    assert common_parts(texts) == [[20], [40], [20], [40], [20]]


def test_parts_follow_parts():
    """A head of 12 tokens for four texts, and 40 more for two of them each."""
    head, one, other = range(12), range(100, 140), range(200, 240)
    texts = [ids(*head, *more, last) for more in (one, other) for last in (1, 2)]
    assert common_parts(texts) == [[12, 52]] * 4
    beginning = cut_at("clip", texts[0], [12, 52], has_audio=True)
    assert [len(part) for part in beginning.parts] == [12, 40]
    assert beginning.rest.tolist() == [1]
    assert beginning.text.tolist() == texts[0].tolist()
    assert len(set(beginning.keys)) == 3
    assert beginning.has_audio
    assert not cut_at("text", texts[0], [12, 52], has_audio=False).has_audio


def test_what_saves_little_is_not_shared_and_something_is_left():
    few = range(LEAST - 1)
    assert common_parts([ids(*few, 100), ids(*few, 101)]) == [[], []]
    same = range(LEAST + 1)
    assert common_parts([ids(*same), ids(*same)]) == [[LEAST], [LEAST]]
    assert common_parts([]) == []


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=80), max_size=12))
def test_texts_with_the_same_key_begin_alike(texts):
    texts = [ids(*([7] * 20), *text) for text in texts]
    cuts = common_parts(texts)
    found = [cut_at("", t, cut, has_audio=False) for t, cut in zip(texts, cuts, strict=True)]
    beginnings = {}
    for text, beginning, cut in zip(texts, found, cuts, strict=True):
        assert sorted(set(cut)) == cut
        assert len(beginning.rest)
        assert beginning.text.tolist() == text.tolist()
        for key, end in zip(beginning.keys, cut, strict=True):
            assert beginnings.setdefault(key, text[:end].tolist()) == text[:end].tolist()
    assert not texts or sum(map(len, beginnings.values())) <= sum(map(len, texts))


def beginning(clip, n_part, n_rest):
    text = ids(*([clip] * n_part), *([9] * n_rest))
    return cut_at(clip, text, [n_part] if n_part else [], has_audio=True)


def test_units_stay_together_and_long_rests_come_first():
    found = [
        beginning(1, 0, 5), beginning(2, 0, 9), None, beginning(1, 0, 7), beginning(3, 0, 30),
        beginning(2, 0, 6),
    ]  # fmt: skip
    lengths = [100, 50, 10, 100, 200, 50]
    order = in_order(found, lengths.__getitem__, n_units=2, room=1000)
    assert order == [2, 4, 3, 0, 1, 5]
    assert in_order(found, lengths.__getitem__, n_units=9, room=1000) == [2, 4, 1, 3, 5, 0]
    # Room for one clip alone: each by itself.
    assert in_order(found, lengths.__getitem__, n_units=9, room=0) == [2, 4, 3, 0, 1, 5]


def test_parts_meet_where_there_is_no_room_for_all():
    found = [beginning(1, 4, 5), beginning(1, 6, 9), beginning(1, 4, 8), beginning(1, 6, 7)]
    assert in_order(found, lambda number: 50, n_units=4, room=100) == [1, 2, 3, 0]
    assert in_order(found, lambda number: 50, n_units=4, room=51) == [2, 0, 1, 3]
