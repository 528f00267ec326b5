"""Every job a trial of Ray Tune, with resources of its own."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from ..schedulers import Job
from ..session.outcome import Outcome
from ..session.session import Session
from .nodes import death, this_node
from .ray_private import StaysHere, trial_error, without_tune_logs
from .worker import Worker, worker_arguments

TUNE = ".tune-"  # beside the trials: folders for what Tune keeps


def run_trials(session: Session, resources: Mapping[str, float], slots: Callable[[], int]) -> None:
    """Run a session's jobs until it is over. Ray is connected.

    Args:
        resources: that each trial takes, by Tune's names for them.
        slots: how many trials the cluster holds now.
    """
    searcher = SessionSearcher(session, slots)
    trial = tune.with_resources(tune.with_parameters(Trial, **worker_arguments(session)), dict(resources))
    # Tune's own record of the experiment is not ours: the store is. It is needed only while Tune runs, and every
    # node must see it, as it must see the run's folder.
    place = session.folder.trials.absolute()  # where everything is ours: a run's folder may hold the user's files too
    place.mkdir(exist_ok=True)
    for left in place.glob(f"{TUNE}*"):  # by a search that was killed; the run is ours alone now
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=TUNE, dir=place) as storage:
        tuner = tune.Tuner(
            trial,
            tune_config=tune.TuneConfig(search_alg=searcher, num_samples=-1, reuse_actors=True),
            run_config=tune.RunConfig(
                name="search",
                storage_path=storage,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=0),  # the session sees to retries
                stop=SessionStopper(searcher),
                callbacks=[Deaths(searcher)],
            ),
        )
        with without_tune_logs():
            tuner.fit()


class Trial(tune.Trainable):
    """One job. Its process is kept and reused for the next, so that imports are paid once."""

    def setup(self, config: dict[str, Any], **arguments: Any) -> None:
        self.worker = Worker(**arguments)
        self.config, self.begun = config, False

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.config, self.begun = new_config, False
        return True

    def step(self) -> dict[str, Any]:
        if not self.begun:  # the first step only tells where it runs
            self.begun = True
            if self.worker.is_broken:  # the trial begins again in another process
                os._exit(1)
            return {"node": this_node(), "done": False}
        job = self.config
        outcome = self.worker.run(job["values"], job["fidelity"], this_node(), job["repeat"])
        return {"outcome": json.dumps(asdict(outcome)), "done": True}  # text: Tune flattens mappings

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        return None

    def load_checkpoint(self, checkpoint: object) -> None:
        pass


class SessionSearcher(StaysHere, Searcher):
    """Tune's view of a session, of which Tune is told no more than `slots` jobs at once."""

    def __init__(self, session: Session, slots: Callable[[], int]):
        super().__init__()
        self.session, self.slots = session, slots
        self.jobs: dict[str, Job] = {}  # by trial
        self.nodes: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:  # the values of a job, None for none now, or Searcher.FINISHED
        slots = self.slots()
        if not slots:
            self.session.listener.once("no node of the cluster holds a trial now; waiting for one to join")
        job = self.session.propose() if len(self.jobs) < slots else None
        if job is None:
            # What is pending may give its evaluation back or be tried again, so there may be more to propose later.
            return Searcher.FINISHED if self.session.over else None
        self.jobs[trial_id] = job
        return {"values": job.architecture.to_dict(), "fidelity": job.fidelity, "repeat": job.repeat}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if "node" in result and trial_id in self.jobs:
            self.nodes[trial_id] = result["node"]
            self.session.running(self.jobs[trial_id], result["node"])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if error:
            return  # `Deaths` hears of it as well, with the reason
        job = self.jobs.pop(trial_id, None)
        self.nodes.pop(trial_id, None)
        if job and result and "outcome" in result:
            self.session.conclude(job, Outcome(**json.loads(result["outcome"])))
        # else stopped by the user: it stays unfinished in the store and is asked again on resume

    def died(self, trial_id: str, message: str) -> None:
        """The process or node of a trial went away."""
        job, node = self.jobs.pop(trial_id, None), self.nodes.pop(trial_id, None)
        if job:
            self.session.conclude(job, death(node, message))

    # Tune saves searchers with its experiment; ours lives in the store
    def save(self, checkpoint_path: str) -> None:
        pass

    def restore(self, checkpoint_path: str) -> None:
        pass


class Deaths(StaysHere, tune.Callback):
    """Tells the searcher of trials whose process or node went away."""

    def __init__(self, searcher: SessionSearcher):
        self.searcher = searcher

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.searcher.died(trial.trial_id, trial_error(trial))


class SessionStopper(StaysHere, tune.Stopper):
    """Ends the experiment when the session cannot go on (a full disk, say), or starts nothing more and nothing runs."""

    def __init__(self, searcher: SessionSearcher):
        self.session, self.nodes = searcher.session, searcher.nodes

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.session.error is not None or (self.session.ending and not self.nodes)
