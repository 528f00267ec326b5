"""What this machine is: its name, how many threads a runtime may use on it, and which form of INT8 suits it."""

from __future__ import annotations

import os
import platform
import posixpath
import subprocess
from typing import Literal, get_args


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
Activations = Literal["signed", "unsigned", "unsigned-reduced"]  # the last one with weights of 7 bits
ACTIVATIONS = get_args(Activations)
SIGNED, UNSIGNED, UNSIGNED_REDUCED = ACTIVATIONS


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
    """How many cores this process may use at once: of its affinity mask where the system has one, else all; and no more than
    the quota of its container keeps busy."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = processor_quota()
    return cores if quota is None else max(1, min(cores, int(quota)))  # a part of a core would only wait for its turn


def processor_quota(root: str = "/") -> float | None:
    """The cores' worth of time that this process's control groups (Linux, v1 or v2) leave it; None without a limit.

    Args:
        root: of the file system that is looked at.
    """
    try:
        with open(os.path.join(root, "proc/self/cgroup")) as stream:
            groups = [line.rstrip("\n").split(":", 2) for line in stream]
    except OSError:
        return None
    limits = []
    for _, controllers, path in (entry for entry in groups if len(entry) == 3):
        names = controllers.split(",")
        if names != [""] and "cpu" not in names:
            continue
        # the group's own limit holds, and so does that of every group around it; a container may see its own as the root
        steps = [step for step in posixpath.normpath("/" + path.lstrip("/")).split("/") if step]
        around = ["/".join(steps[:depth]) for depth in range(len(steps) + 1)]
        for mount in ("", "unified") if names == [""] else ("cpu", controllers):
            for group in around:
                place = os.path.join(root, "sys/fs/cgroup", mount, group)
                limits.append(_limit_v2(place) if names == [""] else _limit_v1(place))
    return min((limit for limit in limits if limit is not None), default=None)


def _limit_v2(group: str) -> float | None:
    words = _words(os.path.join(group, "cpu.max"))  # "max 100000", or microseconds of a period: "150000 100000"
    return _ratio(words[0], words[1]) if len(words) == 2 else None


def _limit_v1(group: str) -> float | None:
    quota, period = (_words(os.path.join(group, f"cpu.cfs_{name}_us")) for name in ("quota", "period"))
    return _ratio(quota[0], period[0]) if quota and period else None


def _ratio(quota: str, period: str) -> float | None:
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(quota) and int(period) else None


def _words(path: str) -> list[str]:
    try:
        with open(path) as stream:
            return stream.read().split()
    except OSError:
        return []
