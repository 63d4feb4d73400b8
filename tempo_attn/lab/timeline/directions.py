"""`directions.safetensors`: temporal IDs by layer, for whoever steers along them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tempo_attn.files.atomic import replacing
from tempo_attn.statistics import Array

NAME = "directions.safetensors"


def write_directions(
    path: Path, ids: Mapping[int, Array], norms: Mapping[int, float], about: Mapping[str, str]
) -> Path:
    """Write `tau.{layer}`, (bins, width), and `rho.{layer}`, a number, both float32.

    Args:
        path: The file.
        ids: Temporal IDs by layer, finite.
        norms: Mean norm of the states by layer.
        about: Metadata.

    Returns:
        The path.
    """
    from safetensors.numpy import save

    tensors = {f"tau.{layer}": np.ascontiguousarray(ids[layer], np.float32) for layer in ids}
    tensors |= {f"rho.{layer}": np.array(norms[layer], np.float32) for layer in norms}
    data = sorted_metadata(save(tensors, dict(about)))
    with replacing(path) as partial:
        partial.write_bytes(data)
    return path


def sorted_metadata(data: bytes) -> bytes:
    """Return a safetensors file with its metadata in order: the library's order is random."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]
