"""The blocks that Ultralytics does not ship, one family per file."""

from .afpn import AFPN, AFPNDetect
from .csppc import CSPPC
from .hwd import HWD

__all__ = ["AFPN", "AFPNDetect", "CSPPC", "HWD"]
