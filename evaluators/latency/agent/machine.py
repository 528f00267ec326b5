"""What this machine is: its name, and how many threads a runtime may use on it."""

from __future__ import annotations

import os
import platform
import subprocess


def device_name() -> str:
    """The processor's (or the board's) name."""
    for path, key in (("/proc/device-tree/model", None), ("/proc/cpuinfo", "model name"), ("/proc/cpuinfo", "Model")):
        try:
            with open(path, errors="replace") as stream:
                for line in stream:
                    if key is None or line.startswith(key):
                        return line.rpartition(":")[2].strip(" \t\n\0")
        except OSError:
            pass
    return platform.processor() or platform.machine()


def accelerator_name(device: str) -> str:
    """The name of what a runtime's `device` stands for: this machine's processor, or its accelerator."""
    if device == "cpu":
        return device_name()
    if device == "gpu":  # OpenVINO's: an Intel one
        return f"gpu of {device_name()}"
    try:
        output = subprocess.check_output(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], text=True)
        return output.splitlines()[0].strip()
    except (OSError, subprocess.CalledProcessError, IndexError):
        return f"{device} of {device_name()}"


def default_threads() -> int:
    """How many cores this process may use: those of its affinity mask where the system has one, else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
