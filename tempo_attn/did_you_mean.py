"""Names that were not found: the nearest ones that exist, for error messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: object, known: Iterable[str], n: int = 3) -> str:
    """Return " Did you mean 'x' or 'y'?", or nothing where no known name is near.

    Args:
        name: What was given.
        known: The names that exist, in the order that settles ties.
        n: At most so many are named.
    """
    if not isinstance(name, str):
        return ""
    by_lower = {other.lower(): other for other in known}
    given = name[:80].lower()  # long names cost time, and none of ours is long
    cutoff = 0.6 if len(given) > 3 else 0.5  # "e0" for "eo"
    near = difflib.get_close_matches(given, by_lower, n=n, cutoff=cutoff)
    # Cut short is not near by difflib's measure: "acc" for "accuracy".
    near += [other for other in by_lower if len(given) > 1 and other.startswith(given)]
    near = list(dict.fromkeys(near))[:n]
    if not near:
        return ""
    *first, last = [repr(by_lower[found]) for found in near]
    return f" Did you mean {', '.join(first)}{' or ' if first else ''}{last}?"
