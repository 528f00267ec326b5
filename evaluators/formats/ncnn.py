"""ncnn's files of detection models, converted from ONNX by pnnx."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from search_spaces import InputError
from search_spaces.graph import check_image_size

from .onnx import ImageSize


def convert_to_ncnn(onnx: Path, path: Path, image_size: ImageSize) -> Path:
    """ncnn's .param and .bin from an ONNX file, by pnnx; weights stay FP32, half precision is a setting of the runtime.

    Raises:
        InputError: pnnx is not installed, or cannot convert the file.
    """
    name = "pnnx.exe" if sys.platform == "win32" else "pnnx"
    beside = Path(sysconfig.get_path("scripts")) / name
    program = str(beside) if beside.exists() else shutil.which("pnnx")
    if program is None:
        raise InputError("ncnn's files are made by pnnx, which is not installed; `pip install pnnx` brings it")
    height, width = check_image_size(image_size)
    with tempfile.TemporaryDirectory() as scratch:  # pnnx leaves a dozen files beside its input
        source = shutil.copyfile(onnx, Path(scratch) / "model.onnx")
        command = [program, str(source), f"inputshape=[1,3,{height},{width}]f32", "fp16=0"]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, errors="replace")
        made = Path(scratch) / "model.ncnn.param"
        if done.returncode or not made.exists():
            last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no output"]
            raise InputError(f"pnnx cannot convert {onnx.name} (status {done.returncode}: {last[0]})")
        shutil.move(made, path)
        shutil.move(made.with_suffix(".bin"), path.with_suffix(".bin"))
    return path
