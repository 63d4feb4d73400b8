"""Blanks around clip names: part of the name, and the likely reason where a look-up fails.

Public data sets have files such as " typical neighborhood.wav". A name is never stripped, so that
such a clip is found; where a clip is known under the stripped name only, this is said.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from tempo_tasks.errors import BadTableError
from tempo_tasks.sources.csv_reader import listed


def blank_twins(asked: Iterable[str], known: Collection[str]) -> dict[str, str]:
    """Return the names that are not known, though one that differs in blanks around it alone is.

    Args:
        asked: Names that are looked up.
        known: Names that there are.

    Returns:
        The known name, by the one asked for.
    """
    missing = sorted({name for name in asked if name not in known})
    stripped = {name.strip(): name for name in known} if missing else {}
    return {name: stripped[name.strip()] for name in missing if name.strip() in stripped}


def refuse_blank_twins(asked: Iterable[str], known: Collection[str], what: str) -> None:
    """Refuse names that would be found without the blanks around them, or with some.

    Args:
        asked: Names of clips.
        known: Those that a table has.
        what: Both sides, for the message: "the clips of x and the captions of y".

    Raises:
        BadTableError: There are such names; all are listed.
    """
    twins = blank_twins(asked, known)
    if twins:
        raise BadTableError(
            f"{what} differ in blanks around {len(twins)} names; names are taken as they are, so "
            "write them the same way in both, as the files are called:\n"
            + listed([f"  {name!r} and {other!r}" for name, other in twins.items()])
        )
