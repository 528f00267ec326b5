"""The measurement protocol: slices of a network between slices of a reference network."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ...runtimes import Session

TIMED = "network and box decoding, without NMS"

# The protocol. Slices of the model and of a reference model alternate, so that both see the same state of the machine.
WARMUP_SECONDS, WARMUP_RUNS, WARMUP_LIMIT, STABLE = 0.2, 4, 3.0, 0.05
SLICE_SECONDS, SLICE_RUNS = 0.02, 2  # at least, after one run that only brings the caches back
FEWEST_ROUNDS, MOST_ROUNDS, MODEL_SECONDS = 9, 60, 0.6
SLOW_SECONDS, SLOW_ROUNDS = 1.0, 5  # of a model whose slice takes longer than this, so many rounds will do
PRECISE = 0.0075  # standard error of the median, as a share of it, at which a measurement is done
LIMIT_SECONDS = 8.0  # rounds stop here, precise or not
WIDEST = 0.25  # interquartile range as a share of the median: above it a figure is refused
# A machine has states: a virtual core that shares its core with a neighbour, a hot board. Networks slow down by
# different factors in them, so only rounds count in which the reference takes its usual time.
USUAL_SECONDS = 4.0  # to find out the usual one
USUAL = 0.12  # largest deviation from it, as a share
WAIT_SECONDS = 20.0  # for the usual state to come back
PATIENCE = 4  # models in a row for which it did not: then the state that the machine is in is the usual one


class Unstable(Exception):
    """The spread stayed too large for a figure to be reported."""


def reference_precision(precision: str) -> str:
    """The reference is never quantised: it only tells the state of the machine."""
    return "FP32" if precision == "INT8" else precision


def _time_once(session: Session) -> float:
    """Milliseconds of one run, by the device's own clock where it has one."""
    if session.timer:
        return session.timer()
    start = time.perf_counter()
    session.run()
    return 1000 * (time.perf_counter() - start)


def _slice(session: Session) -> list[float]:
    """Times in ms of one slice, its first run left out."""
    _time_once(session)
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < SLICE_RUNS or time.perf_counter() - start < SLICE_SECONDS:
        times.append(_time_once(session))
    return times


def _warm_up(session: Session) -> int:
    """Run until two batches in a row agree; the number of runs."""
    start, count, before = time.perf_counter(), 0, 0.0
    while True:
        batch: list[float] = []
        began = time.perf_counter()
        while len(batch) < WARMUP_RUNS or time.perf_counter() - began < WARMUP_SECONDS / 2:
            batch.append(_time_once(session))
        count += len(batch)
        now = float(np.median(batch))
        if before and abs(now - before) <= STABLE * before or time.perf_counter() - start > WARMUP_LIMIT:
            return count
        before = now


def usual_ms(reference: Session) -> float:
    """The reference model's latency in the machine's fast state: the lower quartile of its slices for some seconds."""
    _warm_up(reference)
    start = time.perf_counter()
    levels: list[float] = []
    while time.perf_counter() - start < USUAL_SECONDS:
        levels.append(float(np.median(_slice(reference))))
        time.sleep(SLICE_SECONDS)  # to see more of the machine's states in less work
    return float(np.percentile(levels, 25))


def is_slow(reference_ms: float, expected_ms: float | None) -> bool:
    """Whether the reference took so much longer than usual that the machine is in another state."""
    return expected_ms is not None and reference_ms > (1 + USUAL) * expected_ms


def is_fast(reference_ms: float, expected_ms: float) -> bool:
    """Whether the reference took so much less than usual that what was taken for usual was not."""
    return reference_ms < (1 - USUAL) * expected_ms


def measure(
    session: Session,
    reference: Session,
    expected_ms: float | None = None,
    refuse: bool = True,
) -> dict[str, Any]:
    """One measurement of `session`, with slices of `reference` between its own.

    Args:
        expected_ms: the reference's usual latency; rounds in which it is slower do not count, unless the machine
            stays in that state for longer than WAIT_SECONDS. None takes all rounds.
        refuse: figures that spread too widely.

    Returns:
        A dict: `ratio` to the reference, the median over rounds of the slice's median divided by the mean of the
        reference's slices before and after it; `ratio_q25`, `ratio_q75`; `raw_ms`, the uncorrected median;
        `reference_ms`, the reference's median meanwhile; `rounds`, `repeats`, `warmup`.

    Raises:
        Unstable: the interquartile range of the ratio stayed above a quarter of its median.
    """
    warmup = _warm_up(session)
    _warm_up(reference)
    start, waited = time.perf_counter(), 0.0
    before = _slice(reference)
    usual, other = [], []  # rounds in the usual state and in another: (ratio, own times, reference times)
    while True:
        began = time.perf_counter()
        own = _slice(session)
        after = _slice(reference)
        levels = float(np.median(before)), float(np.median(after))
        row = (np.median(own) / (0.5 * sum(levels)), own, after)
        before = after
        if not any(is_slow(level, expected_ms) for level in levels):
            usual.append(row)
        else:
            other.append(row)
            time.sleep(SLICE_SECONDS)
            waited += time.perf_counter() - began
        rows = usual if waited < WAIT_SECONDS or len(usual) >= SLOW_ROUNDS else other
        fewest = SLOW_ROUNDS if sum(own) > 1000 * SLOW_SECONDS else FEWEST_ROUNDS
        if len(rows) < SLOW_ROUNDS or len(rows) < fewest and waited < WAIT_SECONDS:
            continue
        ratios = [row[0] for row in rows]
        low, middle, high = np.percentile(ratios, (25, 50, 75))
        # of the median of a normal sample: 1.2533 sd / sqrt(n), with sd = IQR / 1.349
        error = 0.929 * (high - low) / len(ratios) ** 0.5
        enough = sum(sum(row[1]) for row in rows) >= 1000 * MODEL_SECONDS and error <= PRECISE * middle
        if enough or len(rows) >= MOST_ROUNDS or time.perf_counter() - start - waited > LIMIT_SECONDS:
            break
        if waited >= WAIT_SECONDS:
            break
    if refuse and high - low > WIDEST * middle:
        raise Unstable(
            f"the spread stayed too large: interquartile range {100 * (high - low) / middle:.0f}% of the median after "
            f"{len(rows)} rounds; something else uses this machine"
        )
    times = [value for row in rows for value in row[1]]
    return {
        "ratio": float(middle),
        "ratio_q25": float(low),
        "ratio_q75": float(high),
        "raw_ms": float(np.median(times)),
        "reference_ms": float(np.median([value for row in rows for value in row[2]])),
        "rounds": len(rows),
        "repeats": len(times),
        "warmup": warmup,
    }
