"""What is said about a prompt that an edit does not fit, or an edit that did not happen."""

from __future__ import annotations

import warnings

from torch import Tensor

from tempo_attn.errors import EditNotAppliedError, PositionError


class Complaints:
    """Raises, or warns once for each kind of message.

    Args:
        on_missing: "raise", or "warn" and leave the batch row unedited.
    """

    def __init__(self, on_missing: str) -> None:
        self.on_missing = on_missing
        self._warned: set[str] = set()

    def about(self, message: str) -> None:
        """Complain about something that cannot be found in a prompt.

        Raises:
            PositionError: If complaints are raised.
        """
        if self.on_missing == "raise":
            raise PositionError(message)
        kind = "".join(c for c in message if not c.isdigit())[:60]
        if kind not in self._warned:
            self._warned.add(kind)
            warnings.warn(f"{message} (further ones are not reported)", stacklevel=2)

    def about_rows(self, rows: Tensor, what: str) -> None:
        """Complain about the prompts of some batch rows, (batch,) bool, if there are any.

        Raises:
            PositionError: If complaints are raised.
        """
        if bool(rows.any()):
            self.about(
                f"{what} in the prompt of batch row(s) {rows.nonzero().flatten().tolist()}. Run "
                "text-only prompts with model.disable_adapter(), or wrap with on_missing='warn'"
            )


def not_applied(layers: list[int]) -> EditNotAppliedError:
    """Return the error for layers that ran without their edit: always raised, never a warning."""
    return EditNotAppliedError(
        f"the edit is active and layer(s) {layers} ran without it. The model may have been "
        "compiled, or its attention configuration changed, after it was wrapped: unload() and "
        "wrap it again"
    )
