"""What every algorithm must do, whichever it is."""

import ast

import numpy as np
import pytest

from nas.algorithms import ALGORITHMS, Peer, SpaceExhausted, make_algorithm
from nas.objectives import Constraint, Objective
from search_spaces import Choice, InputError, SearchSpace, YoloSpace

OBJECTIVES = [Objective("accuracy", "max"), Objective("cost", "min")]


def small_space(valid=None):
    return SearchSpace(
        "small",
        [
            Choice("neck", ["PAN", "AFPN"]),
            Choice("depth", [1, 2, 3], when={"neck": "PAN"}),
            Choice("width", [1, 2, 4, 8]),
            Choice("size", [10, 20, 30]),
        ],
        valid,
    )


def cost(architecture):
    return architecture["width"] * architecture["size"] * architecture.get("depth", 2)


def estimate(architectures):
    return {"cost": np.array([cost(a) for a in architectures])}


def result(architecture):
    return {
        "accuracy": float(np.log(cost(architecture)) + (architecture["neck"] == "AFPN")),
        "cost": cost(architecture),
    }


def params():
    """Every algorithm; those of other libraries take their time."""
    for name, algorithm in ALGORITHMS.items():
        yield pytest.param(name, marks=pytest.mark.slow if isinstance(algorithm, Peer) else ())


@pytest.fixture(params=params())
def make(request, monkeypatch):
    if isinstance(ALGORITHMS[request.param], Peer):
        pytest.importorskip(ALGORITHMS[request.param].library.lower())
    if request.param == "optuna-gp":  # a suggestion takes a fraction of a second, and hundreds are asked here
        monkeypatch.setattr("nas.algorithms.optuna_samplers.OptunaGP.draws", 1)
    if request.param == "botorch-qlognehvi":
        monkeypatch.setattr("nas.algorithms.botorch_nehvi.TOLERANCE", 1.0)
        monkeypatch.setattr("nas.algorithms.botorch_nehvi.SAMPLES", 8)

    def make(space=None, **options):
        return make_algorithm(request.param, space or small_space(), OBJECTIVES, **options)

    return make


def run(algorithm, count):
    asked = []
    for _ in range(count):
        asked.append(algorithm.ask())
        algorithm.tell(asked[-1], result(asked[-1]))
    return asked


def test_many_open_asks_never_repeat_and_end_with_every_architecture(make):
    space = small_space().restrict({"width": [1, 2]})  # models of peers grow slow with what is open
    algorithm, asked = make(space), []
    with pytest.raises(SpaceExhausted):
        while True:
            asked.append(algorithm.ask())
            if len(asked) % 3 == 0:  # some results, a failure, the rest stay open
                algorithm.tell(asked[-1], result(asked[-1]))
                algorithm.tell_failure(asked[-2], "out of memory")
    assert len(asked) == len(set(asked)) == space.size
    assert set(asked) == set(space.enumerate())


def test_constraints_hold_from_the_first_ask_until_the_space_is_used_up(make):
    algorithm = make(estimate=estimate, constraints=[Constraint("cost", upper=40)])
    fitting = {a for a in small_space().enumerate() if cost(a) <= 40}
    asked = run(algorithm, len(fitting))
    assert set(asked) == fitting
    with pytest.raises(SpaceExhausted):
        algorithm.ask()
    assert algorithm.costed >= len(fitting)


def test_a_bound_that_nothing_meets_names_the_nearest(make):
    with pytest.raises(InputError, match="'small' has cost <= 5; the nearest found has cost 10"):
        make(estimate=estimate, constraints=[Constraint("cost", upper=5)]).ask()


@pytest.fixture
def few_pools(monkeypatch):
    """Fewer random draws before an algorithm is done with them: costing YOLOs takes most of a test's time."""
    monkeypatch.setattr("nas.algorithms.algorithm.POOLS", 2)


