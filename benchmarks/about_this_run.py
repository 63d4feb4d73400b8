"""What every report says of where it was measured and how."""

import os
import platform
from pathlib import Path


def machine(device="cpu"):
    """Return the system, the processor and its cores, with the GPU in front where one was used."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(": ")[2] if names else cpu
    here = f"{platform.system()}, {cpu}, {os.cpu_count()} cores"
    if device == "cpu":
        return here
    import torch

    return f"{torch.cuda.get_device_name()}; {here}"


def command(script, arguments):
    """Return the command that was run, without the folders of this machine."""
    shown = [Path(a).name if os.path.isabs(a) else a for a in arguments]
    return " ".join(["python", f"benchmarks/{script}", *shown])
