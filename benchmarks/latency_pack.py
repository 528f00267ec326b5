"""The way of a board that cannot run PyTorch or Ray, from end to end with times: pack, measure in a bare virtual
environment (numpy and one runtime, nothing else), fit; and once more with few models, adapted from another profile.

    python benchmarks/latency_pack.py [--count 30] [--python python3.9]

It installs numpy, onnxruntime and ncnn from the package registry into temporary environments.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from machine import describe

FEW = 10
EVOYOLO = [sys.executable, "-m", "nas.cli"]


def run(label: str, command, cwd: Path, show: int = 0) -> None:
    start = time.perf_counter()
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{label}: status {done.returncode}\n{done.stdout}{done.stderr}")
    print(f"{time.perf_counter() - start:7.1f} s  {label}", flush=True)
    for line in done.stdout.strip().splitlines()[-show:] if show else ():
        print(f"           | {line}", flush=True)


def unzip(path: Path) -> Path:
    folder = path.with_suffix("")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    size = path.stat().st_size / 2**20
    print(f"           {path.name}: {size:.0f} MB, {len(list(folder.rglob('*')))} files")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--python", default="python3", help="of the bare environments")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    print(describe())
    root = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        options = ["--threads", args.threads]
        pack = [
            *EVOYOLO,
            "device",
            "pack",
            work / "pack.zip",
            "--runtime",
            "onnxruntime",
            "ncnn",
            "--count",
            args.count,
        ]
        run(f"device pack, {args.count} models for two runtimes", [*pack, *options], root, 1)
        folder = unzip(work / "pack.zip")
        for runtime in ("onnxruntime", "ncnn"):
            bare = work / runtime
            python = bare / "bin" / "python"
            run(f"bare environment with numpy and {runtime}", [args.python, "-m", "venv", bare], work)
            run("  installed", [python, "-m", "pip", "install", "-q", "numpy", runtime], work)
            run("  it holds", [python, "-m", "pip", "list", "--format", "freeze"], work, 30)
            results = work / f"{runtime}.json"
            run("  run.py", [python, folder / "run.py", "--runtime", runtime, "--output", results], work, 1)
            profile = work / "devices" / f"{runtime}.json"
            fit = [*EVOYOLO, "device", "fit", results, "--name", runtime, "--output", profile]
            run("  device fit", fit, root, 4)
        print(f"few measurements: {FEW} models, ONNX Runtime adapted from the profile of ncnn")
        prior = work / "devices" / "ncnn.json"
        few = [*EVOYOLO, "device", "pack", work / "few.zip", "--count", FEW, "--adapt-from", prior]
        run(f"device pack, {FEW} models", [*few, *options], root)
        folder = unzip(work / "few.zip")
        results = work / "few.json"
        run("  run.py", [work / "onnxruntime" / "bin" / "python", folder / "run.py", "--output", results], work, 1)
        fit = [*EVOYOLO, "device", "fit", results, "--name", "few", "--adapt-from", prior]
        run("  device fit", [*fit, "--output", work / "devices" / "few.json"], root, 4)
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
