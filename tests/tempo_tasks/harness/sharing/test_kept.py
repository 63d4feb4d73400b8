"""What is kept between batches: bounded, and the same as decoding anew."""

import numpy as np
import pytest

from tempo_attn.runtime.kept import Kept
from tempo_tasks.audio import DEFAULT_LIMITS, read_audio, reversed_handle, silenced_handle
from tempo_tasks.harness.sharing.kept import Clips


def test_what_was_used_longest_ago_goes():
    kept = Kept(10, len)
    for key in ("one", "two", "three"):
        kept.put(key, key)
        kept.get("one")
    assert ["one" in kept, "two" in kept, "three" in kept] == [True, False, True]
    assert kept.n_bytes == 8
    kept.put("four", "much too long")
    assert kept.get("four") is None
    assert kept.get("one") == "one"
    kept.clear()
    assert kept.n_bytes == 0
    assert "one" not in kept


@pytest.mark.parametrize("limit", [0, 2**30])
def test_a_clip_is_heard_as_it_is_decoded(clips, limit):
    kept = Clips(16000, DEFAULT_LIMITS, 20_000, limit)
    for handle in clips:
        for form in (handle, silenced_handle(handle), reversed_handle(handle), handle):
            expected = read_audio(form, 16000)
            np.testing.assert_array_equal(kept.read(form), expected)
            np.testing.assert_array_equal(kept.heard(form), expected[:20_000])


def test_a_key_tells_what_is_heard(clips):
    kept = Clips(16000, DEFAULT_LIMITS, 20_000, 0)
    keys = [kept.key(handle) for handle in clips]
    assert len(set(keys)) == len(clips)
    silent = [kept.key(silenced_handle(handle)) for handle in clips]
    # 10, 4 and 7.3 s are cut to the same window; 1 s is not.
    assert len(set(silent)) == 2
    assert kept.key(reversed_handle(clips[0])) not in keys
    assert kept.key(dict(clips[0], path=clips[0]["path"])) == keys[0]


def test_a_clip_is_decoded_once_while_there_is_room(clips, monkeypatch):
    decoded = []
    monkeypatch.setattr(
        "tempo_tasks.harness.sharing.kept.read_audio",
        lambda handle, *rest: decoded.append(handle["path"]) or read_audio(handle, *rest),
    )
    kept = Clips(16000, DEFAULT_LIMITS, 20_000, 2**30)
    for handle in clips * 2:
        kept.key(silenced_handle(handle))
        kept.heard(handle)
    assert decoded == [handle["path"] for handle in clips]
