"""Diagnoses of `tempo doctor`, for a page: the model, its checks, the marked prompt."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tempo_tasks.doctor.diagnosis import Diagnosis, Number


def section_of(name: str, diagnosis: Diagnosis) -> dict[str, Any]:
    """Return what the page shows of a diagnosis.

    Args:
        name: What the page calls it.
        diagnosis: The diagnosis.
    """
    facts = diagnosis.facts
    counts: Counter[str] = Counter(finding.status for finding in diagnosis.findings)
    return {
        "name": name,
        "status": diagnosis.status,
        "counts": ", ".join(f"{count} {status}" for status, count in sorted(counts.items())),
        "checks": [
            {
                "title": finding.title,
                "status": finding.status,
                "reason": finding.reason,
                "to_do": finding.to_do,
            }
            for finding in diagnosis.findings
        ],
        "prompt": [{"role": s.role, "text": s.text, "n": s.n_positions} for s in diagnosis.prompt],
        "about": [
            ("model", facts.name),
            ("family", f"{facts.family} ({facts.model_type})"),
            ("class", facts.model_class),
            ("processor", facts.processor_class),
            ("decoder layers", str(facts.n_layers)),
            ("heads", _shown(facts.n_heads)),
            ("heads of keys and values", _shown(facts.n_kv_heads)),
            ("runs as", f"{facts.dtype} on {facts.device}, {facts.attention_kernel}"),
            ("window", f"{facts.window_seconds:g} s at {facts.sampling_rate:,} Hz"),
            *(
                (f"audio positions of {seconds}", _shown(count))
                for seconds, count in facts.audio_positions.items()
            ),
            ("parameters", f"{facts.n_parameters:,}"),
            ("clip", f"{diagnosis.clip.get('name')}, {_shown(diagnosis.clip.get('seconds'))} s"),
            ("attn_scale", diagnosis.attn_scale or "none"),
            *((key.replace("_", " "), _shown(value)) for key, value in diagnosis.speed.items()),
            *facts.versions.items(),
        ],
    }


def _shown(value: Number) -> str:
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