@pytest.mark.slow
def test_a_bound_that_no_yolo_meets_names_the_nearest(make, few_pools):
    from evaluators import complexity

    def params(architectures):
        return {"params": complexity(architectures, 1).params}

    space = YoloSpace()
    with pytest.raises(InputError, match=r"params <= 1,000; the nearest found has params (\d+,\d+): {") as caught:
        make(space, estimate=params, constraints=[Constraint("params", upper=1000)]).ask()
    text = str(caught.value).partition("the nearest found has params ")[2]
    named = int(text.partition(":")[0].replace(",", ""))
    values = ast.literal_eval(text.partition(": ")[2])
    assert complexity([space.architecture(**values)], 1).params == [named]
    rng = np.random.default_rng(0)
    assert named <= params([space.sample(rng) for _ in range(3000)])["params"].min()


@pytest.mark.slow
def test_a_tight_bound_that_random_draws_miss_is_met(make, few_pools):
    from evaluators import complexity

    def params(architectures):
        return {"params": complexity(architectures, 1).params}

    algorithm = make(YoloSpace(), estimate=params, constraints=[Constraint("params", upper=90_000)])
    asked = [algorithm.ask() for _ in range(3)]
    assert len(set(asked)) == 3 and (params(asked)["params"] <= 90_000).all()


def test_same_seed_same_architectures(make):
    assert run(make(seed=3), 20) == run(make(seed=3), 20)
    assert run(make(seed=3), 20) != run(make(seed=4), 20)


def test_rebuilt_from_a_record_it_goes_on_as_if_never_stopped(make):
    whole = run(make(seed=1, estimate=estimate), 25)
    half = make(seed=1, estimate=estimate)
    for architecture in whole[:12]:
        half.tell(architecture, result(architecture))
    assert run(half, 13) == whole[12:]


def test_results_that_were_never_asked_are_taken(make):
    algorithm = make()
    given = small_space().architecture(neck="AFPN", width=8, size=30)
    algorithm.tell(given, result(given))
    assert given not in run(algorithm, 47)


def test_architectures_from_outside_the_space_do_no_harm(make):
    wide, narrow = small_space(), small_space().restrict({"neck": ["PAN"]})
    algorithm = make(narrow)
    outside = wide.architecture(neck="AFPN", width=8, size=30)
    algorithm.tell(outside, result(outside))
    assert all(a["neck"] == "PAN" for a in run(algorithm, 36))


def test_failed_and_rejected_ones_are_not_asked_again(make):
    algorithm = make()
    first, second = algorithm.ask(), algorithm.ask()
    algorithm.tell_failure(first, "NaN")
    algorithm.tell_rejected(second, {"cost": 9})
    assert not {first, second} & set(run(algorithm, 46))


@pytest.mark.parametrize(
    "metrics", [{"accuracy": 1.0}, {"accuracy": float("nan"), "cost": 1}, {"accuracy": "high", "cost": 1}]
)
def test_results_without_finite_objectives_are_refused(make, metrics):
    algorithm = make()
    with pytest.raises(InputError, match="cost|accuracy"):
        algorithm.tell(algorithm.ask(), metrics)


def test_rules_of_the_space_hold(make):
    asked = run(make(small_space(lambda v: v["width"] < 8 or v["size"] < 30)), 40)
    assert all(a["width"] < 8 or a["size"] < 30 for a in asked)


def test_an_unknown_algorithm_is_named():
    with pytest.raises(
        InputError, match="no algorithm 'evolve'; there are evolution, .*surrogate, optuna-tpe, .* or nni-evolution"
    ):
        make_algorithm("evolve", small_space(), OBJECTIVES)


def test_an_option_that_an_algorithm_does_not_have_is_named(make):
    with pytest.raises(InputError, match=r"algorithm '[a-z0-9-]+' has no option 'sise'; it has "):
        make(sise=3)


def test_an_option_of_the_wrong_kind_is_named():
    with pytest.raises(InputError, match="algorithm 'surrogate': option initial must be an integer, not 'many'"):
        make_algorithm("surrogate", small_space(), OBJECTIVES, initial="many")
