"""Real tokenizers of the kinds that audio language models have, built without a network."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils.import_utils import is_mistral_common_available

import tempo_tasks.tiny
from tempo_attn.prompts.decoded_text import TextReader

AUDIO = 300  # positions that are not text, as in a prompt's list of parts
OPEN, CLOSE = "<open>", "<close>"

TEXT = (
    "Which sound event starts earliest in the given audio?",
    "Which sound event ends latest in the given audio?",
    "Which sound event has the longest duration in the given audio?",
    "Answer with the option's letter from the given choices directly.",
    "Audio caption: The latest news is read while rain falls. Dog bark, siren, wind, piano.",
    "You are a helpful assistant. Choose from: (A) one (B) two (C) three (D) four",
)


@dataclass(frozen=True)
class Case:
    """A tokenizer, and the special tokens that open and close a turn."""

    tokenizer: Any
    open_id: int
    close_id: int

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def decode(self, ids: list[int]) -> str:
        text: str = self.tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text


def _wrapped(tokenizer: Tokenizer, opening: str, closing: str) -> Case:
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, additional_special_tokens=[opening, closing]
    )
    return Case(fast, *fast.convert_tokens_to_ids([opening, closing]))


def embedded() -> Case:
    """The embedded model's own: byte-level BPE that knows the question's words."""
    folder = Path(tempo_tasks.tiny.__file__).parent / "embedded"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return Case(tokenizer, *tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"]))


def byte_level(*, words: bool = True, text: tuple[str, ...] = TEXT, merges: int = 40) -> Case:
    """Byte-level BPE with few merges; without `words`, tokens reach across words too."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=words)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=256 + merges,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(text, trainer)
    return _wrapped(tokenizer, "<|im_start|>", "<|im_end|>")


BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def _metaspace(tokenizer: Tokenizer) -> None:
    # Sentencepiece keeps letters and punctuation apart; the decoder is Llama's.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )


def llama() -> Case:
    """Sentencepiece-like BPE with byte fallback, as Llama 2 has it."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    _metaspace(tokenizer)
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=["<unk>", *BYTES], show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    # Only the trainer sees byte tokens as special; in a checkpoint they are ordinary.
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [t for t in state["added_tokens"] if t["content"] == "<unk>"]
    return _wrapped(Tokenizer.from_str(json.dumps(state)), "<s>", "</s>")


def unigram() -> Case:
    """Sentencepiece-like unigram model with byte fallback, as T5 has it."""
    tokenizer = Tokenizer(models.Unigram())
    _metaspace(tokenizer)
    trainer = trainers.UnigramTrainer(
        vocab_size=140, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    state = json.loads(tokenizer.to_str())
    state["model"]["vocab"] += [[byte, -20.0] for byte in BYTES]
    state["model"]["byte_fallback"] = True
    return _wrapped(Tokenizer.from_str(json.dumps(state)), "<s>", "</s>")


def _mistral(file_name: str) -> Case:
    if not is_mistral_common_available():
        pytest.skip("transformers needs a newer mistral-common, and Pillow, for its backend")
    import mistral_common
    from transformers.tokenization_mistral_common import MistralCommonBackend

    if "tekken" not in file_name:
        pytest.importorskip("sentencepiece")
    data = Path(str(mistral_common.__file__)).parent / "data"
    found = sorted(data.glob(file_name))
    if not found:
        pytest.skip(f"this mistral-common has no {file_name}")
    tokenizer = MistralCommonBackend(found[-1])
    return Case(tokenizer, *tokenizer.convert_tokens_to_ids(["[INST]", "[/INST]"]))


def tekken() -> Case:
    """Voxtral's kind: mistral-common's own byte-level BPE."""
    return _mistral("tekken_24*.json")


def mistral_sentencepiece() -> Case:
    """Mistral-common's sentencepiece model, whose decoder prints raw pieces."""
    return _mistral("mistral_instruct_tokenizer_24*.model.v3")


def qwen3() -> Case:
    """Some merges of Qwen3's tokenizer; it normalises texts."""
    from tests.support.real_tokenizers import cut  # it builds upon this module

    return cut()


KINDS: dict[str, Callable[[], Case]] = {
    "embedded": embedded,
    "byte_level": byte_level,
    "llama": llama,
    "unigram": unigram,
    "tekken": tekken,
    "mistral_sentencepiece": mistral_sentencepiece,
    "qwen3": qwen3,
}


class Reading:
    """One prompt, tokenised and read; rows are given back as words."""

    def __init__(self, case: Case, reader: TextReader, *parts: str | int) -> None:
        self.case = case
        self.ids: list[int] = []
        for part in parts:
            if isinstance(part, int):
                self.ids += [-1] * part  # no tokenizer can decode this
            elif part in (OPEN, CLOSE):
                self.ids.append(case.open_id if part == OPEN else case.close_id)
            else:
                self.ids += case.encode(part)
        self.prompt = reader.read(self.ids, [token < 0 for token in self.ids])

    def words(self, rows: list[int]) -> list[str]:
        """Decode every run of neighbouring rows, without the reader's help."""
        runs: list[list[int]] = []
        for before, row in pairwise([-2, *rows]):
            if row != before + 1:
                runs.append([])
            runs[-1].append(self.ids[row])
        return [self.case.decode(run).strip() for run in runs]


class Kit:
    """A tokenizer and its reader; makes readings."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.reader = TextReader(case.tokenizer)

    def __call__(self, *parts: str | int) -> Reading:
        return Reading(self.case, self.reader, *parts)


@cache
def kit(kind: str) -> Kit:
    """Return the kit of a kind of tokenizer, built once."""
    return Kit(KINDS[kind]())
