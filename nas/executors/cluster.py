"""Ray as the executor, on this machine or a cluster: connecting, resources, and how many jobs it holds.

A job is a trial of Ray Tune (trials.py), or one of a batch for a long-lived actor (actors.py) where jobs are short.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evaluators.latency.agent import default_threads
from search_spaces import InputError

from ..objectives import is_number
from ..session.session import Session
from .nodes import alive_nodes, amount
from .ray_private import check_version, set_environment, without_logs_of_the_dead, without_usage_process


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
        for name, most in (("max_concurrent", max_concurrent), ("batch", batch)):
            if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
                raise InputError(f"{name} must be a positive integer or None, not {most!r}")
        self.max_concurrent, self.batch = max_concurrent, batch

    def __call__(self, session: Session) -> None:
        """Run a session's jobs until it is over.

        Raises:
            InputError: there is no such cluster, or no node of it could ever hold a trial.
        """
        set_environment(local=not self.address)
        import ray

        if (warning := check_version(ray.__version__)) is not None:
            session.listener.say(warning)
        with without_logs_of_the_dead(), self._connected():
            self._check_resources()
            self._run(session)

    def _run(self, session: Session) -> None:
        # both import Ray, which takes its time and reads the environment that is set by now
        if self.batch is None:
            from .trials import run_trials

            run_trials(session, self.resources, self.slots)
        else:
            from .actors import run_actors

            run_actors(session, self.resources, self.slots, self.batch)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[None]:
        import ray

        if ray.is_initialized():  # the caller's own Ray is used and left running
            yield
            return
        if self.address:
            _check_reachable(self.address)
        try:
            with without_usage_process():
                ray.init(
                    address=self.address or "local",
                    num_cpus=None if self.address else default_threads(),  # Ray would count those of the whole machine
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

    def _check_resources(self) -> None:
        """Raise InputError where no node, however idle, could hold a trial: Ray would wait for ever."""
        wants = " and ".join(f"{value:g} {name.upper()}s" for name, value in self.resources.items())
        nodes = alive_nodes()
        if any(self._fits(node) for node in nodes):
            return
        has = "; ".join(f"{amount(node, 'cpu'):g} CPUs, {amount(node, 'gpu'):g} GPUs" for node in nodes[:8]) or "none"
        raise InputError(
            f"a trial wants {wants} and no node of the cluster has as much ({len(nodes)} nodes: {has}); lower "
            f"{' or '.join(f'{name}s_per_trial' for name in self.resources)}, or join a cluster with larger nodes"
        )

    def slots(self) -> int:
        """Trials that the cluster holds now; nodes may join and leave."""
        slots = sum(
            min(int(amount(node, name) / value + 1e-6) for name, value in self.resources.items())
            for node in alive_nodes()
        )
        return min(slots, self.max_concurrent or slots)

    def _fits(self, node: dict[str, Any]) -> bool:
        return all(amount(node, name) >= value for name, value in self.resources.items())


def _check_reachable(address: str) -> None:
    """Ray waits long for an address where nothing listens; a socket knows at once."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise InputError(f"address {address!r} must be HOST:PORT, ray://HOST:PORT or auto")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise InputError(
            f"no Ray cluster at {address!r} ({error.strerror or error}); start one with `ray start --head` "
            "or leave the address out to use this machine"
        ) from None


def _import_path() -> list[str]:
    """Where workers find this package when it is not installed (a checkout that is run from its folder)."""
    return [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
