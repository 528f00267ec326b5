"""What the readers of files make of mutated ones: the fuzz tests with many inputs each, as one table.

    python benchmarks/fuzz.py [INPUTS]     (2000 of every reader if none are given)

Accepted, or refused in one line that names the file; anything else is a fault, and its test says what.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from machine import describe

ROOT = Path(__file__).parents[1]


def main() -> int:
    inputs = sys.argv[1] if len(sys.argv) > 1 else "2000"
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table"
        table.touch()
        environment = {**os.environ, "EVOYOLO_FUZZ": inputs, "EVOYOLO_FUZZ_TABLE": str(table)}
        command = [sys.executable, "-m", "pytest", "-q", "-k", "fuzz", "--timeout", "3600", "-p", "no:cacheprovider"]
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=sys.stderr)
        rows = [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines()]
    print(describe())
    print(f"{'reader':32} {'inputs':>8} {'accepted':>9} {'refused':>8} {'anything else':>14}")
    for reader, counts in sorted(rows):
        c = Counter(counts)
        print(f"{reader:32} {c['inputs']:8,} {c['accepted']:9,} {c['refused']:8,} {c['else']:14,}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
