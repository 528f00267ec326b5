"""How long commands take to start, and what they import.

    python benchmarks/startup.py RUN [--root FOLDER_OF_ANOTHER_CHECKOUT] [--repeats 7]

Every command is a new process. "imports" is the sum that `python -X importtime` gives; "whole" is the wall time of the process.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from machine import describe

HEAVY = ("torch", "ultralytics", "ray", "scipy", "matplotlib", "pandas", "sklearn")


def imports(command: list[str], **where: Any) -> tuple[float, set[str]]:
    """(milliseconds of all imports together, names of the modules)."""
    done = subprocess.run([sys.executable, "-X", "importtime", *command], capture_output=True, text=True, **where)
    rows = [
        line.split("|") for line in done.stderr.splitlines() if line.startswith("import time:") and "[us]" not in line
    ]
    return sum(int(row[0].split(":")[1]) for row in rows) / 1000, {row[2].strip() for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="the folder of a finished run")
    parser.add_argument("--root", default=str(Path(__file__).parents[1]), help="checkout whose commands are timed")
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    run = Path(args.run).resolve()
    where = {"env": {**os.environ, "PYTHONPATH": args.root}, "cwd": args.root}  # which comes first on the path
    print(describe())
    print(f"{args.repeats} repeats: minimum (median)")
    print(f"{'command':34} {'whole ms':>14} {'imports ms':>14} {'modules':>8}  heavy ones")
    for words in ("--help", f"status {run}", f"front {run}", f"pick {run} --max-latency-ms 1000"):
        command = ["-m", "nas.cli", *words.split()]
        walls, sums, names = [], [], set()
        for _ in range(args.repeats):
            began = time.perf_counter()
            subprocess.run([sys.executable, *command], capture_output=True, check=True, **where)
            walls.append(1000 * (time.perf_counter() - began))
            took, names = imports(command, **where)
            sums.append(took)
        heavy = ", ".join(name for name in HEAVY if name in names) or "none"
        shown = words.replace(str(run), "RUN")
        figures = [f"{min(values):.0f} ({statistics.median(values):.0f})" for values in (walls, sums)]
        print(f"{shown:34} {figures[0]:>14} {figures[1]:>14} {len(names):8}  {heavy}", flush=True)


if __name__ == "__main__":
    main()
