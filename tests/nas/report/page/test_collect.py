"""The document of a run: plain, complete, and in agreement with what the commands say."""

import json
from collections import Counter

import pytest

from evaluators.complexity import complexity
from nas import Constraint, Objective, search
from nas.delivery.page import _bound
from nas.objectives import own_hypervolume
from nas.report.page.collect import collect
from nas.storage.spending import searched_seconds
from search_spaces import Choice, SearchSpace

SPACE = SearchSpace("toy", [Choice("depth", [1, 2, 3, 4]), Choice("skip", [True, False], when={"depth": [2, 3, 4]})])


@pytest.fixture(scope="module")
def document(run):
    return collect(run, [_bound(run, "latency_ms")])


def test_it_is_plain(document):
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_every_evaluation_is_a_row(run, document):
    table = document["evaluations"]
    rows = [*run.all_evaluations, *run.repeats]
    assert len(run.repeats) == 2 and {
        len(column) for name, column in table.items() if name not in ("metrics", "choices")
    } == {len(rows)}
    assert table["trial"] == [e.trial for e in rows] and table["state"] == [str(e.status) for e in rows]
    assert table["reason"] == [e.reason for e in rows] and sum(map(bool, table["reason"])) > 2
    assert [table["trial"][row] for row in table["of"][-2:]] == [e.key for e in run.repeats]
    assert dict(map(tuple, document["counts"])) == Counter(table["state"])
    names = [metric["name"] for metric in document["metrics"]]
    for row, evaluation in enumerate(run.all_evaluations):
        finished = str(evaluation.status) == "finished"
        metrics = run.mean(evaluation) if finished else evaluation.metrics
        for name, values in zip(names, table["metrics"]):
            if name in metrics:
                assert values[row] == pytest.approx(metrics[name], rel=1e-6)
            else:
                assert values[row] is None
        values = {
            name: texts[codes[row]]
            for (name, texts), codes in zip(document["choices"], table["choices"])
            if codes[row] >= 0
        }
        assert values == {name: str(value) for name, value in evaluation.architecture.to_dict().items()}
        assert table["fits"][row] == (finished and evaluation in run.eligible)
    assert [table["trial"][row] for row in document["front"]] == [e.key for e in run.front]
    assert not all(table["fits"][row] for row, state in enumerate(table["state"]) if state == "finished" and row < 60)


def test_layers_add_up_to_the_networks(run, document):
    costs = complexity([e.architecture for e in run.all_evaluations], 3)
    table, networks = document["layers"]["table"], document["layers"]["of"]
    for network, params, macs in zip(networks, costs.params, costs.macs):
        assert sum(table[place][3] for place in network) == params and sum(table[place][4] for place in network) == macs
        assert table[network[0]][0] == "stem" and table[network[-1]][0] == "head"


def test_progress_ends_as_status_says_and_only_grows(run, document):
    found = document["progress"]
    assert found["values"] == sorted(found["values"]) and found["evaluations"] == sorted(found["evaluations"])
    assert found["values"][-1] == pytest.approx(own_hypervolume([run.mean(e) for e in run.eligible], run.objectives))
    assert found["evaluations"][-1] == len(run.evaluations)
    assert 0 < found["hours"][0] <= found["hours"][-1] <= searched_seconds(run.events) / 3600 + 1e-9


def test_the_staircase_names_rows(run, document):
    (bound,) = document["bounds"]
    assert document["metrics"][bound["metric"]]["name"] == "latency_ms"
    limits = [step["limit"] for step in bound["steps"]]
    assert len(limits) > 3 and limits == sorted(limits)
    table = document["evaluations"]
    assert all(table["state"][step["row"]] == "finished" for step in bound["steps"])


def test_one_objective_has_the_best_so_far(tmp_path):
    evaluate = lambda architecture: {"loss": 10.0 - architecture["depth"]}  # noqa: E731
    run = search(
        SPACE, evaluate, [Objective("loss", "min")], max_evaluations=7, algorithm="random", directory=tmp_path / "run"
    )
    document = collect(run)
    values = document["progress"]["values"]
    assert document["progress"]["what"] == "best loss" and document["progress"]["reference"] is None
    assert values == sorted(values, reverse=True) and values[-1] == 6.0
    assert document["picture"] is None and document["layers"] is None


def test_a_run_without_results(tmp_path):
    def evaluate(architecture):
        raise ValueError("not today")

    search(
        SPACE, evaluate, [Objective("loss", "min")], max_evaluations=2, algorithm="random", directory=tmp_path / "run"
    )
    from nas import load_run

    document = collect(load_run(tmp_path / "run"))
    assert document["front"] == [] and document["progress"] is None and document["picture"] is None
    assert document["failures"] == [["failed: ValueError: not today", 2]]
    assert document["sentence"] == "No evaluation has finished within the constraints."


def test_what_is_within_no_constraint_is_on_no_front(tmp_path):
    evaluate = lambda architecture: {"loss": 1.0, "cost": float(architecture["depth"])}  # noqa: E731
    objectives = [Objective("loss", "min"), Objective("cost", "min")]
    bounds = [Constraint("cost", upper=0.5)]
    run = search(
        SPACE, evaluate, objectives, max_evaluations=3, algorithm="random", constraints=bounds, directory=tmp_path / "run",
        references=[SPACE.architecture(depth=1)],
    )  # fmt: skip
    document = collect(run)
    assert document["front"] == [] and document["progress"] is None and not any(document["evaluations"]["fits"])


def test_a_running_search_says_so(tmp_path):
    seen = []

    def evaluate(architecture):
        from nas import load_run

        seen.append(collect(load_run(tmp_path / "run")))
        return {"loss": 1.0}

    search(
        SPACE, evaluate, [Objective("loss", "min")], max_evaluations=2, algorithm="random", directory=tmp_path / "run"
    )
    assert seen[1]["state"].startswith("A search is running") and seen[1]["evaluations"]["state"] == [
        "finished",
        "running",
    ]
