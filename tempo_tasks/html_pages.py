"""What all pages have in common: escaping templates, and a policy that names their scripts.

Text of others (labels, file names, model output, captions) is escaped by the templates. A policy in
a page's head (Content-Security-Policy) lets only scripts run that it names by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def templates(folder: Path) -> Environment:
    """Return the templates of a folder, which escape all text that is put into them."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def between_tags(script: str) -> str:
    """Return a script as it stands between its tags, and as HTML reads it, which is hashed."""
    return script.replace("\r\n", "\n").replace("</script", "<\\/script")


def script_hashes(scripts: Sequence[str]) -> str:
    """Return the sources of `script-src` that let some scripts run, as `between_tags` gives them.

    Args:
        scripts: The scripts; none lets none run.
    """
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    named = (f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return " ".join(named) or "'none'"
