"""Every job a trial of Ray Tune, with resources of its own."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

from ray import tune
from ray.tune.search import Searcher

from ..session.session import Session
from ..session.trial import Job, Outcome
from .cluster import Cluster, Worker, death, this_node, worker_arguments

TUNE = ".tune-"  # folders for what Tune keeps


def run_trials(session: Session, cluster: Cluster) -> None:
    """Run a session's jobs until it is over. Ray is connected."""
    searcher = SessionSearcher(session, cluster)
    trial = tune.with_resources(tune.with_parameters(Trial, **worker_arguments(session)), cluster.resources)
    # Tune's own record of the experiment is not ours: the store is. It is needed only while Tune runs, and every
    # node must see it, as it must see the run's folder.
    for left in session.directory.glob(f"{TUNE}*"):  # by a search that was killed; the run is ours alone now
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=TUNE, dir=session.directory.absolute()) as storage:
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
        with _quiet():
            tuner.fit()


@contextlib.contextmanager
def _quiet():
    """Tune tells its own story of every trial; ours is told by Progress."""
    loggers = [logging.getLogger(name) for name in ("ray", "ray.tune", "ray.train", "ray.data")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


class Trial(tune.Trainable):
    """One job. Its process is kept and reused for the next, so that imports are paid once."""

    def setup(self, config, **arguments):
        self.worker = Worker(**arguments)
        self.config, self.begun = config, False

    def reset_config(self, new_config):
        self.config, self.begun = new_config, False
        return True

    def step(self):
        if not self.begun:  # the first step only tells where it runs
            self.begun = True
            if self.worker.is_broken:  # the trial begins again in another process
                os._exit(1)
            return {"node": this_node(), "done": False}
        outcome = self.worker.run(self.config["values"], self.config["fidelity"])
        return {"outcome": json.dumps(asdict(outcome)), "done": True}  # text: Tune flattens mappings

    def save_checkpoint(self, checkpoint_dir):
        return None

    def load_checkpoint(self, checkpoint):
        pass


class _StaysHere:
    """Tune pickles a Tuner's arguments for a restore that we never ask for; a session has a database open."""

    def __reduce__(self):
        return str, ("lives in the driver",)


class SessionSearcher(_StaysHere, Searcher):
    """Tune's view of a session."""

    def __init__(self, session: Session, cluster: Cluster):
        super().__init__()
        self.session, self.cluster = session, cluster
        self.jobs: dict[str, Job] = {}  # by trial
        self.nodes: dict[str, str] = {}

    def suggest(self, trial_id):
        slots = self.cluster.slots()
        if not slots:
            self.session.progress.once("no node of the cluster holds a trial now; waiting for one to join")
        job = self.session.propose() if len(self.jobs) < slots else None
        if job is None:
            # What is open may give its evaluation back or be tried again, so there may be more to propose later.
            return Searcher.FINISHED if self.session.over else None
        self.jobs[trial_id] = job
        return {"values": job.architecture.to_dict(), "fidelity": job.fidelity}

    def on_trial_result(self, trial_id, result):
        if "node" in result and trial_id in self.jobs:
            self.nodes[trial_id] = result["node"]
            self.session.running(self.jobs[trial_id], result["node"])

    def on_trial_complete(self, trial_id, result=None, error=False):
        if error:
            return  # `Deaths` hears of it as well, with the reason
        job = self.jobs.pop(trial_id, None)
        self.nodes.pop(trial_id, None)
        if job and result and "outcome" in result:
            self.session.conclude(job, Outcome(**json.loads(result["outcome"])))
        # else stopped by the user: it stays unfinished in the store and is asked again on resume

    def died(self, trial_id: str, message: str) -> None:
        job, node = self.jobs.pop(trial_id, None), self.nodes.pop(trial_id, None)
        if job:
            self.session.conclude(job, death(node, message))

    # Tune saves searchers with its experiment; ours lives in the store
    def save(self, checkpoint_path):
        pass

    def restore(self, checkpoint_path):
        pass


class Deaths(_StaysHere, tune.Callback):
    """Tells the searcher of trials whose process or node went away."""

    def __init__(self, searcher: SessionSearcher):
        self.searcher = searcher

    def on_trial_error(self, iteration, trials, trial, **info):
        # the file begins with a line of Tune's own
        text = Path(trial.error_file).read_text(encoding="utf-8") if trial.error_file else ""
        self.searcher.died(trial.trial_id, text.partition("\n")[2])


class SessionStopper(_StaysHere, tune.Stopper):
    """Ends the experiment when the session cannot go on (a full disk, say), or starts nothing more and nothing runs."""

    def __init__(self, searcher: SessionSearcher):
        self.session, self.nodes = searcher.session, searcher.nodes

    def __call__(self, trial_id, result):
        return False

    def stop_all(self):
        return self.session.error is not None or (self.session.ending and not self.nodes)
