"""The nodes of a Ray cluster: which there are, what they have, and what became of a job on one that went away."""

from __future__ import annotations

import socket
from typing import Any

from ..session.outcome import Ending, Outcome
from .ray_private import tells_of_a_lost_node


def alive_nodes() -> list[dict[str, Any]]:
    """The nodes that are there now, as Ray describes them."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def amount(node: dict[str, Any], resource: str) -> float:
    """How much of a resource ("cpu", "gpu") a node has in all."""
    return node["Resources"].get(resource.upper(), 0)


def this_node() -> str:
    """A name of the node that this worker runs on: the host, and which of its nodes."""
    import ray

    return f"{socket.gethostname()}/{ray.get_runtime_context().get_node_id()[:8]}"


def death(node: str | None, message: str) -> Outcome:
    """How a job ended whose worker answers no more: lost with its node, died on a node that lives, or never began.

    Args:
        node: what `this_node` said there, None where it never began.
        message: what Ray says of it.
    """
    if not node:
        return Outcome(Ending.UNSTARTED, reason=_gist(message))
    is_alive = any(other["NodeID"].startswith(node.rpartition("/")[2]) for other in alive_nodes())
    if not is_alive or tells_of_a_lost_node(message):
        return Outcome(Ending.LOST, reason=f"node {node} is gone", node=node)
    return Outcome(Ending.DIED, reason=f"its worker died on {node}: {_gist(message)}", node=node)


def _gist(message: str) -> str:
    """The line of Ray's message that says what happened: an exception's last one, else the first."""
    lines = [line.strip() for line in message.strip().splitlines() if line.strip()] or ["no reason is known"]
    return lines[-1] if any(line.startswith("Traceback") or "::" in line for line in lines) else lines[0]
