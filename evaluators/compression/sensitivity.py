"""Which layers eight bits harm most, and how many of them stay FP32 for a file to lose no more mAP than it may.

calibrated network -> each layer alone in INT8 -> error of the head's raw outputs -> layers, the most sensitive first
                   -> the first ones of them in FP32 -> mAP on training images -> as few as will do, by bisection

The method is that of Pandey et al., "A Practical Mixed Precision Algorithm for Post-Training Quantization" (2302.05397): one list,
sorted by the signal-to-quantisation-noise ratio of the network's output, and a binary search in it for the accuracy that is wanted.
To quantise one layer at a time, and leave the most sensitive ones in floating point, is also Wu et al.'s "partial quantization"
(2004.09602).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces import InputError
from search_spaces.writing import write_text

from ..accuracy import SessionPredictor, coco_map
from ..data import Dataset
from ..data.calibration import calibration_paths, evenly
from ..evaluator import EvaluationError
from ..formats.int8 import Calibrated
from ..formats.onnx import ImageSize
from ..formats.onnx_layers import layers, raw_outputs
from ..runtimes.onnxruntime import OnnxRuntimeSession
from ..runtimes.onnxruntime import load as onnxruntime_package

if TYPE_CHECKING:
    from onnx import ModelProto

MEASURED = 8  # images that an error is of: it is a mean over all places of several maps, and hardly moves with more
JUDGED = 200  # images that mAP is of, at most
TINY = 1e-12  # what varies in an output that is constant

Judge = Callable[["ModelProto"], float]  # the mAP of a network, 0 to 1


@dataclass(frozen=True)
class Sensitivity:
    """One layer and what eight bits in it alone do.

    Attributes:
        layer: name of its convolution.
        nodes: names of all its nodes.
        error: of the head's raw outputs, before boxes and scores are decoded: the power of the difference from FP32 as a share of
            the power of what varies in them, averaged over the outputs. It is 1 / SQNR.
    """

    layer: str
    nodes: frozenset[str]
    error: float


@dataclass(frozen=True)
class Mixed:
    """The file that was chosen.

    Attributes:
        document: the network.
        fp32: the layers that stay FP32, by their convolutions.
        drop: its mAP50-95 subtracted from that of the FP32 file, as the judge has found them.
    """

    document: ModelProto
    fp32: tuple[str, ...]
    drop: float


def sensitivities(network: Calibrated, images: np.ndarray, threads: int = 1) -> list[Sensitivity]:
    """The layers, the most sensitive first; measured in ONNX Runtime, as it computes INT8 on this machine.

    Args:
        images: (n, 3, height, width) float32 from 0 to 1, of the network's own size; a few are enough.
    """
    outputs = raw_outputs(network.plain.graph)
    expected = _run(network.mixed(network.nodes), outputs, images, threads)
    found = []
    for layer, nodes in layers(network.plain.graph).items():
        given = _run(network.mixed(network.nodes - nodes), outputs, images, threads)
        errors = [np.mean((g - e) ** 2) / max(np.var(e), TINY) for g, e in zip(given, expected)]
        found.append(Sensitivity(layer, nodes, float(np.mean(errors))))
    return sorted(found, key=lambda each: -each.error)


def choose(network: Calibrated, ranked: Sequence[Sensitivity], judge: Judge, max_drop: float) -> Mixed:
    """Leave as few of the most sensitive layers in FP32 as the loss of mAP allows.

    Found by bisection, as if every further layer in FP32 gained something; what is chosen was judged itself.

    Args:
        ranked: of `sensitivities`.
        max_drop: mAP50-95, 0 to 1, that it may lose against FP32.

    Raises:
        EvaluationError: more is lost even with one layer left in INT8.
    """
    expected = judge(network.mixed(network.nodes))
    tried: dict[int, Mixed] = {}

    def suits(count: int) -> bool:
        chosen = ranked[:count]
        document = network.mixed(frozenset().union(*(each.nodes for each in chosen)))
        tried[count] = Mixed(document, tuple(each.layer for each in chosen), expected - judge(document))
        return tried[count].drop <= max_drop

    fewest, most = 0, len(ranked) - 1
    if suits(fewest):
        return tried[fewest]
    if not suits(most):
        nearest = min(tried.values(), key=lambda each: each.drop)
        raise EvaluationError(
            f"max_drop {max_drop:g}: the INT8 file loses {nearest.drop:.4f} mAP50-95 of {expected:.4f} even with "
            f"{len(nearest.fp32)} of its {len(ranked)} layers in FP32, and no less with others"
        )
    while most - fewest > 1:
        middle = (fewest + most) // 2
        fewest, most = (fewest, middle) if suits(middle) else (middle, most)
    return tried[most]


def judge_on_training(
    dataset: Dataset, calibration: int, image_size: ImageSize, threads: int = 1, count: int = JUDGED
) -> Judge:
    """What gives the mAP50-95 on up to `count` training images that ranges are not calibrated with.

    The validation split is left for reporting: nothing has been chosen by it.

    Args:
        calibration: how many images the ranges are of, see `calibration_images`.
        threads: of ONNX Runtime.

    Raises:
        InputError: there are no such images.
        DatasetError: no box in any of them.
    """
    taken = set(calibration_paths(dataset, calibration))
    rest = [path for path in dataset.train if path not in taken]
    if not rest:
        raise InputError(
            f"max_drop: mAP is measured on training images that do not calibrate, and the dataset {dataset.name} has no more than "
            f"the {len(dataset.train)} that images: {calibration} takes; calibrate with fewer"
        )
    judged = replace(dataset, train=evenly(rest, count))

    def judge(document: ModelProto) -> float:
        session = _session(document, threads)
        shape = tuple(session.get_inputs()[0].shape)
        predictor = SessionPredictor(OnnxRuntimeSession(session, shape, ""), image_size)
        return coco_map(predictor, judged, split="train")["map50_95"]

    return judge


def write_table(path: Path, ranked: Sequence[Sensitivity], fp32: Sequence[str]) -> None:
    """sensitivity.csv: layer, error, stays_fp32 (0 or 1), the most sensitive one first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("layer", "error", "stays_fp32"))
    writer.writerows((each.layer, f"{each.error:.6g}", int(each.layer in fp32)) for each in ranked)
    write_text(path, text.getvalue())


def _run(
    document: ModelProto, outputs: Sequence[tuple[str, int]], images: np.ndarray, threads: int
) -> list[np.ndarray]:
    """What the decoding would read of all images, see `raw_outputs`: for each (n, channels, height, width)."""
    import onnx

    nodes = {node.name: node for node in document.graph.node}
    names = [nodes[name].input[position] for name, position in outputs]
    del document.graph.output[:]
    document.graph.output.extend(onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in names)
    session = _session(document, threads)
    given = [session.run(names, {session.get_inputs()[0].name: image[None]}) for image in images]
    return [np.concatenate(each) for each in zip(*given)]


def _session(document: ModelProto, threads: int) -> Any:
    onnxruntime = onnxruntime_package()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(document.SerializeToString(), options, providers=["CPUExecutionProvider"])
