"""Does the built-in dataset tell architectures apart? Width 1/16 < 1/8 < 1/4 of YOLOv8 at the default fidelity, per seed.

    python benchmarks/digits_separates.py --seeds 0 1
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from machine import describe

from evaluators.checkpoint import load_checkpoint
from evaluators.coco import coco_map
from evaluators.dataset import load_dataset
from evaluators.training import Fidelity, train
from nas.config import SearchConfig
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
    print(f"digits, {len(dataset.train)} training images of {args.image_size} px, {config.epochs} epochs, batch {config.batch}, 1 thread")
    print(f"{'seed':>4}{'width':>7}{'mAP50-95':>10}{'mAP50':>8}{'seconds':>9}")
    separated = True
    for seed in args.seeds:
        found = []
        for width, preset in WIDTHS.items():
            architecture = space.preset(preset, image_size=args.image_size)
            with tempfile.TemporaryDirectory() as folder:
                result = train(
                    architecture, dataset, Fidelity(config.epochs), Path(folder), seed=seed, batch=config.batch, threads=1
                )
                scores = coco_map(load_checkpoint(result.checkpoint), dataset, args.image_size)
            found.append(scores["map50_95"])
            print(f"{seed:>4}{width:>7}{found[-1]:>10.3f}{scores['map50']:>8.3f}{result.metrics['train_seconds']:>9.1f}", flush=True)
        separated &= found[0] < found[1] < found[2]
    print("separated for every seed" if separated else "NOT separated")
    return int(not separated)


if __name__ == "__main__":
    sys.exit(main())
