"""Jobs in batches to long-lived actors, for evaluations that are shorter than what a trial costs."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import ray

from ..schedulers import Job
from ..session.outcome import Ending, Outcome
from ..session.retries import BACK_OFF
from ..session.session import Session
from .nodes import death, this_node
from .worker import Worker, worker_arguments

POLL = 0.2  # seconds between looks at the cluster


class BatchWorker:
    """The actor: a worker that hands back every outcome of a batch as soon as there is one."""

    def __init__(self, arguments: dict[str, Any]):
        self.worker = Worker(**arguments)

    def node(self) -> str:
        """The name of the node that it runs on."""
        return this_node()

    def run(self, batch: Sequence[tuple[dict[str, Any], float | None, int]]) -> Iterator[dict[str, Any]]:
        """Evaluate a batch of architectures, each given as its values, the fidelity and which repeat it is."""
        for values, fidelity, repeat in batch:
            if self.worker.is_broken:
                return  # the driver lets it go and gives the rest to others
            yield asdict(self.worker.run(values, fidelity, this_node(), repeat))


@dataclass
class Member:
    """One actor with what it has been given."""

    actor: Any  # Ray's handle
    starting: Any  # reference to its node's name until that is known
    node: str | None = None
    stream: Any = None  # of the outcomes of its batch
    jobs: deque[Job] = field(default_factory=deque)

    @property
    def awaited(self) -> Any:
        """What Ray is to be asked for next."""
        return self.starting if self.stream is None else self.stream


def run_actors(session: Session, resources: Mapping[str, float], slots: Callable[[], int], batch: int) -> None:
    """Run a session's jobs until it is over. Ray is connected.

    Args:
        resources: that each actor takes: "cpu", and maybe "gpu".
        slots: how many actors the cluster holds now.
        batch: jobs that an actor is given at once, at most.
    """
    takes = ray.remote(num_cpus=resources["cpu"], num_gpus=resources.get("gpu", 0), max_restarts=0)
    actor_class: Any = takes(BatchWorker)
    arguments = ray.put(worker_arguments(session))
    members: list[Member] = []
    looked_at, held = -POLL, 0
    try:
        while True:
            if time.monotonic() - looked_at > POLL:
                looked_at, held = time.monotonic(), slots()
                if not held:
                    session.listener.once("no node of the cluster holds an actor now; waiting for one to join")
            if len(members) < held and not session.over:
                actor = actor_class.remote(arguments)
                members.append(Member(actor, actor.node.remote()))
            for member in members:
                if member.node is not None and member.stream is None:
                    _hand_out(session, member, batch, held)
            if session.over and not any(member.jobs for member in members):
                return
            awaited = {member.awaited: member for member in members if member.awaited is not None}
            if not awaited:
                time.sleep(POLL)
                continue
            ready, _ = ray.wait(list(awaited), num_returns=1, timeout=POLL)
            for reference in ready:
                if not _take_in(session, awaited[reference]):
                    members.remove(awaited[reference])
    finally:
        for member in members:
            ray.kill(member.actor)


def _hand_out(session: Session, member: Member, most: int, slots: int) -> None:
    """Give a batch to an actor: smaller ones where little is left, which all actors are to share."""
    batch = math.ceil(min(most, session.left / max(1, slots))) or 1  # what is tried again is not in what is left
    while len(member.jobs) < batch and (job := session.propose(after=member.jobs)) is not None:
        member.jobs.append(job)
    if member.jobs:
        session.running(member.jobs[0], member.node)
        plain = [(job.architecture.to_dict(), job.fidelity, job.repeat) for job in member.jobs]
        member.stream = member.actor.run.options(num_returns="streaming").remote(plain)


def _take_in(session: Session, member: Member) -> bool:
    """Take what an actor has to say; False when it has died."""
    try:
        if member.stream is None:
            member.node, member.starting = ray.get(member.starting), None
            return True
        outcome = Outcome(**ray.get(next(member.stream)))
    except StopIteration:
        member.stream = None
        if not member.jobs:
            return True
        ray.kill(member.actor)  # it has lost its GPU
        _lose(session, member.jobs, member)
        return False
    except ray.exceptions.RayError as error:
        ended = death(member.node, str(error))
        if member.jobs:
            session.conclude(member.jobs.popleft(), ended)  # it was being done; the others only waited for their turn
            _lose(session, member.jobs, member)
        else:
            session.unstarted(ended.reason)
            time.sleep(BACK_OFF)
        return False
    session.conclude(member.jobs.popleft(), outcome)
    if member.jobs:
        session.running(member.jobs[0], member.node)
    return True


def _lose(session: Session, jobs: Iterable[Job], member: Member) -> None:
    for job in jobs:
        session.conclude(job, Outcome(Ending.LOST, reason="the actor that it waited for ended", node=member.node))
