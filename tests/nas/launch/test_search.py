"""The loop: results are recorded, failures do not stop it, runs resume."""

import errno
import json
import math
import shutil

import pytest

from evaluators import EvaluationError, Evaluator, Rejected
from nas import Constraint, Objective, load_run, pick, search
from nas.storage.store import Store
from search_spaces import Choice, InputError, SearchSpace

SPACE = SearchSpace("toy", [Choice("a", list(range(12))), Choice("b", list(range(12)))])
OBJECTIVES = [Objective("gain", "max"), Objective("cost", "min")]


def evaluate(architecture):
    return {
        "gain": math.sqrt(architecture["a"]) + architecture["b"] / 10,
        "cost": architecture["a"] + architecture["b"],
    }


def keys(run):
    return [e.key for e in run.all_evaluations]


def metrics_of(evaluations):
    return {e.key: e.metrics for e in evaluations}


def test_a_search_of_a_plain_function(tmp_path):
    run = search(SPACE, evaluate, OBJECTIVES, max_evaluations=30, directory=tmp_path / "run")
    assert len(run.evaluations) == 30 == len(set(keys(run)))
    best = {(e.metrics["gain"], e.metrics["cost"]) for e in run.front}
    every = [evaluate(e.architecture) for e in run.evaluations]
    assert best == {
        (m["gain"], m["cost"])
        for m in every
        if not any(o["gain"] >= m["gain"] and o["cost"] <= m["cost"] and o != m for o in every)
    }
    again = load_run(tmp_path / "run")
    assert keys(again) == keys(run) and again.front == run.front


def test_interrupted_and_resumed_it_ends_like_the_uninterrupted(tmp_path):
    calls = []

    def interrupted(architecture):
        calls.append(architecture.key)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return evaluate(architecture)

    options = {"max_evaluations": 20, "seed": 5}
    with pytest.raises(KeyboardInterrupt):
        search(SPACE, interrupted, OBJECTIVES, directory=tmp_path / "cut", **options)
    assert len(load_run(tmp_path / "cut").evaluations) == 7
    resumed = search(SPACE, interrupted, OBJECTIVES, directory=tmp_path / "cut", resume=True, **options)
    whole = search(SPACE, evaluate, OBJECTIVES, directory=tmp_path / "whole", **options)
    assert keys(resumed) == keys(whole) and metrics_of(resumed.front) == metrics_of(whole.front)
    assert len(calls) == 21 and len(set(calls)) == 20  # only the one that was running is evaluated again


def test_an_evaluation_that_ended_unrecorded_is_not_paid_for_again(tmp_path, monkeypatch):
    def no_space(self, *args, **kwargs):
        raise InputError("the disk is full")

    calls = []

    def counted(architecture):
        calls.append(architecture.key)
        return evaluate(architecture)

    with monkeypatch.context() as patch, pytest.raises(InputError, match="disk is full"):
        patch.setattr(Store, "finished", no_space)
        search(SPACE, counted, OBJECTIVES, max_evaluations=3, directory=tmp_path / "run")
    run = search(SPACE, counted, OBJECTIVES, max_evaluations=3, directory=tmp_path / "run", resume=True)
    assert len(run.evaluations) == 3 == len(calls)


def test_a_full_disk_stops_the_search_and_blames_no_architecture(tmp_path):
    calls = []

    def full(architecture):
        calls.append(architecture)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return evaluate(architecture)

    with pytest.raises(
        InputError, match="is full; every result is safe: free space, then call `search` again with .*resume=True"
    ):
        search(SPACE, full, OBJECTIVES, max_evaluations=6, directory=tmp_path / "run")
    assert [e.status for e in load_run(tmp_path / "run").all_evaluations] == ["finished", "finished", "running"]
    run = search(SPACE, full, OBJECTIVES, max_evaluations=6, directory=tmp_path / "run", resume=True)
    assert len(run.evaluations) == 6 and run.all_evaluations[2].attempts == 2


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ({"gain": 1.0}, "the evaluation gave no cost; it gave gain"),
        ({"gain": float("nan"), "cost": 1}, "metric gain is nan, not a finite number"),
        ({"gain": "high", "cost": 1}, "metric gain is 'high', not a finite number"),
        (None, "the evaluator returned NoneType, not a mapping"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (EvaluationError("out of memory"), "out of memory"),
    ],
)
def test_what_goes_wrong_with_one_architecture_is_recorded_and_the_search_goes_on(tmp_path, returned, reason):
    calls = []

    def sometimes(architecture):
        calls.append(architecture)
        if len(calls) == 2:
            if isinstance(returned, Exception):
                raise returned
            return returned
        return evaluate(architecture)

    run = search(SPACE, sometimes, OBJECTIVES, max_evaluations=5, directory=tmp_path / "run")
    failed = [e for e in run.all_evaluations if e.status == "failed"]
    assert len(run.evaluations) == 4 and len(failed) == 1
    assert failed[0].reason.startswith(reason)


