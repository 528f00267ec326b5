"""What runtimes report home, switched off; `docs/privacy.md` lists it, with what else is silenced where.

To be imported before any runtime, which `evaluators` and the agent do by importing this package.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

# ONNX Runtime from 1.2x on leaves an identifier in the user's cache when it is imported and sends it with the processor, the
# system and what sessions do. It reads this once, when its library is loaded, also in processes that are started from here.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def silence_onnxruntime(onnxruntime: Any) -> None:
    """Switch off what older versions and those of Windows record whatever the environment says."""
    if hasattr(onnxruntime, "disable_telemetry_events"):
        onnxruntime.disable_telemetry_events()


@contextlib.contextmanager
def without_openvino_telemetry() -> Iterator[None]:
    """OpenVINO reports that it is imported, and an identifier that it leaves in the user's home, where this package of its
    is installed; without it, it has a silent one of its own. To be around the import."""
    name = "openvino_telemetry"
    before = sys.modules.get(name)
    if before is None:
        sys.modules[name] = None  # type: ignore[assignment]  # how Python marks what must not be imported
    try:
        yield
    finally:
        if before is None:
            del sys.modules[name]
