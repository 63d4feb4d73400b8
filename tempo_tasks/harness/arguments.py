"""Model arguments of `lalm`, checked before anything is loaded: names, values, and the edit.

A large model takes minutes to load, and some wrong values are otherwise never told of: HFLM puts a
model on another device than an unknown one, and transformers takes a misspelt name for an attribute
of the configuration.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM
from transformers import AutoConfig, PreTrainedConfig

from tempo_attn import AttnScaleConfig
from tempo_attn.config_fields import shown
from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import OptionError, TempoError, UnsupportedModelError
from tempo_attn.families import family_names, get_family, refusal
from tempo_attn.hub.model_names import is_repo_id
from tempo_attn.runtime.resolve_edit import check_size
from tempo_tasks.errors import RemoteCodeError
from tempo_tasks.harness.audio_hflm import AudioHFLM
from tempo_tasks.harness.transcripts import check_transcripts
from tempo_tasks.tiny import WEIGHTS_DIR, is_embedded

_OF_TRANSFORMERS = (
    *("attn_implementation", "torch_dtype", "device_map", "max_memory", "low_cpu_mem_usage"),
    *("quantization_config", "load_in_4bit", "load_in_8bit", "variant", "use_safetensors"),
    *("cache_dir", "force_download", "local_files_only", "token", "proxies", "code_revision"),
    *("weights_only", "key_mapping", "ignore_mismatched_sizes", "offload_buffers", "offload_state"),
    *("offload_state_dict", "state_dict", "generation_config", "tp_size", "device_mesh"),
    *("distributed_config", "use_kernels", "kernel_config", "experts_implementation"),
    *("adapter_kwargs", "adapter_name", "output_loading_info", "config", "gpus"),
)
"""What `from_pretrained` takes and HFLM hands on."""
_DEVICES = ("cpu", "cuda", "mps", "npu", "xpu", "hpu")
_DTYPES = ("auto", "float32", "float16", "bfloat16", "float64")
_ATTENTION = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")

Check = Callable[[str, Any], None]


def check_arguments(pretrained: Any, arguments: Mapping[str, Any]) -> AttnScaleConfig | None:
    """Check model arguments as far as can be told without loading a model.

    Args:
        pretrained: Hub id, folder, a loaded model, or None for the embedded one.
        arguments: All others, by name.

    Returns:
        The configuration that `attn_scale` names, read or fetched; None without `attn_scale`.

    Raises:
        OptionError: An unknown name or a wrong value; the message names the nearest right one. Or
            the model is of another family than said.
        UnknownFamilyError: No family is registered for the model's type.
        UnsupportedModelError: Attention on audio cannot be edited in it.
        RemoteCodeError: It runs code of its own, which was not allowed.
    """
    for name, value in arguments.items():
        if name in _CHECKS and value is not None:
            _CHECKS[name](name, value)
    if not (arguments.get("gguf_file") or arguments.get("subfolder")):
        _folder("pretrained", None if is_embedded(pretrained) else pretrained, "config.json")
    config = None
    unknown = [n for n in arguments if n not in known_names() and not n.startswith("bnb_4bit_")]
    named, transcripts = arguments.get("family"), arguments.get("transcripts")
    if unknown or any(
        given is not None for given in (arguments.get("attn_scale"), named, transcripts)
    ):
        config = model_config(pretrained, arguments)
    for name in unknown:
        if not hasattr(config, name):  # transformers sets attributes of the configuration
            raise OptionError(
                f"unknown model argument {name!r}.{did_you_mean(name, known_names())} lalm takes "
                f"those of hf and {', '.join(_names_of(AudioHFLM, but=_names_of(HFLM)))}"
            )
    if named is not None:
        get_family(config, named)
    if transcripts is not None:
        check_transcripts("transcripts", transcripts, get_family(config, named))
    edit = arguments.get("attn_scale")
    if isinstance(edit, (str, Path)):
        edit = AttnScaleConfig.from_pretrained(edit, revision=arguments.get("attn_scale_revision"))
    if isinstance(edit, AttnScaleConfig):
        check_size(edit, config, get_family(config, named))
    elif edit is not None:
        raise OptionError(
            f"attn_scale is a {type(edit).__name__}; expected a folder, a Hub repository or an "
            "AttnScaleConfig"
        )
    return edit


def known_names() -> list[str]:
    """Return the names of all model arguments, those of `hf` and of transformers included."""
    return [*dict.fromkeys([*_names_of(AudioHFLM), *_names_of(HFLM), *_OF_TRANSFORMERS])]


def _names_of(model_class: type, but: Collection[str] = ()) -> list[str]:
    names = inspect.signature(model_class).parameters
    return [name for name in names if name != "kwargs" and name not in but]


def model_config(pretrained: Any, arguments: Mapping[str, Any]) -> Any:
    """Return a model's configuration, without its weights.

    Raises:
        OptionError: There is none, or it cannot be read; the message says which model.
        RemoteCodeError: It is made by code of its own, which was not allowed.
        UnsupportedModelError: It is, and attention on audio cannot be edited in it.
    """
    if pretrained is not None and not isinstance(pretrained, (str, Path)):
        return pretrained.config
    name = str(WEIGHTS_DIR if is_embedded(pretrained) else pretrained)
    given = {k: arguments[k] for k in ("subfolder", "gguf_file", "cache_dir") if arguments.get(k)}
    try:
        return AutoConfig.from_pretrained(
            name,
            revision=str(arguments.get("revision") or "main"),
            # An explicit False: left out, transformers would ask at the terminal.
            trust_remote_code=bool(arguments.get("trust_remote_code")),
            **given,
        )
    except (OSError, ValueError, KeyError) as error:
        raise unreadable(name, arguments, error) from error


def unreadable(name: str, arguments: Mapping[str, Any], error: Exception) -> TempoError:
    """Return what to raise where a model's configuration cannot be read.

    Nobody should allow remote code only to learn that the model is refused: its type is read from
    the file, without any code.

    Args:
        name: Hub id or folder.
        arguments: The model arguments, among them `revision`, `subfolder` and `cache_dir`.
        error: Why transformers cannot read it.
    """
    given = {k: arguments[k] for k in ("subfolder", "cache_dir", "revision") if arguments.get(k)}
    with suppress(OSError, ValueError, KeyError):
        file, _ = PreTrainedConfig.get_config_dict(name, **given)
        reason = refusal(str(file.get("model_type")))
        if reason:
            return UnsupportedModelError(
                f"{name}: cannot edit attention on audio in a {file['model_type']!r} model: "
                f"{reason}"
            )
    if is_about_remote_code(error) and not arguments.get("trust_remote_code"):
        return remote_code(name)
    why = " ".join(str(error).split())
    return OptionError(f"the model {name!r} cannot be read: {why[:700]}")


def is_about_remote_code(error: BaseException) -> bool:
    """Return whether transformers complains that a repository has code of its own."""
    return "trust_remote_code" in str(error)


def remote_code(name: str) -> RemoteCodeError:
    """Return what to raise where a model runs code of its own, which was not allowed."""
    return RemoteCodeError(
        f"{name} runs code of its own repository, which is not allowed by default. Read that code, "
        "then pass --model_args trust_remote_code=True (and revision=COMMIT, so that it stays "
        "what you read)"
    )


# ---------------------------------------------------------------------- single values


def _wrong(name: str, value: object, expected: str, near: Collection[str] = ()) -> OptionError:
    return OptionError(
        f"model argument {name}={shown(value)}: expected {expected}.{did_you_mean(value, near)}"
    )


def _one_of(name: str, value: object, *, choices: Collection[str]) -> None:
    if value not in choices:
        raise _wrong(name, value, " or ".join(map(repr, choices)), choices)


def _true_or_false(name: str, value: object) -> None:
    if not isinstance(value, bool) and value not in (0, 1):
        raise _wrong(name, value, "True or False", ("True", "False"))


def _whole(name: str, value: object, *, least: int) -> None:
    if isinstance(value, str) and re.fullmatch(r"\d+", value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise _wrong(name, value, f"a whole number, {least} or more")


def _dtype(name: str, value: object) -> None:
    found = getattr(torch, value, None) if isinstance(value, str) else value
    if value != "auto" and not isinstance(found, torch.dtype):
        raise _wrong(name, value, "'auto' or a dtype of torch such as 'bfloat16'", _DTYPES)


def _batch_size(name: str, value: object) -> None:
    if isinstance(value, str) and re.fullmatch(r"auto(:[1-9]\d*(\.\d+)?)?", value):
        return
    try:
        _whole(name, value, least=1)
    except OptionError:
        raise _wrong(name, value, "1 or more items, or 'auto'", ("auto",)) from None


def _device(name: str, value: object) -> None:
    if value != "cuda:0":  # lm_eval's default everywhere, for which HFLM takes what there is
        check_device(name, value)


def check_device(name: str, value: object) -> None:
    """Check that a device is one, and there.

    Raises:
        OptionError: It is not.
    """
    found = re.fullmatch(r"([a-z]+)(?::(\d+))?", str(value))
    if found is None or found[1] not in _DEVICES:
        raise _wrong(name, value, "'cpu', 'cuda', 'cuda:1', 'mps' or the like", _DEVICES)
    if found[1] == "cuda":
        count = torch.cuda.device_count()
        if int(found[2] or 0) >= count:
            raise _wrong(name, value, f"a device that is there: torch sees {count} CUDA devices")
    if found[1] == "mps" and not torch.backends.mps.is_available():
        raise _wrong(name, value, "a device that is there: torch sees no MPS")


def _attention(name: str, value: object) -> None:
    from transformers import AttentionInterface

    known = {*_ATTENTION, *AttentionInterface().valid_keys()}
    # A kernel of the Hub has its repository in the name, a paged one a bar; a dict has one for each
    # sub-model.
    if isinstance(value, str) and value not in known and not {"/", "|"} & set(value):
        raise _wrong(name, value, f"one of {', '.join(map(repr, _ATTENTION))}", sorted(known))


def _folder(name: str, value: object, file: str) -> None:
    """Refuse a path that leads nowhere; a name on the Hub is found out by its client."""
    if not isinstance(value, (str, Path)) or not str(value):
        return
    path = Path(value).expanduser()
    if path.is_dir():
        if not (path / file).is_file() and name != "processor":
            names = sorted(inner.name for inner in path.iterdir())[:8]
            raise _wrong(name, str(value), f"a folder with {file}; it has {', '.join(names)}")
    elif path.exists():
        raise _wrong(name, str(value), f"a folder with {file}, not a file")
    elif _is_path(str(value)):
        here = path.parent
        beside = [inner.name for inner in here.iterdir()] if here.is_dir() else []
        near = did_you_mean(path.name, beside)
        raise OptionError(f"model argument {name}={shown(str(value))}: no such folder.{near}")


def _is_path(name: str) -> bool:
    """Return whether a name is none that the Hub can have."""
    plain = re.fullmatch(r"[\w.-]+", name, re.ASCII) and name not in (".", "..")
    return bool(PureWindowsPath(name).drive) or not (plain or is_repo_id(name))


_CHECKS: dict[str, Check] = {
    "family": partial(_one_of, choices=family_names()),
    "long_audio": partial(_one_of, choices=("error", "truncate")),
    "attn_scale_missing": partial(_one_of, choices=("raise", "warn")),
    "max_channels": partial(_whole, least=0),
    "max_rate": partial(_whole, least=0),
    "max_length": partial(_whole, least=1),
    "max_thinking_toks": partial(_whole, least=0),
    "max_batch_size": partial(_whole, least=1),
    "cache_mb": partial(_whole, least=0),
    "prefix_token_id": partial(_whole, least=0),
    "batch_size": _batch_size,
    "device": _device,
    "attn_implementation": _attention,
    "peft": partial(_folder, file="adapter_config.json"),
    "delta": partial(_folder, file="config.json"),
    "processor": partial(_folder, file="processor_config.json"),
    **dict.fromkeys(("dtype", "torch_dtype", "softmax_dtype", "mixed_precision_dtype"), _dtype),
    **dict.fromkeys(
        (
            *("trust_remote_code", "use_fast_tokenizer", "parallelize", "truncation"),
            *(
                "share_prefix",
                "logits_cache",
                "add_bos_token",
                "enable_thinking",
                "local_files_only",
            ),
            *("load_in_4bit", "load_in_8bit", "low_cpu_mem_usage", "gptqmodel"),
        ),
        _true_or_false,
    ),
}
