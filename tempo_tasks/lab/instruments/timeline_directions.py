"""From the temporal IDs of `tempo timeline` to a direction of time for each layer.

Heavy imports wait until the command runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tempo_attn.directions import Directions

TIMELINE_FILE = "directions.safetensors"
SCHEMA = "1"
MAX_BYTES = 2**30
_ABOUT = ("bin_seconds", "relative", "times")


@dataclass(frozen=True)
class TimelineDirections:
    """What a run of `tempo timeline` says of time.

    Attributes:
        later: For each layer the direction from the first bin of time to the last one, of length
            1, and the norm of the states.
        first: The first bin with events, from 0.
        last: The last one.
        about: What the file says of its bins: which times they are of (`times`), `bin_seconds`, and
            whether they are `relative` to the clip's length.
        clips_used: Clusters of the items that it was made from; None where neither the file nor the
            run beside it says so.
        model_weights: SHA-256 of a sample of the model's weights; None where the file does not say.
        sha256: SHA-256 of the file.
    """

    later: Directions
    first: int
    last: int
    about: Mapping[str, str]
    clips_used: frozenset[str] | None
    model_weights: str | None
    sha256: str


def read_timeline(run: Path) -> TimelineDirections:
    """Read the directions of a run of `tempo timeline`.

    Args:
        run: The run folder, or a folder or path of that file alone.

    Raises:
        RunFolderError: There is no such file, it is damaged or of another version, or the run is
            not a finished one of `tempo timeline`.
    """
    import hashlib

    from tempo_attn.errors import ConfigError, RunFolderError
    from tempo_attn.files.strict_json import read_bounded

    path = run / TIMELINE_FILE if run.is_dir() else run
    if not path.exists():
        raise RunFolderError(
            f"{path}: no such file; give the run folder of a finished `tempo timeline`, which "
            f"writes {TIMELINE_FILE}"
        )
    try:
        data = read_bounded(path, MAX_BYTES, "a safetensors file")
    except ConfigError as error:
        raise RunFolderError(str(error)) from error
    tensors, metadata = _opened(data, path)
    if metadata.get("schema") != SCHEMA:
        raise RunFolderError(
            f"{path}: its schema is {str(metadata.get('schema'))[:40]!r}; expected {SCHEMA!r}: "
            "it is of another release, so run `tempo timeline` again"
        )
    taus = _by_layer(tensors, "tau", path)
    rhos = _by_layer(tensors, "rho", path)
    later, ends = _later(taus, rhos, _empty_bins(metadata, path), path)
    clips = _clips(metadata, path)
    return TimelineDirections(
        later=later,
        first=ends[0],
        last=ends[1],
        about={name: metadata[name][:80] for name in _ABOUT if name in metadata},
        clips_used=_clips_of_run(run) if clips is None else clips,
        model_weights=metadata.get("model"),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _opened(data: bytes, path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the tensors of a safetensors file, as arrays, and its metadata."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    from tempo_attn.errors import RunFolderError
    from tempo_attn.files.strict_json import parse_json

    try:
        tensors = load(data)
        header = parse_json(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (SafetensorError, ValueError, KeyError) as error:
        raise RunFolderError(
            f"{path}: no safetensors file ({str(error)[:200]!r}); it may be cut short: run "
            "`tempo timeline` again"
        ) from error
    return tensors, header.get("__metadata__", {})


def _empty_bins(metadata: Mapping[str, str], path: Path) -> list[int]:
    """Return the bins without events, whose temporal IDs mean nothing."""
    text = metadata.get("empty_bins", "")
    numbers = text.split(",") if text else []
    if not all(number.isascii() and number.isdecimal() for number in numbers):
        raise _damaged(path, "empty_bins", text, "numbers of bins with commas")
    return [int(number[:9]) for number in numbers]


def _clips_of_run(run: Path) -> frozenset[str] | None:
    """Return the clusters of a run's items; None where there is the file alone."""
    from tempo_attn.errors import RunFolderError
    from tempo_attn.lab.run_folder.folder import read_run

    if not (run / "manifest.json").is_file():
        return None
    read = read_run(run)
    if read.manifest.command != "timeline":
        raise RunFolderError(
            f"{run}: is a run of tempo {read.manifest.command}; give one of tempo timeline"
        )
    if read.manifest.shard is not None or not read.complete:
        raise RunFolderError(
            f"{run}: is not a whole, finished run: run the same `tempo timeline` again"
        )
    clusters = [record.get("cluster") for record in read.records]
    return frozenset(cluster for cluster in clusters if isinstance(cluster, str))


