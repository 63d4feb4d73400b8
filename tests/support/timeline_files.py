"""The file of a run of `tempo timeline`, made by hand."""

import numpy as np
from safetensors.numpy import save

from tempo_tasks.lab.instruments.timeline_directions import TIMELINE_FILE

N_BINS = 4


def tensors(layers=range(6), width=128, seed=0, rho=10.0, empty=()):
    """Random temporal IDs by bin; NaN in the bins that are empty."""
    rng = np.random.default_rng(seed)
    found = {}
    for layer in layers:
        tau = rng.standard_normal((N_BINS, width)).astype(np.float32)
        tau[list(empty)] = np.nan
        found[f"tau.{layer}"] = tau
        found[f"rho.{layer}"] = np.array(rho + layer, np.float32)
    return found


def metadata(**changes):
    known = {
        "schema": "1",
        "bin_seconds": "2.5",
        "times": "midpoint",
        "empty_bins": "",
        "relative": "false",
    }
    return {name: text for name, text in (known | changes).items() if text is not None}


def write_timeline(folder, made=None, **changes):
    """Write the file into a folder and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TIMELINE_FILE).write_bytes(save(made or tensors(), metadata(**changes)))
    return folder
