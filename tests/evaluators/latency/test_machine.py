"""How many threads a runtime may use: the affinity mask and the quota of every control group around the process."""

import os

import pytest

from evaluators.latency.agent import machine

V2 = "0::/user.slice/job.scope\n"
V1 = "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/\n"


@pytest.fixture
def system(tmp_path):
    """The function that lays files out below a root."""

    def lay(cgroup, files):
        for name, text in {"proc/self/cgroup": cgroup, **{f"sys/fs/cgroup/{n}": t for n, t in files.items()}}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return str(tmp_path)

    return lay


@pytest.mark.parametrize(
    ("cgroup", "files", "quota"),
    [
        (V2, {}, None),
        (V2, {"user.slice/job.scope/cpu.max": "max 100000\n"}, None),
        (V2, {"user.slice/job.scope/cpu.max": "150000 100000\n"}, 1.5),
        (V2, {"user.slice/job.scope/cpu.max": "400000 100000\n", "user.slice/cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 0.5),  # a container that sees its own group as the root
        (V2, {"cpu.max": "300000 100000\n"}, 3),  # one that is told of the host's groups, and sees only its own
        ("0::/../../job\n", {"job/cpu.max": "100000 100000\n"}, 1),
        (V1, {"cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "250000", "cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000"}, 2.5),
        (V1, {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        (V1, {"memory/cpu.cfs_quota_us": "1", "memory/cpu.cfs_period_us": "2"}, None),
        (V2, {"cpu.max": "nonsense"}, None),
        ("nonsense", {}, None),
    ],
)  # fmt: skip
def test_the_tightest_limit_counts(system, cgroup, files, quota):
    assert machine.processor_quota(system(cgroup, files)) == quota


def test_without_control_groups_there_is_no_quota(tmp_path):
    assert machine.processor_quota(str(tmp_path)) is None


@pytest.mark.parametrize(("quota", "threads"), [(None, 4), (0.5, 1), (1.5, 1), (2.9, 2), (64, 4)])
def test_threads_are_whole_cores_of_mask_and_quota(monkeypatch, quota, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(4)), raising=False)
    monkeypatch.setattr(machine, "processor_quota", lambda: quota)
    assert machine.default_threads() == threads
