"""What every scheduler must do, and how one is made by its name."""

import pytest

from nas import Constraint, Objective, make_algorithm
from nas.schedulers import SCHEDULERS, Job, make_scheduler, usual_scheduler
from nas.storage.store import Store
from search_spaces import Choice, InputError, SearchSpace

SPACE = SearchSpace("toy", [Choice("a", list(range(12))), Choice("b", list(range(12)))])
OBJECTIVES = [Objective("gain", "max"), Objective("cost", "min")]
FIDELITIES = (1, 2, 4)


@pytest.fixture(params=SCHEDULERS)
def make(request):
    def make(always=(), **options):
        algorithm = make_algorithm("random", SPACE, OBJECTIVES, **options)
        return make_scheduler(request.param, algorithm, FIDELITIES, always=always)

    return make


def metrics(job):
    return {"gain": job.architecture["a"], "cost": job.architecture["b"]}


def run(scheduler, count):
    jobs = []
    for _ in range(count):
        jobs.append(scheduler.ask())
        scheduler.tell(jobs[-1], metrics(jobs[-1]))
    return jobs


def test_no_job_is_asked_twice_and_the_last_is_known(make):
    scheduler = make()
    jobs = run(scheduler, 40)
    assert len(set(jobs)) == 40 and any(map(scheduler.is_last, jobs))
    assert all(scheduler.is_last(job) == (job.fidelity == FIDELITIES[-1]) for job in jobs)
    assert {job.fidelity for job in jobs} == set(scheduler.fidelities)


def test_what_an_architecture_costs_from_its_first_job_to_its_last_is_one(make):
    scheduler = make()
    architecture = SPACE.architecture(a=1, b=1)
    assert sum(scheduler.cost(Job(architecture, f)) for f in scheduler.fidelities) == pytest.approx(1)


def test_what_can_go_on_no_further_is_done(make):
    scheduler = make()
    failed, rejected, pending = (scheduler.ask() for _ in range(3))
    scheduler.tell_failure(failed, "NaN")
    scheduler.tell_rejected(rejected, {"cost": 99})
    assert scheduler.is_done(failed.key) and scheduler.is_done(rejected.key) and not scheduler.is_done(pending.key)
    jobs = run(scheduler, 40)
    done = {job.key for job in jobs if scheduler.is_last(job)}
    assert all(scheduler.is_done(job.key) == (job.key in done) for job in jobs)
    assert not {failed.key, rejected.key} & {job.key for job in jobs}


def test_what_breaks_a_constraint_is_done_unless_it_always_goes_on(make):
    architecture = SPACE.architecture(a=1, b=11)
    for always in ((), [architecture.key]):
        scheduler = make(always, constraints=[Constraint("cost", upper=5)])
        job = scheduler.first_job(architecture)
        scheduler.tell(job, metrics(job))
        assert scheduler.is_done(architecture.key) == (not always or scheduler.is_last(job))


def test_rebuilt_from_a_store_it_goes_on_as_if_never_stopped(make, tmp_path):
    whole = make()
    with Store.create(tmp_path / "store.sqlite", space=SPACE, settings={}) as store:
        for number in range(30):
            job = whole.ask()
            store.asked(job.architecture, {}, fidelity=job.fidelity)
            if number % 7 == 3:
                store.failed(job.architecture, "NaN")
                whole.tell_failure(job, "NaN")
            elif number % 7 == 5:
                store.rejected(job.architecture, {"cost": 9}, "too costly")
                whole.tell_rejected(job, {"cost": 9})
            else:
                (store.finished if whole.is_last(job) else store.paused)(job.architecture, metrics(job))
                whole.tell(job, metrics(job))
        again = make()
        again.restore(store.evaluations(), store.events())
    assert run(again, 20) == run(whole, 20)
    assert all(again.is_done(e.key) == whole.is_done(e.key) for e in SPACE.enumerate())


def test_the_usual_one():
    assert usual_scheduler(()) == "fifo" and usual_scheduler(FIDELITIES) == "halving"


@pytest.mark.parametrize(
    ("name", "fidelities", "options", "message"),
    [
        ("hyperband", (1, 2), {}, "no scheduler 'hyperband'; there are fifo or halving"),
        ("halving", (1, 2), {"eta": 3}, "scheduler 'halving' has no option 'eta'; it has keep"),
        ("halving", (1, 2), {"keep": 0}, "option keep must be a share above 0, up to 1, not 0"),
        ("halving", (1, 2), {"keep": "half"}, "scheduler 'halving': option keep must be a number, not 'half'"),
        ("halving", (), {}, "scheduler 'halving' needs an evaluator with several fidelities; .*'fifo'"),
        ("fifo", (), {"keep": 0.5}, "scheduler 'fifo' has no option 'keep'; it has none"),
    ],
)
def test_what_is_wrong_is_named(name, fidelities, options, message):
    with pytest.raises(InputError, match=message):
        make_scheduler(name, make_algorithm("random", SPACE, OBJECTIVES), fidelities, **options)
