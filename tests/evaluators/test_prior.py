"""The accuracy prior: what it learns of tables, whom it never saw, its file."""

import json

import numpy as np
import pytest

from evaluators import complexity
from evaluators.ground_truth.table import read_table
from evaluators.prior import AccuracyPrior, kendall_tau, shipped_prior
from search_spaces import Choice, InputError, SearchSpace, YoloSpace
from tests.evaluators.ground_truth.conftest import made_up_accuracy, write_table
from tests.fuzzing import Tally, fuzzed, mutated_json


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Two data sets on which the same architectures are good, one of them harder."""
    folder, space = tmp_path_factory.mktemp("truth"), YoloSpace().restrict({"image_size": [96, 128, 160]})
    rng = np.random.default_rng(0)

    def some(count):
        return [YoloSpace().adopt(space.sample(rng)) for _ in range(count)]

    easy = write_table(folder / "easy.csv", some(60))
    hard = write_table(folder / "hard.csv", some(50), accuracy=lambda a: 0.3 * made_up_accuracy(a))
    return {"easy": read_table(easy), "hard": read_table(hard)}


@pytest.fixture(scope="module")
def prior(tables):
    return AccuracyPrior.fit(tables)


def test_it_ranks_architectures_that_it_has_not_seen(prior):
    rng = np.random.default_rng(5)
    space = YoloSpace().restrict({"image_size": [96, 128, 160]})
    new = [space.sample(rng) for _ in range(100)]
    scores, truth = prior.predict(new, 3), made_up_accuracy(new)
    macs = complexity(new, 3).macs
    assert kendall_tau(scores, truth) > max(0.75, kendall_tau(macs, truth) + 0.1)


def test_scores_have_mean_0_and_deviation_1_over_the_ground_truth(prior, tables):
    scores = np.concatenate([prior.predict(table.architectures, 3) for table in tables.values()])
    assert scores.mean() == pytest.approx(0, abs=1e-9) and scores.std() == pytest.approx(1)
    assert len(prior.predict([])) == 0


def test_a_data_set_is_judged_by_what_never_saw_it(prior, tables):
    alone = AccuracyPrior.fit({"easy": tables["easy"]})
    measured = tables["hard"].mean("map50_95")
    tau = kendall_tau(alone.predict(tables["hard"].architectures, 3), measured)
    # but for features beyond the range of the first, which `predict` does not believe
    assert prior.data_sets["hard"].kendall_tau == pytest.approx(tau, abs=0.03)
    assert alone.data_sets["easy"].kendall_tau is None and 0 < alone.deviation < 1
    assert 0.6 < prior.data_sets["hard"].kendall_tau < 1 and prior.data_sets["hard"].architectures == 50


def test_it_is_not_believed_far_from_what_it_saw(prior):
    yolo = YoloSpace()
    large = prior.predict([yolo.preset("yolov8s", image_size=size) for size in (320, 512, 640)], 3)
    assert np.ptp(large) < 0.3  # the image's size is far beyond the tables'


def test_its_file_gives_the_same_scores(prior, tmp_path):
    (tmp_path / "prior.json").write_text(prior.to_json())
    read = AccuracyPrior.load(tmp_path / "prior.json")
    some = [YoloSpace().preset(name, image_size=128) for name in ("yolov8n", "csppc", "light-recipe")]
    assert read == prior and (read.predict(some, 3) == prior.predict(some, 3)).all()
    assert AccuracyPrior.from_content(json.loads(json.dumps(prior.model_dump()))) == prior


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"evoyolo_prior": 2}, "version 2 is not known"),
        ({"evoyolo_prior": "1"}, "version '1' is not known"),
        ({"features": ["log_macs", "colour"]}, "'colour'"),
        ({"coefficients": [1.0]}, "coefficients: must be"),
        ({"scales": [0.0]}, "scales"),
        ({"data_sets": {}}, "data_sets"),
        ({"extra": 1}, "no field 'extra'"),
        ({"deviation": None}, "deviation"),
    ],
)
def test_a_wrong_file_is_named(prior, changes, said):
    with pytest.raises(InputError, match=rf"mine\.json: .*{said}"):
        AccuracyPrior.from_json(json.dumps({**prior.model_dump(), **changes}), "mine.json")


def test_another_document_or_family_is_refused(prior, tables):
    with pytest.raises(InputError, match="not an accuracy prior"):
        AccuracyPrior.from_json("[]", "mine.json")
    with pytest.raises(InputError, match="family 'yolox'"):
        prior.model_copy(update={"family": "yolox"}).predict([YoloSpace().preset("yolov8n")])
    own = SearchSpace("own", [Choice("width", [1, 2])])
    with pytest.raises(InputError, match="no layer graph"):
        prior.predict([own.architecture(width=1)])
    with pytest.raises(InputError, match="at least one"):
        AccuracyPrior.fit({})
    assert shipped_prior("none") is None


@pytest.mark.slow
def test_mutated_files(prior, tmp_path):
    from hypothesis import given

    with Tally("prior") as tally:

        @fuzzed
        @given(mutated_json(prior.model_dump()))
        def check(content):
            tally.read(
                lambda path: AccuracyPrior.load(path).predict([YoloSpace().preset("yolov8n")]),
                tmp_path / "p.json",
                content,
            )

        check()
