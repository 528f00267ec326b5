"""Successive halving: who goes on, what is spent, and that it is rebuilt from the store."""

import numpy as np
import pytest

from evaluators import Evaluator
from nas import Constraint, Objective, load_run, make_algorithm, search
from nas.schedulers.halving import SuccessiveHalving
from nas.session.trial import Job
from search_spaces import Choice, InputError, SearchSpace

SPACE = SearchSpace("toy", [Choice("a", list(range(30))), Choice("b", list(range(30)))])
OBJECTIVES = [Objective("gain", "max"), Objective("cost", "min")]


def halving(fidelities=(1, 3, 9), **options):
    always = options.pop("always", ())
    return SuccessiveHalving(make_algorithm("random", SPACE, OBJECTIVES, **options), fidelities, always)


def metrics(gain, cost=1.0):
    return {"gain": gain, "cost": cost}


def test_the_best_third_of_a_rung_goes_on():
    it = halving()
    jobs = [it.ask() for _ in range(3)]
    assert {job.fidelity for job in jobs} == {1}
    for gain, job in zip((1, 3, 2), jobs):
        it.tell(job, metrics(gain))
    assert it.ask() == Job(jobs[1].architecture, 3)
    assert it.ask().fidelity == 1  # nobody else may go on yet


def test_higher_rungs_come_first_and_nobody_goes_on_twice():
    it, done = halving(), []
    for _ in range(60):
        job = it.ask()
        done.append(job)
        it.tell(job, metrics(job.architecture["a"], job.architecture["b"]))
    assert len(done) == len(set(done))
    counts = [sum(job.fidelity == f for job in done) for f in (1, 3, 9)]
    # at least a third, and those that overtook some that had gone on already
    assert counts[0] // 3 <= counts[1] <= counts[0] // 2 and 0 < counts[1] // 3 <= counts[2] <= counts[1] // 2
    spent = sum(map(it.cost, done))
    assert spent == pytest.approx((counts[0] + 2 * counts[1] + 6 * counts[2]) / 9)


def test_ties_go_to_the_less_crowded_then_to_the_earlier():
    it = halving((1, 3))
    jobs = [it.ask() for _ in range(6)]
    # all on one front; the ends and then what lies alone come first
    for job, (gain, cost) in zip(jobs, [(1.0, 1.0), (2.0, 2.0), (2.1, 2.1), (2.2, 2.2), (8.0, 8.0), (9.0, 9.0)]):
        it.tell(job, metrics(gain, cost))
    assert [it.ask().key for _ in range(2)] == [jobs[0].key, jobs[5].key]
    equal = halving((1, 3))
    jobs = [equal.ask() for _ in range(3)]
    for job in jobs:
        equal.tell(job, metrics(1.0))
    assert equal.ask().key == jobs[0].key


def test_what_breaks_a_constraint_does_not_go_on_and_references_always_do():
    it = halving((1, 3), constraints=[Constraint("cost", upper=5)])
    jobs = [it.ask() for _ in range(3)]
    for job, (gain, cost) in zip(jobs, [(9, 6), (1, 1), (8, 9)]):
        it.tell(job, metrics(gain, cost))
    assert it.ask() == Job(jobs[1].architecture, 3)
    reference = SPACE.architecture(a=0, b=0)
    it = halving((1, 3), always=[reference.key])
    it.tell(Job(reference, 1), metrics(-5, 99))
    assert it.ask() == Job(reference, 3)


@pytest.mark.parametrize("fidelities", [[3, 1], [1, 1], [0, 2]])
def test_wrong_fidelities_are_named(fidelities):
    with pytest.raises(InputError, match="fidelities must ascend from above 0, not"):
        halving(fidelities)


class Curves(Evaluator):
    """What is gained grows with the fidelity, in the folder as in a checkpoint."""

    fidelities = (1, 2, 4)

    def __init__(self, log, stop_after=None):
        self.log, self.stop_after = log, stop_after

    def evaluate(self, architecture, directory, fidelity=None):
        done = float(before.read_text()) if (before := directory / "done").exists() else 0.0
        with open(self.log, "a") as log:
            log.write(f"{architecture.key} {done:g} {fidelity:g}\n")
        if self.stop_after and len(self.log.read_text().splitlines()) == self.stop_after:
            raise KeyboardInterrupt
        before.write_text(str(fidelity))
        return {"gain": architecture["a"] * (1 - 0.5**fidelity), "cost": architecture["b"]}


