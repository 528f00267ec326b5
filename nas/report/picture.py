"""A picture in a file: axes to draw into, with names and titles as text."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST = 100  # characters of a label; a longer one would leave no room for the picture
SOFTWARE = "evoyolo"  # what our pictures say that they were made by


@contextlib.contextmanager
def picture(path: Path, width: float, height: float) -> Iterator[Axes]:
    """Axes of `width` by `height` inches; what was drawn is written to `path` at the end."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(width, height), layout="constrained")
    try:
        yield axes
        axes.grid(alpha=0.25, which="both")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from")  # of a name in another script: a box
            figure.savefig(path, dpi=130, metadata={"Software": SOFTWARE})
    finally:
        pyplot.close(figure)


def as_label(text: str) -> str:
    """What a picture shows as it stands, dollars too, between which there would be mathematics."""
    shown = printable(text)
    shown = f"{shown[:LONGEST]}…" if len(shown) > LONGEST else shown
    return shown.replace("$", r"\$")


def is_our_picture(path: Path) -> bool:
    """Whether a file is a picture that this module has drawn."""
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    return head.startswith(b"\x89PNG") and b"tEXtSoftware\0" + SOFTWARE.encode() in head
