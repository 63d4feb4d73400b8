"""Packages that some families need and the base install leaves out: one extra a family."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from tempo_attn.errors import MissingExtraError


def require_extra(
    extra: str,
    package: str,
    model: str,
    usable: Callable[[], bool] | None = None,
    *,
    also: str = "",
) -> None:
    """Check that a package is there, before anything of a model is loaded.

    Args:
        extra: The extra of tempo-lalm that brings it.
        package: The module's name.
        model: What needs it, as an error says it.
        usable: Whether the package that is there will do; it is asked only then.
        also: A second command, where the package itself is on no index and the extra brings only
            what it needs.

    Raises:
        MissingExtraError: It is not there, or will not do.
    """
    there = find_spec(package) is not None
    if there and (usable is None or usable()):
        return
    found = "it is too old, or a package that it needs is missing" if there else "it is missing"
    raise MissingExtraError(
        f'{model} needs the package {package}, and {found}; run: pip install "tempo-lalm[{extra}]"'
        + (f", and {also}" if also else "")
    )
