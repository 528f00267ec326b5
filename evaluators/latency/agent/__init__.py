"""The agent: measures the networks of a pack on whatever device it is started; evoyolo measures with the same functions.

It stands alone, with the runtimes beside it, for Python 3.8+ with numpy and one runtime: `evoyolo device pack` puts both
into the archive run.py. The protocol is described in docs/latency.md.
"""

from .machine import (
    ACTIVATIONS,
    SIGNED,
    Activations,
    accelerator_name,
    default_threads,
    device_name,
    precision_text,
    suiting_activations,
)
from .protocol import TIMED, Unstable, is_slow, measure, reference_precision, usual_ms
from .work import RESULTS, VERSION, checksum

__all__ = [
    "ACTIVATIONS",
    "RESULTS",
    "SIGNED",
    "TIMED",
    "VERSION",
    "Activations",
    "Unstable",
    "accelerator_name",
    "checksum",
    "default_threads",
    "device_name",
    "is_slow",
    "measure",
    "precision_text",
    "reference_precision",
    "suiting_activations",
    "usual_ms",
]
