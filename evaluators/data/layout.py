"""Ultralytics' layout, written from annotated images: images/, labels/ and data.yaml."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from .errors import DatasetError
from .folders import whole_folder

SPLITS = ("train", "val")
DECIMALS = 6  # of the numbers in label files

Box = tuple[int, float, float, float, float]  # class, x1, y1, x2, y2 in pixels
Entry = tuple[Path, int, int, Sequence[Box]]  # image, width, height, boxes


@dataclass(frozen=True)
class Conversion:
    """What a conversion wrote: images and boxes per split, boxes cut to their image, boxes dropped as degenerate."""

    yaml_path: Path
    images: dict[str, int]
    boxes: dict[str, int]
    clipped: int
    dropped: int

    def __str__(self) -> str:
        splits = "; ".join(
            f"{split}: {self.images[split]:,} images, {self.boxes[split]:,} boxes" for split in self.images
        )
        return f"wrote {self.yaml_path}\n{splits}; {self.clipped} boxes cut to their image, {self.dropped} without area dropped"


def write_layout(root: Path, names: Sequence[str], splits: Mapping[str, Sequence[Entry]]) -> Conversion:
    """Write images (linked where the file system can), labels and data.yaml; `root` appears whole or not at all.

    Raises:
        DatasetError: an image that is missing, or two of one name.
    """
    images: dict[str, int] = {}
    boxes: dict[str, int] = {}
    clipped = dropped = 0
    with whole_folder(root) as temporary:
        for split, entries in splits.items():
            for kind in ("images", "labels"):
                (temporary / kind / split).mkdir(parents=True)
            taken: set[str] = set()
            images[split], boxes[split] = len(entries), 0
            for source, width, height, found in entries:
                name = source.stem if source.stem not in taken else f"{source.parent.name}-{source.stem}"
                if name in taken:
                    raise DatasetError(f"two images of {split} are named {source.name}")
                taken.add(name)
                _link(source, temporary / "images" / split / f"{name}{source.suffix.lower()}")
                lines = []
                for label, *corners in found:
                    x1, x2 = (min(max(v, 0), width) for v in corners[0::2])
                    y1, y2 = (min(max(v, 0), height) for v in corners[1::2])
                    clipped += [x1, y1, x2, y2] != list(corners)
                    box = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
                    if round(min(box[2:]), DECIMALS) <= 0:
                        dropped += 1
                        continue
                    lines.append(f"{label} " + " ".join(f"{v:.{DECIMALS}f}" for v in box) + "\n")
                boxes[split] += len(lines)
                (temporary / "labels" / split / f"{name}.txt").write_text("".join(lines), encoding="utf-8")
        content = {**{split: f"images/{split}" for split in splits}, "names": dict(enumerate(names))}
        (temporary / "data.yaml").write_text(
            yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
    return Conversion(root / "data.yaml", images, boxes, clipped, dropped)


def new_folder(output: str | Path) -> Path:
    """The path of a folder that does not exist yet. Raises DatasetError when it does."""
    root = Path(output)
    if root.exists():
        raise DatasetError(f"{root} exists; name a folder that does not")
    return root


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise DatasetError(f"{source}: the image does not exist") from None
    except OSError:
        shutil.copyfile(source, target)
