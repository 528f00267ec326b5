"""What this machine is: its name, how many threads a runtime may use on it, and which form of INT8 suits it."""

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


# The forms of INT8: weights are signed, per channel; what is told apart is the activations.
SIGNED, UNSIGNED, UNSIGNED_REDUCED = "signed", "unsigned", "unsigned-reduced"
ACTIVATIONS = (SIGNED, UNSIGNED, UNSIGNED_REDUCED)  # the last one with weights of 7 bits


def suiting_activations(device: str = "cpu") -> str:
    """The form of INT8 that suits what a runtime's `device` stands for on this machine.

    x86 multiplies unsigned by signed bytes; with signed activations ONNX Runtime is there twice as slow. Without VNNI pairs of
    products are added in 16 bits, which 8-bit weights overflow: 7 bits do not. Arm multiplies signed bytes as fast, and
    accelerators expect them.
    """
    if device != "cpu" or platform.machine().lower() not in ("x86_64", "amd64", "i386", "i686"):
        return SIGNED
    try:
        with open("/proc/cpuinfo", errors="replace") as stream:
            flags = next((line.split() for line in stream if line.startswith("flags")), [])
    except OSError:
        flags = []
    return UNSIGNED if {"avx512_vnni", "avx_vnni"} & set(flags) else UNSIGNED_REDUCED


def precision_text(precision: str, activations: str | None) -> str:
    """A precision as figures are labelled with it: INT8 with its form."""
    return f"{precision} ({activations} activations)" if activations else precision


def default_threads() -> int:
    """How many cores this process may use: those of its affinity mask where the system has one, else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