class Costed(Evaluator):
    """Estimates cost; rejects what turns out too slow."""

    metrics = ("gain", "latency_ms")

    def estimate(self, architectures):
        import numpy as np

        return {"cost": np.array([evaluate(a)["cost"] for a in architectures])}

    def evaluate(self, architecture, directory):
        latency = 1.0 + architecture["b"]
        if latency > 6:
            raise Rejected(f"latency_ms {latency:g} > 6", {"latency_ms": latency})
        return {"gain": evaluate(architecture)["gain"], "latency_ms": latency}


def test_constraints_are_respected_and_rejections_cost_no_evaluation(tmp_path):
    constraints = [Constraint("cost", upper=10), Constraint("latency_ms", upper=6)]
    run = search(SPACE, Costed(), OBJECTIVES, max_evaluations=20, directory=tmp_path / "run", constraints=constraints)
    assert len(run.evaluations) == 20
    assert all(e.metrics["cost"] <= 10 for e in run.all_evaluations)
    assert all(e.metrics["latency_ms"] <= 6 for e in run.evaluations)
    rejected = [e for e in run.all_evaluations if e.status == "rejected"]
    assert rejected and all(e.reason.startswith("latency_ms") and e.metrics["latency_ms"] > 6 for e in rejected)
    assert run.costed > 0


def test_a_bound_that_every_evaluation_breaks_ends_with_the_nearest(tmp_path):
    class Slow(Costed):
        def evaluate(self, architecture, directory):
            latency = 10.0 + architecture["b"]
            raise Rejected(f"latency_ms {latency:g} > 6", {"latency_ms": latency})

    with pytest.raises(InputError, match=r"none met latency_ms <= 6; the nearest of \d+ tried has 10"):
        search(
            SPACE,
            Slow(),
            OBJECTIVES,
            max_evaluations=5,
            directory=tmp_path / "run",
            constraints=[Constraint("latency_ms", upper=6)],
        )


def test_an_objective_that_nobody_measures_is_refused_at_once(tmp_path):
    with pytest.raises(InputError, match="does not measure energy; it measures gain, latency_ms or cost"):
        search(SPACE, Costed(), [Objective("energy", "min")], max_evaluations=5, directory=tmp_path / "run")
    assert not list((tmp_path / "run").iterdir())  # free for another try


def test_references_come_first_whatever_the_constraints(tmp_path):
    reference = SPACE.architecture(a=11, b=4)
    run = search(
        SPACE,
        Costed(),
        OBJECTIVES,
        max_evaluations=4,
        directory=tmp_path / "run",
        constraints=[Constraint("cost", upper=10)],
        references=[reference],
    )
    assert run.all_evaluations[0].architecture == reference and run.all_evaluations[0].status == "finished"
    assert reference not in [e.architecture for e in run.front]  # it breaks the bound
    assert len(run.evaluations) == 4


@pytest.mark.parametrize("seed", [-1, 1.5, True, "0"])
def test_wrong_seeds_are_refused(tmp_path, seed):
    with pytest.raises(InputError, match="seed must be an integer of at least 0"):
        search(SPACE, evaluate, OBJECTIVES, max_evaluations=2, directory=tmp_path / "run", seed=seed)
    assert not (tmp_path / "run").exists()


