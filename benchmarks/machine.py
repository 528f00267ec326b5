"""The line about the machine and the versions that every table begins with."""

from __future__ import annotations

import importlib.metadata
import os
import platform

from evaluators.latency.agent import device_name

PACKAGES = ("torch", "ultralytics", "ultralytics-thop", "onnxruntime", "ray", "pycocotools")


def describe() -> str:
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    machine = f"{device_name()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    return f"{machine}; Python {platform.python_version()}, {versions}"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
