"""Ray as the executor, on this machine or a cluster: connecting, resources, and what its workers do.

A job is a trial of Ray Tune (trials.py), or one of a batch for a long-lived actor (actors.py) where jobs are short.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from pathlib import Path

from evaluators import Evaluator
from search_spaces import InputError, SearchSpace

from ..objectives import is_number
from ..session.session import Session
from ..session.trial import TRIALS, Job, Outcome, run_job

# Read by Ray when it is imported or started: nothing is reported home, trials keep the working directory, Tune writes
# no tables and result files of its own, starts workers side by side and not one after another, and Ctrl-C reaches us and
# not Tune, which would call an interrupted search done.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_V2_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",
}

# A local Ray then serves on 127.0.0.1 only, as it does by default on macOS and Windows; nobody else may submit to it.
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


class Cluster:
    """Runs a session's jobs on Ray.

    Args:
        address: of a cluster to join ("auto", "HOST:PORT"); None starts a local Ray and stops it at the end.
        cpus_per_trial, gpus_per_trial: reserved for each trial or actor; fractions share a device.
        max_concurrent: most trials or actors at once; None is as many as the cluster's resources hold.
        batch: jobs handed to a long-lived actor at once; None makes each a trial of Ray Tune.

    The run's folder must be visible to every node under the same path (a shared file system): checkpoints are written
    there by the workers themselves.
    """

    def __init__(
        self,
        address: str | None = None,
        cpus_per_trial: float = 1,
        gpus_per_trial: float = 0,
        max_concurrent: int | None = None,
        batch: int | None = None,
    ):
        self.address = address
        self.resources = {"cpu": cpus_per_trial, **({"gpu": gpus_per_trial} if gpus_per_trial else {})}
        for name, value in self.resources.items():  # Ray takes fractions of one device only
            if not (is_number(value) and (0 < value < 1 or value >= 1 and value == int(value))):
                raise InputError(f"{name}s_per_trial must be between 0 and 1 or a whole number, not {value!r}")
        for name, value in (("max_concurrent", max_concurrent), ("batch", batch)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InputError(f"{name} must be a positive integer or None, not {value!r}")
        self.max_concurrent, self.batch = max_concurrent, batch

    def __call__(self, session: Session) -> None:
        for name, value in {**ENVIRONMENT, **({} if self.address else LOOPBACK)}.items():
            os.environ.setdefault(name, value)

        with _without_logs(), self._connected():
            self._check_resources()
            self._run(session)

    def _run(self, session: Session) -> None:
        if self.batch is None:
            from .trials import run_trials

            run_trials(session, self)
        else:
            from .actors import run_actors

            run_actors(session, self)

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

    def _check_resources(self) -> None:
        """Raise InputError where no node, however idle, could hold a trial: Ray would wait for ever."""
        wants = " and ".join(f"{value:g} {name.upper()}s" for name, value in self.resources.items())
        nodes = _nodes()
        if any(self._fits(node) for node in nodes):
            return
        has = "; ".join(f"{_of(node, 'cpu'):g} CPUs, {_of(node, 'gpu'):g} GPUs" for node in nodes[:8]) or "none"
        raise InputError(
            f"a trial wants {wants} and no node of the cluster has as much ({len(nodes)} nodes: {has}); lower "
            f"{' or '.join(f'{name}s_per_trial' for name in self.resources)}, or join a cluster with larger nodes"
        )

    def slots(self) -> int:
        """Trials that the cluster holds now; nodes may join and leave."""
        slots = sum(
            min(int(_of(node, name) / value + 1e-6) for name, value in self.resources.items()) for node in _nodes()
        )
        return min(slots, self.max_concurrent or slots)

    def _fits(self, node: dict) -> bool:
        return all(_of(node, name) >= value for name, value in self.resources.items())


def _nodes() -> list[dict]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def _of(node: dict, resource: str) -> float:
    return node["Resources"].get(resource.upper(), 0)


def death(node: str | None, message: str) -> Outcome:
    """How a job ended whose worker answers no more: lost with its node, died on a node that lives, or never began.

    Args:
        node: what `this_node` said there, None where it never began.
        message: what Ray says of it.
    """
    alive = node and any(other["NodeID"].startswith(node.rpartition("/")[2]) for other in _nodes())
    if node and (not alive or "is unavailable" in message):  # which is how a node's end is first felt
        return Outcome("lost", reason=f"node {node} is gone", node=node)
    if not node:
        return Outcome("unstarted", reason=_gist(message))
    return Outcome("died", reason=f"its worker died on {node}: {_gist(message)}", node=node)


def _gist(message: str) -> str:
    """The line of Ray's message that says what happened: an exception's last one, else the first."""
    lines = [line.strip() for line in message.strip().splitlines() if line.strip()] or ["no reason is known"]
    return lines[-1] if any(line.startswith("Traceback") or "::" in line for line in lines) else lines[0]


class Worker:
    """What a worker process keeps between jobs.

    Args:
        spaces: that a job's architecture may be of, the first that holds it.
        directory: the run's folder.
    """

    def __init__(self, evaluator: Evaluator, spaces: list[SearchSpace], directory: str, time_limit: float | None):
        self.evaluator, self.spaces, self.directory, self.time_limit = evaluator, spaces, Path(directory), time_limit
        self.is_broken = False  # whatever it evaluates from now on would fail

    def run(self, values: dict, fidelity: float | None) -> Outcome:
        node = this_node()
        if not self.directory.exists():
            reason = f"{node} cannot see the run's folder {self.directory}; it must be on shared storage"
            return Outcome("lost", reason=reason, node=node)
        job = Job(self._architecture(values), fidelity)
        outcome = run_job(
            self.evaluator,
            job,
            self.directory / TRIALS / job.key,
            time_limit=self.time_limit,
            expendable=True,
            node=node,
        )
        self.is_broken = outcome.status == "failed" and _has_lost_cuda()
        return outcome

    def _architecture(self, values: dict):
        for space in self.spaces[:-1]:
            with contextlib.suppress(InputError):
                return space.architecture(**values)
        return self.spaces[-1].architecture(**values)


def _has_lost_cuda() -> bool:
    """Whether this process can use its GPU no more, as it is after an illegal access; only a new process can."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return False
    try:
        torch.cuda.synchronize()
    except Exception:
        return True
    return False


def worker_arguments(session: Session) -> dict:
    """Of `Worker`, for a session."""
    return {
        "evaluator": session.evaluator,
        # a reference may lie outside a restricted space, but not outside what the store can hold
        "spaces": [session.algorithm.space, session.store.space],
        "directory": str(session.directory.absolute()),
        "time_limit": session.time_limit,
    }


def this_node() -> str:
    """A name of the node that this worker runs on: the host, and which of its nodes."""
    import ray

    return f"{socket.gethostname()}/{ray.get_runtime_context().get_node_id()[:8]}"


@contextlib.contextmanager
def _without_logs():
    """Ray would print the last lines of a dead node's log, which no setting prevents; Progress says it in one line."""
    from ray._private import worker

    printing = worker.print_to_stdstream
    worker.print_to_stdstream = lambda data, ignore_prefix: None
    try:
        yield
    finally:
        worker.print_to_stdstream = printing


def _import_path() -> list[str]:
    """Where workers find this package when it is not installed (a checkout that is run from its folder)."""
    return [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
