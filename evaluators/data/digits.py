"""The built-in dataset: scenes of handwritten digits on photographs, composed with a seed, without a network.

The digits (0 to 3, 8x8 pixels, 720 originals) and the two photographs ship with scikit-learn. Digits in the
training and the validation scenes come from disjoint originals. Scale, rotation, contrast, polarity, overlap and
clutter (strokes and pieces of digits, unlabelled) vary.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import yaml

from .folders import cache_directory, whole_folder

Corners = tuple[int, int, int, int]  # x1, y1, x2, y2 in pixels


@dataclass(frozen=True)
class DigitsSettings:
    """What the scenes depend on; sizes in pixels."""

    version: int = 2
    image_size: int = 96
    train: int = 400
    val: int = 100
    fewest: int = 2
    most: int = 4
    smallest: int = 24  # edge of a digit before rotation
    largest: int = 56
    rotation_degrees: float = 20
    overlap: float = 0.25  # most that a digit's box may share with another's
    classes: int = 4  # the digits from 0 on; ten take longer to tell apart than a quick search has
    clutter: int = 3  # most strokes and pieces per scene
    seed: int = 0


def split_originals(classes: np.ndarray, settings: DigitsSettings) -> tuple[np.ndarray, np.ndarray]:
    """Disjoint indices of the originals for training (three quarters) and validation."""
    order = np.random.default_rng([settings.seed, 1]).permutation(np.flatnonzero(classes < settings.classes))
    return np.sort(order[: 3 * len(order) // 4]), np.sort(order[3 * len(order) // 4 :])


def digits_yaml(settings: DigitsSettings = DigitsSettings(), directory: str | Path | None = None) -> Path:
    """The data.yaml of the scenes in `directory` (the cache if None), made if it is not there yet (some seconds)."""
    key = hashlib.sha256(json.dumps(asdict(settings)).encode()).hexdigest()[:10]
    root = Path(directory or cache_directory()) / f"digits-{key}"
    if not (root / "data.yaml").exists():
        with whole_folder(root) as temporary:
            write_scenes(temporary, settings)
    return root / "data.yaml"


def write_scenes(root: Path, settings: DigitsSettings) -> None:
    """Write images, labels and data.yaml in Ultralytics' layout. Same settings, same bytes."""
    from sklearn.datasets import load_digits, load_sample_images

    digits = load_digits()
    photographs = load_sample_images().images
    originals = dict(zip(("train", "val"), split_originals(digits.target, settings)))
    for number, split in enumerate(("train", "val")):
        images, labels = root / "images" / split, root / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for i in range(getattr(settings, split)):
            rng = np.random.default_rng([settings.seed, 2, number, i])
            scene, boxes = compose(rng, digits.images, digits.target, originals[split], photographs, settings)
            cv2.imwrite(str(images / f"{i:05d}.png"), scene)
            lines = [f"{int(c)} " + " ".join(f"{v:.6f}" for v in box) for c, *box in boxes]
            (labels / f"{i:05d}.txt").write_text("\n".join(lines) + "\n")
    content = {"train": "images/train", "val": "images/val", "names": {i: str(i) for i in range(settings.classes)}}
    (root / "data.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def compose(
    rng: np.random.Generator,
    images: np.ndarray,
    classes: np.ndarray,
    originals: np.ndarray,
    photographs: Sequence[np.ndarray],
    settings: DigitsSettings,
) -> tuple[np.ndarray, list[tuple[int, float, float, float, float]]]:
    """One scene: a (size, size, 3) uint8 BGR image and its boxes (class, x, y, w, h), centre and size in shares."""
    size = settings.image_size
    scene = _background(rng, photographs, size)
    for _ in range(int(rng.integers(settings.clutter + 1))):
        _clutter(rng, scene, images[rng.choice(originals)])
    boxes: list[tuple[int, Corners]] = []
    for _ in range(int(rng.integers(settings.fewest, settings.most + 1))):
        index = int(rng.choice(originals))
        ink = _warped(rng, images[index], rng.uniform(settings.smallest, settings.largest), settings.rotation_degrees)
        height, width = ink.shape
        if max(height, width) > size:
            continue
        for _ in range(10):  # places until one overlaps little enough
            x, y = int(rng.integers(size - width + 1)), int(rng.integers(size - height + 1))
            box = (x, y, x + width, y + height)
            if all(_shared(box, other) <= settings.overlap for _, other in boxes):
                _blend(rng, scene[y : y + height, x : x + width], ink)
                boxes.append((int(classes[index]), box))
                break
    labels = [
        (c, (x1 + x2) / 2 / size, (y1 + y2) / 2 / size, (x2 - x1) / size, (y2 - y1) / size)
        for c, (x1, y1, x2, y2) in boxes
    ]
    return scene, labels


