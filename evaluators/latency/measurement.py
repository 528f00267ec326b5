"""Measuring latency with ONNX Runtime on this machine."""

from __future__ import annotations

import platform
import time
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from search_spaces import InputError

from ..locks import machine_lock

WARMUP_SECONDS, WARMUP_RUNS = 0.3, 5
REPEAT_SECONDS, REPEAT_RUNS, MOST_RUNS = 1.0, 30, 300


@dataclass(frozen=True)
class Latency:
    """Milliseconds for one image, and everything that the figure depends on.

    Attributes:
        median_ms, min_ms, q25_ms, q75_ms: over `repeats` runs after `warmup` runs.
        timed: what was timed.
    """

    median_ms: float
    q25_ms: float
    q75_ms: float
    min_ms: float
    repeats: int
    warmup: int
    device: str
    runtime: str
    threads: int
    image_size: tuple[int, int]
    precision: str = "FP32"
    batch: int = 1
    timed: str = "network and box decoding, without NMS"

    @property
    def iqr_ms(self) -> float:
        return self.q75_ms - self.q25_ms

    def to_dict(self) -> dict:
        return asdict(self)


@lru_cache
def device_name() -> str:
    """The processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def measure_latency(path: str | Path, *, threads: int = 1) -> Latency:
    """Latency of an ONNX file with one image input, on this machine's CPU.

    Runs until warm (at least 5 runs and 0.3 s), then at least 30 runs and 1 s, at most 300 runs. Measurements on one
    machine wait for each other, so that no two disturb each other.

    Raises:
        InputError: ONNX Runtime is not installed, or cannot run the file.
    """
    try:
        import onnxruntime
    except ImportError:
        raise InputError("ONNX Runtime is not installed; `pip install onnxruntime` brings it") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    # Threads that spin between operators would take the cores of trainings on the same machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InputError(f"{path}: ONNX Runtime cannot load it ({str(error).splitlines()[0]})") from None
    inputs = session.get_inputs()[0]
    feed = {inputs.name: np.random.default_rng(0).random(inputs.shape, dtype=np.float32)}

    def run() -> float:
        start = time.perf_counter()
        session.run(None, feed)
        return 1000 * (time.perf_counter() - start)

    with machine_lock("latency"):
        start, warmup = time.perf_counter(), 0
        while warmup < WARMUP_RUNS or time.perf_counter() - start < WARMUP_SECONDS:
            run()
            warmup += 1
        times, start = [], time.perf_counter()
        while len(times) < REPEAT_RUNS or (time.perf_counter() - start < REPEAT_SECONDS and len(times) < MOST_RUNS):
            times.append(run())
    q25, median, q75 = np.percentile(times, (25, 50, 75))
    return Latency(
        float(median),
        float(q25),
        float(q75),
        float(min(times)),
        len(times),
        warmup,
        device_name(),
        f"onnxruntime {onnxruntime.__version__}",
        threads,
        tuple(inputs.shape[2:]),
    )
