"""Shared by the tests of data: writers of small datasets in every layout."""

import json

import pytest
import yaml
from PIL import Image


@pytest.fixture(scope="session")
def write_yolo():
    """The function (root, labels, names) that writes one image per split and gives the data.yaml."""

    def write(root, labels="0 0.5 0.5 0.2 0.2\n", names=("a", "b")):
        for split in ("train", "val"):
            for kind in ("images", "labels"):
                (root / kind / split).mkdir(parents=True)
            Image.new("RGB", (40, 30)).save(root / "images" / split / "one.png")
            (root / "labels" / split / "one.txt").write_text(labels)
        content = {"train": "images/train", "val": "images/val", "names": list(names)}
        (root / "data.yaml").write_text(yaml.safe_dump(content))
        return root / "data.yaml"

    return write


@pytest.fixture(scope="session")
def write_voc():
    """The function (root, boxes, size) that writes a VOC folder with the same boxes in both splits."""

    def write(root, boxes, size=(50, 40)):
        for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for split in ("train", "val"):
            Image.new("RGB", size).save(root / "JPEGImages" / f"{split}0.jpg")
            objects = "".join(
                f"<object><name>{name}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
                "</bndbox></object>"
                for name, x1, y1, x2, y2 in boxes
            )
            (root / "Annotations" / f"{split}0.xml").write_text(f"<annotation>{objects}</annotation>")
            (root / "ImageSets" / "Main" / f"{split}.txt").write_text(f"{split}0\n")
        return root

    return write


@pytest.fixture(scope="session")
def write_coco():
    """The function (path, boxes, size, categories) that writes one image and its COCO json."""

    def write(path, boxes, size=(50, 40), categories=((7, "b"), (3, "a"))):
        path.parent.mkdir(parents=True, exist_ok=True)
        image = f"{path.stem}.png"
        Image.new("RGB", size).save(path.parent / image)
        document = {
            "images": [{"id": 11, "file_name": image, "width": size[0], "height": size[1]}],
            "annotations": [
                {"id": i, "image_id": 11, "category_id": category, "bbox": box}
                for i, (category, box) in enumerate(boxes)
            ],
            "categories": [{"id": i, "name": name} for i, name in categories],
        }
        path.write_text(json.dumps(document))
        return path

    return write
