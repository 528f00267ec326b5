"""Nothing leaves the machine: a whole search, each of its processes watched, makes no attempt to reach another one."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evaluators.latency import agent
from evaluators.latency.archive import write_archive
from evaluators.latency.profile import DeviceProfile
from evaluators.runtimes import RUNTIMES, runtime

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
SMALL = [
    "--recipe", "train", "export", "quantise", "--epochs", "1", "--batch", "8", "--max-evaluations", "1", "--references",
    "yolov8-w1/16", "--restrict", "{image_size: [64], p2_width: [8, 16], p3_width: [16, 32], p4_width: [32], p5_width: [128]}",
]  # fmt: skip

# Python tells its hooks of every use of a socket; this one is loaded by each interpreter that has its folder on its path.
HOOK = """
import os, sys

def note(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        target = arguments[1]
        if isinstance(target, tuple):  # neither a path of this machine nor a socket that was connected before
            tell(event, target[0])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        tell(event, arguments[0])

def tell(event, host):
    host = host.decode() if isinstance(host, bytes) else str(host)
    if not host.startswith("127.") and host not in ("::1", "localhost", "0.0.0.0", "None", "", os.uname().nodename):
        with open(os.environ["ATTEMPTS"], "a") as stream:
            stream.write(f"{event} {host} by {sys.argv[:3]}\\n")

sys.addaudithook(note)
"""
TRACE = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "signal=none", "-e", "trace=connect,sendto,sendmsg,sendmmsg"]
ADDRESS = re.compile(r'inet_addr\("(?!127\.|0\.0\.0\.0)[^"]+"\)|inet_pton\(AF_INET6, "(?!::1"|::"|::ffff:127\.)[^"]+"')


class Watch:
    """Runs commands in a folder and keeps what they tried to reach; also natively, where strace works."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.python, self.native = folder, folder / "python.txt", folder / "native.txt"
        (folder / "hook").mkdir()
        (folder / "hook" / "sitecustomize.py").write_text(HOOK)
        (folder / "home").mkdir()

    def __call__(self, *command: object, **environment: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "RAY_", "YOLO_"))}
        own = {
            "HOME": str(self.folder / "home"),
            "EVOYOLO_CACHE": str(self.folder / "cache"),
            "ATTEMPTS": str(self.python),
            "PYTHONPATH": os.pathsep.join(map(str, (self.folder / "hook", ROOT))),
        }
        traced = [*TRACE, "-A", "-o", str(self.native)] if can_trace() else []
        return subprocess.run(
            [*traced, *map(str, command)], capture_output=True, text=True, cwd=self.folder, env={**kept, **own, **environment}
        )  # fmt: skip

    def attempts(self) -> list[str]:
        """What was tried so far, in Python and beneath it."""
        python, native = (path.read_text().splitlines() if path.exists() else [] for path in (self.python, self.native))
        return [*python, *filter(ADDRESS.search, native)]

    def identifiers(self) -> list[str]:
        """What runtimes would report with, left in the user's home."""
        names = ("deviceid", "openvino_ga_cid")
        return [path.name for path in (self.folder / "home").rglob("*") if path.name in names]


@functools.cache
def can_trace() -> bool:
    return bool(shutil.which("strace")) and not subprocess.run([*TRACE, "-o", os.devnull, "true"]).returncode


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path)


def evoyolo(*arguments: object) -> list[object]:
    return [sys.executable, "-m", "nas.cli", *arguments]


@pytest.mark.parametrize("executor", ["here", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_whole_search_tries_to_reach_nobody(
    executor: str, watch: Watch, board: DeviceProfile, small_data: Path
) -> None:
    # as if of this machine, so that the front is measured; that a profile is measured first, another test watches
    this = {"machine": agent.device_name(), "version": runtime("onnxruntime").installed_version(), "threads": 1}
    board.model_copy(update={**this, "precision": "INT8"}).save(watch.folder / "board.json")
    devices = ["--device", "board.json", "--executor", executor]
    searched = watch(*evoyolo("search", "--data", small_data, *SMALL, *devices))
    assert searched.returncode == 0, searched.stdout + searched.stderr
    picked = watch(*evoyolo("pick", "results/search", "--output", "picked"))
    assert picked.returncode == 0 and {"model.onnx", "best.pt"} <= {
        path.name for path in watch.folder.rglob("picked/*")
    }
    assert watch.attempts() == [] and watch.identifiers() == []
    nobody = "import socket; socket.create_connection(('192.0.2.1', 9), 0.1)"
    watch(sys.executable, "-c", nobody)
    counted = watch.attempts()
    assert any("socket.connect 192.0.2.1" in line for line in counted), counted
    assert any('inet_addr("192.0.2.1")' in line for line in counted) == can_trace()


def test_measuring_a_device_tries_to_reach_nobody(watch: Watch) -> None:
    few = ["--count", "5", "--threads", "1", "--image-size", "64"]
    assert watch(*evoyolo("device", "pack", "board", *few)).returncode == 0
    manifest = watch.folder / "board" / "manifest.json"
    document = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**document, "models": document["models"][:1]}))  # one takes as long as it must
    measured = watch(sys.executable, "board/run.py")
    assert "of 1 models measured" in measured.stdout, measured.stderr
    assert watch.attempts() == [] and watch.identifiers() == []


@pytest.mark.parametrize("package", ["evaluators", "evoyolo_agent"])
def test_every_runtime_is_silenced_before_it_is_imported(package: str, watch: Watch) -> None:
    write_archive(watch.folder / "run.py")
    script = f"""
import sys
sys.path.append("run.py")
from {package}.runtimes import RUNTIMES, Unavailable, open_session
for name in RUNTIMES:
    try:
        open_session(name, "missing", (1, 3, 64, 64), 1, "cpu", "FP32")
    except Exception as error:
        print(name, type(error).__name__)
"""
    opened = watch(sys.executable, "-c", script)
    assert len(opened.stdout.splitlines()) == len(RUNTIMES), opened.stderr
    assert watch.attempts() == [] and watch.identifiers() == []


def test_an_identifier_is_noticed(watch: Watch) -> None:
    watch(sys.executable, "-c", "import onnxruntime")
    if not watch.identifiers():
        pytest.skip("this ONNX Runtime leaves none")
    assert watch.identifiers() == ["deviceid"]
