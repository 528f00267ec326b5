"""Shared by the tests of latency: archives that take less care, or hold more, than those of packs."""

import zipfile

import pytest


@pytest.fixture(scope="session")
def alter_archive():
    """The function (path, constants of the protocol, more modules) that changes an archive in its place."""

    def alter(path, constants, modules=()):
        with zipfile.ZipFile(path) as archive:
            entries = {name: archive.read(name).decode() for name in archive.namelist()}
        entries.update(modules)
        entries["evoyolo_agent/latency/agent/protocol.py"] += "".join(f"{k} = {v}\n" for k, v in constants.items())
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in entries.items():
                archive.writestr(name, text)

    return alter
