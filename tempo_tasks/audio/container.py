"""What a file says of its own length, to be compared with what was decoded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Container:
    """A file as libsndfile is to get it, and its length by its own account.

    Attributes:
        content: The bytes; a header that would make libsndfile stop early is mended.
        seconds: The length that the container gives, or None where it gives none.
        spare: Seconds by which a decoder may fall short of it, for encoder delay and padding.
    """

    content: bytes
    seconds: float | None = None
    spare: float = 0.0
