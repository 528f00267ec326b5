"""The table of docs/datasets.md: every row is built, and what it says is what happens."""

import hashlib
import json
import os
import re
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluators.accuracy import score_detections
from evaluators.data import DatasetError, check_dataset, coco_ground_truth, load_dataset

BOX = "0 .5 .5 .2 .2\n"
PLAIN = "train: images/train\nval: images/val\nnames: [a, b]\n"
TABLE = Path(__file__).parents[3] / "docs" / "datasets.md"
# cases of which the test knows the classes or the boxes of the first validation image (class, x, y, width, height)
NAMES = {
    "yaml-names-text": ("yes", "no", "on", "1e3", "010", "null", "~"),
    "yaml-names-text-keys": ("a", "b"),
    "yaml-nc-only": ("class_0", "class_1"),
    "coco-two-of-one-name": ("raccoon",),
    "coco-empty-supercategory": ("raccoon",),
    "voc-beside": ("king",),
}
BOXES = {
    "labels-duplicate": [(0, 0.5, 0.5, 0.2, 0.2)],
    "labels-polygon": [(0, 0.2, 0.2, 0.2, 0.2), (0, 0.5, 0.5, 0.2, 0.2)],
    "labels-obb": [(0, 0.3, 0.3, 0.4, 0.4)],
    "labels-keypoints": [(0, 0.5, 0.5, 0.2, 0.2)],
    "labels-partly-outside": [(0, 0.925, 0.5, 0.15, 0.2)],
    "labels-zero-width": [(0, 0.5, 0.5, 0.2, 0.2)],
    "labels-class-float": [(1, 0.5, 0.5, 0.2, 0.2)],
    "folder-linked": [(0, 0.5, 0.5, 0.2, 0.2)],
    "coco-segmentation-only": [(0, 12.5 / 64, 12.5 / 48, 15 / 64, 15 / 48)],
}


