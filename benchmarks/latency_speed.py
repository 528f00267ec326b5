"""Architectures of the YOLO space whose latency, with its interval, is predicted per second.

python benchmarks/latency_speed.py [PROFILE]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from machine import describe

from evaluators import complexity
from evaluators.latency.profile import DeviceProfile, profile_paths
from search_spaces import YoloSpace


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("profile", nargs="?", help="default: the first that `device list` shows")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    profile = DeviceProfile.load(args.profile or profile_paths()[0])
    space, rng = YoloSpace(), np.random.default_rng(0)
    architectures = [space.sample(rng) for _ in range(20000)]
    print(describe())
    print(f"profile {profile.name}, fitted to {len(profile.measured)} measurements; median of {args.repeats} runs")
    profile.predict(architectures[:1000])  # warm
    for count in (100, 1000, 20000):
        for name, run in (
            ("latency and interval", profile.predict),
            ("complexity, for comparison", complexity),
        ):
            times = []
            for _ in range(args.repeats):
                start = time.perf_counter()
                run(architectures[:count])
                times.append(time.perf_counter() - start)
            print(f"{name:<28} batches of {count:>6,}: {count / np.median(times):>9,.0f} architectures/s")


if __name__ == "__main__":
    main()
