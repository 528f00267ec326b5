"""One and three Ray nodes on this machine: efficiency with a sleeping evaluator, and what an evaluation costs beside itself.

    python benchmarks/ray_scaling.py            (about 9 minutes; the machine should be idle)

The nodes are real (a raylet with its own workers each); only the work is not, so that three nodes fit two cores.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

from machine import describe

from nas import Objective, load_run, search
from nas.executors import Cluster
from nas.executors.ray_private import set_environment
from nas.session.listener import Listener
from search_spaces import Choice, SearchSpace

SPACE = SearchSpace("sleep", [Choice("a", list(range(60))), Choice("b", list(range(60)))])
OBJECTIVES = [Objective("gain", "max"), Objective("cost", "min")]


class Sleeping:
    def __init__(self, seconds: float):
        self.seconds = seconds

    def __call__(self, architecture):
        time.sleep(self.seconds)
        return {"gain": architecture["a"], "cost": architecture["b"]}


def run(address: str, seconds: float, count: int, batch: int | None) -> tuple[float, float, Counter]:
    """(seconds from the first ask to the last result, from the start of every slot, evaluations by node)."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "run"
        search(
            SPACE,
            Sleeping(seconds),
            OBJECTIVES,
            max_evaluations=count,
            algorithm="random",
            directory=directory,
            executor=Cluster(address, batch=batch),
            progress=Listener(),
        )
        record = load_run(directory)
    nodes = {e.node for e in record.evaluations}
    first = {node: min(e.started_at for e in record.evaluations if e.node == node) for node in nodes}
    end = max(e.ended_at for e in record.evaluations)
    started = min(e.asked_at for e in record.evaluations)
    return end - started, end - max(first.values()), Counter(e.node for e in record.evaluations)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0, help="of an evaluation")
    args = parser.parse_args()
    set_environment()
    import ray
    from ray.cluster_utils import Cluster as LocalCluster

    print(describe())
    print(f"efficiency: 36 evaluations of {args.seconds:g} s, one slot a node")
    print(
        f"{'nodes':<7}{'how':<16}{'ideal s':>9}{'from first ask':>16}{'once all slots run':>20}{'efficiency':>12}  by node"
    )
    cluster = LocalCluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for nodes in (1, 3):
        while len(cluster.list_all_nodes()) < nodes:
            cluster.add_node(num_cpus=1)
        for batch, how in ((None, "Tune trials"), (4, "actors, by 4")):
            ideal = 36 * args.seconds / nodes
            whole, running, by_node = run(cluster.address, args.seconds, 36, batch)
            print(
                f"{nodes:<7}{how:<16}{ideal:>9.0f}{whole:>16.1f}{running:>20.1f}{ideal / whole:>12.1%}"
                f"  {sorted(by_node.values())}",
                flush=True,
            )
    print("\noverhead: evaluations that take no time, one slot; seconds beside the first, which starts the worker")
    for batch, how in ((None, "Tune trial"), (1, "actor, by 1"), (16, "actor, by 16")):
        ray.shutdown()
        with tempfile.TemporaryDirectory() as folder:
            count = 300
            search(
                SPACE,
                Sleeping(0),
                OBJECTIVES,
                max_evaluations=count,
                algorithm="random",
                directory=Path(folder) / "run",
                executor=Cluster(cluster.address, max_concurrent=1, batch=batch),
                progress=Listener(),
            )
            ended = sorted(e.ended_at for e in load_run(Path(folder) / "run").evaluations)
        print(f"{how:<16}{1000 * (ended[-1] - ended[0]) / (count - 1):>8.1f} ms an evaluation", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
