"""Ray Tune as the executor: every evaluation is a trial with its own resources, on this machine or a cluster."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import tempfile
from dataclasses import asdict
from pathlib import Path

from evaluators import Evaluator
from search_spaces import InputError, SearchSpace

from .search import Outcome, Session, run_evaluation

# A worker or node that dies under a trial is not the architecture's fault: Tune starts the trial again this often.
RETRIES = 2

# Read by Ray when it is imported or started: nothing is reported home, trials keep the working directory, Tune writes
# no tables and result files of its own, and Ctrl-C reaches us and not Tune, which would call an interrupted search done.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_V2_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}

# A local Ray then serves on 127.0.0.1 only, as it does by default on macOS and Windows; nobody else may submit to it.
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


class Cluster:
    """Runs a session's evaluations as Ray Tune trials.

    Args:
        address: of a cluster to join ("auto", "HOST:PORT"); None starts a local Ray and stops it at the end.
        cpus_per_trial, gpus_per_trial: reserved for each trial; fractions share a device.
        max_concurrent: most trials at once; None is as many as the cluster's resources hold.

    The run's folder must be visible to every node under the same path (a shared file system): checkpoints are written
    there by the trials themselves.
    """

    def __init__(
        self,
        address: str | None = None,
        cpus_per_trial: float = 1,
        gpus_per_trial: float = 0,
        max_concurrent: int | None = None,
    ):
        self.address = address
        self.resources = {"cpu": cpus_per_trial, **({"gpu": gpus_per_trial} if gpus_per_trial else {})}
        self.max_concurrent = max_concurrent

    def __call__(self, session: Session) -> None:
        for name, value in {**ENVIRONMENT, **({} if self.address else LOOPBACK)}.items():
            os.environ.setdefault(name, value)
        import ray

        with self._connected():
            self._check_resources(ray.cluster_resources())
            self._tune(session)

    @contextlib.contextmanager
    def _connected(self):
        import ray

        if ray.is_initialized():  # the caller's own Ray is used and left running
            yield
            return
        if self.address:
            self._check_reachable()
        try:
            ray.init(
                address=self.address or "local",
                include_dashboard=False if not self.address else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=True,
                runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, _import_path()))}},
            )
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            what = f"no Ray cluster at {self.address!r}" if self.address else "a local Ray could not be started"
            raise InputError(f"{what}: {_first_line(error)}") from None
        try:
            yield
        finally:
            ray.shutdown()

    def _check_reachable(self) -> None:
        """Ray waits long for an address where nothing listens; a socket knows at once."""
        if self.address == "auto":
            return
        host, _, port = self.address.removeprefix("ray://").rpartition(":")
        if not host or not port.isdigit():
            raise InputError(f"address {self.address!r} must be HOST:PORT, ray://HOST:PORT or auto")
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except OSError as error:
            raise InputError(
                f"no Ray cluster at {self.address!r} ({error.strerror or error}); start one with `ray start --head` "
                "or leave the address out to use this machine"
            ) from None

    def _check_resources(self, available: dict) -> None:
        for name, key in (("cpu", "CPU"), ("gpu", "GPU")):
            wanted = self.resources.get(name, 0)
            if wanted > available.get(key, 0):
                raise InputError(
                    f"a trial wants {wanted:g} {key}s and the cluster has {available.get(key, 0):g}; "
                    f"lower {name}s_per_trial or join a larger cluster"
                )

    def _slots(self) -> int:
        """Trials that the cluster holds now; nodes may join and leave."""
        import ray

        available = ray.cluster_resources()
        slots = min(
            int(available.get(key, 0) / self.resources[name] + 1e-6)
            for name, key in (("cpu", "CPU"), ("gpu", "GPU"))
            if self.resources.get(name)
        )
        return max(1, min(slots, self.max_concurrent or slots))

    def _tune(self, session: Session) -> None:
        from ray import tune

        searcher = _searcher(session, self._slots)
        trial = tune.with_resources(
            tune.with_parameters(
                _trial_class(),
                evaluator=session.evaluator,
                # a reference may lie outside a restricted space, but not outside what the store can hold
                spaces=[session.algorithm.space, session.store.space],
                directory=str(session.directory.absolute()),
            ),
            self.resources,
        )
        # Tune's own record of the experiment is not ours: the store is. It is needed only while Tune runs, and every
        # node must see it, as it must see the run's folder.
        with tempfile.TemporaryDirectory(prefix=".tune-", dir=session.directory.absolute()) as storage:
            tuner = tune.Tuner(
                trial,
                tune_config=tune.TuneConfig(search_alg=searcher, num_samples=-1, reuse_actors=True),
                run_config=tune.RunConfig(
                    name="search",
                    storage_path=storage,
                    verbose=0,
                    failure_config=tune.FailureConfig(max_failures=RETRIES),
                    stop=_stopper(session),
                    callbacks=[],
                ),
            )
            with _quiet():
                tuner.fit()


def _import_path() -> list[str]:
    """Where workers find this package when it is not installed (a checkout that is run from its folder)."""
    return [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


@contextlib.contextmanager
def _quiet():
    """Tune tells its own story of every trial; ours is told by Progress."""
    loggers = [logging.getLogger(name) for name in ("ray", "ray.tune", "ray.train", "ray.data")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


def _trial_class():
    from ray import tune

    class Trial(tune.Trainable):
        """One evaluation. Its process is kept and reused for the next, so that imports are paid once."""

        def setup(self, config, evaluator: Evaluator, spaces: list[SearchSpace], directory: str):
            self.evaluator, self.spaces, self.root = evaluator, spaces, Path(directory)
            self.values = config["values"]

        def reset_config(self, new_config):
            self.values = new_config["values"]
            return True

        def step(self):
            if not self.root.exists():
                reason = f"{socket.gethostname()} cannot see the run's folder {self.root}; it must be on shared storage"
                return {"outcome": json.dumps(asdict(Outcome("failed", reason=reason))), "done": True}
            architecture = self._architecture()
            outcome = run_evaluation(self.evaluator, architecture, self.root / "trials" / architecture.key)
            return {"outcome": json.dumps(asdict(outcome)), "done": True}  # text: Tune flattens mappings

        def _architecture(self):
            narrow, wide = self.spaces
            try:
                return narrow.architecture(**self.values)
            except InputError:
                return wide.architecture(**self.values)

        def save_checkpoint(self, checkpoint_dir):
            return None

        def load_checkpoint(self, checkpoint):
            pass

    return Trial


def _stays_here(self):
    """Tune pickles a Tuner's arguments for a restore that we never ask for; a session has a database open."""
    return str, ("lives in the driver",)


