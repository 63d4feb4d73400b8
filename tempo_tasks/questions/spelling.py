"""How texts of unequal spelling are compared: labels, options and answers.

Also which characters would break the line of a prompt.
"""

from __future__ import annotations

import re
import unicodedata

# What `str.splitlines` breaks at, and U+FFFC, which stands for audio where prompts are read.
_BREAK = re.compile("[\n\v\f\r\x1c-\x1e\x85\u2028\u2029\ufffc]")


def breaks_line(text: str) -> bool:
    """Return whether a text has a line break of any kind in it, or the sign of an object."""
    return _BREAK.search(text) is not None


def normal_text(text: str) -> str:
    """Return what spellings of a text have in common: no case, blanks, quotes or normal form."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = " ".join(unicodedata.normalize("NFKC", folded).split())
    # A text of such signs alone is told by them.
    return words.strip(" .\"'*_`“”‘’。") or words


def plain_label(label: str) -> str:
    """Return what two spellings of one label have in common: no case, blanks for underscores."""
    return " ".join(label.replace("_", " ").split()).casefold()
