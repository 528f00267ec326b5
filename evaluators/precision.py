"""The precision that a training computes in: bf16 where the GPU has it, else FP16, and FP32 on a CPU."""

from __future__ import annotations

import re
from typing import Literal, get_args

from search_spaces import InputError
from search_spaces.errors import one_of

Precision = Literal["auto", "bf16", "fp16", "fp32"]
# As Ultralytics knows them: these GPUs make NaN of half precision.
BROKEN_HALF = re.compile(r"(1660|1650|1630|t400|t550|t600|t1000|t1200|t2000|k40m)", re.IGNORECASE)


def check_precision(device: str, wanted: str) -> None:
    """Raise InputError for what is no precision of a training, or not one of a CPU; a GPU is not looked at."""
    if wanted not in get_args(Precision):
        raise InputError(f"amp must be {one_of(get_args(Precision))}, not {wanted!r}")
    if device == "cpu" and wanted not in ("auto", "fp32"):
        raise InputError(f"amp {wanted!r}: a CPU trains in fp32; leave it at auto, or give a training_device")


def precision_on(device: str, wanted: str = "auto") -> str:
    """bf16, fp16 or fp32: what `wanted` means on a training device ("cpu", "cuda", "0").

    Raises:
        InputError: an unknown precision, one that the device does not compute in, or a GPU that is not there.
    """
    check_precision(device, wanted)
    if device == "cpu":
        return "fp32"
    import torch  # takes seconds

    try:
        with torch.cuda.device(torch.device(f"cuda:{device}" if device.isdigit() else device)):
            name, has_bf16 = torch.cuda.get_device_name(), torch.cuda.is_bf16_supported(including_emulation=False)
    except (RuntimeError, AssertionError, ValueError) as error:  # each version of PyTorch has its own
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"training_device {device!r}: PyTorch cannot use it here ({reason}); a trial of Ray's sees the GPUs that gpus_per_trial "
            "gives it, counted from 0"
        ) from None
    if wanted == "bf16" and not has_bf16:
        raise InputError(f"amp 'bf16': {name} has no bf16; leave it at auto, or give fp16 or fp32")
    if wanted != "auto":
        return wanted
    return "bf16" if has_bf16 else "fp32" if BROKEN_HALF.search(name) else "fp16"