def picture(path, size=(64, 48), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


def yolo(root, labels=BOX, yaml=PLAIN, count=1):
    for split in ("train", "val"):
        (root / "labels" / split).mkdir(parents=True)
        for i in range(count):
            picture(root / "images" / split / f"{i}.jpg")
            content = labels if isinstance(labels, bytes) else labels.encode()
            (root / "labels" / split / f"{i}.txt").write_bytes(content)
    (root / "data.yaml").write_text(yaml, encoding="utf-8")
    return root / "data.yaml"


def saved(root, suffix, save):
    """`yolo`, with every picture saved in another way."""
    path = yolo(root)
    for old in list(root.glob("images/*/*.jpg")):
        image = Image.open(old).copy()
        old.unlink()
        save(image, old.with_suffix(suffix))
    return path


def lying(image, path):
    exif = Image.Exif()
    exif[274] = 6
    image.save(path, exif=exif)


def halved(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def moved(root, change):
    path = yolo(root, count=2)
    change(root)
    return path


def linked(root):
    shutil.move(root / "images" / "train", root / "elsewhere")
    os.symlink(root / "elsewhere", root / "images" / "train")


def listed(root, lines):
    path = yolo(root, yaml=PLAIN.replace("images/train", "train.txt"), count=2)
    (root / "train.txt").write_text(lines)
    return path


def beside(root):
    path = yolo(root, yaml="train: a\nval: b\nnames: [a, b]\n")
    for old, new in (("train", "a"), ("val", "b")):
        shutil.copytree(root / "images" / old, root / new)
        shutil.copytree(root / "labels" / old, root / new, dirs_exist_ok=True)
    return path


def huge(root):
    path = yolo(root)
    header = b"IHDR" + (10**6).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    start = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + header + zlib.crc32(header).to_bytes(4, "big")
    (root / "images" / "val" / "0.png").write_bytes(start + (99).to_bytes(4, "big") + b"IDAT" + b"\0" * 99)
    return path


def extra(root, name, content):
    path = yolo(root)
    (root / "images" / "val" / name).write_bytes(content)
    return path


def roboflow(root):
    path = yolo(root / "in", yaml=PLAIN.replace("images", "../images"))
    return path


def upper(root):
    path = yolo(root)
    return path.rename(path.with_suffix(".YAML"))


def empty(root):
    root.mkdir()
    return root


BUILDERS = {
    "labels-duplicate": lambda r: yolo(r, BOX * 2, count=2),
    "labels-polygon": lambda r: yolo(r, "0 .1 .1 .3 .1 .3 .3\n" + BOX, count=2),
    "labels-obb": lambda r: yolo(r, "0 .1 .3 .3 .1 .5 .3 .3 .5\n"),
    "labels-keypoints": lambda r: yolo(r, "0 .5 .5 .2 .2 .5 .5 2\n", PLAIN + "kpt_shape: [1, 3]\n"),
    "labels-keypoints-undeclared": lambda r: yolo(r, "0 .5 .5 .2 .2 .5 .5 2\n"),
    "labels-confidence": lambda r: yolo(r, "0 .5 .5 .2 .2 .9\n"),
    "labels-partly-outside": lambda r: yolo(r, "0 .95 .5 .2 .2\n"),
    "labels-outside": lambda r: yolo(r, "0 1.2 .5 .2 .2\n"),
    "labels-pixels": lambda r: yolo(r, "0 32 24 10 10\n"),
    "labels-zero-width": lambda r: yolo(r, "0 .5 .5 0 .2\n" + BOX, count=2),
    "labels-negative-width": lambda r: yolo(r, "0 .5 .5 -.2 .2\n"),
    "labels-class-float": lambda r: yolo(r, "1.0 .5 .5 .2 .2\n"),
    "labels-class-unknown": lambda r: yolo(r, "2 .5 .5 .2 .2\n"),
    "labels-nan": lambda r: yolo(r, "0 .5 nan .2 .2\n"),
    "labels-bom": lambda r: yolo(r, b"\xef\xbb\xbf0 .5 .5 .2 .2\r\n\r\n"),
    "labels-binary": lambda r: yolo(r, b"\x80\x04\x95\xff"),
    "labels-missing": lambda r: moved(r, lambda r: (r / "labels" / "train" / "0.txt").unlink()),
    "labels-none": lambda r: yolo(r, ""),
    "labels-beside": beside,
    "yaml-names-text": lambda r: yolo(r, yaml=PLAIN.replace("[a, b]", "[yes, no, on, 1e3, 010, null, ~]")),
    "yaml-names-text-keys": lambda r: yolo(r, yaml=PLAIN.replace("[a, b]", "{'0': a, '1': b}")),
    "yaml-names-gap": lambda r: yolo(r, yaml=PLAIN.replace("[a, b]", "{0: a, 2: b}")),
    "yaml-names-twice": lambda r: yolo(r, yaml=PLAIN.replace("[a, b]", "[a, a]")),
    "yaml-nc-only": lambda r: yolo(r, yaml=PLAIN.replace("names: [a, b]", "nc: 2")),
    "yaml-nc-text": lambda r: yolo(r, yaml=PLAIN + "nc: '2'\n"),
    "yaml-nc-wrong": lambda r: yolo(r, yaml=PLAIN + "nc: abc\n"),
    "yaml-nc-giant": lambda r: yolo(r, yaml=PLAIN.replace("names: [a, b]", "nc: 999999999")),
    "yaml-channels-1": lambda r: yolo(r, yaml=PLAIN + "channels: 1\n"),
    "yaml-upper": upper,
    "yaml-duplicate-key": lambda r: yolo(r, yaml=PLAIN + "train: images/val\n"),
    "yaml-validation": lambda r: yolo(r, yaml=PLAIN.replace("val:", "validation:")),
    "yaml-roboflow": roboflow,
    "yaml-download": lambda r: yolo(r, yaml=PLAIN + "download: raise SystemExit\n"),
    "folder": lambda r: yolo(r).parent,
    "folder-linked": lambda r: moved(r, linked),
    "folder-empty": empty,
    "folder-spaces": lambda r: yolo(r / "my data [v2]"),
    "folder-hidden": lambda r: extra(r, "._0.jpg", b"what macOS leaves in archives"),
    "list-flags": lambda r: listed(r, "./images/train/0.jpg  1\n./images/train/1.jpg -1\n"),
    "list-lines": lambda r: listed(r, "./images/train/0.jpg\nnotes.md\n"),
    "list-twice": lambda r: listed(r, "./images/train/0.jpg\n./images/train/0.jpg\n"),
    "list-missing": lambda r: listed(r, "./images/train/none.jpg\n"),
    "split-same": lambda r: yolo(r, yaml=PLAIN.replace("images/val", "images/train")),
    "image-upper": lambda r: saved(r, ".JPG", lambda i, p: i.save(p, "JPEG")),
    "image-truncated": lambda r: saved(r, ".jpg", lambda i, p: (i.save(p), halved(p))),
    "image-png-half": lambda r: saved(r, ".png", lambda i, p: (i.save(p), halved(p))),
    "image-trailer": lambda r: saved(r, ".jpg", lambda i, p: (i.save(p), p.write_bytes(p.read_bytes() + b"SEFT" * 20))),
    "image-no-image": lambda r: extra(r, "1.jpg", b"no image"),
    "image-small": lambda r: saved(r, ".png", lambda i, p: i.resize((12, 9)).save(p)),
    "image-16-bits": lambda r: saved(
        r, ".png", lambda i, p: Image.fromarray(np.asarray(i.convert("L")).astype(np.uint16) * 16).save(p)
    ),
    "image-exif": lambda r: saved(r, ".jpg", lying),
    "image-exif-tiff": lambda r: saved(r, ".tif", lying),
    "image-jp2": lambda r: saved(r, ".jp2", lambda i, p: i.save(p)),
    "image-avif": lambda r: saved(r, ".avif", lambda i, p: i.save(p)),
    "image-heic": lambda r: extra(r, "1.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
    "image-huge": huge,
}


def annotation(**fields):
    return {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 20], "area": 400, "iscrowd": 0, **fields}


def coco(root, annotations=None, categories=({"id": 1, "name": "a"},), split=("train", "val"), **of_image):
    """Two images in each split, with one json of each; the second image has no annotation."""
    names = []
    for name in split:
        files = [picture(root / name / f"{name}{i}.jpg") for i in range(2)]
        images = [{"id": i + 1, "file_name": file.name, **of_image} for i, file in enumerate(files)]
        document = {"images": images, "annotations": annotations or [annotation()], "categories": list(categories)}
        names.append(root / name / f"{name}.json")
        names[-1].write_text(json.dumps(document))
    return ":".join(map(str, names))


def one_coco(root):
    files = [picture(root / f"{i}.jpg") for i in range(8)]
    images = [{"id": i, "file_name": file.name} for i, file in enumerate(files)]
    document = {"images": images, "annotations": [annotation(image_id=i) for i in range(8)]}
    (root / "all.json").write_text(json.dumps({**document, "categories": [{"id": 1, "name": "a"}]}))
    return str(root / "all.json")


def backslash(root):
    source = coco(root)
    for split in ("train", "val"):
        (root / split / "sub").mkdir()
        (root / split / f"{split}0.jpg").rename(root / split / "sub" / f"{split}0.jpg")
        file = root / split / f"{split}.json"
        file.write_text(file.read_text().replace(f"{split}0.jpg", f"sub\\\\{split}0.jpg"))
    return source


def roboflow_folder(root):
    coco(root, split=("train", "valid"))
    for split in ("train", "valid"):
        (root / split / f"{split}.json").rename(root / split / "_annotations.coco.json")
    return root


def xml(name="king", box=(5, 6, 30, 40)):
    corners = "".join(f"<{tag}>{value}</{tag}>" for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), box or ()))
    inner = f"<bndbox>{corners}</bndbox>" if box else ""
    return f"<annotation><object><name>{name}</name>{inner}</object></annotation>"


