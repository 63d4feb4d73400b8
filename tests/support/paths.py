"""Where the project lies, and what some tests compare with where it lies beside it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT.parent / "shared" / "data" / "temporal_interp"