def _searcher(session: Session, slots):
    from ray.tune.search import Searcher

    class SessionSearcher(Searcher):
        """Tune's view of a session."""

        def __init__(self):
            super().__init__()
            self.trials = {}

        def suggest(self, trial_id):
            if len(self.trials) >= slots():
                return None
            architecture = session.propose()
            if architecture is None:
                # Rejections give their evaluation back, so there may be more to propose once the open ones end.
                return None if self.trials and not session.error else Searcher.FINISHED
            self.trials[trial_id] = architecture
            return {"values": architecture.to_dict()}

        def on_trial_complete(self, trial_id, result=None, error=False):
            architecture = self.trials.pop(trial_id, None)
            if architecture is None:
                return
            if result and "outcome" in result:
                outcome = Outcome(**json.loads(result["outcome"]))
            elif error:
                outcome = Outcome("failed", reason=f"its worker died {RETRIES + 1} times")
            else:
                return  # stopped by the user: it stays unfinished in the store and is asked again on resume
            session.conclude(architecture, outcome)

        __reduce__ = _stays_here

        # Tune saves searchers with its experiment; ours lives in the store
        def save(self, checkpoint_path):
            pass

        def restore(self, checkpoint_path):
            pass

    return SessionSearcher()


def _stopper(session: Session):
    from ray.tune import Stopper

    class SessionStopper(Stopper):
        """Ends the experiment when the session cannot go on (a full disk, say)."""

        def __call__(self, trial_id, result):
            return False

        __reduce__ = _stays_here

        def stop_all(self):
            return session.error is not None

    return SessionStopper()
