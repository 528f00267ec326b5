"""What each way to a smaller model costs and gives, with all of them given the same epochs.

    python benchmarks/compression.py train digits --work WORK [--only GROUP] [--seeds 3]
    python benchmarks/compression.py train bccd --data ../shared/data/bccd --work WORK
    python benchmarks/compression.py latency digits bccd --work WORK      # with nothing else running
    python benchmarks/compression.py report digits bccd

A chain is a recipe from one of the models on: trained out, or begun with what another chain has left. Every chain is done with every
seed; what is in WORK is not done again, and rows are added to results/compression/NAME.csv as chains end: stop it and start it as you
like. mAP is of the validation split, which nothing is chosen on, but the best epoch of a training, in every chain alike. Latency is of
the files of seed 0, each beside YOLOv8n's in the same run, because machines are noisy.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ground_truth import TABLES as GROUND_TRUTH
from ground_truth import dataset_of
from machine import describe

from evaluators import complexity
from evaluators.compression.pruning import as_architecture
from evaluators.data import load_dataset
from evaluators.file_metrics import evaluate_file
from evaluators.formats.network import network_in, trained_at
from evaluators.ground_truth.table import read_table
from evaluators.recipe import Candidate, Recipe, artefacts_of, run_steps
from evaluators.steps import Bench, Workpiece
from evaluators.training.checkpoint import load_checkpoint
from nas.delivery.latencies import FIGURES, Latencies
from search_spaces import Architecture, YoloSpace
from search_spaces.families.yolov8 import SCALINGS, YOLOV8N

TABLES = Path(__file__).resolve().parent.parent / "results" / "compression"
SIZES = {"digits": 96, "bccd": 160}  # pixels
EPOCHS, MORE = 20, 10  # of a training, and of what follows it
COLUMNS = ("chain", "seed", "map50_95", "map50", "params", "macs", "zeros", "bytes", "seconds")
RUNTIMES = ("onnxruntime", "openvino", "ncnn")
AS_NARROWER = "to the MACs of narrower"


@dataclass(frozen=True)
class Chain:
    """Steps after `after` has ended, or a preset trained out for `epochs`.

    Attributes:
        group: what it is to show.
        after: a chain; None begins from scratch, with `model`.
        model: a preset, or `searched`.
        steps: the target `narrower` is its MACs.
        seeds: None are all of them.
    """

    group: str
    after: str | None = None
    model: str = "yolov8n"
    epochs: int = EPOCHS
    steps: tuple[Any, ...] = ()
    seeds: int | None = None
    taught: dict[str, Any] = field(default_factory=dict)


def more(**options: Any) -> dict[str, Any]:
    return {"finetune": {"epochs": MORE, **options}}


CHAINS: dict[str, Chain] = {
    "yolov8n": Chain("prune"),
    "yolov8n and more": Chain("prune", after="yolov8n", steps=(more(),)),
    **{
        f"{criterion} {AS_NARROWER}": Chain(
            "prune", after="yolov8n", steps=({"prune": {"to_macs": "narrower", "criterion": criterion}}, more())
        )
        for criterion in ("l2", "taylor", "bn", "lamp")
    },
    "narrower YOLOv8": Chain("prune", model="narrower", epochs=EPOCHS + MORE),
    "searched": Chain("prune", model="searched", epochs=EPOCHS + MORE),
    "yolov8s": Chain("distil", model="yolov8s", epochs=EPOCHS + MORE, seeds=1),
    **{
        f"narrower YOLOv8 from yolov8s: {' and '.join(methods)}": Chain(
            "distil", model="narrower", epochs=EPOCHS + MORE, taught={"distill": methods}
        )
        for methods in (("response",), ("boxes",), ("cwd",), ("pkd",), ("response", "cwd"))
    },
    **{
        name: Chain("int8", after="yolov8n", steps=("export", *({"quantise": options} for options in given)))
        for name, given in {
            "ONNX": (),
            "FP16": ({"precision": "FP16"},),
            "INT8": ({},),
            "INT8, signed activations": ({"activations": "signed"},),
            "INT8-dynamic": ({"precision": "INT8-dynamic"},),
            "INT8, at most .003 lost": ({"max_drop": 0.003},),
        }.items()
    },
    "trained on for 5 epochs, INT8": Chain(
        "int8", after="yolov8n", steps=({"finetune": {"epochs": 5}}, "export", "quantise")
    ),
    "trained on for 5 epochs with rounding, INT8": Chain(
        "int8", after="yolov8n", steps=({"finetune": {"epochs": 5, "quantisation_aware": True}}, "export", "quantise")
    ),
    f"l2 in 3 rounds {AS_NARROWER}": Chain(
        "ways",
        after="yolov8n",
        steps=(
            {"prune": {"to_macs": "narrower", "rounds": 3, "epochs_between": 3}},
            {"finetune": {"epochs": MORE - 6}},
        ),
    ),
    f"2 bottlenecks, then l2 {AS_NARROWER}": Chain(
        "ways", after="yolov8n", steps=({"prune": {"to_macs": "narrower", "depth": 2}}, more())
    ),
    "sparsity training, bn to the MACs of narrower": Chain(
        "ways",
        after="yolov8n",
        steps=(
            {"sparsity_training": {"epochs": MORE // 2}},
            {"prune": {"to_macs": "narrower", "criterion": "bn"}},
            {"finetune": {"epochs": MORE // 2}},
        ),
    ),
    "0.8 of the weights zero": Chain("ways", after="yolov8n", steps=({"sparsify": {"sparsity": 0.8}}, more())),
    "0.8 of the weights zero, by and by": Chain(
        "ways", after="yolov8n", steps=({"sparsify": {"sparsity": 0.8, "epochs": MORE}},)
    ),
    "binary weights": Chain("ways", after="yolov8n", steps=({"binarise": {"epochs": MORE}},)),
}
TRAINS = (
    "prune",
    "finetune",
    "sparsity_training",
    "sparsify",
    "binarise",
)  # steps that say whether images are mirrored


def chains(group: str | None) -> Iterator[tuple[str, Chain]]:
    """Those of a group and, before each, what it begins with."""
    wanted: dict[str, Chain] = {}

    def want(name: str) -> None:
        chain = CHAINS[name]
        if chain.after is not None:
            want(chain.after)
        if chain.taught:
            want("yolov8s")
        wanted[name] = chain

    for name, chain in CHAINS.items():
        if group in (None, chain.group):
            want(name)
    yield from wanted.items()


def architecture_named(name: str, data: str, num_classes: int) -> Architecture:
    """A preset at the data's image size; `narrower` is YOLOv8n at three quarters of its widths, which is 56% of its MACs; `searched` the
    best of the ground truth, by its training there, that has no more MACs than that."""
    space, size = YoloSpace(), SIZES[data]
    if name in space.presets:
        return space.preset(name, image_size=size)
    narrower = space.architecture(**{**YOLOV8N, **SCALINGS["w3/16 d1/3"], "image_size": size})
    if name == "narrower":
        return narrower
    bound = complexity([narrower], num_classes).macs[0]
    table = read_table(GROUND_TRUTH / f"{data}.csv")
    within = np.flatnonzero(complexity(table.architectures, num_classes).macs <= bound)
    return table.architectures[max(within, key=lambda i: table.mean("map50_95")[i])]


def train(data: str, source: str | None, work: Path, group: str | None, seeds: int) -> None:
    dataset = load_dataset(dataset_of(data, source))
    table = TABLES / f"{data}.csv"
    known = {(row["chain"], row["seed"]) for row in rows(data)}
    plan = [
        (name, chain, seed)
        for seed in range(seeds)
        for name, chain in chains(group)
        if seed < (seeds if chain.seeds is None else chain.seeds)
    ]
    for done, (name, chain, seed) in enumerate(plan):
        started = time.process_time()
        file = carried_out(name, chain, seed, data, dataset, work)
        if (name, str(seed)) in known:
            continue
        found = evaluate_file(file, dataset, threads=1, with_latency=False)
        figures = {column: getattr(found, column) for column in COLUMNS[2:-1]}
        row = {"chain": name, "seed": seed, **figures, "seconds": f"{time.process_time() - started:.0f}"}
        new = not table.exists()
        table.parent.mkdir(exist_ok=True)
        with open(table, "a", newline="") as stream:
            writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)
        print(
            f"{done + 1}/{len(plan)} {name}, seed {seed}: map50_95 {found.map50_95:.3f}, {row['seconds']} s", flush=True
        )


def carried_out(name: str, chain: Chain, seed: int, data: str, dataset: Any, work: Path) -> Path:
    """The last file of a chain, which is made where it is not there yet."""
    classes = dataset.num_classes
    mirrored = {"mirrored": data != "digits"}
    if chain.after is None:
        architecture = architecture_named(chain.model, data, classes)
        teacher = {"teacher": str(folder_of(work, data, "yolov8s", 0) / "best.pt")} if chain.taught else {}
        recipe = [{"train_out": {**mirrored, **chain.taught, **teacher}}]
    else:
        before = CHAINS[chain.after]
        given = carried_out(chain.after, before, seed, data, dataset, work)
        model = load_checkpoint(given)
        architecture = as_architecture(model, trained_at(model), str(given))
        recipe = [{"given": {"path": str(given)}}]
    for step in chain.steps:
        kind, options = next(iter(step.items())) if isinstance(step, dict) else (step, {})
        if options.get("to_macs") == "narrower":
            narrower = architecture_named("narrower", data, classes)
            options = {**options, "to_macs": float(complexity([narrower], classes).macs[0])}
        recipe.append({kind: {**options, **(mirrored if kind in TRAINS else {})}})
    folder = folder_of(work, data, name, seed)
    folder.mkdir(parents=True, exist_ok=True)
    piece = Workpiece(architecture, folder, Bench(dataset, chain.epochs, batch=8, seed=seed))
    run_steps(Candidate(architecture, Recipe.read(recipe)), piece)
    return list(piece.artefacts.values())[-1]


def rows(data: str) -> list[dict[str, str]]:
    table = TABLES / f"{data}.csv"
    if not table.exists():
        return []
    with open(table, newline="") as stream:
        return list(csv.DictReader(stream))


def latency(data: str, work: Path) -> None:
    """The last files of chains of seed 0, on every runtime that reads them, as ratios to YOLOv8n's of the same runtime."""
    path = TABLES / f"{data}-latency.csv"
    path.parent.mkdir(exist_ok=True)
    timing = Latencies(RUNTIMES, (), 1, 80)  # the classes are the reference model's
    first: dict[str, float | None] = {}
    with open(path, "w", newline="") as stream:
        writer = csv.DictWriter(stream, ("chain", "ratio", *FIGURES), lineterminator="\n")
        writer.writeheader()
        for name in CHAINS:
            files = list(artefacts_of(folder_of(work, data, name, 0)).values())
            if not files:
                continue
            network = network_in(files[-1], None)
            for figures in timing.of(files[-1], network.precision, network.image.height):
                found = figures["latency_ms"]
                before = first.setdefault(figures["runtime"], found)
                ratio = f"{found / before:.4g}" if found and before else None
                writer.writerow({"chain": name, "ratio": ratio, **figures})
                stream.flush()


