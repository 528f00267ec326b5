"""The agent and the runtimes as one file to copy: an archive that Python runs by itself, whatever it is called."""

from __future__ import annotations

import zipfile
from pathlib import Path

PACKAGE = "evoyolo_agent"  # a name of its own: whatever else is installed on a board, this is what runs
ROOT = Path(__file__).parents[1]
ROOMS = ("runtimes", "latency/agent")  # of this package, with all their modules
MAIN = f"""\
import os
import sys

from {PACKAGE}.latency.agent.work import main

sys.exit(main(os.path.dirname(os.path.abspath(__file__))))
"""


def write_archive(path: str | Path) -> None:
    """Write the archive; the same modules make the same bytes.

    The packages above the rooms are empty in it, so that nothing else of this package comes along.
    """
    entries = {"__main__.py": MAIN, f"{PACKAGE}/__init__.py": "", f"{PACKAGE}/latency/__init__.py": ""}
    for room in ROOMS:
        for module in sorted((ROOT / room).glob("*.py")):
            entries[f"{PACKAGE}/{room}/{module.name}"] = module.read_text(encoding="utf-8")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in entries.items():
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)  # dated alike
