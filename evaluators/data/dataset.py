"""A detection dataset, and loading one from what a user names."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .annotated import AnnotatedSplit, annotate
from .coco_json import cached_coco
from .digits import digits_yaml
from .errors import DatasetError
from .folders import cache_directory as default_cache_directory
from .labels import label_path
from .pixels import as_text
from .places import find_dataset
from .together import Tell
from .voc import cached_voc
from .yaml_file import read_data_yaml


@dataclass(frozen=True)
class Dataset:
    """A detection dataset in Ultralytics' layout: labels in `labels/` where images are in `images/`, or beside the images.

    Attributes:
        name: for messages.
        yaml_path: its data.yaml.
        root: the folder that its paths are in.
        names: class names by index.
        train, val: the images of each split, absolute paths in Ultralytics' order.
        keypoint_numbers: numbers after every box in its label files, which are left out.
        notes: what was done to make it, or left out, that a user should know.
    """

    name: str
    yaml_path: Path
    root: Path
    names: tuple[str, ...]
    train: tuple[Path, ...]
    val: tuple[Path, ...]
    keypoint_numbers: int = 0
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def num_classes(self) -> int:
        """How many classes its boxes have."""
        return len(self.names)

    def annotated(self, split: str, *, anew: bool = False, tell: Tell | None = None) -> AnnotatedSplit:
        """A split with its boxes, read once; it travels with the dataset to other processes.

        Args:
            anew: read it again, since its files may have changed.
            tell: is told how many images have been decoded.

        Raises:
            DatasetError: an image or a label that cannot be used, or not one box.
        """
        kept = self.__dict__.setdefault("_annotated", {})  # beside the fields, as a cached property would be
        if anew or split not in kept:
            paths = getattr(self, split)
            found = annotate(
                paths,
                self.num_classes,
                keypoint_numbers=self.keypoint_numbers,
                of=f"{as_text(self.root)} {split}",
                tell=tell,
            )
            if not len(found.rows):
                raise DatasetError(
                    f"{self.yaml_path}: {split} has {len(paths)} images and not one box{_why_none(found)}"
                )
            kept[split] = found
        return kept[split]

    def data_dict(self) -> dict[str, Any]:
        """What `get_dataset` of an Ultralytics trainer returns."""
        return {
            "path": str(self.root),
            "train": [str(path) for path in self.train],
            "val": [str(path) for path in self.val],
            "nc": self.num_classes,
            "names": dict(enumerate(self.names)),
            "channels": 3,
            "yaml_file": str(self.yaml_path),
        }


def load_dataset(source: str | Path, *, cache_directory: str | Path | None = None) -> Dataset:
    """A dataset from what a user names; of a data.yaml nothing is executed and its `download` is ignored.

    Args:
        source: "digits" (built in), an Ultralytics data.yaml or a folder that holds one, COCO json: "train.json:val.json", or
            a single json, of which a fifth of the images (chosen by a hash of their names) becomes the validation split, a
            folder with COCO json as Roboflow and COCO itself lay it out, or a folder of Pascal VOC's or labelImg's XML.
        cache_directory: for what is generated or converted; None takes $EVOYOLO_CACHE or ~/.cache/evoyolo.

    The `path` of a data.yaml is relative to the file's folder, or else to the working directory; never to a folder
    from Ultralytics' settings.

    Raises:
        DatasetError: a file that is missing or broken, or a split without images.
    """
    name, cache = str(source), Path(cache_directory or default_cache_directory())
    if name == "digits":
        return _of_yaml(digits_yaml(directory=cache_directory), name)
    found = find_dataset(name)
    if found.kind == "yaml":
        return _of_yaml(Path(found.source), name)
    converted = cached_coco(found.source, cache) if found.kind == "coco" else cached_voc(Path(found.source), cache)
    return _of_yaml(converted, name)


def _of_yaml(path: Path, name: str) -> Dataset:
    found = read_data_yaml(path)
    return Dataset(
        name, found.path, found.root, found.names, found.train, found.val, found.keypoint_numbers, found.notes
    )


def _why_none(split: AnnotatedSplit) -> str:
    if len(split.crowd_rows):
        return f": all {len(split.crowd_rows):,} annotations are marked as crowds, which nothing is trained on"
    if split.repaired:
        return f": {', '.join(f'{count:,} {what}' for what, count in split.repaired.items())}"
    first = split.paths[0]
    expected = label_path(first)
    return "" if expected.exists() else f"; the labels of {first} are expected in {expected}"
