"""How long a step of training takes here: found by a few of them, before anything is paid for."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from ultralytics.cfg import get_cfg
from ultralytics.utils.torch_utils import ModelEMA

from search_spaces import Architecture, build_model

from ..precision import precision_on

STEPS, SECONDS = 5, 4.0  # that are timed, and the time after which it is left at fewer
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def step_seconds(
    architecture: Architecture,
    num_classes: int,
    batch: int,
    *,
    device: str = "cpu",
    amp: str = "auto",
    threads: int = 1,
) -> tuple[float, float]:
    """(seconds of a training step, seconds of a pass through the trained network with one image), each the median of a few.

    A step is forward, loss, backward, optimizer and moving average of `batch` made-up images with a box each; what it takes to read
    and vary images is not in it. The weights are thrown away, and random numbers go on as if nothing had been drawn.

    Args:
        batch: images per step.
        device, amp: as in `train`.
        threads: of PyTorch meanwhile.
    """
    place = torch.device(f"cuda:{device}" if device.isdigit() else device)
    precision, before = precision_on(device, amp), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):
            model = build_model(architecture, num_classes).to(place).train().requires_grad_()
            model.args = get_cfg()
            average, optimizer = ModelEMA(model), torch.optim.AdamW(model.parameters(), lr=1e-6)
            size = architecture["image_size"]
            images = torch.rand(batch, 3, size, size, device=place)
            labels = {
                "img": images,
                "batch_idx": torch.arange(batch, device=place),
                "cls": torch.zeros(batch, 1, device=place),
                "bboxes": torch.full((batch, 4), 0.5, device=place),
            }

            def step() -> None:
                with torch.autocast(place.type, DTYPES.get(precision), enabled=precision in DTYPES):
                    loss = model(labels)[0].sum()
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                average.update(model)

            def look() -> None:
                with torch.no_grad():
                    model(images[:1])

            trains = _median(step, place)
            model.eval()
            return trains, _median(look, place)
    finally:
        torch.set_num_threads(before)


def _median(act: Callable[[], None], place: torch.device) -> float:
    """Seconds of an act, once it has been done for a first time."""
    took: list[float] = []
    began = time.perf_counter()
    for _ in range(STEPS + 1):
        started = time.perf_counter()
        act()
        if place.type == "cuda":
            torch.cuda.synchronize(place)
        took.append(time.perf_counter() - started)
        if len(took) > 1 and time.perf_counter() - began > SECONDS:
            break
    return statistics.median(took[1:])