def test_a_search_goes_on_from_where_each_evaluation_paused(tmp_path):
    run = search(SPACE, Curves(tmp_path / "log"), OBJECTIVES, max_evaluations=10, directory=tmp_path / "run")
    steps = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert all(before == {"1": "0", "2": "1", "4": "2"}[after] for _, before, after in steps)
    assert {e.status for e in run.all_evaluations} == {"paused", "finished"}
    assert all(e.metrics["gain"] == e.architecture["a"] * (1 - 0.5**4) for e in run.evaluations)
    assert all(e.fidelity == 4 for e in run.evaluations) and len(run.all_evaluations) > 12
    spent = sum((float(after) - float(before)) / 4 for _, before, after in steps)
    assert 10 <= spent < 11
    best = max(e.architecture["a"] for e in run.all_evaluations)
    assert best in [e.architecture["a"] for e in run.evaluations]


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["random", "surrogate"])
def test_interrupted_and_resumed_it_ends_like_the_uninterrupted(tmp_path, algorithm):
    options = {"max_evaluations": 8, "algorithm": algorithm, "seed": 2}
    for cut in (3, 11, 17):
        with pytest.raises(KeyboardInterrupt):
            search(SPACE, Curves(tmp_path / f"log{cut}", cut), OBJECTIVES, directory=tmp_path / f"{cut}", **options)
        resumed = search(
            SPACE, Curves(tmp_path / f"log{cut}"), OBJECTIVES, directory=tmp_path / f"{cut}", resume=True, **options
        )
        whole = search(SPACE, Curves(tmp_path / f"whole{cut}"), OBJECTIVES, directory=tmp_path / f"w{cut}", **options)
        shown = [[(e.key, e.status, e.fidelity, e.metrics) for e in r.all_evaluations] for r in (resumed, whole)]
        assert shown[0] == shown[1]
    assert load_run(tmp_path / "17").front == resumed.front


def test_a_failure_on_a_higher_rung_is_neither_asked_again_nor_in_the_way_of_a_resume(tmp_path):
    class Breaking(Curves):
        def evaluate(self, architecture, directory, fidelity=None):
            if fidelity == 2:
                raise ValueError("breaks")
            return super().evaluate(architecture, directory, fidelity)

    reference = SPACE.architecture(a=29, b=0)
    options = {"directory": tmp_path / "run", "references": [reference, reference]}
    search(SPACE, Breaking(tmp_path / "log"), OBJECTIVES, max_evaluations=3, **options)
    run = search(SPACE, Breaking(tmp_path / "log"), OBJECTIVES, max_evaluations=6, resume=True, **options)
    failed = [event for event in run.events if event.state == "failed"]
    assert failed and len(failed) == len({event.key for event in failed}) and reference.key in {e.key for e in failed}
    assert all(event.fidelity == 2 for event in failed) and 6 <= run.spent < 6.5 and run.complete


def test_when_nothing_new_is_left_what_was_put_aside_goes_on(tmp_path):
    small = SPACE.restrict({"a": [1, 2, 3], "b": [4, 5]})
    run = search(small, Curves(tmp_path / "log"), OBJECTIVES, max_evaluations=6, directory=tmp_path / "run")
    assert len(run.evaluations) == 6 and len((tmp_path / "log").read_text().splitlines()) == 18


def test_other_rungs_than_the_record_has_are_refused(tmp_path):
    class Other(Curves):
        fidelities = (1, 3)

    search(SPACE, Curves(tmp_path / "log"), OBJECTIVES, max_evaluations=3, directory=tmp_path / "run")
    with pytest.raises(InputError, match=r"was searched with fidelities \[1, 2, 4\]; it cannot go on with \[1, 3\]"):
        search(SPACE, Other(tmp_path / "log"), OBJECTIVES, max_evaluations=9, directory=tmp_path / "run", resume=True)


def test_it_finds_what_full_evaluations_find_for_less():
    """On curves that keep their order, the front of everything is found for a fraction of the work."""
    rng = np.random.default_rng(0)
    told = {}
    it = halving((1, 3, 9), seed=1)
    spent = 0.0
    for _ in range(81 + 27 + 9):
        job = it.ask()
        spent += it.cost(job)
        told[job] = metrics(job.architecture["a"] + 0.01 * rng.random() + job.fidelity, 1.0)
        it.tell(job, told[job])
    begun = {job.architecture["a"] for job in told}
    assert max(job.architecture["a"] for job in told if job.fidelity == 9) == max(begun)
    assert spent < 0.35 * len({job.key for job in told})


def test_the_share_of_a_rung_that_goes_on_can_be_chosen():
    def gone_on(keep):
        scheduler = SuccessiveHalving(make_algorithm("random", SPACE, OBJECTIVES), (1, 9), keep=keep)
        jobs = []
        for _ in range(40):
            jobs.append(scheduler.ask())
            scheduler.tell(jobs[-1], metrics(jobs[-1].architecture["a"]))
        return sum(job.fidelity == 9 for job in jobs) / sum(job.fidelity == 1 for job in jobs)

    assert 1 / 9 <= gone_on(None) < 0.3 and 0.45 < gone_on(0.5) < 0.8 and gone_on(1.0) == 1
