"""The program in a shipped folder: it detects with numpy, pillow and one runtime, and can be read in a minute."""

from __future__ import annotations

from typing import NamedTuple

MOST_LINES = 40


class _Runtime(NamedTuple):
    """What the program needs (packages of PyPI), imports, and how it opens the file and runs it."""

    packages: str
    imports: str
    opens: str
    infers: str


RUNTIMES = {
    "onnx": _Runtime(
        "onnxruntime",
        "import onnxruntime",
        'session = onnxruntime.InferenceSession(str(HERE / "{file}"), providers=["CPUExecutionProvider"])',
        'session.run(None, {{"images": x}})[0]',
    ),
    "openvino": _Runtime(
        "openvino",
        "import openvino",
        'session = openvino.Core().compile_model(str(HERE / "{file}"), "CPU", {{"INFERENCE_PRECISION_HINT": "f32"}})',
        "session(x)[0]",
    ),
    "ncnn": _Runtime(
        "ncnn",
        "import ncnn",
        "net = ncnn.Net(); net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False\n"
        'net.load_param(str(HERE / "{file}")), net.load_model(str(HERE / "{weights}"))',
        'run.extract("out0")[1]',
    ),
    "torchscript": _Runtime(
        "torch",
        "import torch",
        'session = torch.jit.load(str(HERE / "{file}")).eval()',
        "session(torch.from_numpy(x)).detach().numpy()",
    ),
}

PROGRAM = '''"""Detect objects: python run.py IMAGE [DRAWN.png]. Needs numpy, pillow and {packages}."""
import pathlib, sys
import numpy as np
{imports}
from PIL import Image, ImageDraw, ImageOps

HERE, HEIGHT, WIDTH, CONFIDENCE, IOU = pathlib.Path(__file__).parent, {height}, {width}, 0.25, 0.7
LABELS = (HERE / "labels.txt").read_text(encoding="utf-8").split("\\n")
{opens}

def detect(image):  # an upright RGB image -> (label, score, (left, top, right, bottom) in pixels), best first
    scale = min(HEIGHT / image.height, WIDTH / image.width)
    w, h = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    left, top = round((WIDTH - w) / 2 - 0.1), round((HEIGHT - h) / 2 - 0.1)
    sx, sy = image.width / w, image.height / h
    x = Image.new("RGB", (WIDTH, HEIGHT), (114, 114, 114))
    place = Image.Transform.AFFINE, (sx, 0, 0, 0, sy, 0), Image.Resampling.BILINEAR  # and no more, as in training
    x.paste(image.transform((w, h), *place), (left, top))
    x = np.ascontiguousarray(np.asarray(x, np.float32).transpose(2, 0, 1)[None] / 255)
{infer}    found = found[:, found[4:].max(0) > CONFIDENCE]
    scores, classes, (cx, cy, bw, bh) = found[4:].max(0), found[4:].argmax(0), found[:4]
    boxes = np.stack([cx - bw / 2 - left, cy - bh / 2 - top, cx + bw / 2 - left, cy + bh / 2 - top], 1) * (sx, sy, sx, sy)
    rest, kept, areas = np.argsort(-scores), [], (boxes[:, 2:] - boxes[:, :2]).prod(1)
    while len(rest):  # non-maximum suppression, class by class
        i, _ = rest[0], kept.append(rest[0])
        sides = np.minimum(boxes[i, 2:], boxes[rest, 2:]) - np.maximum(boxes[i, :2], boxes[rest, :2])
        both = np.clip(sides, 0, None).prod(1)
        rest = rest[(rest != i) & ((both <= IOU * (areas[i] + areas[rest] - both)) | (classes[rest] != classes[i]))]
    return [(LABELS[classes[i]], float(scores[i]), tuple(boxes[i].tolist())) for i in kept]

if __name__ == "__main__":
    image = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("RGB")
    for label, score, box in detect(image.copy()):
        print(f"{{label}} {{score:.3f}}", *(f"{{edge:.1f}}" for edge in box))
        ImageDraw.Draw(image).rectangle(box, outline="red")
        ImageDraw.Draw(image).text(box[:2], label, fill="red")
    image.save(sys.argv[2]) if len(sys.argv) > 2 else None
'''


def program(kind: str, file: str, height: int, width: int) -> str:
    """The text of run.py for a file of a format, of `MOST_LINES` lines at most.

    Args:
        height, width: of the image that the network takes, in pixels.
    """
    runtime = RUNTIMES[kind]
    names = {"file": file, "weights": file.rpartition(".")[0] + ".bin"}
    infer = f"    found = np.array({runtime.infers.format(**names)})[0]\n"
    if kind == "ncnn":
        infer = (
            "    run, matrix = net.create_extractor(), ncnn.Mat(x[0])  # which only points to x\n"
            f'    found = (run.input("in0", matrix), np.array({runtime.infers.format(**names)}))[1]\n'
        )
    return PROGRAM.format(
        packages=runtime.packages,
        imports=runtime.imports,
        opens=runtime.opens.format(**names),
        infer=infer,
        height=height,
        width=width,
    )
