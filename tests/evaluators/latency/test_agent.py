"""The measurement protocol on made-up clocks, and the archive's work on a pack, crashes included."""

import json
import subprocess
import sys

import numpy as np
import pytest

from evaluators.latency import agent
from evaluators.latency.agent import protocol
from evaluators.latency.archive import write_archive
from evaluators.runtimes import Session


class Machine:
    """A machine with a clock of its own and states that take turns: factors that a network is slowed by."""

    def __init__(self, states=(1.0,), seconds=1.0):
        self.states, self.seconds, self.now = states, seconds, 0.0

    def perf_counter(self):
        return self.now

    time = perf_counter

    def sleep(self, seconds):
        self.now += seconds

    def network(self, milliseconds, slowed=1.0, noise=0.0):
        """One that feels the share `slowed` of what a state slows down."""
        rng = np.random.default_rng(0)

        class Network(Session):
            def run(self):
                self.timer()

            def infer(self, image):
                return image

        def timer():
            state = self.states[int(self.now / self.seconds) % len(self.states)]
            took = milliseconds * (1 + slowed * (state - 1)) * np.exp(noise * rng.standard_normal())
            self.now += took / 1000
            return took

        network = Network()
        network.timer = timer
        return network


@pytest.fixture
def machine(monkeypatch):
    """Makes machines whose clock the protocol reads."""

    def make(*args, **options):
        made = Machine(*args, **options)
        monkeypatch.setattr(protocol, "time", made)
        return made

    return make


def test_the_ratio_of_two_steady_networks_is_exact(machine):
    quiet = machine()
    figures = agent.measure(quiet.network(6.0), quiet.network(4.0))
    assert figures["ratio"] == pytest.approx(1.5)
    assert figures["ratio_q25"] <= figures["ratio"] <= figures["ratio_q75"]
    assert figures["raw_ms"] == pytest.approx(6.0) and figures["reference_ms"] == pytest.approx(4.0)
    assert figures["rounds"] >= protocol.FEWEST_ROUNDS and figures["repeats"] >= figures["rounds"]


def test_a_noisy_network_gets_more_rounds(machine):
    made = machine()
    quiet = agent.measure(made.network(6.0), made.network(4.0))
    noisy = agent.measure(made.network(6.0, noise=0.1), made.network(4.0, noise=0.1))
    assert noisy["rounds"] > quiet["rounds"]
    assert noisy["ratio"] == pytest.approx(1.5, rel=0.03)


def test_drift_that_slows_all_networks_alike_is_corrected(machine):
    drifting = machine(states=(1.0, 1.3, 1.7, 1.2), seconds=0.4)
    figures = agent.measure(drifting.network(6.0), drifting.network(4.0))
    assert figures["ratio"] == pytest.approx(1.5, rel=0.02)
    assert figures["raw_ms"] > 6.5


def test_rounds_in_a_slow_state_do_not_count(machine):
    # in the slow state the reference takes 1.6 times as long, the network only 1.2 times: ratios there are wrong
    restless = machine(states=(1.6, 1.0), seconds=1.0)
    figures = agent.measure(restless.network(6.0, slowed=1 / 3), restless.network(4.0), expected_ms=4.0)
    assert figures["reference_ms"] == pytest.approx(4.0)
    assert figures["ratio"] == pytest.approx(1.5, rel=0.02)
    slow = machine(states=(1.6,))
    assert agent.measure(slow.network(6.0, slowed=1 / 3), slow.network(4.0))["ratio"] < 1.2  # nothing is expected


def test_a_state_that_does_not_end_is_measured_in_after_a_while(machine):
    slow = machine(states=(1.6,))
    figures = agent.measure(slow.network(6.0), slow.network(4.0), expected_ms=4.0)
    assert figures["reference_ms"] == pytest.approx(6.4) and figures["ratio"] == pytest.approx(1.5)
    assert slow.now > protocol.WAIT_SECONDS


