"""Measures random architectures of the YOLO space on this machine: the ground truth of latency_own_space.py.

    python benchmarks/latency_measure.py FOLDER --runtime onnxruntime openvino ncnn --threads 2

writes FOLDER/RUNTIME.json (all models) and FOLDER/RUNTIME-again.json (some of them once more, after everything else: the
noise floor). It can be stopped and started again at any time; what was measured is kept.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from evaluators.latency.pack import RUNNER, pack
from search_spaces import YoloSpace
from search_spaces.writing import write_text

AGAIN = 40


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runtime", nargs="+", default=["onnxruntime", "openvino", "ncnn"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    everything, again = args.folder / "all", args.folder / "again"
    if not (everything / "manifest.json").exists():
        rng = np.random.default_rng(args.seed)
        architectures = list({a.key: a for a in (YoloSpace().sample(rng) for _ in range(args.count))}.values())
        pack(architectures, everything, runtimes=args.runtime, threads=args.threads, progress=print)
    manifest = json.loads((everything / "manifest.json").read_text())
    if not again.exists():
        again.mkdir()
        (again / "models").symlink_to("../all/models")
        write_text(again / "manifest.json", json.dumps({**manifest, "models": manifest["models"][:AGAIN]}))
    for folder, suffix in ((everything, ""), (again, "-again")):
        for runtime in args.runtime:
            output = args.folder / f"{runtime}{suffix}.json"
            command = [
                sys.executable,
                everything / RUNNER,
                "--folder",
                folder,
                "--runtime",
                runtime,
                "--output",
                output,
            ]
            subprocess.run(list(map(str, command)), check=True)


if __name__ == "__main__":
    main()