def _clips(metadata: Mapping[str, str], path: Path) -> frozenset[str] | None:
    if "clips_used" not in metadata:
        return None
    found = _json(metadata, "clips_used", path)
    if not isinstance(found, list) or not all(isinstance(clip, str) for clip in found):
        raise _damaged(path, "clips_used", found, "a JSON list of names")
    return frozenset(found)


def _json(metadata: Mapping[str, str], name: str, path: Path) -> Any:
    from tempo_attn.files.strict_json import parse_json

    text = metadata.get(name, "")
    try:
        return parse_json(text, finite=True)
    except ValueError:
        raise _damaged(path, name, text, "JSON") from None


def _damaged(path: Path, name: str, found: object, expected: str) -> Exception:
    from tempo_attn.errors import RunFolderError

    return RunFolderError(
        f"{path}: {name} is {str(found)[:80]!r}; expected {expected}. Run `tempo timeline` again"
    )


def _by_layer(tensors: Mapping[str, Any], kind: str, path: Path) -> dict[int, Any]:
    found = {}
    for name, tensor in tensors.items():
        if name.startswith(f"{kind}."):
            number = name.removeprefix(f"{kind}.")
            if not number.isascii() or not number.isdecimal():
                raise _damaged(path, "a tensor's name", name, f"{kind}.LAYER")
            found[int(number)] = tensor
    return dict(sorted(found.items()))


def _later(
    taus: Mapping[int, Any], rhos: Mapping[int, Any], empty: Sequence[int], path: Path
) -> tuple[Directions, tuple[int, int]]:
    """Return the direction of each layer from the first to the last bin that all layers have."""
    import numpy as np

    from tempo_attn.directions import Directions
    from tempo_attn.errors import ConfigError, RunFolderError

    if not taus or set(taus) != set(rhos):
        raise _damaged(
            path, "its layers", f"{list(taus)} and {list(rhos)}", "tau and rho of the same layers"
        )
    n_bins = len(next(iter(taus.values()))) if next(iter(taus.values())).ndim else 0
    for layer, tau in taus.items():
        if tau.ndim != 2 or len(tau) != n_bins:
            raise _damaged(path, f"the shape of tau.{layer}", tau.shape, f"({n_bins}, width)")
    full = np.all([np.isfinite(tau).all(1) for tau in taus.values()], axis=0)
    full[[number for number in empty if number < n_bins]] = False
    known = full.nonzero()[0]
    if len(known) < 2:
        raise RunFolderError(
            f"{path}: {len(known)} bins of time have events in them; expected 2 or more, as a "
            "direction leads from one to another. Run `tempo timeline` on more items"
        )
    first, last = int(known[0]), int(known[-1])
    steps = {layer: tau[last].astype(float) - tau[first] for layer, tau in taus.items()}
    still = [layer for layer, step in steps.items() if not np.linalg.norm(step) > 0]
    if still:
        raise RunFolderError(
            f"{path}: the temporal IDs of layer {still[0]} are the same in all bins, so time has "
            "no direction there"
        )
    try:
        later = Directions.of(
            {layer: step / np.linalg.norm(step) for layer, step in steps.items()},
            {layer: _norm(rho, layer, path) for layer, rho in rhos.items()},
        )
    except ConfigError as error:
        raise RunFolderError(f"{path}: {error}") from error
    return later, (first, last)


def _norm(rho: Any, layer: int, path: Path) -> float:
    if rho.size != 1:
        raise _damaged(path, f"the shape of rho.{layer}", rho.shape, "one number")
    return float(rho.reshape(()))


def left_out(clusters: Sequence[str], timeline: TimelineDirections) -> list[bool]:
    """Return of each item whether the directions were made from its clip."""
    used = timeline.clips_used or frozenset()
    return [cluster in used for cluster in clusters]
