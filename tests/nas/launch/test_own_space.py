"""A space of the user's own, with a layer graph: whatever happens to a run, its architectures stay what the user wrote."""

import pytest

from evaluators import complexity
from evaluators.evaluator import Evaluator
from nas import Objective, load_run, search
from search_spaces import Choice, InputError, SearchSpace, lower
from search_spaces.graph import IMAGE, LayerGraph, Shape

OBJECTIVES = [Objective("gain", "max"), Objective("macs", "min")]


class Ladder(SearchSpace):
    """Convolutions one after another, read by YOLOv8's head."""

    def __init__(self):
        super().__init__(
            "ladder", [Choice("image_size", [64]), Choice("first", [8, 16, 24, 32]), Choice("second", [16, 32, 48])]
        )

    def lower_values(self, values, num_classes, height, width):
        graph = LayerGraph(Shape(3, height, width), num_classes)
        first = graph.add("Conv", IMAGE, values["first"], down=2, name="first")
        second = graph.add("Conv", first, values["second"], down=2, name="second")
        widths = {"box_width": 16, "class_width": values["first"]}
        graph.add_head("Detect", (first, second), reg_max=1, class_branch="full", **widths)
        return graph


class FromGraph(Evaluator):
    """What only an architecture with its graph can be asked."""

    def estimate(self, architectures):
        return {"macs": complexity(architectures, 1).macs}

    def evaluate(self, architecture, directory):
        return {"gain": lower(architecture, 1).layers[1].out_shapes[0].channels}


def test_it_survives_restriction_references_resuming_and_loading(tmp_path):
    whole = Ladder()
    space = whole.restrict({"first": [8, 16], "second": [16, 32]})
    outside = whole.architecture(image_size=64, first=32, second=48)
    run = search(
        space, FromGraph(), OBJECTIVES, max_evaluations=2, directory=tmp_path, references=[outside], algorithm="random"
    )
    assert outside in [e.architecture for e in run.evaluations]
    resumed = search(
        space, FromGraph(), OBJECTIVES, max_evaluations=5, directory=tmp_path, references=[outside], resume=True
    )
    for loaded in (resumed, load_run(tmp_path), load_run(tmp_path, whole)):
        assert type(loaded.space) is Ladder and len(loaded.evaluations) == 5
        for e in loaded.evaluations:
            layers = lower(e.architecture, 1).layers
            assert [layer.name for layer in layers] == ["first", "second", "head"]
            assert layers[1].out_shapes[0].channels == e.metrics["gain"]


@pytest.mark.ray
@pytest.mark.parametrize("batch", [None, 2], ids=["trials", "actors"])
def test_it_survives_workers(tmp_path, batch):
    from nas.executors import Cluster

    space = Ladder().restrict({"first": [8, 16]})
    outside = Ladder().architecture(image_size=64, first=32, second=48)
    run = search(
        space,
        FromGraph(),
        OBJECTIVES,
        max_evaluations=3,
        directory=tmp_path,
        references=[outside],
        executor=Cluster(batch=batch, max_concurrent=1),
    )
    assert {e.status for e in run.all_evaluations} == {"finished"} and len(run.evaluations) == 3
    assert outside in [e.architecture for e in run.evaluations]


def test_a_space_that_gained_values_reads_and_resumes_its_old_runs(tmp_path):
    class Before(Ladder):
        def __init__(self):
            SearchSpace.__init__(self, "ladder", Ladder().restrict({"second": [16, 32]}).choices)

    search(Before(), FromGraph(), OBJECTIVES, max_evaluations=3, directory=tmp_path, algorithm="random")
    before = [e.key for e in load_run(tmp_path, Ladder()).evaluations]
    after = search(Ladder(), FromGraph(), OBJECTIVES, max_evaluations=6, directory=tmp_path, resume=True)
    assert [e.key for e in after.evaluations][:3] == before and len(after.evaluations) == 6
    with pytest.raises(InputError, match="lacks"):
        search(
            Ladder().restrict({"first": [8]}),
            FromGraph(),
            OBJECTIVES,
            max_evaluations=7,
            directory=tmp_path,
            resume=True,
        )
