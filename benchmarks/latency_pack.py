"""The way of a board that cannot run PyTorch or Ray, from end to end with times: pack, measure in a bare virtual
environment (numpy and one runtime, nothing else), fit; and once more with few models, adapted from another profile.

    python benchmarks/latency_pack.py [--count 30] [--python python3.9]

It installs numpy, onnxruntime and ncnn from the package registry into temporary environments.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from machine import describe

FEW = 10
ROOT = Path(__file__).parents[1]
EVOYOLO = [sys.executable, "-m", "nas.cli"]


def run(label: str, command, work: Path, show: int = 0) -> None:
    """Run in `work`, with paths relative to it: what is printed tells nothing of this machine."""
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)} if command[: len(EVOYOLO)] == EVOYOLO else None
    done = subprocess.run(list(map(str, command)), cwd=work, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{label}: status {done.returncode}\n{done.stdout}{done.stderr}")
    print(f"{time.perf_counter() - start:7.1f} s  {label}", flush=True)
    for line in done.stdout.strip().splitlines()[-show:] if show else ():
        print(f"           | {line}", flush=True)


def unzip(path: Path) -> None:
    folder = path.with_suffix("")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    size = path.stat().st_size / 2**20
    print(f"           {path.name}: {size:.0f} MB, {len(list(folder.rglob('*')))} files")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--python", default="python3", help="of the bare environments")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    print(describe())
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        options = ["--threads", args.threads]
        pack = [*EVOYOLO, "device", "pack", "pack.zip", "--runtime", "onnxruntime", "ncnn", "--count", args.count]
        run(f"device pack, {args.count} models for two runtimes", [*pack, *options], work, 1)
        unzip(work / "pack.zip")
        for runtime in ("onnxruntime", "ncnn"):
            python = work / runtime / "bin" / "python"
            run(f"bare environment with numpy and {runtime}", [args.python, "-m", "venv", runtime], work)
            run("  installed", [python, "-m", "pip", "install", "-q", "numpy", runtime], work)
            run("  it holds", [python, "-m", "pip", "list", "--format", "freeze"], work, 30)
            run("  run.py", [python, "pack/run.py", "--runtime", runtime, "--output", f"{runtime}.json"], work, 1)
            run("  device fit", [*EVOYOLO, "device", "fit", f"{runtime}.json"], work, 4)
        print(f"few measurements: {FEW} models, ONNX Runtime adapted from the profile of ncnn")
        few = [*EVOYOLO, "device", "pack", "few.zip", "--count", FEW, "--adapt-from", "ncnn"]
        run(f"device pack, {FEW} models", [*few, *options], work)
        unzip(work / "few.zip")
        run("  run.py", [work / "onnxruntime" / "bin" / "python", "few/run.py", "--output", "few.json"], work, 1)
        run("  device fit", [*EVOYOLO, "device", "fit", "few.json", "--adapt-from", "ncnn"], work, 4)
        compare(work / "devices", ("few", "onnxruntime"))


def compare(folder: Path, names) -> None:
    """How well the adapted profile predicts what the other one measured."""
    import numpy as np
    from scipy.stats import spearmanr

    from evaluators.latency.profile import DeviceProfile

    few, full = (DeviceProfile.load(folder / f"{name}.json") for name in names)
    space = full.make_space()
    value, low, high = few.predict([space.architecture(**m.architecture) for m in full.measured])
    truth = np.array([m.latency_ms for m in full.measured])
    truth = truth * few.reference_ms / full.reference_ms  # both corrected to one state of the machine
    print(
        f"{len(few.measured)} adapted measurements against the {len(truth)} of the full profile: "
        f"{100 * (np.abs(value / truth - 1) <= 0.1).mean():.0f}% within 10%, Spearman {spearmanr(value, truth)[0]:.3f}, "
        f"{100 * ((low <= truth) & (truth <= high)).mean():.0f}% inside the 90% interval"
    )


if __name__ == "__main__":
    main()