def folder_of(work: Path, data: str, name: str, seed: int) -> Path:
    return work / data / name.replace(" ", "-").replace(":", "") / str(seed)


def report(names: list[str]) -> None:
    print(f"# {describe()}")
    for data in names:
        found = rows(data)
        print(f"\n{data}, {SIZES[data]} px: mean mAP50-95 of the seeds, with the standard deviation over them")
        for name in CHAINS:
            mine = [row for row in found if row["chain"] == name]
            if not mine:
                continue
            values = np.array([float(row["map50_95"]) for row in mine])
            spread = f" +- {values.std(ddof=1):.3f}" if len(values) > 1 else ""
            macs = f"{float(mine[0]['macs']) / 1e6:6.1f} MMACs" if mine[0]["macs"] else ""
            seconds = np.mean([float(row["seconds"]) for row in mine])
            size = float(mine[0]["bytes"]) / 1e6
            print(f"{name:45} {values.mean():.3f}{spread:9} of {len(values)}  {macs}  {size:5.2f} MB  {seconds:5.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "latency", "report"))
    parser.add_argument("names", nargs="+", choices=tuple(SIZES))
    parser.add_argument("--data", help="the folder of BCCD")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--only", choices=sorted({chain.group for chain in CHAINS.values()}))
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.what != "report" and arguments.work is None:
        sys.exit("--work: the folder for the models, which are kept")
    if arguments.what == "report":
        report(arguments.names)
    for name in arguments.names:
        if arguments.what == "train":
            train(name, arguments.data, arguments.work, arguments.only, arguments.seeds)
        elif arguments.what == "latency":
            latency(name, arguments.work)


if __name__ == "__main__":
    main()