def test_the_usual_latency_is_that_of_the_fast_state(machine):
    restless = machine(states=(1.5, 1.0, 1.5), seconds=0.5)
    assert agent.usual_ms(restless.network(4.0)) == pytest.approx(4.0)


def test_a_wide_spread_is_refused(machine):
    made = machine(states=(1.0, 4.0), seconds=0.3)
    with pytest.raises(agent.Unstable, match="spread stayed too large"):
        agent.measure(made.network(6.0), made.network(4.0, slowed=0.0))


# A runtime of the tests: the "file" says in ms how long the network takes, or how it goes wrong.
FAKE = """
import os
from .runtime import Runtime, Session

class FakeSession(Session):
    version = "1.0"
    def __init__(self, what):
        self.timer = lambda: float(what)
    def run(self):
        pass
    def infer(self, image):
        return image

class Fake(Runtime):
    name, kind, suffix = "fake", "fake", ""
    devices, precisions = ("cpu",), ("FP32",)
    def open(self, path, shape, threads, device, precision):
        with open(path) as stream:
            what = stream.read().strip()
        if what == "crash":
            os.kill(os.getpid(), 11)
        if what == "refuse":
            raise RuntimeError("an operator that is not implemented")
        return FakeSession(what)

RUNTIME = Fake()
"""
BRIEF = dict.fromkeys(("SLICE_SECONDS", "MODEL_SECONDS", "WARMUP_SECONDS", "USUAL_SECONDS"), 0.001)


@pytest.fixture
def fake_pack(tmp_path, alter_archive):
    """Makes a pack whose archive holds one more runtime; models: name -> what the "file" says, the reference first."""

    def make(models):
        write_archive(tmp_path / "run.py")
        alter_archive(tmp_path / "run.py", BRIEF, {"evoyolo_agent/runtimes/fake.py": FAKE})
        entries = []
        for name, content in models.items():
            (tmp_path / name).write_text(content)
            entries.append({"name": name, "architecture": {}, "image_size": [64, 64], "files": {"fake": name}})
        manifest = {
            "evoyolo_pack": agent.VERSION,
            "space": "toy",
            "num_classes": 1,
            "formats": ["fake"],
            "settings": {"runtime": "fake", "device": "cpu", "precision": "FP32", "threads": 1},
            "reference": entries[0],
            "models": entries[1:],
            "id": "0123456789ab",
        }
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))

    return make


