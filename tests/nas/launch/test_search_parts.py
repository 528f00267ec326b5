"""What a search is put together from: the owner's space, an evaluator with a life, an algorithm and a scheduler with options."""

import math

import pytest

from evaluators import Evaluator
from nas import Objective, load_run, search
from search_spaces import Choice, InputError, SearchSpace

SPACE = SearchSpace("toy", [Choice("a", list(range(12))), Choice("b", list(range(12)))])
OBJECTIVES = [Objective("gain", "max"), Objective("cost", "min")]


def evaluate(architecture):
    return {
        "gain": math.sqrt(architecture["a"]) + architecture["b"] / 10,
        "cost": architecture["a"] + architecture["b"],
    }


def test_a_reference_may_lie_outside_of_what_is_searched(tmp_path):
    narrow, reference = SPACE.restrict({"a": [1, 2]}), SPACE.architecture(a=11, b=4)
    options = {"directory": tmp_path / "run", "references": [reference]}
    search(narrow, evaluate, OBJECTIVES, max_evaluations=4, **options)
    run = search(narrow, evaluate, OBJECTIVES, max_evaluations=6, resume=True, **options)
    for each in (run, load_run(tmp_path / "run"), load_run(tmp_path / "run", narrow)):
        assert each.all_evaluations[0].architecture == reference and len(each.evaluations) == 6
        assert {e.architecture["a"] for e in each.evaluations[1:]} <= {1, 2}
    with pytest.raises(InputError, match="'a'"):  # a search that goes on does not look less far
        search(SPACE.restrict({"a": [1]}), evaluate, OBJECTIVES, max_evaluations=9, resume=True, **options)


class Doubled(SearchSpace):
    """A user's own space, whose architectures mean more than their choices."""

    def __init__(self):
        super().__init__("doubled", [Choice("a", list(range(12)))], valid=lambda values: values["a"] != 5)

    def twice(self, architecture):
        return 2 * architecture["a"]


def test_a_space_is_what_its_owner_wrote_in_the_store_and_on_resume(tmp_path):
    space = Doubled()

    def evaluate(architecture):
        return {"gain": architecture.space.unrestricted.twice(architecture)}

    options = {"directory": tmp_path / "run", "algorithm": "random"}
    search(space.restrict({"a": [1, 2, 3]}), evaluate, OBJECTIVES[:1], max_evaluations=2, **options)
    run = search(space, evaluate, OBJECTIVES[:1], max_evaluations=4, resume=True, **options)
    assert run.space is space and all(e.metrics["gain"] == 2 * e.architecture["a"] for e in run.evaluations)
    assert load_run(tmp_path / "run", space).evaluations[0].architecture.space is space
    assert load_run(tmp_path / "run").evaluations == run.evaluations  # by the choices alone


def test_a_space_that_only_gained_values_goes_on(tmp_path):
    options = {"directory": tmp_path / "run", "max_evaluations": 4}
    search(SPACE.restrict({"b": [1]}), evaluate, OBJECTIVES, **options)
    more = SearchSpace("toy", [Choice("a", list(range(20))), Choice("b", list(range(12)))])
    assert len(search(more, evaluate, OBJECTIVES, resume=True, **{**options, "max_evaluations": 8}).evaluations) == 8


class Living(Evaluator):
    """Writes down what is done with it."""

    def __init__(self, refuses=None):
        self.life, self.refuses = [], refuses

    def prepare(self, directory):
        self._note("prepare", directory.exists())

    def setup(self):
        self._note("setup", True)

    def evaluate(self, architecture, directory):
        self.life.append("evaluate")
        return evaluate(architecture)

    def _note(self, what, is_there):
        assert is_there
        self.life.append(what)
        if self.refuses == what:
            raise InputError(f"cannot {what}")


def test_the_life_of_an_evaluator(tmp_path):
    evaluator = Living()
    search(SPACE, evaluator, OBJECTIVES, max_evaluations=2, directory=tmp_path / "run")
    assert evaluator.life == ["prepare", "setup", "evaluate", "evaluate"]
    search(SPACE, evaluator, OBJECTIVES, max_evaluations=2, directory=tmp_path / "run", resume=True)
    assert evaluator.life[4:] == ["prepare"]  # nothing is left to evaluate


@pytest.mark.parametrize("what", ["prepare", "setup"])
def test_an_evaluator_that_refuses_ends_the_search_before_anything_is_asked(tmp_path, what):
    with pytest.raises(InputError, match=f"^cannot {what}$"):
        search(SPACE, Living(what), OBJECTIVES, max_evaluations=2, directory=tmp_path / "run")
    run = search(SPACE, Living(), OBJECTIVES, max_evaluations=2, directory=tmp_path / "run")  # free for another try
    assert len(run.all_evaluations) == 2


def test_options_reach_the_algorithm_and_the_scheduler(tmp_path):
    class Levels(Evaluator):
        fidelities = (1, 2)

        def evaluate(self, architecture, directory, fidelity=None):
            return evaluate(architecture)

    options = {"max_evaluations": 8, "algorithm": "random"}
    halved = {
        keep: search(
            SPACE, Levels(), OBJECTIVES, directory=tmp_path / f"{keep}", scheduler_options={"keep": keep}, **options
        )
        for keep in (0.25, 0.5)
    }
    assert len(halved[0.25].evaluations) < len(halved[0.5].evaluations)
    with pytest.raises(InputError, match=r"scheduler_options {'keep': 0.25}; it cannot go on with {'keep': 0.5}"):
        search(
            SPACE,
            Levels(),
            OBJECTIVES,
            directory=tmp_path / "0.25",
            resume=True,
            scheduler_options={"keep": 0.5},
            **options,
        )
    whole = search(SPACE, Levels(), OBJECTIVES, directory=tmp_path / "fifo", scheduler="fifo", **options)
    assert {e.status for e in whole.all_evaluations} == {"finished"} and {e.fidelity for e in whole.evaluations} == {2}
    assert len(whole.evaluations) == 8 == whole.spent
    with pytest.raises(InputError, match=r"searched with fidelities \[2\]; it cannot go on with \[1, 2\]"):
        search(SPACE, Levels(), OBJECTIVES, directory=tmp_path / "fifo", resume=True, **options)
    with pytest.raises(
        InputError, match="algorithm 'evolution' has no option 'size'; it has population_size or initial"
    ):
        search(
            SPACE,
            evaluate,
            OBJECTIVES,
            directory=tmp_path / "wrong",
            algorithm="evolution",
            algorithm_options={"size": 3},
        )
    with pytest.raises(InputError, match="scheduler 'halving' needs an evaluator with several fidelities"):
        search(SPACE, evaluate, OBJECTIVES, directory=tmp_path / "wrong", scheduler="halving")
    assert not (tmp_path / "wrong").exists()
    run = search(
        SPACE, evaluate, OBJECTIVES, max_evaluations=5, directory=tmp_path / "s", algorithm_options={"initial": 3}
    )
    assert len(run.evaluations) == 5
