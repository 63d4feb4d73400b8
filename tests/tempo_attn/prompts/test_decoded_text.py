"""Every character of a decoded prompt belongs to a token, whatever the tokenizer."""

import pytest

from tempo_attn.errors import PositionError
from tempo_attn.prompts.decoded_text import PromptText, TextReader
from tests.support.tiny_tokenizers import AUDIO, CLOSE, KINDS, OPEN, Kit, Reading, byte_level, kit

TURN = "Which sound event ends latest in the given audio?\nA. 犬の鳴き声\nB. Piano\n"


@pytest.fixture(scope="session", params=list(KINDS))
def read(request: pytest.FixtureRequest) -> Kit:
    return kit(request.param)


def test_text_is_what_the_tokenizer_decodes(read):
    turn = "Café 犬の鳴き声 🐶 (x), A.\nlatest  "
    reading = read(3, OPEN, turn, 2, CLOSE)
    prompt, case = reading.prompt, read.case
    assert prompt.special == (3, len(reading.ids) - 1)
    assert prompt.text.count("\ufffc") == 5
    inside = prompt.text[prompt.ends[3] : prompt.starts[-1] - 2]
    assert inside.strip() == case.decode(case.encode(turn)).strip() == turn.strip()
    assert prompt.tokens(0, len(prompt.text)) == [
        index for index, token in enumerate(reading.ids) if token >= 0
    ]


def test_characters_that_share_tokens():
    # Without word borders, tokens reach from the end of one character into the next.
    text = "which ends latest?\nA. 犬の鳴き声\nB. 猫の鳴き声"
    read = Kit(byte_level(words=False, text=(text, text), merges=25))
    assert any(
        len(read.case.decode([token]).strip("\ufffd")) > 1 for token in read.case.encode(text)
    )
    reading = read(AUDIO, text, CLOSE)
    assert "\ufffd" not in reading.prompt.text
    for word in ("latest", "犬の鳴き声", "の"):
        start = AUDIO + text.index(word)
        rows = reading.prompt.tokens(start, start + len(word))
        assert rows == list(range(rows[0], rows[-1] + 1))
        assert word in reading.words(rows)[0]
        assert word not in reading.case.decode([reading.ids[row] for row in rows[1:]])


def test_broken_bytes_and_skipped_positions_end_a_character():
    case = byte_level(merges=0)
    first, second, third = case.encode("犬")
    ids = [first, second, -1, third, *case.encode("latest"), first]
    prompt = TextReader(case.tokenizer).read(ids, [token < 0 for token in ids])
    assert prompt.text == "\ufffd\ufffd\ufffc\ufffdlatest\ufffd"
    assert prompt.tokens(4, 10) == list(range(4, 10))


def test_every_token_is_decoded_once(read, monkeypatch):
    calls = []
    decode = read.case.tokenizer.batch_decode

    def counted(sequences, **kwargs):
        calls.append(max(map(len, sequences)))
        return decode(sequences, **kwargs)

    monkeypatch.setattr(read.case.tokenizer, "batch_decode", counted)
    reader = TextReader(read.case.tokenizer)
    parts = (AUDIO, *[TURN] * 20, CLOSE)
    first = Reading(read.case, reader, *parts)
    assert len(first.ids) > 600
    assert max(calls) <= 6  # an anchor and the tokens of one character, never the whole prompt
    calls.clear()
    assert Reading(read.case, reader, *parts).prompt == first.prompt
    assert not calls


def test_ids_and_mask_must_fit():
    reader = TextReader(byte_level().tokenizer)
    with pytest.raises(PositionError, match="2 token ids and 1 flags"):
        reader.read([1, 2], [True])
    with pytest.raises(PositionError, match=r"token id -200 .* as skipped"):
        reader.read([1, -200], [False, False])


def test_a_tokenizer_without_letters_is_refused():
    class Mute:
        def encode(self, text, add_special_tokens):
            return [0]

        def batch_decode(self, sequences, **kwargs):
            return [""] * len(sequences)

    with pytest.raises(PositionError, match=r"Mute decodes none of the letters.*yourself"):
        TextReader(Mute())


def test_a_span_is_its_overlapping_text_tokens():
    prompt = PromptText("\ufffcab\ufffcc", (0, 1, 2, 2, 3, 4), (1, 2, 2, 3, 4, 5))
    assert prompt.tokens(0, 5) == [1, 3, 5]  # neither skipped nor empty ones
    assert prompt.tokens(2, 3) == [3]
    assert prompt.tokens(2, 2) == []


def test_the_sign_for_audio_inside_a_text_is_text(read):
    """Else an option "Dog\\ufffcB. Cat" would begin an option of its own."""
    prompt = read(2, OPEN, "A. Dog\ufffcB. Cat\nB. Rain", CLOSE).prompt
    inside = prompt.text[prompt.ends[2] :]
    assert "\ufffc" not in inside
    assert "Cat" in inside