def run_pack(folder, *arguments):
    command = [sys.executable, str(folder / "run.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_model_that_is_refused_or_crashes_the_runtime_costs_only_itself(tmp_path, fake_pack):
    fake_pack({"reference": "4", "a": "8", "b": "refuse", "c": "crash", "d": "2"})
    done = run_pack(tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    by_name = {m["name"]: m for m in results["measurements"]}
    assert by_name["a"]["ratio"] == pytest.approx(2.0) and by_name["d"]["ratio"] == pytest.approx(0.5)
    assert "not implemented" in by_name["b"]["failed"]
    assert "process died" in by_name["c"]["failed"]
    assert "2 of 4 models measured" in done.stdout
    assert agent.checksum(results) == results["checksum"]


def test_the_runner_goes_on_where_it_was(tmp_path, fake_pack):
    fake_pack({"reference": "4", "a": "8", "b": "2"})
    run_pack(tmp_path)
    results = json.loads((tmp_path / "results.json").read_text())
    kept = next(m for m in results["measurements"] if m["name"] == "a")
    results["measurements"] = [kept]
    results["checksum"] = agent.checksum(results)
    (tmp_path / "results.json").write_text(json.dumps(results))
    (tmp_path / "a").write_text("refuse")  # it would not be measured again
    assert run_pack(tmp_path).returncode == 0
    again = json.loads((tmp_path / "results.json").read_text())["measurements"]
    assert again[0] == kept and again[1]["ratio"] == pytest.approx(0.5)


def test_results_of_other_settings_are_not_mixed(tmp_path, fake_pack):
    fake_pack({"reference": "4", "a": "8"})
    assert run_pack(tmp_path).returncode == 0
    other = run_pack(tmp_path, "--threads", "2")
    assert other.returncode == 1 and "other settings" in other.stderr


def test_a_pack_without_the_runtime_s_files_says_so(tmp_path, fake_pack):
    fake_pack({"reference": "4", "a": "8"})
    done = run_pack(tmp_path, "--runtime", "openvino")
    assert done.returncode == 1 and "holds fake files, which openvino does not read" in done.stderr


def test_a_model_that_was_disturbed_is_taken_once_more(tmp_path, fake_pack):
    fake_pack({"reference": "4", "a": "8", "b": "2"})
    assert run_pack(tmp_path).returncode == 0
    results = json.loads((tmp_path / "results.json").read_text())
    a, b = results["measurements"]
    b["reference_ms"] = 6.0  # b in another state of the machine, a not at all
    results["measurements"] = [{"name": a["name"], "time": 1, "failed": "Unstable: the spread stayed too large"}, b]
    results["checksum"] = agent.checksum(results)
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert run_pack(tmp_path).returncode == 0
    again = json.loads((tmp_path / "results.json").read_text())
    by_name = {m["name"]: m for m in again["measurements"]}
    assert by_name["a"]["ratio"] == pytest.approx(2.0) and by_name["b"]["reference_ms"] == pytest.approx(4.0)
    assert sorted(again["repeated"]) == ["a", "b"]


def test_what_was_too_disturbed_has_another_chance_whenever_it_is_run_again(tmp_path, fake_pack):
    fake_pack({"reference": "4", "a": "8"})
    assert run_pack(tmp_path).returncode == 0
    results = json.loads((tmp_path / "results.json").read_text())
    results["measurements"] = [{"name": "a", "time": 1, "failed": "Unstable: the spread stayed too large"}]
    results["repeated"] = ["a"]  # and was so the second time
    results["checksum"] = agent.checksum(results)
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert run_pack(tmp_path).returncode == 0
    (again,) = json.loads((tmp_path / "results.json").read_text())["measurements"]
    assert again["ratio"] == pytest.approx(2.0)


def test_results_that_were_changed_or_cut_off_are_not_gone_on_with(tmp_path, fake_pack):
    fake_pack({"reference": "4", "a": "8"})
    assert run_pack(tmp_path).returncode == 0
    text = (tmp_path / "results.json").read_text()
    (tmp_path / "results.json").write_text(text.replace('"raw_ms": 8', '"raw_ms": 7'))
    done = run_pack(tmp_path)
    assert done.returncode == 1 and "was changed after it was measured" in done.stderr
    (tmp_path / "results.json").write_text(text[:100])
    done = run_pack(tmp_path)
    assert done.returncode == 1 and "was it cut off?" in done.stderr and "Traceback" not in done.stderr


def test_a_runtime_that_crashes_at_once_ends_the_run(tmp_path, fake_pack):
    fake_pack({"reference": "crash", "a": "8"})
    done = run_pack(tmp_path)
    assert done.returncode == 1 and "crashes (status -11) before it measures anything" in done.stderr


def test_a_figure_is_not_lost_when_it_is_taken_once_more_in_vain(tmp_path, fake_pack):
    fake_pack({"reference": "4", "a": "8"})
    assert run_pack(tmp_path).returncode == 0
    results = json.loads((tmp_path / "results.json").read_text())
    results["measurements"][0]["reference_ms"] = 6.0
    results["checksum"] = agent.checksum(results)
    (tmp_path / "results.json").write_text(json.dumps(results))
    (tmp_path / "a").write_text("refuse")
    assert run_pack(tmp_path).returncode == 0
    again = json.loads((tmp_path / "results.json").read_text())["measurements"]
    assert again[0]["ratio"] == pytest.approx(2.0)