def _background(rng: np.random.Generator, photographs: Sequence[np.ndarray], size: int) -> np.ndarray:
    photograph = photographs[int(rng.integers(len(photographs)))]
    edge = int(rng.integers(size, min(photograph.shape[:2]) + 1))
    y, x = (int(rng.integers(limit - edge + 1)) for limit in photograph.shape[:2])
    crop = cv2.resize(photograph[y : y + edge, x : x + edge, ::-1], (size, size), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(crop[:, ::-1] if rng.random() < 0.5 else crop)


def _warped(rng: np.random.Generator, image: np.ndarray, edge: float, degrees: float) -> np.ndarray:
    """The digit's ink, 0 to 1, scaled to about `edge` pixels, rotated, and cut to what is inked."""
    ink = cv2.resize(image.astype(np.float32) / 16, (int(edge), int(edge)), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    margin = int(edge * 0.25)
    ink = cv2.copyMakeBorder(ink, *(margin,) * 4, cv2.BORDER_CONSTANT)
    centre = (ink.shape[1] / 2, ink.shape[0] / 2)
    turn = cv2.getRotationMatrix2D(centre, float(rng.uniform(-degrees, degrees)), 1)
    ink = cv2.warpAffine(ink, turn, ink.shape[::-1], flags=cv2.INTER_LINEAR)
    ink = np.clip(ink * 1.8 - 0.3, 0, 1)  # 8x8 pixels enlarged are blurred; this makes strokes of them again
    rows, columns = (np.flatnonzero((ink > 0.25).any(axis=axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _shared(box: Corners, other: Corners) -> float:
    """Intersection as a share of the smaller box."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (box, other)]
    return max(0, width) * max(0, height) / min(areas)


def _blend(rng: np.random.Generator, patch: np.ndarray, ink: np.ndarray) -> None:
    """Ink of one colour, lighter or darker than what is under it by a varying contrast."""
    under = float(patch.mean())
    contrast = rng.uniform(90, 170)
    level = under + contrast if under < 128 else under - contrast
    colour = np.clip(level + rng.normal(0, 25, 3), 0, 255)
    alpha = (ink * rng.uniform(0.75, 1))[..., None]
    patch[:] = (patch * (1 - alpha) + colour * alpha).astype(np.uint8)


def _clutter(rng: np.random.Generator, scene: np.ndarray, image: np.ndarray) -> None:
    """A stroke, or a piece of a digit too small to tell which."""
    size = scene.shape[0]
    if rng.random() < 0.5:
        ends = rng.integers(size, size=(2, 2))
        colour = tuple(int(v) for v in rng.integers(256, size=3))
        cv2.line(
            scene, tuple(map(int, ends[0])), tuple(map(int, ends[1])), colour, int(rng.integers(1, 4)), cv2.LINE_AA
        )
        return
    row, column = rng.integers(0, 5, size=2)
    piece = image[row : row + 4, column : column + 4].astype(np.float32) / 16
    edge = int(rng.integers(6, 20))
    ink = cv2.resize(piece, (edge, edge), interpolation=cv2.INTER_LINEAR)
    x, y = rng.integers(size - edge, size=2)
    _blend(rng, scene[y : y + edge, x : x + edge], ink)
