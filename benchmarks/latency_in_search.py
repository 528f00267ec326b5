"""The latencies that a search went by, against a measurement of all of its models alone.

    python benchmarks/latency_in_search.py RUN       (about 5 s a model; with nothing else running)

Of a run of version 0.1.0 they were measured beside its trainings; since then they are predictions of a device profile. Every
finished model is measured here once more, by the protocol of docs/latency.md, with the threads of the run.
"""

from __future__ import annotations

import argparse

import numpy as np
from machine import describe

from evaluators.latency import LatencyMeter
from nas import load_run
from search_spaces import build_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="the folder of a finished run")
    run = load_run(parser.parse_args().run)
    config = run.settings["config"]
    profiles = run.profiles
    threads = profiles[0].threads if profiles else config["latency_threads"]
    meter = LatencyMeter(threads=threads, num_classes=run.settings["num_classes"])
    how = f"predicted by a profile of {len(profiles[0].measured)} models" if profiles else "measured beside trainings"
    print(describe())
    print(f"{run.directory}: latency {how}; measured alone with ONNX Runtime {meter.version}, {threads} thread(s)")
    print(f"{'model':14} {'in the search':>14} {'alone ms':>9} {'ratio':>6}  within the 90% interval")
    ratios, inside = [], []
    for e in run.evaluations:
        in_search = e.metrics.get("latency_ms_in_search", e.metrics["latency_ms"])
        alone = meter.measure(build_model(e.architecture, run.settings["num_classes"]), e.architecture["image_size"])
        ratios.append(alone.median_ms / in_search)
        ends = e.metrics.get("latency_low_ms"), e.metrics.get("latency_high_ms")
        told = "-"
        if None not in ends:
            inside.append(ends[0] <= alone.median_ms <= ends[1])
            told = "yes" if inside[-1] else f"no ({ends[0]:.2f} to {ends[1]:.2f})"
        disturbed = ", disturbed" if alone.disturbed else ""
        print(f"{e.key:14} {in_search:14.2f} {alone.median_ms:9.2f} {ratios[-1]:6.2f}  {told}{disturbed}", flush=True)
    error = np.abs(np.array(ratios) - 1)
    print(
        f"{len(ratios)} models: |alone / in the search - 1| median {100 * np.median(error):.0f}%, largest "
        f"{100 * error.max():.0f}% (ratio {min(ratios):.2f} to {max(ratios):.2f})"
        + (f"; {sum(inside)} of {len(inside)} within their 90% interval" if inside else "")
    )


if __name__ == "__main__":
    main()
