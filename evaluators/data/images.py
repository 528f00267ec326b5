"""Images as files: which they are, and their size as a detector sees it."""

from __future__ import annotations

from pathlib import Path

from PIL import ExifTags, Image, UnidentifiedImageError

from .errors import DatasetError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
ORIENTATION = ExifTags.Base.Orientation
SMALLEST_EDGE = 10  # pixels; Ultralytics leaves out smaller images, saying so only in its log


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels as the image is shown, from the file's header. Raises DatasetError when it is no image."""
    try:
        with Image.open(path) as image:
            size = image.size
            # asked of a PNG without it, getexif decodes the whole image
            orientation = image.getexif().get(ORIENTATION) if "exif" in image.info else None
    except FileNotFoundError:
        raise DatasetError(f"{path}: the image does not exist") from None
    except (UnidentifiedImageError, OSError, ImportError):  # ImportError: Ultralytics' patch of PIL looks for pi_heif
        raise DatasetError(f"{path}: not an image that can be read") from None
    # Phones store photographs lying on their side; readers of pixels (OpenCV, so Ultralytics) turn them upright
    return size[::-1] if orientation in (5, 6, 7, 8) else size


def check_image(path: Path) -> None:
    """Raise DatasetError unless it is an image that is large enough to train on."""
    width, height = image_size(path)
    if min(width, height) < SMALLEST_EDGE:
        raise DatasetError(
            f"{path}: is {width} x {height} pixels; images must be at least {SMALLEST_EDGE} x {SMALLEST_EDGE}"
        )
