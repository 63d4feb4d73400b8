"""The diagnosis on a terminal; it reads the same without colour."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.markup import escape

from tempo_tasks.doctor.diagnosis import Diagnosis, Facts, Finding, Segment

COLOURS = {"passed": "green", "failed": "bold red", "skipped": "yellow"}
_MARKS = {"keyword": "bold cyan", "option": "magenta", "last": "bold"}


def show_facts(facts: Facts, console: Console) -> None:
    """Print what the model is."""
    heads = f"{'?' if facts.n_heads is None else facts.n_heads} heads"
    if facts.n_kv_heads is not None:
        heads += f" ({facts.n_kv_heads} of keys and values)"
    layers = f"{facts.n_layers} layers"
    if facts.n_layers_with_attention < facts.n_layers:
        layers += f" ({facts.n_layers_with_attention} with attention)"
    positions = ", ".join(
        f"{seconds}: {'longer than the window' if count is None else count}"
        for seconds, count in facts.audio_positions.items()
    )
    rows = {
        "model": facts.name,
        "family": f"{facts.family} ({facts.model_type})",
        "class": f"{facts.model_class}, {facts.processor_class}",
        "decoder": f"{layers}, {heads}",
        "runs as": f"{facts.dtype} on {facts.device}, attention by {facts.attention_kernel}",
        "hears": f"{facts.sampling_rate:,} Hz, up to {facts.window_seconds:g} s",
        "positions": positions,
        "weights": f"{facts.n_parameters:,} parameters, {_bytes(facts.parameter_bytes)}",
    }
    for name, value in rows.items():
        line(console, f"[dim]{name:<10}[/]{escape(value)}")
    line(console, "")


def show_finding(finding: Finding, console: Console) -> None:
    """Print one check's line, and what to do where it failed."""
    colour = COLOURS[finding.status]
    line(
        console,
        f"[{colour}]{finding.status:<8}[/][bold]{escape(finding.title)}[/]: "
        f"{escape(_printable(finding.reason))}",
    )
    if finding.to_do:
        line(console, f"        to do: {escape(finding.to_do)}")


def show_end(diagnosis: Diagnosis, console: Console) -> None:
    """Print the marked prompt, the memory and the verdict."""
    if diagnosis.prompt:
        line(
            console,
            "\nA prompt (earliest onset); {keyword}, {option} and {last} rows and the audio "
            "positions are marked:",
        )
        line(console, "".join(map(_marked, diagnosis.prompt)))
    seconds = diagnosis.clip["seconds"]
    line(console, f"\nListened to {escape(_printable(str(diagnosis.clip['name'])))}, {seconds} s.")
    if diagnosis.clip["cut_from_seconds"] is not None:
        line(
            console,
            f"The clip is {diagnosis.clip['cut_from_seconds']} s long and was cut to the window.",
        )
    if isinstance(peak := diagnosis.memory["peak_bytes"], int):
        line(console, f"Peak memory of the {diagnosis.memory['of']}: {_bytes(peak)}.")
    counts: Counter[str] = Counter(finding.status for finding in diagnosis.findings)
    told = ", ".join(f"{counts[status]} {status}" for status in COLOURS if counts[status])
    line(console, f"[{COLOURS[diagnosis.status]}]{diagnosis.status}[/]: {told}.")


def _marked(segment: Segment) -> str:
    if segment.role == "audio":
        return f"[dim]{{audio x {segment.n_positions}}}[/]"
    text = escape(_printable(segment.text))
    if segment.role == "text":
        return text
    inside = text.replace("\n", r"\n")
    return f"[{_MARKS[segment.role]}]{{{segment.role}:{inside}}}[/]"


def _printable(text: str) -> str:
    """Return a text without characters that steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def line(console: Console, markup: str) -> None:
    """Print one line of markup as it is, without wrapping it."""
    console.print(markup, soft_wrap=True, highlight=False, emoji=False)


def _bytes(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
