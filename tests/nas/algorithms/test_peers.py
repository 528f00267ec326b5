"""Other libraries' algorithms: imported only when made, really theirs, and fed with all that was told."""

import random
import subprocess
import sys

import numpy as np
import pytest

from nas.algorithms import ALGORITHMS, Peer, make_algorithm
from nas.objectives import Constraint, Objective
from search_spaces import Choice, InputError, SearchSpace

pytestmark = pytest.mark.slow

PEERS = [name for name, algorithm in ALGORITHMS.items() if isinstance(algorithm, Peer)]
SLOW = ["optuna-gp", "botorch-qlognehvi"]  # an ask takes seconds
FAST = [name for name in PEERS if name not in SLOW]
OBJECTIVES = [Objective("gain", "max"), Objective("cost", "min")]
SPACE = SearchSpace(
    "peers",
    [
        Choice("kind", ["plain", "deep"]),
        Choice("depth", [1, 2, 4, 8], when={"kind": "deep"}),
        Choice("act", ["relu", "silu", None]),
        Choice("only", [3]),
        *[Choice(f"width{i}", [8, 16, 32, 64, 128]) for i in range(3)],
    ],
)


@pytest.fixture(params=PEERS)
def name(request, monkeypatch):
    pytest.importorskip(ALGORITHMS[request.param].library.lower())
    if request.param == "botorch-qlognehvi":
        monkeypatch.setattr("nas.algorithms.botorch_nehvi.TOLERANCE", 1e-4)
    return request.param


@pytest.fixture(params=FAST)
def fast(request):
    pytest.importorskip(ALGORITHMS[request.param].library.lower())
    return request.param


def widths(architecture):
    return np.array([architecture[f"width{i}"] for i in range(3)], float)


def worth(architecture):
    """Narrow and plain is best in both objectives."""
    return {
        "gain": -float(widths(architecture).sum()) - 100 * ("depth" in architecture),
        "cost": widths(architecture).sum(),
    }


def run(algorithm, count, measure=worth):
    asked = []
    for _ in range(count):
        asked.append(algorithm.ask())
        algorithm.tell(asked[-1], measure(asked[-1]))
    return asked


def test_nothing_is_imported_before_it_is_needed():
    code = "import sys, nas.algorithms; print([m for m in ('optuna', 'pymoo', 'nni', 'botorch', 'gpytorch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize("name", PEERS)
def test_a_missing_library_is_named_with_what_installs_it(monkeypatch, name):
    library, module, _ = ALGORITHMS[name]
    monkeypatch.delitem(sys.modules, f"nas.algorithms.{module}", raising=False)
    for imported in [m for m in sys.modules if m.partition(".")[0] == library.lower()]:
        monkeypatch.delitem(sys.modules, imported)
    monkeypatch.setitem(sys.modules, library.lower(), None)
    with pytest.raises(InputError) as caught:
        make_algorithm(name, SPACE, OBJECTIVES)
    assert str(caught.value) == (
        f"algorithm {name!r} needs {library}, which is not installed; `pip install 'evoyolo[{library.lower()}]'`"
    )


def test_what_was_told_decides_what_is_asked(name):
    """From the same architectures with results that speak for narrow ones or for wide ones."""
    rng = np.random.default_rng(0)
    given = [SPACE.sample(rng) for _ in range(24 if name in SLOW else 72)]
    mean = []
    for sign in (1, -1):
        algorithm = make_algorithm(name, SPACE, OBJECTIVES)
        for architecture in given:
            algorithm.tell(architecture, {metric: sign * value for metric, value in worth(architecture).items()})
        mean.append(np.mean([widths(algorithm.ask()).sum() for _ in range(4 if name in SLOW else 24)]))
    assert mean[0] < mean[1]


def test_results_that_break_a_constraint_do_not_lead(fast):
    """What is best in both objectives is not allowed, as only results show."""
    rng = np.random.default_rng(0)
    algorithm = make_algorithm(fast, SPACE, OBJECTIVES, constraints=[Constraint("widest", lower=64)])
    for architecture in [SPACE.sample(rng) for _ in range(96)]:
        algorithm.tell(architecture, {**worth(architecture), "widest": widths(architecture).max()})
    asked = [widths(algorithm.ask()).max() for _ in range(40)]
    assert np.mean(np.array(asked) >= 64) > 0.6


@pytest.mark.parametrize("name", SLOW)
def test_a_bound_that_only_results_tell_of_is_learnt(name):
    """Beyond the bound is more to gain, and most of the space."""
    pytest.importorskip(ALGORITHMS[name].library.lower())
    space = SearchSpace("bounded", [Choice(axis, list(range(1, 13))) for axis in "xyz"])

    def measure(architecture):
        x, y, z = (architecture[axis] for axis in "xyz")
        return {"gain": (x * y) ** 0.5 + z / 3, "cost": x + y + z / 2, "memory": 1.7 * x + 0.9 * z}

    within = {}
    for upper in (9.95, 100):
        algorithm = make_algorithm(name, space, OBJECTIVES, constraints=[Constraint("memory", upper=upper)])
        rng = np.random.default_rng(0)
        for architecture in [space.sample(rng) for _ in range(14)]:
            algorithm.tell(architecture, measure(architecture))
        within[upper] = [measure(a)["memory"] <= 9.95 for a in run(algorithm, 4, measure)]
    assert sum(within[100]) < sum(within[9.95]) >= 3, within


def test_conditional_choices_are_there_only_where_they_are_active(fast):
    asked = run(make_algorithm(fast, SPACE, OBJECTIVES, seed=1), 60)
    assert {a["kind"] for a in asked} == {"plain", "deep"}
    assert all(("depth" in a) == (a["kind"] == "deep") for a in asked)
    assert len({a["depth"] for a in asked if "depth" in a}) > 1


def test_open_asks_are_never_waited_for_and_a_rebuilt_search_goes_on_the_same(fast):
    """Results come in another order than the asks, and some never."""

    def tell(algorithm, architectures):
        for architecture in architectures:
            algorithm.tell(architecture, worth(architecture))

    whole = make_algorithm(fast, SPACE, OBJECTIVES, seed=2)
    asked = [whole.ask() for _ in range(70)]
    tell(whole, asked[60:10:-1])
    then = [whole.ask() for _ in range(5)]
    tell(whole, then)
    last = [whole.ask() for _ in range(5)]

    rebuilt = make_algorithm(fast, SPACE, OBJECTIVES, seed=2)
    for architecture in [*asked[60:10:-1], *then]:
        rebuilt.tell(architecture, worth(architecture))
    for architecture in [*asked[:11], *asked[61:]]:
        rebuilt.expect(architecture)
    assert len({*asked, *then, *last}) == 80
    assert set(last) == {rebuilt.ask() for _ in range(5)}


def test_other_users_of_random_numbers_and_of_the_logs_notice_nothing(fast, capsys):
    random.seed(5), np.random.seed(5)
    expected = random.random(), np.random.random()
    random.seed(5), np.random.seed(5)
    run(make_algorithm(fast, SPACE, OBJECTIVES), 40)
    assert (random.random(), np.random.random()) == expected
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["optuna-nsga2", "pymoo-nsga2", "nni-evolution"])
def test_a_population_of_one_is_refused(name):
    pytest.importorskip(ALGORITHMS[name].library.lower())
    with pytest.raises(InputError, match="population_size must be at least 2, not 1"):
        make_algorithm(name, SPACE, OBJECTIVES, population_size=1)
