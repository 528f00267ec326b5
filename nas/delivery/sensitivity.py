"""How much each layer of a trained model bears, as a table and a picture in a folder.

checkpoint -> loss of networks with one width made narrower -> OUTPUT/sensitivity.csv, sensitivity.png
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from evaluators.compression.importance import add_gradients
from evaluators.compression.width_sensitivity import COLUMNS, RATIOS, width_sensitivity
from evaluators.data import Dataset
from evaluators.formats.network import trained_at
from evaluators.training.checkpoint import load_checkpoint
from search_spaces import InputError
from search_spaces.writing import new_folder, write_text

from ..report.width_sensitivity import draw_width_sensitivity

Say = Callable[[str], None]
TABLE = "sensitivity"
SHOWN = 3  # widths that are named at either end


def write_sensitivity(
    checkpoint: str | Path,
    dataset: Dataset,
    output: str | Path,
    *,
    ratios: Sequence[float] = RATIOS,
    criterion: str = "l2",
    images: int = 128,
    image_size: int | None = None,
    seed: int = 0,
    say: Say = print,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Rows of `evaluators.compression.width_sensitivity`, which are written to the folder as well.

    Args:
        output: a folder that is not there yet.
        image_size: pixels; None is what the checkpoint was trained at.

    Raises:
        InputError: a checkpoint whose channels are not known here, a ratio that there cannot be, a folder that is there.
    """
    output = Path(output)
    if output.exists():
        raise InputError(f"{output} exists; it is left as it is: name another folder")
    model = load_checkpoint(checkpoint)
    size = image_size if image_size is not None else trained_at(model)
    if size is None:
        raise InputError(f"{checkpoint}: does not say at which image size it was trained; give --image-size")
    if criterion == "taylor":
        add_gradients(model, dataset, size, seed=seed)
    rows = width_sensitivity(
        model,
        size,
        dataset,
        ratios=ratios,
        criterion=criterion,
        images=images,
        seed=seed,
        what=str(checkpoint),
        progress=progress,
    )
    if not rows:
        raise InputError(
            f"{checkpoint}: no layer can be made narrower by {', '.join(f'{ratio:g}' for ratio in ratios)}"
        )
    with new_folder(output) as folder:
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(folder / f"{TABLE}.csv", text.getvalue())
        draw_width_sensitivity(rows, folder / f"{TABLE}.png")
    worst: dict[str, float] = {}
    for row in rows:
        worst[row["width"]] = max(row["rise"], worst.get(row["width"], row["rise"]))
    order = sorted(worst, key=lambda width: worst[width])
    count = min(images, len(dataset.train))
    say(
        f"rise of the training loss on {count} images when one width alone loses up to {max(ratios):.0%} of its channels:"
    )
    for what, some in (("bears most", order[:SHOWN]), ("bears least", order[: -SHOWN - 1 : -1])):
        say(f"  {what}: {', '.join(f'{width} {worst[width]:+.1%}' for width in some)}")
    say(f"wrote {output}: {TABLE}.csv, {TABLE}.png")
    return rows
