"""Fingerprints of what a run's numbers depend on: data, model, code and environment."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from tempo_attn.errors import FingerprintError, UnknownFamilyError
from tempo_attn.lab.run_folder.differences import INFO

if TYPE_CHECKING:
    from torch import Tensor, nn

SAMPLES = 64
"""Elements of each weight that a model's fingerprint looks at."""
_CODE = (".py", ".yaml", ".j2")
_VOLATILE = {
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_attn_implementation_internal",
    "_name_or_path",
    "architectures",  # written when a model is saved
    "attn_implementation",
    "dtype",
    "torch_dtype",
    "transformers_version",
}
"""Fields of a configuration, at any depth, that say where a model is from and how it is run."""


def content_key(data: Any) -> str:
    """Return the SHA-256 of JSON data; the order of an object's keys does not count.

    Raises:
        FingerprintError: `data` is not JSON: an array, a set, bytes, NaN ...
    """
    try:
        text = json.dumps(
            data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        return hashlib.sha256(text.encode()).hexdigest()
    except (TypeError, ValueError) as error:
        raise FingerprintError(
            f"no key can be made of this {type(data).__name__}: {error}; expected JSON data: "
            "strings, finite numbers, booleans, null, and lists and objects of these"
        ) from error


@cache
def code_fingerprint(*packages: ModuleType) -> str:
    """Return the SHA-256 of the packages' `.py`, `.yaml` and `.j2` files: names and contents.

    Read once in a process. Where the packages are installed does not count, nor does their order.

    Raises:
        FingerprintError: A package has no such file on disk.
    """
    digest = hashlib.sha256()
    for package in sorted(packages, key=lambda package: package.__name__):
        files = sorted(_code_files(package))
        if not files:
            raise FingerprintError(
                f"package {package.__name__!r} has no file ending in {', '.join(_CODE)} in "
                f"{list(getattr(package, '__path__', []))}; install it as files, not zipped"
            )
        for name, file in files:
            _update(digest, name.encode(), file.read_bytes())
    return digest.hexdigest()


def _code_files(package: ModuleType) -> Iterator[tuple[str, Path]]:
    """Yield each file with its name inside the package, the same on every system."""
    for root in map(Path, getattr(package, "__path__", [])):
        for file in root.rglob("*"):
            if file.suffix in _CODE and file.is_file():
                yield f"{package.__name__}/{file.relative_to(root).as_posix()}", file


def model_fingerprint(model: nn.Module) -> str:
    """Return the SHA-256 of a sample of the model's weights, and of its configuration.

    Of every parameter and buffer in its `state_dict()`: name, shape, dtype, and the bytes of
    `SAMPLES` evenly spaced elements. Two fine-tunes of one checkpoint have different fingerprints.
    Taking one needs well under a second, wherever the weights are. As only a sample is read, equal
    fingerprints do not prove that two models are equal.

    Args:
        model: A loaded model, with or without tempo's wrapper, which does not count.

    Raises:
        FingerprintError: Weights are not loaded (on the meta device).
    """
    import torch

    model = _unwrapped(model)
    config = getattr(model, "config", None)
    digest = hashlib.sha256()
    _update(digest, content_key(_lasting({} if config is None else config.to_dict())).encode())
    with torch.no_grad():
        for name, tensor in sorted(model.state_dict().items()):
            if not isinstance(tensor, torch.Tensor):  # a module's extra state
                _update(digest, f"{name} {type(tensor).__name__}".encode())
                continue
            if tensor.is_meta:
                raise FingerprintError(
                    f"weight {name!r} is on the meta device, so it has no values to take a "
                    "fingerprint of; load the whole model, without offloading it to disk"
                )
            about = f"{name} {list(tensor.shape)} {tensor.dtype}"
            _update(digest, about.encode(), _sample(tensor))
    return digest.hexdigest()


def _sample(tensor: Tensor) -> bytes:
    """Return the bytes of evenly spaced elements, the first and the last among them."""
    import torch

    if tensor.numel() == 0:
        return b""
    count = min(SAMPLES, tensor.numel())
    places = [at * (tensor.numel() - 1) // max(count - 1, 1) for at in range(count)]
    # Chosen on the weights' own device, and by index: nothing but the sample is ever copied.
    chosen = np.unravel_index(places, tuple(tensor.shape) or (1,))
    index = tuple(torch.from_numpy(axis).to(tensor.device) for axis in chosen)
    elements = (tensor if tensor.dim() else tensor.reshape(1))[index]
    return elements.view(torch.uint8).cpu().numpy().tobytes()


def _lasting(value: Any) -> Any:
    """Return a configuration without its volatile fields, as JSON data."""
    if isinstance(value, Mapping):
        return {str(k): _lasting(v) for k, v in value.items() if k not in _VOLATILE}
    if isinstance(value, list | tuple):
        return [_lasting(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | None) else str(value)


def environment(model: nn.Module) -> dict[str, Any]:
    """Return what numbers may depend on beside data, model and code.

    Versions, dtype, device, the decoder's attention implementation, and on a CPU the number of
    threads (sums in another order are not equal to the last bit). What is under `INFO` is for the
    reader: run folders do not compare it.

    Args:
        model: A loaded model, with or without tempo's wrapper.
    """
    import torch

    model = _unwrapped(model)
    weights = list(model.parameters())
    kinds = sorted({weight.device.type for weight in weights})
    dtypes = {str(weight.dtype) for weight in weights if weight.is_floating_point()}
    on_cuda = {weight.device for weight in weights if weight.device.type == "cuda"}
    names = sorted({torch.cuda.get_device_name(device) for device in on_cuda})
    return {
        "tempo": _version("tempo-lalm"),
        "transformers": _version("transformers"),
        "torch": _version("torch"),
        "dtype": "+".join(sorted(dtypes)).replace("torch.", ""),
        "attention": _attention(model),
        "device": "+".join(kinds),
        "float32_matmul": torch.get_float32_matmul_precision(),
        "threads": torch.get_num_threads() if "cpu" in kinds else None,
        INFO: {
            "python": platform.python_version(),
            "device_name": "+".join(names) or platform.machine(),
        },
    }


def _attention(model: nn.Module) -> str | None:
    """Return the implementation that the text decoder runs, which may not be the encoder's."""
    from tempo_attn.families import get_family

    config: Any = getattr(model, "config", None)
    with suppress(UnknownFamilyError):  # then that of the whole model is the best there is
        config = get_family(config).decoder(model).config
    return getattr(config, "_attn_implementation", None)


def _unwrapped(model: nn.Module) -> nn.Module:
    from tempo_attn.model import AttnScaleModel

    return model.base_model if isinstance(model, AttnScaleModel) else model


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return None


def _update(digest: Any, *parts: bytes) -> None:
    for part in parts:  # with its length, so that no two lists of parts are one string of bytes
        digest.update(len(part).to_bytes(8, "little") + part)
