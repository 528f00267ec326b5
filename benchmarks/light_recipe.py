"""The light recipe against YOLOv8n and against models that a search found: predicted and measured on several runtimes.

    python benchmarks/light_recipe.py PROFILE [PROFILE ...]

The searched models have at most the recipe's parameters, at least a share of YOLOv8n's MACs (without a training nothing else
keeps a search from the smallest network), and under these the lowest predicted latency, as the mean of its logarithm over
the profiles. Nothing is trained here: this table is about cost. Accuracy of searched models is in results/bccd and
results/digits.
"""

from __future__ import annotations

import argparse

import numpy as np
from machine import describe

from evaluators import complexity
from evaluators.latency import LatencyMeter
from evaluators.latency.profile import DeviceProfile
from search_spaces import YoloSpace, build_model

SIZE = 640
OFFSPRING, GENERATIONS, PARENTS = 1000, 20, 40


def searched(space, profiles, num_classes, rng, least_macs, max_params):
    """The architecture with the lowest predicted latency between the bounds."""

    def score(architectures):
        costs = complexity(architectures, num_classes)
        latency = np.mean([np.log(p.predict(architectures, num_classes)[0]) for p in profiles], axis=0)
        # outside the bounds the distance to them counts, so that a start outside of them finds its way in
        outside = np.maximum(np.log(least_macs / costs.macs), 0) + np.maximum(np.log(costs.params / max_params), 0)
        return latency + 100 * outside

    population = list({a.key: a for a in (space.sample(rng) for _ in range(OFFSPRING))}.values())
    for _ in range(GENERATIONS):
        order = np.argsort(score(population))[:PARENTS]
        parents = [population[i] for i in order]
        children = [space.mutate(parents[int(rng.integers(PARENTS))], rng) for _ in range(OFFSPRING)]
        population = list({a.key: a for a in (*parents, *children)}.values())
    return population[int(np.argmin(score(population)))]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("profiles", nargs="+")
    parser.add_argument("--classes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    profiles = [DeviceProfile.load(source) for source in args.profiles]
    space = YoloSpace().restrict({"image_size": [SIZE]})
    recipe, nano = space.preset("light-recipe"), space.preset("yolov8n")
    rng = np.random.default_rng(args.seed)
    cost = complexity([nano, recipe], args.classes)
    models = {"yolov8n": nano, "light-recipe": recipe}
    for label, share in (("as many MACs as YOLOv8n", 1.0), ("3/4 of its MACs", 0.75), ("half its MACs", 0.5)):
        models[label] = searched(space, profiles, args.classes, rng, share * cost.macs[0], cost.params[1])
    print(describe())
    for profile in profiles:
        print(f"{profile.name}: {profile.protocol}")
    print(
        f"{SIZE} px, {args.classes} class(es); the last three were searched: lowest predicted latency with at least these MACs "
        f"and at most the recipe's {cost.params[1]:,} parameters"
    )
    costs = complexity(list(models.values()), args.classes)
    predicted = [p.predict(list(models.values()), args.classes) for p in profiles]
    meters = [
        LatencyMeter(p.runtime, p.device, p.precision, p.threads, p.num_classes, p.reference_ms) for p in profiles
    ]
    heads = "".join(f"{p.runtime + ': predicted (90% interval), measured':>50}" for p in profiles)
    print(f"{'':<26}{'parameters':>11}{'GMACs':>7}{heads}")
    for i, (name, architecture) in enumerate(models.items()):
        model, cells = build_model(architecture, args.classes), ""
        for (value, low, high), meter in zip(predicted, meters):
            latency = meter.measure(model, SIZE)
            text = f"{value[i]:.1f} ({low[i]:.1f} to {high[i]:.1f}), {latency.median_ms:.1f} +- {latency.iqr_ms / 2:.1f} ms{'*' if latency.disturbed else ' '}"
            cells += f"{text:>50}"
        print(f"{name:<26}{costs.params[i]:>11,}{costs.macs[i] / 1e9:>7.2f}{cells}", flush=True)
    print("* the machine was slower than usual all the while, so the figure may be off")
    print("searched:")
    for name, architecture in list(models.items())[2:]:
        print(f"  {name}: {architecture.to_dict()}")


if __name__ == "__main__":
    main()
