"""Trainings made up from a table of real ones, for any architecture of its space: accuracy, noise, seconds.

    table -> features of the layer graph -> ensemble -> accuracy (+ noise as between seeds), accuracy at earlier epochs, seconds

Source: J. Siems et al., "Surrogate NAS benchmarks: going beyond the limited search spaces of tabular NAS benchmarks"
(NAS-Bench-301), arXiv 2008.09777. What a search does in hours is replayed in seconds.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from search_spaces import Architecture, InputError

from ..evaluator import Evaluator
from ..latency.profile import DeviceProfile
from .ensemble import Ensemble, Line, cross_validated
from .features import graph_features
from .logits import LEAST, expit, logit
from .table import ACCURACIES, Table, judged_at, known_costs, read_table

FEWEST = 20  # architectures that a simulation can be fitted to
FOLDS = 10
MARGIN = 0.1  # of the range of each feature over the table, by which the simulation is believed beyond it
USUAL_NOISE = 0.01  # standard deviation between seeds, in mAP, where no architecture of the table has two


class Noise(NamedTuple):
    """How far trainings of the same architecture with other seeds differ.

    Attributes:
        deviation: standard deviation, on the scale on which it is the same for all accuracies.
        is_logit: whether that scale is log(p / (1 - p)), else it is the accuracy's own.
        freedom: trainings beyond the first of each architecture that it was estimated from; 0 where it is `USUAL_NOISE`.
    """

    deviation: float
    is_logit: bool
    freedom: int

    def around(self, accuracy: np.ndarray | float) -> np.ndarray:
        """The standard deviation of accuracies around the given ones."""
        accuracy = np.asarray(accuracy, float)
        return self.deviation * (accuracy * (1 - accuracy) if self.is_logit else np.ones_like(accuracy))


class HeldOut(NamedTuple):
    """How well architectures are predicted by simulations that have not seen them, against the means over their seeds.

    Attributes:
        architectures, folds: how many, and the parts of them that took turns in being left out.
        kendall_tau: rank correlation of accuracies.
        rmse: of accuracies, in mAP; noise: the part of it that seeds explain.
        explained: share of the variance of accuracies.
        seconds_error: median of |predicted / measured - 1| of the seconds.
    """

    architectures: int
    folds: int
    kendall_tau: float
    rmse: float
    noise: float
    explained: float
    seconds_error: float


class SimulatedEvaluator(Evaluator):
    """Answers any architecture of a table's space as a training would.

    The accuracy without noise (`truth`) is the mean of an ensemble; each member saw another bootstrap sample of the table.
    Features beyond the table's range count as at its edge, a little outside (`MARGIN`), since nothing is known of what lies
    further: `is_outside` says for which architectures that is so.

    Args:
        table: or the path of its CSV file.
        seed: of the noise; the truth is the same for every seed.
        fidelities: epochs at which trainings can be judged, as of `TableEvaluator`; none by default.
        profile: of the device whose latency `estimate` predicts.

    Raises:
        InputError: by `read_table`; a table of too few architectures.
    """

    metrics = (*ACCURACIES, "train_seconds")

    def __init__(
        self,
        table: str | Path | Table,
        seed: int = 0,
        *,
        fidelities: Sequence[int] | None = (),
        profile: DeviceProfile | None = None,
    ) -> None:
        self.table = table if isinstance(table, Table) else read_table(table)
        if len(self.table.architectures) < FEWEST:
            raise InputError(
                f"{self.table.path}: has {len(self.table.architectures)} architectures; a simulation needs {FEWEST} or more"
            )
        self.seed, self.repeat, self.profile = seed, 0, profile
        self.fidelities = judged_at(self.table, fidelities)
        self.space = self.table.space
        self.noise = estimate_noise(self.table)
        features = graph_features(self.table.architectures, self.table.about.num_classes)
        self._low, self._high = _range(features)
        self._features = features
        final = logit(self.table.mean("map50_95"))
        self._accuracy = Ensemble(features, final)
        self._seconds = Ensemble(features, np.log(self.table.mean("train_seconds")), members=3)
        self._map50 = Line(final, logit(self.table.mean("map50")))
        early = [epoch for epoch in self.table.epochs if epoch != self.table.about.epochs]
        self._early = {epoch: Line(final, logit(self.table.mean("map50_95", epoch)), features) for epoch in early}
        self._known: dict[
            str, tuple[np.ndarray, float, float]
        ] = {}  # key -> clipped features, logit of the truth, seconds

    # -- what is known of it ------------------------------------------------------------------------------------

    @cached_property
    def held_out(self) -> HeldOut:
        """Its error, by cross-validation over the architectures of the table; takes about as long as ten simulations."""
        from scipy.stats import kendalltau

        measured, seconds = self.table.mean("map50_95"), self.table.mean("train_seconds")
        predicted = expit(cross_validated(self._features, logit(measured), FOLDS))
        predicted_seconds = np.exp(cross_validated(self._features, np.log(seconds), FOLDS))
        squared = (predicted - measured) ** 2
        return HeldOut(
            len(measured),
            FOLDS,
            float(kendalltau(predicted, measured).statistic),
            float(np.sqrt(squared.mean())),
            float(np.sqrt((self.noise.around(measured) ** 2 / self.table.counts).mean())),
            float(1 - squared.mean() / measured.var()),
            float(np.median(np.abs(predicted_seconds / seconds - 1))),
        )

    def is_outside(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """(n,) whether a feature lies so far outside of the table's range that its value is not believed."""
        features = graph_features(architectures, self.table.about.num_classes)
        return np.any((features < self._low) | (features > self._high), axis=1)

    def truth(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """(n,) map50_95 without noise."""
        return expit(np.array([self._of(a)[1] for a in self._learn(architectures)]))

    def spread(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """(n,) standard deviation of the members of the ensemble around the truth, in mAP."""
        members = self._accuracy.members(np.stack([self._of(a)[0] for a in self._learn(architectures)]))
        return expit(members).std(0)

    def seconds(self, architecture: Architecture, fidelity: float | None = None) -> float:
        """Seconds of a training, or of its first `fidelity` epochs."""
        return (
            float(np.exp(self._of(architecture)[2])) * (fidelity or self.table.about.epochs) / self.table.about.epochs
        )

    # -- as an evaluator ----------------------------------------------------------------------------------------

    def subject(self) -> dict[str, Any]:
        return {"simulated": self.table.path.name, "about": self.table.about.model_dump(), "seed": self.seed}

    def repeated(self, repeat: int) -> SimulatedEvaluator:
        """The same simulation with other noise; 0 is the first training of every architecture."""
        made = copy.copy(self)  # what is learnt of architectures is shared
        made.repeat = repeat
        return made

    def estimate(self, architectures: Sequence[Architecture]) -> dict[str, np.ndarray]:
        return known_costs(architectures, self.table.about.num_classes, self.profile)

    def evaluate(
        self, architecture: Architecture, directory: Path | None = None, fidelity: float | None = None
    ) -> dict[str, float]:
        """`map50_95` after `fidelity` epochs with the seconds of so many; after all of them `map50` as well."""
        features, truth, _ = self._of(architecture)
        last = self.table.about.epochs
        epoch = last if fidelity is None else int(fidelity)
        # by the architecture, so that what else was asked changes nothing
        rng = np.random.default_rng([self.seed, self.repeat, int(architecture.key, 16)])
        final = self._noisy(truth, rng)
        seconds = {"train_seconds": self.seconds(architecture, fidelity)}
        if epoch == last:
            map50 = max(expit(final), expit(self._map50.predict(final)))
            return {"map50_95": float(expit(final)), "map50": float(map50), **seconds}
        line = self._early[epoch]
        between = np.random.default_rng([self.seed, self.repeat, int(architecture.key, 16), epoch]).standard_normal()
        return {"map50_95": float(expit(line.predict(final, features) + line.deviation * between)), **seconds}

    def _noisy(self, truth: float, rng: np.random.Generator) -> float:
        """The logit of an accuracy around that of the truth."""
        step = self.noise.deviation * rng.standard_normal()
        return truth + step if self.noise.is_logit else float(logit(expit(truth) + step))

    def _of(self, architecture: Architecture) -> tuple[np.ndarray, float, float]:
        if architecture.key not in self._known:
            self._learn([architecture])
        return self._known[architecture.key]

    def _learn(self, architectures: Sequence[Architecture]) -> Sequence[Architecture]:
        """Have everything ready for these architectures, all of one space."""
        new = list({a.key: a for a in architectures if a.key not in self._known}.values())
        if new:
            features = graph_features(new, self.table.about.num_classes).clip(self._low, self._high)
            accuracy, seconds = self._accuracy.predict(features), self._seconds.predict(features)
            self._known.update((a.key, known) for a, *known in zip(new, features, accuracy, seconds))  # type: ignore[misc]
        return architectures


def _range(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = features.min(0), features.max(0)
    return low - MARGIN * (high - low), high + MARGIN * (high - low)


def estimate_noise(table: Table) -> Noise:
    """The noise between seeds, pooled over the architectures of a table that were trained with several.

    It is taken to be the same for all accuracies or for all logits of accuracies, whichever is likelier.
    """
    accuracy = table.column("map50_95")
    several = table.counts[table.owner] > 1
    freedom = int(several.sum() - (table.counts > 1).sum())
    if not freedom:
        return Noise(USUAL_NOISE, False, 0)
    found = []
    for is_logit in (False, True):
        values = logit(accuracy) if is_logit else accuracy
        means = np.bincount(table.owner, values, len(table.counts)) / table.counts
        squares = (values - means[table.owner])[several] ** 2
        deviation = max(float(np.sqrt(squares.sum() / freedom)), 1e-6)
        # of the accuracies: a density on the logit's scale is divided by the slope of the way back
        slope = np.log(np.clip(accuracy * (1 - accuracy), LEAST, None))[several].sum() if is_logit else 0.0
        found.append((-len(squares) * np.log(deviation) - slope, Noise(deviation, is_logit, freedom)))
    return max(found)[1]
