"""What kind of file system a folder is on: a network's cannot hold a write-ahead log, which is shared by memory."""

from __future__ import annotations

import os
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
NETWORK = frozenset(
    [
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "panfs",
        "pvfs2",
        "smb",
        "smb2",
        "smb3",
        "smbfs",
        "vboxsf",
        "vmhgfs",
        "wekafs",
    ]
)


def network_file_system(path: str | Path, mounts: Path = MOUNTS) -> str | None:
    """The type of the network file system that a path is on, "nfs4" say; None where it is on none, or nothing tells.

    What a program serves (FUSE, such as sshfs) counts as one.

    Args:
        mounts: the system's table of mounts, as Linux writes it.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    place, nearest, found = os.path.realpath(path), -1, ""
    for line in lines:
        fields, _, source = line.partition(" - ")
        try:
            point, kind = _unescaped(fields.split()[4]), source.split()[0]
        except IndexError:
            continue
        # of two mounts at one point the later one is seen
        if len(point) >= nearest and (place == point or place.startswith(point.rstrip("/") + "/")):
            nearest, found = len(point), kind
    return found if found in NETWORK or found.startswith("fuse.") or found == "fuse" else None


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
