"""Response caches (`--use_cache`) serve one model only: another model's answers are refused.

lm-eval keys a cached answer by its prompt alone. The laboratory's run folders refuse to mix runs by
the same fingerprints (`tempo_attn.lab.run_folder.fingerprints`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import tempo_attn
import tempo_tasks
from tempo_attn.errors import FingerprintError
from tempo_attn.families.shared.processors import feature_extractor
from tempo_attn.lab.run_folder.differences import differences, without_info
from tempo_attn.lab.run_folder.fingerprints import (
    code_fingerprint,
    content_key,
    environment,
    model_fingerprint,
)
from tempo_tasks.errors import CacheMismatchError
from tempo_tasks.harness import editing

KEY = "tempo_identity"
"""Where a response cache holds the identity; answers have SHA-256 hex digests for keys."""
_NOT_OF_ANSWERS = (
    *("batch_size", "max_batch_size", "device", "offload_folder", "max_memory"),
    *("max_memory_per_gpu", "max_cpu_memory", "cache_dir", "force_download", "local_files_only"),
    *("token", "proxies", "share_prefix", "cache_mb"),
)
"""Arguments that a killed run may go on without; they change the last bits of a sum at most.

A token is a secret besides, and stands neither in a cache nor in a message."""
_FOLDERS = ("peft", "delta", "processor")
_WHOLE = 2**26
"""Bytes up to which a file is read whole; of larger ones, `_BLOCKS` blocks of `_BLOCK` bytes."""
_BLOCKS, _BLOCK = 64, 2**16


class HarnessModel(Protocol):
    """What the identity of a model is worked out from: an `AudioHFLM`, which imports this module.

    Attributes:
        arguments: The model arguments by name.
        processor: The model's processor.
    """

    arguments: dict[str, Any]
    processor: Any

    @property
    def model(self) -> Any:
        """The loaded model, with its edit of attention, if any."""

    @property
    def config(self) -> Any:
        """The model's configuration."""

    def public_name(self) -> str:
        """Return the model's name as results show it."""


def identity_of(lm: HarnessModel) -> dict[str, Any]:
    """Return all that the answers of a loaded model depend on, as JSON data.

    Args:
        lm: The model as the harness has it.
    """
    arguments = {k: v for k, v in lm.arguments.items() if k not in _NOT_OF_ANSWERS}
    folders = {name: arguments[name] for name in _FOLDERS if arguments.get(name)}
    folders["pretrained"] = str(Path(lm.public_name(), arguments.get("subfolder") or ""))
    given = environment(lm.model)
    del given["threads"]  # as the batch size: see `_NOT_OF_ANSWERS`
    generation = getattr(lm.model, "generation_config", None)
    return {
        "model": lm.public_name(),
        "commit": getattr(lm.config, "_commit_hash", None),
        "weights": weights_of(lm.model),
        "files": {
            name: files_fingerprint(Path(folder))
            for name, folder in folders.items()
            if isinstance(folder, (str, Path)) and Path(folder).is_dir()
        },
        "arguments": {
            name: value if isinstance(value, (str, int, float, type(None))) else repr(value)
            for name, value in arguments.items()
            if name not in ("attn_scale", "processor") or isinstance(value, (str, Path))
        },
        "processor": processor_fingerprint(lm.processor),
        "generation": generation.to_diff_dict() if generation is not None else None,
        "attn_scale": (editing.describe(lm.model) or {}).get("sha256"),
        "code": code_fingerprint(tempo_attn, tempo_tasks),
        "environment": without_info(given) | {"lm_eval": metadata.version("lm_eval")},
    }


def weights_of(model: Any) -> str | None:
    """Return the fingerprint of a model's weights; None where some lie on disk."""
    with suppress(FingerprintError):
        return model_fingerprint(model)
    return None


def claim(cache: MutableMapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Take an empty response cache for a model, or check that it is this model's.

    Args:
        cache: The cache, by lm-eval's keys.
        identity: See `identity_of`.

    Raises:
        CacheMismatchError: It holds answers of another model, or of an unknown one.
    """
    held = cache.get(KEY)
    if held is None and len(cache):
        raise CacheMismatchError(
            f"the response cache holds {len(cache)} entries and does not say which model's (it was "
            "written by another model class, or by an older version); name another file with "
            "--use_cache"
        )
    if held is None:
        cache[KEY] = dict(identity)
    elif differing := list(differences(held, dict(identity), ("the cache", "this run"))):
        listed = "\n".join(f"  {line}" for line in differing)
        raise CacheMismatchError(
            "the response cache holds answers of another model or of other settings; name another "
            f"file with --use_cache, or delete this one:\n{listed}"
        )


def processor_fingerprint(processor: Any) -> str:
    """Return the SHA-256 of how a processor turns text and waveforms into model inputs."""
    tokenizer = processor.tokenizer
    backend = getattr(tokenizer, "backend_tokenizer", None)
    transcripts = getattr(processor, "transcripts", None)
    read = {} if transcripts is None else {"transcripts": transcripts.sha256}
    return content_key(
        {
            **read,
            "features": _plain(feature_extractor(processor).to_dict()),
            "chat_template": getattr(processor, "chat_template", None),
            "tokenizer": _vocabulary(tokenizer) if backend is None else _settled(backend),
            "special_tokens": {name: str(t) for name, t in tokenizer.special_tokens_map.items()},
        }
    )


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as JSON data: some extractors keep a number as an array."""
    return {
        n: value.tolist() if hasattr(value, "tolist") else value for n, value in settings.items()
    }


def _settled(backend: Any) -> dict[str, Any]:
    """Return a tokenizer without what its last call left in it: how that call padded and cut."""
    described: dict[str, Any] = json.loads(backend.to_str())
    return {n: v for n, v in described.items() if n not in ("padding", "truncation")}


def _vocabulary(tokenizer: Any) -> Any:
    """Return what is known of a tokenizer without a backend that describes itself."""
    if type(tokenizer).__name__ == "MistralCommonBackend":  # the package knows the chat format
        return [metadata.version("mistral-common"), sorted(tokenizer.get_vocab().items())]
    return sorted(tokenizer.get_vocab())


def files_fingerprint(folder: Path) -> dict[str, str]:
    """Return a short description of each file in a folder that a model may be read from.

    A file up to 64 MiB is described by its size and the SHA-256 of its content; a larger one by its
    size, the time of its last change, and the SHA-256 of blocks spread over it, the first and the
    last among them. Folders inside, notes (`.md`) and hidden files do not count.
    """
    files = sorted(file for file in folder.iterdir() if file.is_file())
    return {
        file.name: _described(file)
        for file in files
        if file.suffix != ".md" and not file.name.startswith(".")
    }


def _described(file: Path) -> str:
    status = file.stat()
    digest = hashlib.sha256()
    with file.open("rb") as content:
        if status.st_size <= _WHOLE:
            digest.update(content.read())
            return f"{status.st_size} bytes, {digest.hexdigest()[:16]}"
        for number in range(_BLOCKS):
            content.seek(number * (status.st_size - _BLOCK) // (_BLOCKS - 1))
            digest.update(content.read(_BLOCK))
    return f"{status.st_size} bytes, {digest.hexdigest()[:16]}, changed at {status.st_mtime_ns} ns"
