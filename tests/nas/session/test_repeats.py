"""Repeats: of a reference in the course of a search, of the front's contenders at its end; whatever is killed or full meanwhile."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from evaluators import Evaluator
from nas import Objective, load_run, make_algorithm, search
from nas.schedulers import Job
from nas.session.listener import Listener
from nas.session.outcome import Ending, Outcome
from nas.simulation import SimulatedWorker, simulate
from nas.storage.states import State
from nas.storage.store import Store
from search_spaces import Choice, InputError, SearchSpace

ROOT = Path(__file__).parents[3]
SPACE = SearchSpace("noisy", [Choice("a", list(range(12))), Choice("b", list(range(12)))])
OBJECTIVES = [Objective("map50_95", "max"), Objective("cost", "min")]
REFERENCES = [SPACE.architecture(a=6, b=6), SPACE.architecture(a=3, b=1)]


class Noisy(Evaluator):
    """An accuracy with noise; writes down what it begins and completes in `log`, and takes `seconds` for a repeat."""

    def __init__(self, log=None, seconds=0.0, deviation=0.05, fidelities=()):
        self.log, self.seconds, self.deviation, self.fidelities = log, seconds, deviation, tuple(fidelities)
        self.number = 0

    def estimate(self, architectures):
        return {"cost": np.array([float(a["a"] + a["b"] % 3) for a in architectures])}

    def repeated(self, repeat):
        other = Noisy(self.log, self.seconds, self.deviation, self.fidelities)
        other.number = repeat
        return other

    def evaluate(self, architecture, directory, fidelity=None):
        name = f"{architecture.key} {self.number} {fidelity}"
        self._write("begun", name)
        if self.number:
            time.sleep(self.seconds)
        rng = np.random.default_rng([architecture["a"], architecture["b"], self.number, int(fidelity or 0)])
        self._write("completed", name)
        share = 1 if fidelity is None else fidelity / self.fidelities[-1]
        accuracy = (
            0.3 + 0.04 * share * (architecture["a"] + architecture["b"] % 3) + self.deviation * rng.standard_normal()
        )
        return {"map50_95": float(accuracy)}

    def _write(self, name, line):
        if self.log:
            with open(Path(self.log) / f"{name}.txt", "a") as file:
                file.write(f"{line}\n")


def run(directory, evaluator=None, **options):
    options = {"max_evaluations": 8, "algorithm": "random", "references": REFERENCES, "progress": Listener(), **options}
    return search(SPACE, evaluator or Noisy(), OBJECTIVES, directory=directory, **options)


def history(found):
    """Everything that has ended, in order."""
    return [(e.key, e.repeat, e.state, e.detail) for e in found.events if e.state in tuple(map(str, State))]


def test_a_reference_is_repeated_before_the_algorithm_is_asked_and_counts(tmp_path):
    found = run(tmp_path / "run", repeats=2)
    asked = [(e.key, e.repeat) for e in found.events if e.state == State.ASKED]
    first = REFERENCES[0].key
    assert asked[:4] == [(first, 0), (REFERENCES[1].key, 0), (first, 1), (first, 2)]
    assert len(found.evaluations) == 6 and found.spent == 8 and found.complete
    assert [(e.key, e.repeat, e.confirms) for e in found.repeats] == [(first, 1, False), (first, 2, False)]
    judged = found.judged(found.evaluations[0])
    values = [found.evaluations[0].metrics["map50_95"], *(e.metrics["map50_95"] for e in found.repeats)]
    assert (
        judged.trainings == 3 and judged.metrics["map50_95"] == pytest.approx(np.mean(values)) and len(set(values)) == 3
    )
    assert found.noise["map50_95"].measured and found.noise["map50_95"].trainings == 3
    assert found.noise["cost"].deviation == 0
    assert sorted(path.name for path in (tmp_path / "run" / "trials").glob(f"{first}*")) == [
        first,
        f"{first}-2",
        f"{first}-3",
    ]


def test_without_references_it_is_the_first_that_finished(tmp_path):
    found = run(tmp_path / "run", references=[])
    assert [(e.key, e.repeat) for e in found.repeats] == [(found.evaluations[0].key, 1)]


def test_a_reference_that_fails_is_not_repeated(tmp_path):
    class Failing(Noisy):
        def evaluate(self, architecture, directory, fidelity=None):
            if architecture == REFERENCES[0]:
                raise ValueError("no")
            return super().evaluate(architecture, directory, fidelity)

        def repeated(self, repeat):
            return Noisy().repeated(repeat)

    assert [e.key for e in run(tmp_path / "run", Failing()).repeats] == [REFERENCES[1].key]


def test_a_function_without_random_numbers_is_never_repeated_and_cannot_be_confirmed(tmp_path):
    def evaluate(architecture):
        return {"map50_95": architecture["a"] / 12, "cost": architecture["b"]}

    found = run(tmp_path / "run", evaluate)
    assert found.repeats == [] and len(found.evaluations) == 8 and found.noise == {}
    with pytest.raises(InputError, match="confirm must be 0, not 3: the evaluator has no random numbers to change"):
        run(tmp_path / "other", evaluate, confirm=3)
    assert not (tmp_path / "other" / "store.sqlite").exists()


def test_a_function_that_takes_the_number_of_the_repeat_has_random_numbers(tmp_path):
    def evaluate(architecture, repeat=0):
        return {"map50_95": architecture["a"] / 12 + repeat / 100, "cost": architecture["b"]}

    found = run(tmp_path / "run", evaluate)
    (repeat,) = found.repeats
    assert repeat.metrics["map50_95"] == pytest.approx(found.evaluations[0].metrics["map50_95"] + 0.01)


@pytest.mark.parametrize("option", ["repeats", "confirm"])
@pytest.mark.parametrize("bad", [-1, 1.5, True, "2", None])
def test_wrong_numbers_are_refused(tmp_path, option, bad):
    with pytest.raises(InputError, match=f"{option} must be an integer of at least 0, not"):
        run(tmp_path / "run", **{option: bad})
    assert not (tmp_path / "run").exists()


def test_the_contenders_are_confirmed_at_the_end_beyond_the_budget(tmp_path):
    found = run(tmp_path / "run", confirm=5)
    confirming = [e for e in found.repeats if e.confirms]
    assert len(confirming) == 5 and found.spent == 8 and len(found.evaluations) == 7 and found.complete
    last = max(i for i, e in enumerate(found.events) if not e.repeat)
    places = {(e.key, e.repeat): i for i, e in reversed(list(enumerate(found.events)))}
    assert all(places[e.key, e.repeat] > last for e in confirming)
    without = run(tmp_path / "without")
    assert sum(without.judgement.doubts.values()) > sum(found.judgement.doubts.values())


def test_a_finished_run_is_confirmed_later_to_the_same_end(tmp_path):
    whole = run(tmp_path / "whole", confirm=6)
    run(tmp_path / "later")
    some = run(tmp_path / "later", confirm=2, resume=True)
    assert [e.confirms for e in some.repeats].count(True) == 2 and some.complete
    later = run(tmp_path / "later", confirm=6, resume=True)
    assert history(later) == history(whole) and [e.key for e in later.front] == [e.key for e in whole.front]
    again = run(tmp_path / "later", confirm=6, resume=True)
    assert history(again) == history(whole) and again.complete


def test_where_nobodys_place_is_in_doubt_it_ends(tmp_path):
    distinct = SPACE.restrict({"a": [0, 3, 6, 9], "b": [0]})
    options = {"max_evaluations": 60, "algorithm": "random", "progress": Listener(), "repeats": 30, "confirm": 100}
    found = search(distinct, Noisy(deviation=0.001), OBJECTIVES, directory=tmp_path / "run", **options)
    assert found.complete and len(found.evaluations) == 4 and sum(e.confirms for e in found.repeats) < 50
    assert max(found.judgement.doubts.values()) < 0.01


def test_a_repeat_that_fails_is_recorded_and_blames_no_architecture(tmp_path):
    class Failing(Noisy):
        def repeated(self, repeat):
            return type("Broken", (Noisy,), {"evaluate": lambda *_: 1 / 0})()

    found = run(tmp_path / "run", Failing(), confirm=3)
    assert {e.status for e in found.repeats} == {State.FAILED} and 1 < len(found.repeats) <= 4 and found.complete
    assert {e.status for e in found.all_evaluations} == {State.FINISHED} and found.spent == 8
    assert len({e.key for e in found.repeats}) == len(found.repeats)  # what failed once is not tried again


def test_halving_repeats_to_the_end_and_tells_the_algorithm_only_what_compares(tmp_path):
    evaluator = Noisy(fidelities=(1, 2, 4))
    found = run(tmp_path / "run", evaluator, confirm=3, max_evaluations=10)
    assert {e.fidelity for e in found.repeats} == {4} and all(e.status == State.FINISHED for e in found.repeats)
    assert 10 <= found.spent < 11 and len(found.repeats) == 4 and found.complete
    finished = {e.key for e in found.evaluations}
    assert {e.key for e in found.repeats} <= finished
    again = run(tmp_path / "run", evaluator, confirm=3, max_evaluations=10, resume=True)
    assert history(again) == history(found)


def test_on_resume_the_algorithm_hears_of_everything_in_the_same_order(tmp_path, monkeypatch):
    heard = []
    kind = type(make_algorithm("random", SPACE, OBJECTIVES))
    for name in ("tell", "tell_repeat"):
        original = getattr(kind, name)

        def remember(self, architecture, metrics, original=original, name=name):
            heard.append((name, architecture.key, metrics["map50_95"]))
            original(self, architecture, metrics)

        monkeypatch.setattr(kind, name, remember)
    run(tmp_path / "run", repeats=2)
    first = heard.copy()
    heard.clear()
    run(tmp_path / "run", repeats=2, max_evaluations=9, resume=True)
    assert heard[: len(first)] == first and len(heard) == len(first) + 1
    assert [name for name, *_ in first].count("tell_repeat") == 2


def test_a_repeat_that_ended_unrecorded_is_not_paid_for_again(tmp_path, monkeypatch):
    finished = Store.finished

    def full(self, *args, repeat=0, **kwargs):
        if repeat:
            raise InputError("the disk is full")
        finished(self, *args, repeat=repeat, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(InputError, match="disk is full"):
        patch.setattr(Store, "finished", full)
        run(tmp_path / "run", Noisy(tmp_path))
    assert load_run(tmp_path / "run").spent == 2
    found = run(tmp_path / "run", Noisy(tmp_path), resume=True)
    assert set(Counter((tmp_path / "completed.txt").read_text().splitlines()).values()) == {1}
    assert history(found)[-1][0] == found.evaluations[-1].key and found.spent == 8


def test_a_full_disk_during_a_repeat_blames_nothing(tmp_path):
    class Full(Noisy):
        def repeated(self, repeat):
            def evaluate(*_):
                raise OSError(errno.ENOSPC, "No space left on device")

            return type("Without", (Noisy,), {"evaluate": evaluate})()

    with pytest.raises(InputError, match="is full; every result is safe"):
        run(tmp_path / "run", Full())
    assert [e.status for e in load_run(tmp_path / "run").repeats] == [State.RUNNING]
    found, whole = run(tmp_path / "run", resume=True), run(tmp_path / "whole")
    assert [e.attempts for e in found.repeats] == [2]
    assert [e.metrics for e in found.evaluations] == [e.metrics for e in whole.evaluations]


def test_retries_of_a_repeat_are_its_own(tmp_path):
    outcomes = iter([Ending.DIED, Ending.LOST])

    def executor(session):
        while True:
            job = session.propose()
            if job is None and session.over:
                return
            if job is None:
                time.sleep(0.05)
                continue
            session.running(job, "n")
            if job.repeat and (ending := next(outcomes, None)):
                session.conclude(job, Outcome(ending, reason="gone", node="n"))
                continue
            evaluator = session.evaluator.repeated(job.repeat) if job.repeat else session.evaluator
            session.conclude(job, Outcome("finished", evaluator.evaluate(job.architecture, None), seconds=1.0))

    found = run(tmp_path / "run", executor=executor, max_evaluations=4)
    (repeat,) = found.repeats
    assert (repeat.attempts, repeat.status) == (3, State.FINISHED) and found.evaluations[0].attempts == 1


DRIVE = """
import sys
from tests.nas.session.test_repeats import Noisy, run
run(sys.argv[1], Noisy(sys.argv[2], 0.4), confirm=3, resume=len(sys.argv) > 3)
"""


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 2])  # the repeat of the reference, and the second one that confirms
def test_killed_in_a_repeat_nothing_is_lost_or_paid_twice(tmp_path, which):
    directory, resume, killed = tmp_path / "run", [], 0
    while True:
        command = [sys.executable, "-c", DRIVE, directory, tmp_path, *resume]
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        begun = tmp_path / "begun.txt"
        while process.poll() is None:
            lines = begun.read_text().splitlines() if begun.exists() else []
            if not killed and sum(line.split()[1] != "0" for line in lines) == which + 1:
                process.send_signal(signal.SIGKILL)
                killed = 1
            time.sleep(0.01)
        if process.returncode == 0:
            break
        assert killed
        assert [e.status for e in load_run(directory).repeats] == [State.FINISHED] * which + [State.RUNNING]
        resume = ["resume"]
    found, whole = load_run(directory), run(tmp_path / "whole", confirm=3)
    assert set(Counter((tmp_path / "completed.txt").read_text().splitlines()).values()) == {1}
    assert sum(Counter(begun.read_text().splitlines()).values()) == 12  # 7 + 1 + 3, and the one that was cut off
    told = [(e.key, e.repeat, e.detail) for e in found.events if e.state == State.FINISHED]
    assert told == [(e.key, e.repeat, e.detail) for e in whole.events if e.state == State.FINISHED]
    assert found.complete and [e.attempts for e in found.repeats].count(2) == 1


def simulated(**options):
    workers = [SimulatedWorker(), SimulatedWorker(0.5), SimulatedWorker(joins=40)]
    options = {"workers": workers, "seconds": lambda job: 10.0 + job.repeat, "max_evaluations": 12, **options}
    return simulate(SPACE, options.pop("evaluator", None) or Noisy(), OBJECTIVES, repeats=1, confirm=6, **options)


@pytest.mark.parametrize("algorithm", ["random", "surrogate", "evolution"])
def test_on_several_workers_every_one_is_paid_for_once(algorithm):
    report = simulated(algorithm=algorithm)
    assert len(report.evaluations) == 11 and [e.confirms for e in report.repeats] == [False] + [True] * 6
    assert all(e.status == State.FINISHED for e in [*report.evaluations, *report.repeats])
    assert len({(e.key, e.repeat) for e in report.repeats}) == 7


def test_on_workers_that_die_and_go_away():
    report = simulated(death_rate=0.15, preempted_every=60.0, seed=3)
    ended = [e for e in report.repeats if e.status in (State.FINISHED, State.FAILED)]
    assert len(ended) == 7 == len(report.repeats) and any(e.attempts > 1 for e in report.repeats)
    finished = Counter((e.key, e.repeat) for e in report.events if e.state == State.FINISHED)
    assert set(finished.values()) == {1}


def test_confirming_on_several_workers_does_not_train_one_model_only():
    report = simulated(workers=[SimulatedWorker()] * 3, evaluator=Noisy(deviation=0.1), max_evaluations=30)
    assert len({e.key for e in report.repeats if e.confirms}) >= 3


def test_a_job_says_which_it_is():
    job = Job(REFERENCES[0], repeat=1)
    assert job.key == f"{REFERENCES[0].key}-2" and Job(REFERENCES[0]).key == REFERENCES[0].key
