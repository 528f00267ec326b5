"""The versions that a run's figures depend on, read without importing what they are of."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("torch", "ultralytics", "ray", "onnxruntime", "pycocotools")


def versions() -> dict[str, str]:
    """Of Python and of the packages, by name."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def own_version() -> str:
    """Of evoyolo itself; "not installed" where it runs from its sources."""
    try:
        return version("evoyolo")
    except PackageNotFoundError:
        return "not installed"
