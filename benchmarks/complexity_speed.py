"""Architectures costed per second: from the layer graph, by building, and by thop, in one run.

python benchmarks/complexity_speed.py
"""

from __future__ import annotations

import time

import numpy as np
import thop
import torch
from machine import describe

from evaluators import complexity
from search_spaces import YoloSpace, build_model


def main() -> None:
    torch.set_num_threads(2)
    print(describe())
    space, rng = YoloSpace(), np.random.default_rng(1)
    many, few = ([space.sample(rng) for _ in range(count)] for count in (20_000, 20))

    def per_second(count, work, repeats):
        work()
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        return [count / t for t in (np.median(times), max(times), min(times))]

    def built():
        for architecture in few:
            sum(p.numel() for p in build_model(architecture).parameters())

    def profiled():
        for architecture in few:
            thop.profile(build_model(architecture).eval(), [torch.zeros(1, 3, 64, 64)], verbose=False)

    rows = [
        ("complexity: params, MACs, memory", *per_second(len(many), lambda: complexity(many), 7)),
        ("complexity, 1,000 at a time", *per_second(1000, lambda: complexity(many[:1000]), 15)),
        ("build and count parameters", *per_second(len(few), built, 3)),
        ("build and thop (64 px)", *per_second(len(few), profiled, 3)),
    ]
    print(f"{'way':<36}{'per second, median':>20}{'slowest':>12}{'fastest':>12}")
    for name, *values in rows:
        print(f"{name:<36}{values[0]:>20,.0f}{values[1]:>12,.0f}{values[2]:>12,.0f}")
    print(f"complexity / building: {rows[0][1] / rows[2][1]:,.0f}x; complexity / thop: {rows[0][1] / rows[3][1]:,.0f}x")


if __name__ == "__main__":
    main()