def voc_beside(root, splits=("train", "test"), text=None, pictures=True):
    for split in splits:
        for i in range(3):
            (root / split).mkdir(parents=True, exist_ok=True)
            if pictures:
                picture(root / split / f"{i}.JPG", format="JPEG")
            (root / split / f"{i}.xml").write_text(text or xml())
    return root


def voc_lists(root):
    (root / "Annotations").mkdir(parents=True)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for split, flag in (("train", " 1"), ("val", "  -1")):
        picture(root / "JPEGImages" / f"{split}0.jpg")
        (root / "Annotations" / f"{split}0.xml").write_text(xml())
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text(f"{split}0{flag}\n")
    return root


A, B = {"id": 1, "name": "a"}, {"id": 2, "name": "b"}
PROJECT = {"id": 0, "name": "animals", "supercategory": "none"}
WITHOUT_BOX = {k: v for k, v in annotation(segmentation=[[5, 5, 20, 5, 20, 20]]).items() if k != "bbox"}
BUILDERS |= {
    "coco-two-of-one-name": lambda r: coco(
        r, categories=[{**PROJECT, "name": "raccoon"}, {"id": 1, "name": "raccoon", "supercategory": "raccoon"}]
    ),
    "coco-empty-supercategory": lambda r: coco(
        r, categories=[PROJECT, {"id": 1, "name": "raccoon", "supercategory": "animals"}]
    ),
    "coco-two-used-of-one-name": lambda r: coco(r, [annotation(), annotation(category_id=2)], [A, {**B, "name": "a"}]),
    "coco-unused-class": lambda r: coco(r, categories=[A, B]),
    "coco-all-crowd": lambda r: coco(r, [annotation(iscrowd=1)]),
    "coco-some-crowd": lambda r: coco(r, [annotation(), annotation(iscrowd=1, bbox=[30, 5, 30, 40])]),
    "coco-category-float": lambda r: coco(r, [annotation(category_id=1.0)], [{"id": 1.0, "name": "a"}]),
    "coco-category-text": lambda r: coco(r, [annotation(category_id="1")], [{"id": "1", "name": "a"}]),
    "coco-category-unknown": lambda r: coco(r, [annotation(category_id=7)]),
    "coco-segmentation-only": lambda r: coco(r, [WITHOUT_BOX]),
    "coco-nan": lambda r: coco(r, [annotation(area=float("nan"), attributes={"x": float("inf")})]),
    "coco-backslash": backslash,
    "coco-partly-outside": lambda r: coco(r, [annotation(bbox=[50, 5, 40, 20])]),
    "coco-negative-width": lambda r: coco(r, [annotation(), annotation(bbox=[20, 5, -5, 20])]),
    "coco-duplicate": lambda r: coco(r, [annotation(), annotation(id=2)]),
    "coco-resized": lambda r: coco(r, width=128, height=96),
    "coco-other-shape": lambda r: coco(r, width=48, height=64),
    "coco-one-file": one_coco,
    "coco-image-missing": lambda r: coco(r, file_name="none.jpg"),
    "coco-roboflow-folder": roboflow_folder,
    "voc-lists": voc_lists,
    "voc-beside": voc_beside,
    "voc-one-folder": lambda r: voc_beside(r, ["."]),
    "voc-no-picture": lambda r: voc_beside(r, pictures=False),
    "voc-no-box": lambda r: voc_beside(r, text=xml(box=None)),
    "voc-bomb": lambda r: voc_beside(r, text='<!DOCTYPE a [<!ENTITY x "y">]><annotation>&x;</annotation>'),
}


