"""Keyword, option and last rows on tokenizers of released models, in the benchmark's prompts.

What is expected comes from the bytes of each token, which tempo_attn does not look at.
"""

import json

import pytest
import torch

from tempo_attn import AttnScaleConfig
from tempo_attn.prompts.positions import Given, Prompt
from tempo_tasks.prompts import VARIANTS
from tempo_tasks.questions.questions import Kind
from tests.support.real_tokenizers import (
    CUT,
    OPTIONS,
    bytes_of,
    cut,
    cut_of,
    laid_out,
    prompt,
    texts,
    whole,
    whole_case,
)
from tests.support.tiny_tokenizers import Kit, kit

ALWAYS = ("qwen3", "tekken")


def complain(message):
    raise AssertionError(message)


def rows_of(kit, reading, wanted):
    """Rows as an edit finds them."""
    ids = torch.tensor([reading.ids])
    found = Prompt(
        spans={"audio": torch.zeros_like(ids, dtype=torch.bool)},
        ids=ids.clamp(min=0),
        real=ids >= 0,
        start=0,
        length=ids.shape[1],
        given=Given(),
    )
    # Audio is left out as padding is: neither has text.
    config = AttnScaleConfig(strength=2.0, queries=wanted)
    return found.rows(config, kit.reader, complain)[0].nonzero()[:, 0].tolist()


def expected(case, reading, kind, names):
    """Rows that hold a byte of the question's keyword, of a name; and the last row."""
    pieces, ends = [], []
    for token in reading.ids:
        special = token < 0 or token in (case.open_id, case.close_id)
        pieces.append(b"\xff" if special else bytes_of(case, token))
        ends.append((ends[-1] if ends else 0) + len(pieces[-1]))
    whole_text = b"".join(pieces)

    def holding(word, after):
        start = whole_text.index(word.encode(), after)
        stop = start + len(word.encode())
        rows = [
            row for row, end in enumerate(ends) if end > start and end - len(pieces[row]) < stop
        ]
        return rows, stop

    question = whole_text.rindex(kind.text.encode())
    keyword, at = holding(kind.keyword, question)
    option = []
    for letter, name in zip("ABCD", names, strict=True):
        at = whole_text.index(letter.encode(), at) + 1
        rows, at = holding(name, at)
        option += rows
    return {"keyword": keyword, "option": sorted(set(option)), "last": [len(reading.ids) - 1]}


def check(kit, padding):
    for kind in Kind:
        for names in OPTIONS:
            for style in VARIANTS:
                reading = laid_out(kit, prompt(kind, names, style), padding)
                wanted = expected(kit.case, reading, kind, names)
                for name, rows in wanted.items():
                    assert rows_of(kit, reading, [name]) == rows, (name, kind, names, style)
                union = sorted({row for rows in wanted.values() for row in rows})
                assert rows_of(kit, reading, ["last", "keyword", "option"]) == union


def tokens(kit, rows, reading):
    return [bytes_of(kit.case, reading.ids[row]).decode(errors="replace") for row in rows]


@pytest.mark.parametrize(("name", "padding"), [("qwen3", 0), ("qwen3", 9), ("tekken", 9)])
def test_rows_are_the_tokens_of_keyword_names_and_end(name, padding):
    check(kit(name), padding)


@pytest.mark.parametrize(
    ("name", "options", "wanted"),
    [
        ("qwen3", 0, "· Dog· bark· Police· car· (·s·iren·)\n· Baby·'s· cry· Alarm· clock· ·2"),
        (
            "qwen3",
            1,
            "· DO·G· B·ARK· McDonald·'s· drive·-th·ru·1· kHz· tone·8·8·.·5· FM· radio",
        ),
        (
            "qwen3",
            2,
            "· L·'·été· à· Or·ly· \ufffd·\ufffd·\ufffd·の·\ufffd·\ufffd·き·声· Ä·nder·ung"
            "· der· Stra·ße· Г·овор·ящ·ий· человек",
        ),
        (
            "tekken",
            1,
            "· DO·G· B·ARK· Mc·Donald·'s· drive·-th·ru·1· k·Hz· tone·8·8·.·5· FM· radio",
        ),
    ],
)
def test_some_rows_written_down(name, options, wanted):
    """A dot stands before each token."""
    reader = kit(name)
    reading = laid_out(reader, prompt(Kind.EO, OPTIONS[options]))
    assert tokens(reader, rows_of(reader, reading, ["keyword"]), reading) == [" earliest"]
    found = tokens(reader, rows_of(reader, reading, ["option"]), reading)
    assert found == wanted.split("·")[1:]
    assert tokens(reader, rows_of(reader, reading, ["last"]), reading) == ["\n"]


@pytest.mark.parametrize("name", ALWAYS)
def test_the_letters_are_one_token_each_behind_the_prompt(name):
    """So that likelihoods of letters, and of letters after a blank, compare the same thing."""
    case = kit(name).case
    for blank in ("", " "):
        answers = {tuple(case.encode(f"assistant\n{blank}{letter}")) for letter in "ABCD"}
        assert {len(answer) for answer in answers} == {len(case.encode("assistant\n")) + 1}
        assert len({answer[:-1] for answer in answers}) == 1
        assert len(answers) == 4


# ------------------------------------------------------------------------------ whole ones


@pytest.mark.network
def test_the_cut_is_still_what_it_says(tmp_path):
    data = whole("qwen3", tmp_path)
    assert cut_of(data) == json.loads(CUT.read_text(encoding="utf-8"))
    ours, theirs = cut(), whole_case("qwen3", tmp_path)
    for text in texts():
        one, other = (
            case.tokenizer.convert_ids_to_tokens(case.encode(text)) for case in (ours, theirs)
        )
        assert one == other


@pytest.mark.network
@pytest.mark.parametrize("name", ["qwen3", "llama3_1"])
def test_rows_on_whole_tokenizers(name, tmp_path):
    case = whole_case(name, tmp_path)
    check(Kit(case), 0)
    check(Kit(case), 9)
