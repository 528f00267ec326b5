"""Where the regions of COCO's annotations are: boxes, polygons and run-length masks, all as corners in pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from search_spaces.errors import shown

from .errors import DatasetError

Corners = tuple[float, float, float, float]  # x1, y1, x2, y2


def region_corners(annotation: Mapping[str, Any], where: str) -> Corners:
    """The corners of an annotation's bbox or, where it has none, those of its segmentation.

    Raises:
        DatasetError: there is neither, or what there is has another form; names `where`.
    """
    box, segmentation = annotation.get("bbox"), annotation.get("segmentation")
    if box in (None, []):
        if not segmentation:
            raise DatasetError(f"{where} has no bbox, and no segmentation to take one from")
        corners = _mask_corners(segmentation) if isinstance(segmentation, dict) else _polygon_corners(segmentation)
        if corners is None:
            given = shown(segmentation)
            raise DatasetError(f"{where} has no bbox, and its segmentation {given} is neither polygons nor a mask")
        return corners
    if not isinstance(box, list) or len(box) != 4 or not _are_finite(box):
        raise DatasetError(f"{where}: bbox {shown(box)} is not x, y, width, height")
    x, y, width, height = map(float, box)
    return x, y, x + width, y + height


def _are_finite(values: Sequence[Any]) -> bool:
    return all(isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in values)


def _polygon_corners(polygons: Any) -> Corners | None:
    """Of one or more polygons [x1, y1, x2, y2, ...]; None where they are none."""
    if isinstance(polygons, list) and _are_finite(polygons):
        polygons = [polygons]  # some tools write the only one bare
    if not isinstance(polygons, list) or not polygons:
        return None
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2 or not _are_finite(polygon):
            return None
    x, y = ([float(v) for polygon in polygons for v in polygon[start::2]] for start in (0, 1))
    return min(x), min(y), max(x), max(y)


def _mask_corners(mask: Mapping[str, Any]) -> Corners | None:
    """Of a run-length mask: pixels in columns from the top, in runs of 0 and 1 by turns; None where it is none.

    An empty mask is a box without area. Read here, since pycocotools reads a text of runs beyond its end.
    """
    size, counts = mask.get("size"), mask.get("counts")
    runs = _decoded(counts) if isinstance(counts, str) else counts
    if not (isinstance(size, list) and len(size) == 2 and isinstance(runs, list)):
        return None
    if not all(isinstance(v, int) and v >= 0 for v in (*size, *runs)) or sum(runs) != size[0] * size[1]:
        return None
    height = size[0]
    ends = list(accumulate(runs))
    found = [(end - run, end - 1) for run, end in zip(runs[1::2], ends[1::2]) if run]  # first and last pixel of each
    if not found:
        return 0.0, 0.0, 0.0, 0.0
    whole = any(first // height < last // height for first, last in found)  # a run that goes on in the next column
    top = 0 if whole else min(first % height for first, _ in found)
    bottom = height - 1 if whole else max(last % height for _, last in found)
    return float(found[0][0] // height), float(top), found[-1][1] // height + 1.0, bottom + 1.0


def _decoded(text: str) -> list[int] | None:
    """The runs in COCO's text: five bits a letter from the lowest on, each but the first three less the last but one."""
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 60:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (bits & 16) << (shift - 4)  # the sign
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs if shift == 0 else None
