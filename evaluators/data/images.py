"""Images as files: which they are, and their pixels as a detector sees them, read by Ultralytics' reader alone."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from .errors import DatasetError

# What Ultralytics takes for an image; a test compares them with the installed version's.
SUFFIXES = (
    ".avif",
    ".bmp",
    ".dng",
    ".heic",
    ".heif",
    ".jp2",
    ".jpeg",
    ".jpg",
    ".mpo",
    ".png",
    ".tif",
    ".tiff",
    ".webp",
)
HEIF = (".heic", ".heif")
ORIENTATION = ExifTags.Base.Orientation
SMALLEST_EDGE = 10  # pixels; Ultralytics leaves out smaller images, saying so only in its log
JPEG_END, PNG_END = b"\xff\xd9", b"IEND\xaeB`\x82"


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels as the image is shown, from the file's header. Raises DatasetError when it is no image."""
    if path.suffix.lower() in HEIF:  # Pillow alone does not know them
        height, width = read_image(path).shape[:2]
        return width, height
    try:
        with warnings.catch_warnings(), _opened(path) as image:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            size = image.size
            # asked of a PNG without it, getexif decodes the whole image
            orientation = image.getexif().get(ORIENTATION) if "exif" in image.info or image.format == "TIFF" else None
    except FileNotFoundError:
        raise DatasetError(f"{path}: the image does not exist") from None
    except Image.DecompressionBombError:
        raise DatasetError(f"{path}: has more pixels than can be read safely; make it smaller") from None
    except Exception as error:  # readers of broken headers raise whatever comes their way
        raise _unreadable(path, error) from None
    # Phones store photographs lying on their side; readers of pixels (OpenCV, so Ultralytics) turn them upright
    return size[::-1] if orientation in (5, 6, 7, 8) else size


def read_image(path: Path) -> np.ndarray:
    """(height, width, 3) uint8 BGR, upright, as training reads it. Raises DatasetError when it cannot be read."""
    import cv2
    from ultralytics.utils.patches import imread

    try:
        pixels = imread(str(path), cv2.IMREAD_COLOR)
    except (cv2.error, MemoryError):  # too many pixels
        pixels = None
    if pixels is None:
        if path.suffix.lower() not in HEIF:
            image_size(path)  # says so if there is no such file, it is no image at all, or a giant
            _check_whole(path)
        raise _unreadable(path)
    return pixels


def check_image(path: Path) -> tuple[int, int]:
    """Decode a whole image; its (width, height) in pixels as training sees it.

    Raises:
        DatasetError: it is missing, cut off, no image, in a format that this machine cannot decode, or below 10 x 10 pixels.
    """
    height, width = read_image(path).shape[:2]
    if min(width, height) < SMALLEST_EDGE:
        raise DatasetError(
            f"{path}: is {width} x {height} pixels; images must be at least {SMALLEST_EDGE} x {SMALLEST_EDGE}"
        )
    _check_whole(path)
    return width, height


def letterboxed(images: Sequence[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """BGR images as the (n, 3, height, width) float32 RGB array from 0 to 1 that networks are shown, padded as in validation."""
    from ultralytics.data.augment import LetterBox

    box: Any = LetterBox(shape, auto=False, scaleup=True)
    stacked = np.stack([box(image=image)[..., ::-1].transpose(2, 0, 1) for image in images])
    return np.ascontiguousarray(stacked, np.float32) / 255


def _check_whole(path: Path) -> None:
    """Raise DatasetError where a file is cut off: OpenCV fills what is missing with grey, and says nothing."""
    with open(path, "rb") as file:
        head = file.read(4)
        file.seek(-min(12, path.stat().st_size), 2)
        tail = file.read()
    if head[:2] == b"\xff\xd8" and tail.endswith(JPEG_END):
        return  # others have a trailer, as phones write it, or lack their end
    is_whole_png = head == b"\x89PNG" and tail.endswith(PNG_END)
    try:
        with warnings.catch_warnings(), _opened(path) as image:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image.verify() if is_whole_png else image.load()  # check sums alone, or every pixel
    except (UnidentifiedImageError, ImportError):  # OpenCV has read it all the same
        return
    except Image.DecompressionBombError:
        raise DatasetError(f"{path}: has more pixels than can be read safely; make it smaller") from None
    except Exception as error:
        raise DatasetError(f"{path}: the file is cut off or damaged ({error}); copy it again or remove it") from None


def _opened(path: Path) -> Image.Image:
    """Pillow's own way of opening: Ultralytics puts one in its place that looks for packages to install."""
    opener = getattr(sys.modules.get("ultralytics.utils.patches"), "_image_open", Image.open)
    return opener(path)


def _unreadable(path: Path, error: Exception | None = None) -> DatasetError:
    suffix = path.suffix.lower()
    if suffix in HEIF and find_spec("pi_heif") is None:
        return DatasetError(f"{path}: {suffix} images need the package pi-heif here, or another format such as JPEG")
    if suffix == ".avif" and not _reads_avif():
        return DatasetError(
            f"{path}: this machine cannot decode {suffix}; Pillow 11.3 or later does, or save it as JPEG"
        )
    why = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
    return DatasetError(f"{path}: not an image that can be read{why}")


def _reads_avif() -> bool:
    from PIL import features

    try:
        return bool(features.check("avif"))
    except ValueError:  # a Pillow that has never heard of it
        return False
