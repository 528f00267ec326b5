"""Does the built-in dataset tell architectures apart? Width 1/16 < 1/8 < 1/4 of YOLOv8 at the default fidelity, per seed.

The seconds are of training and validation, on one thread.

    python benchmarks/digits_separates.py --seeds 0 1
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from machine import describe

from evaluators.accuracy import coco_map
from evaluators.data import load_dataset
from evaluators.training import Fidelity, train
from evaluators.training.checkpoint import load_checkpoint
from nas.launch.config import SearchConfig
from search_spaces import YoloSpace

WIDTHS = {"1/16": "yolov8-w1/16", "1/8": "yolov8-w1/8", "1/4": "yolov8n"}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--image-size", type=int, default=96)
    args = parser.parse_args()
    config = SearchConfig()
    dataset, space = load_dataset("digits"), YoloSpace()
    print(describe())
    print(
        f"digits, {len(dataset.train)} training images of {args.image_size} px, {config.epochs} epochs, batch {config.batch}, 1 thread"
    )
    print(f"{'seed':>4}{'width':>7}{'mAP50-95':>10}{'mAP50':>8}{'CPU s':>8}{'wall s':>8}")
    rows = []
    for seed in args.seeds:
        found = []
        for width, preset in WIDTHS.items():
            started = time.perf_counter(), time.process_time()  # CPU time holds on a machine with other work, too
            architecture = space.preset(preset, image_size=args.image_size)
            with tempfile.TemporaryDirectory() as folder:
                result = train(
                    architecture,
                    dataset,
                    Fidelity(config.epochs),
                    Path(folder),
                    seed=seed,
                    batch=config.batch,
                    threads=1,
                )
                scores = coco_map(load_checkpoint(result.checkpoint), dataset, args.image_size)
            wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
            found.append(scores["map50_95"])
            print(f"{seed:>4}{width:>7}{found[-1]:>10.3f}{scores['map50']:>8.3f}{cpu:>8.1f}{wall:>8.1f}", flush=True)
        rows.append(found)
    gap = min(wider - narrower for found in rows for narrower, wider in zip(found, found[1:]))
    spread = max(max(column) - min(column) for column in zip(*rows))
    print("separated for every seed" if gap > 0 else "NOT separated")
    print(
        f"smallest gap between neighbouring widths {gap:.3f}; largest spread of one width over the seeds {spread:.3f}"
    )
    return int(gap <= 0)


if __name__ == "__main__":
    sys.exit(main())