def rows():
    """(case, rule, what is said) of every case of the table."""
    found = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 4 and cells[2] in ("accepted", "repaired", "refused"):
            found += [(case, cells[2], cells[3].strip("`")) for case in re.findall(r"`([\w-]+)`", cells[0])]
    return found


def checksums(root):
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(root.rglob("*")) if path.is_file()
    }


def test_every_case_of_the_table_is_built_and_the_other_way_round():
    assert sorted(case for case, *_ in rows()) == sorted(BUILDERS)


@pytest.mark.parametrize(("case", "rule", "said"), rows())
def test_what_the_table_says_is_what_happens(tmp_path, monkeypatch, case, rule, said):
    monkeypatch.setenv("EVOYOLO_CACHE", str(tmp_path / "cache"))
    source = BUILDERS[case](tmp_path / "data")
    before = checksums(tmp_path / "data")
    if rule == "refused":
        with pytest.raises(DatasetError, match=re.escape(said)) as refusal:
            check_dataset(load_dataset(source))
        assert "\n" not in str(refusal.value) and str(tmp_path) in str(refusal.value)
        return
    assert rule == "accepted" or said
    dataset = load_dataset(source)
    summary = check_dataset(dataset)
    assert said in str(summary)
    assert rule == "repaired" or not (summary.notes or any(summary.repaired.values()))
    assert dataset.names == NAMES.get(case, dataset.names)
    if case in BOXES:
        assert np.allclose(dataset.annotated("val").boxes[0], BOXES[case], atol=1e-6)
    _judged_is_what_is_trained_on(dataset)
    assert checksums(tmp_path / "data") == before


def _judged_is_what_is_trained_on(dataset):
    """Ultralytics' loader has the boxes of the ground truth, in pixels that it decodes, and a perfect detector scores 1."""
    from ultralytics.utils import DEFAULT_CFG

    from evaluators.training.annotated_data import AnnotatedData

    truth = coco_ground_truth(dataset)
    loader = AnnotatedData(dataset.annotated("val"), imgsz=64, hyp=DEFAULT_CFG, data=dataset.data_dict())
    assert len(loader) == len(truth["images"])
    for image, label, i in zip(truth["images"], loader.labels, range(len(loader))):
        _, (height, width), _ = loader.load_image(i)
        assert (width, height) == (image["width"], image["height"])
        of_image = [a for a in truth["annotations"] if a["image_id"] == i and not a["iscrowd"]]
        scaled = label["bboxes"] * [width, height, width, height]
        corners = np.column_stack([scaled[:, :2] - scaled[:, 2:] / 2, scaled[:, 2:]])
        assert np.allclose(corners.reshape(-1, 4), np.reshape([a["bbox"] for a in of_image], (-1, 4)), atol=1e-3)
        assert label["cls"].ravel().tolist() == [a["category_id"] for a in of_image]
    perfect = [
        {"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 0.9}
        for a in truth["annotations"]
        if not a["iscrowd"]
    ]
    assert score_detections(truth, perfect)["map50_95"] == pytest.approx(1)