def test_a_reference_that_the_space_does_not_hold_is_refused_at_once(tmp_path):
    narrow = SearchSpace("toy", [Choice("a", [1, 2]), Choice("b", list(range(12)))])
    with pytest.raises(InputError, match="'a' cannot be 11"):
        search(
            narrow,
            evaluate,
            OBJECTIVES,
            max_evaluations=4,
            directory=tmp_path / "run",
            references=[SPACE.architecture(a=11, b=4)],
        )
    assert not (tmp_path / "run").exists()


def test_the_front_of_another_run_comes_first(tmp_path):
    old = search(SPACE, evaluate, OBJECTIVES, max_evaluations=25, directory=tmp_path / "old", algorithm="random")
    narrow = SPACE.restrict({"a": list(range(8))})
    run = search(
        narrow,
        Costed(),
        OBJECTIVES,
        max_evaluations=20,
        directory=tmp_path / "run",
        start_from=tmp_path / "old",
        constraints=[Constraint("cost", upper=10)],
    )
    fitting = [e.key for e in old.front if e.architecture["a"] < 8 and evaluate(e.architecture)["cost"] <= 10]
    assert fitting and keys(run)[: len(fitting)] == fitting
    with pytest.raises(InputError, match=r"none of the \d+ architectures of its front lies in space 'toy'"):
        search(
            SPACE.restrict({"a": [7], "b": [7]}),
            evaluate,
            OBJECTIVES,
            max_evaluations=5,
            directory=tmp_path / "other",
            start_from=old,
        )


def test_a_run_goes_on_with_what_it_was_made_for(tmp_path):
    search(SPACE, evaluate, OBJECTIVES, max_evaluations=2, directory=tmp_path / "run")
    with pytest.raises(
        InputError, match=r"was searched with objectives \[\['gain', 'max'\], \['cost', 'min'\]\]; it cannot"
    ):
        search(SPACE, evaluate, OBJECTIVES[:1], max_evaluations=9, directory=tmp_path / "run", resume=True)


def test_the_seeds_of_another_run_survive_an_interruption(tmp_path):
    old = search(SPACE, evaluate, OBJECTIVES, max_evaluations=25, directory=tmp_path / "old", algorithm="random")
    options = {"max_evaluations": len(old.front), "directory": tmp_path / "run", "start_from": old}

    def cut(architecture):
        if (tmp_path / "run" / "trials").exists() and len(list((tmp_path / "run" / "trials").iterdir())) == 2:
            raise KeyboardInterrupt
        return evaluate(architecture)

    with pytest.raises(KeyboardInterrupt):
        search(SPACE, cut, OBJECTIVES, **options)
    del options["start_from"]  # it may be gone by now
    resumed = search(SPACE, evaluate, OBJECTIVES, resume=True, **options)
    assert len(old.front) > 2 and keys(resumed) == [e.key for e in old.front]


def test_what_another_run_found_is_believed_also_on_resume_when_it_is_gone(tmp_path):
    old = search(SPACE, evaluate, OBJECTIVES, max_evaluations=30, directory=tmp_path / "old", algorithm="random")
    count = len(old.front) + 6
    options = {"max_evaluations": count, "seed": 1}
    whole = search(SPACE, evaluate, OBJECTIVES, directory=tmp_path / "whole", start_from=old, **options)
    begun = {**options, "max_evaluations": len(old.front) + 2}
    search(SPACE, evaluate, OBJECTIVES, directory=tmp_path / "run", start_from=tmp_path / "old", **begun)
    shutil.rmtree(tmp_path / "old")
    resumed = search(SPACE, evaluate, OBJECTIVES, directory=tmp_path / "run", resume=True, **options)
    assert keys(resumed) == keys(whole)
    found = [[e.architecture.to_dict(), e.metrics["gain"]] for e in old.evaluations]
    assert resumed.settings["start_results"] == found


def test_of_another_run_s_many_results_the_best_and_the_worst_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("nas.launch.search.RESULTS", 10)
    old = search(SPACE, evaluate, OBJECTIVES, max_evaluations=40, directory=tmp_path / "old", algorithm="random")
    run = search(SPACE, evaluate, OBJECTIVES, max_evaluations=1, directory=tmp_path / "run", start_from=old)
    kept = [value for _, value in run.settings["start_results"]]
    ranked = sorted((e.metrics["gain"] for e in old.evaluations), reverse=True)
    assert len(kept) == 10 and max(kept) == ranked[0] and min(kept) <= ranked[-4]


