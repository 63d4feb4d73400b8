"""Kimi-Audio's tokenizer against tiktoken, on a small file of the same form."""

from base64 import b64decode

import pytest

from tempo_attn.errors import OptionError
from tempo_attn.families.kimi import tokenizer as names
from tests.support.stand_in_kimi import write_tokenizer
from tests.support.tiny_tokenizers import TEXT

TEXTS = (*TEXT, "", " ", "a\n\n b", "It's 1234 o'clock", "Ünï 你好 🎧", "<|im_msg_end|", "x" * 50)
BASE = 256 + 8


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kimi")
    write_tokenizer(folder)
    return names.load_tokenizer(str(folder))


@pytest.fixture(scope="module")
def tiktoken_of_the_same_file(tmp_path_factory):
    tiktoken = pytest.importorskip("tiktoken")
    folder = tmp_path_factory.mktemp("kimi")
    write_tokenizer(folder)
    lines = (folder / "tiktoken.model").read_text().split("\n")[:-1]
    ranks = {b64decode(token): int(rank) for token, rank in map(str.split, lines)}
    special = {token: len(ranks) + at for at, token in enumerate(names.special_tokens())}
    return tiktoken.Encoding(
        "kimi", pat_str=names._PATTERN, mergeable_ranks=ranks, special_tokens=special
    )


def test_ids_are_those_of_tiktoken(tokenizer, tiktoken_of_the_same_file):
    for text in TEXTS:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert ids == tiktoken_of_the_same_file.encode(text, disallowed_special=())
        assert tokenizer.decode(ids) == text
    assert any(id_ >= 256 for id_ in tokenizer("the whistle")["input_ids"])  # merges count


def test_special_tokens_follow_the_merges(tokenizer):
    """The numbers of the released checkpoint, whose file has 151,643 merges."""
    released = {
        names.MESSAGE_END: 151645,
        names.MEDIA_BEGIN: 151661,
        names.MEDIA_END: 151663,
        names.BLANK: 151666,
        names.TEXT_END: 151667,
        names.USER: 151670,
        names.ASSISTANT: 151671,
        names.ANSWER_IN_TEXT: 151675,
        "<|reserved_token_0|>": 151648,
        "<|reserved_token_20|>": 151677,
    }
    for name, number in released.items():
        assert tokenizer.convert_tokens_to_ids(name) == number - 151643 + BASE
    assert len(tokenizer) == BASE + 152064 - 151643
    assert len(set(names.special_tokens())) == len(names.special_tokens())


def test_a_text_ends_where_the_answer_does(tokenizer):
    end = tokenizer.convert_tokens_to_ids(names.TEXT_END)
    assert tokenizer.eos_token_id == end
    blank = tokenizer.convert_tokens_to_ids(names.BLANK)
    ids = [*tokenizer("A")["input_ids"], blank, end]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "A"


def test_a_checkpoint_without_the_file_is_told(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(OptionError, match=r"no tiktoken\.model"):
        names.load_tokenizer(str(tmp_path))