def test_a_small_space_ends_the_search_early(tmp_path):
    run = search(
        SPACE.restrict({"a": [1, 2], "b": [3]}), evaluate, OBJECTIVES, max_evaluations=50, directory=tmp_path / "run"
    )
    assert len(run.evaluations) == 2


def test_one_folder_one_run(tmp_path):
    search(SPACE, evaluate, OBJECTIVES, max_evaluations=2, directory=tmp_path / "run")
    with pytest.raises(InputError, match="already holds a run; to go on with it, call `search` again"):
        search(SPACE, evaluate, OBJECTIVES, max_evaluations=2, directory=tmp_path / "run")
    with pytest.raises(InputError, match="holds no run"):
        load_run(tmp_path)
    (tmp_path / "run" / "store.sqlite").unlink()
    with pytest.raises(InputError, match="holds the trials of a run whose store.sqlite is gone"):
        search(SPACE, evaluate, OBJECTIVES, max_evaluations=2, directory=tmp_path / "run")


@pytest.mark.slow
def test_two_searches_on_one_folder_the_second_is_refused(tmp_path):
    def nested(architecture):
        with pytest.raises(InputError, match="in use by another search"):
            search(SPACE, evaluate, OBJECTIVES, max_evaluations=9, directory=tmp_path / "run", resume=True)
        return evaluate(architecture)

    assert len(search(SPACE, nested, OBJECTIVES, max_evaluations=2, directory=tmp_path / "run").evaluations) == 2


@pytest.mark.parametrize("bad", [0, -1, float("nan"), float("inf"), "5", True])
def test_wrong_time_limits_are_refused(tmp_path, bad):
    with pytest.raises(InputError, match="time_limit must be a number of seconds above 0"):
        search(SPACE, evaluate, OBJECTIVES, max_evaluations=2, directory=tmp_path / "run", time_limit=bad)


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, None])
def test_wrong_budgets_are_refused(tmp_path, bad):
    with pytest.raises(InputError, match="max_evaluations must be a positive integer"):
        search(SPACE, evaluate, OBJECTIVES, max_evaluations=bad, directory=tmp_path / "run")


def test_pick_takes_the_best_within_bounds(tmp_path):
    run = search(SPACE, evaluate, OBJECTIVES, max_evaluations=40, directory=tmp_path / "run")
    picked = pick(tmp_path / "run", max_cost=8)
    fitting = [e for e in run.evaluations if e.metrics["cost"] <= 8]
    assert picked.metrics["gain"] == max(e.metrics["gain"] for e in fitting) and picked in fitting
    with pytest.raises(InputError, match=r"has cost <= -1; the nearest is \w+ with"):
        pick(tmp_path / "run", max_cost=-1)
    with pytest.raises(InputError, match="no bound 'max_size'"):
        pick(tmp_path / "run", max_size=1)


def test_progress_lines_say_what_happened(tmp_path, capsys):
    search(SPACE, evaluate, OBJECTIVES, max_evaluations=3, directory=tmp_path / "run")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and "3/3 evaluated, 0 failed, 0 running, best gain" in " ".join(lines[2].split())
    assert "hypervolume" in lines[1]


def test_front_files(tmp_path):
    import csv

    from nas.report.front import write_front

    run = search(SPACE, evaluate, OBJECTIVES, max_evaluations=20, directory=tmp_path / "run")
    write_front(run)
    document = json.loads((tmp_path / "run" / "front.json").read_text())
    rows = list(csv.DictReader((tmp_path / "run" / "front.csv").open()))
    assert [r["key"] for r in rows] == [r["key"] for r in document["front"]] == [e.key for e in run.front]
    assert [float(r["gain"]) for r in rows] == [e.metrics["gain"] for e in run.front]
    assert (tmp_path / "run" / "front.png").read_bytes().startswith(b"\x89PNG")
