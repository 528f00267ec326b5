"""Recipes: read with one clear error, carried out once, searched with the architecture."""

import json
from dataclasses import replace

import numpy as np
import pytest

from evaluators.data import load_dataset
from evaluators.detector import DetectorEvaluator
from evaluators.latency import agent
from evaluators.recipe import RECORD, Candidate, Recipe, artefacts_of, recipe_choices, run_steps, training_only
from evaluators.steps import Bench, Step, Workpiece
from search_spaces import Choice, InputError, YoloSpace

FULL = ["train", "export", {"quantise": {"images": 4}}]


class Counted(Step):
    """A step that writes down how often it was done."""

    name = "counted"
    writes = ("weights",)
    value: int = 1

    def run(self, piece):
        with open(piece.directory / "times.txt", "a") as file:
            file.write("x")
        (piece.directory / "w.bin").write_bytes(b"w" * self.value)
        piece.artefacts["weights"] = piece.directory / "w.bin"
        return {"weight": float(self.value)}


class Breaks(Step):
    name = "breaks"
    reads = ("weights",)

    def run(self, piece):
        raise RuntimeError("killed here")


@pytest.fixture
def piece(tiny, small_data, tmp_path):
    return Workpiece(tiny, tmp_path, Bench(load_dataset(small_data), 1))


def test_what_was_trained_in_another_precision_is_trained_again(piece, monkeypatch):
    (step,) = training_only().steps
    before = step.digest(piece)
    assert step.digest(replace(piece, bench=replace(piece.bench, amp="fp32"))) == before  # which auto comes to on a CPU
    monkeypatch.setattr("evaluators.training.precision_on", lambda device, amp: "bf16")
    assert step.digest(piece) != before


def test_a_recipe_is_read_and_written():
    recipe = Recipe.read(FULL)
    assert [step.name for step in recipe.steps] == ["train", "export", "quantise"]
    assert recipe.to_list() == FULL and Recipe.read(recipe.to_list()) == recipe
    assert recipe.precision == "INT8" and training_only().precision == "FP32"
    assert recipe.with_values({"quantise.precision": "FP32"}).precision == "FP32"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "recipe: has no steps"),
        (["prune-it"], "recipe: no step 'prune-it'; there are .*train"),
        ([{"train": {"epochs": 3}}], "recipe: train: no field 'epochs' is known"),
        ([{"train": 3}], "recipe: the options of train must be a mapping, not 3"),
        (["export"], "recipe: export reads weights, which no step before it writes"),
        (["train", "export", {"quantise": {"images": 0}}], "recipe: quantise: field images: 0: .* greater than 0"),
        (["train", "export", {"quantise": {"precision": "INT4"}}], "recipe: quantise: field precision: 'INT4'"),
        (
            ["train", "export", {"quantise": {"max_drop": 2}}],
            "recipe: quantise: field max_drop: 2: .* less than or equal to 1",
        ),
        ([{"train": {}, "export": {}}], "recipe: no step"),
        ([7], "recipe: no step 7"),
    ],
)
def test_a_wrong_recipe_is_named(entries, message):
    with pytest.raises(InputError, match=message):
        Recipe.read(entries)


def test_choices_of_a_recipe_are_checked():
    recipe = Recipe.read(FULL)
    (choice,) = recipe_choices(recipe, {"quantise.precision": ["FP32", "INT8"]})
    assert choice.name == "quantise.precision" and choice.values == ("FP32", "INT8")
    for choices, message in [
        ({"quantise.precision": ["INT4"]}, "quantise: field precision: 'INT4'"),
        ({"prune.ratio": [0.5]}, "'prune' is none of its steps"),
        ({"quantise.bits": [8]}, "quantise: no field 'bits' is known"),
    ]:
        with pytest.raises(InputError, match=message):
            recipe_choices(recipe, choices)


def test_an_architecture_s_key_covers_what_it_chooses_of_the_recipe(tiny, tmp_path):
    from search_spaces.models import load_yaml, save_yaml

    space = YoloSpace().extended([Choice("quantise.precision", ["FP32", "INT8"])])
    made = [space.architecture(**tiny.to_dict(), **{"quantise.precision": p}) for p in ("FP32", "INT8")]
    recipes = [Candidate.of(architecture, Recipe.read(FULL)).recipe for architecture in made]
    assert [recipe.precision for recipe in recipes] == ["FP32", "INT8"]
    assert len({tiny.key, made[0].key, made[1].key}) == 3
    assert Candidate.of(tiny, Recipe.read(FULL)).recipe == Recipe.read(FULL)
    # the network is the same, and so is what a model file says of it
    assert made[0].network_values() == tiny.to_dict()
    save_yaml(tmp_path / "model.yaml", made[1], 3)
    assert load_yaml(tmp_path / "model.yaml")[0] == tiny


def test_a_step_that_is_done_is_not_done_again(piece, tiny):
    once = Candidate(tiny, Recipe((Counted(), Breaks())))
    for _ in range(3):
        with pytest.raises(RuntimeError, match="killed here"):
            run_steps(once, piece)
    assert (piece.directory / "times.txt").read_text() == "x"
    assert artefacts_of(piece.directory) == {"weights": piece.directory / "w.bin"}
    assert run_steps(Candidate(tiny, Recipe((Counted(),))), piece) == {"weight": 1.0}
    assert (piece.directory / "times.txt").read_text() == "x"


@pytest.mark.parametrize("harm", ["options", "architecture", "file", "record", "fidelity"])
def test_a_step_is_done_again_when_anything_before_it_changed(piece, tiny, harm):
    run_steps(Candidate(tiny, Recipe((Counted(),))), piece)
    candidate = Candidate(tiny, Recipe((Counted(),)))
    if harm == "options":
        candidate = Candidate(tiny, Recipe((Counted(value=2),)))
    elif harm == "architecture":
        candidate = Candidate(tiny.replace(image_size=96), candidate.recipe)
    elif harm == "file":
        (piece.directory / "w.bin").write_bytes(b"longer than it was")
    elif harm == "record":
        (piece.directory / RECORD).write_text("[{")
    else:
        candidate = Candidate(tiny, Recipe((Until(), Counted())))
    run_steps(candidate, piece)
    assert (piece.directory / "times.txt").read_text() == "xx"


@pytest.mark.parametrize("name", ["../outside.bin", "/outside.bin", "link.bin", ".."])
def test_a_record_names_nothing_outside_of_its_folder(piece, tiny, name):
    run_steps(Candidate(tiny, Recipe((Counted(),))), piece)
    outside = piece.directory.parent / "outside.bin"
    outside.write_bytes(b"w")
    (piece.directory / "link.bin").symlink_to(outside)
    record = json.loads((piece.directory / RECORD).read_text())
    record[0]["artefacts"]["weights"]["name"] = (
        name.replace("/outside", str(outside.with_suffix(""))) if name[0] == "/" else name
    )
    (piece.directory / RECORD).write_text(json.dumps(record))
    assert artefacts_of(piece.directory) == {}
    with pytest.raises(InputError, match="link.bin is a symbolic link"):  # which a step might write through
        run_steps(Candidate(tiny, Recipe((Counted(),))), piece)
    (piece.directory / "link.bin").unlink()
    run_steps(Candidate(tiny, Recipe((Counted(),))), piece)
    assert (piece.directory / "times.txt").read_text() == "xx" and outside.read_bytes() == b"w"


@pytest.mark.parametrize(
    "harm",
    [
        {"metrics": {"weight": "1"}},
        {"metrics": [1]},
        {"artefacts": {"weights": {"name": "x" * 5000, "bytes": 1}}},
        {"artefacts": {"weights": {"name": 1, "bytes": 1}}},
        {"artefacts": [1]},
        {"digest": None},
    ],
)
def test_a_record_that_is_none_is_done_again(piece, tiny, harm):
    run_steps(Candidate(tiny, Recipe((Counted(),))), piece)
    record = json.loads((piece.directory / RECORD).read_text())
    (piece.directory / RECORD).write_text(json.dumps([{**record[0], **harm}]))
    assert run_steps(Candidate(tiny, Recipe((Counted(),))), piece) == {"weight": 1.0}
    assert (piece.directory / "times.txt").read_text() == "xx"


def test_what_was_written_last_is_what_is_judged(piece):
    piece.wrote("weights", piece.directory / "a")
    piece.wrote("onnx", piece.directory / "b")
    piece.wrote("weights", piece.directory / "c")
    assert list(piece.artefacts.items()) == [("onnx", piece.directory / "b"), ("weights", piece.directory / "c")]


class Until(Step):
    name = "until"

    def run(self, piece):
        return {}

    def digest(self, piece):
        return piece.until


@pytest.mark.slow
def test_what_is_judged_is_the_file_that_the_recipe_leaves(tiny, small_data, tmp_path):
    """Train, export and quantise for real; the steps are recorded, and a second time nothing is done."""
    evaluator = DetectorEvaluator(str(small_data), 1, batch=8, recipe=Recipe.read(FULL))
    evaluator.prepare(tmp_path)
    metrics = evaluator.evaluate(tiny, tmp_path)
    record = json.loads((tmp_path / RECORD).read_text())
    assert [entry["step"] for entry in record] == ["train", "export", "quantise"]
    files = artefacts_of(tmp_path)
    assert files["weights"].name == "best.pt" and files["onnx"].name == "model-int8.onnx"
    assert metrics["file_bytes"] == files["onnx"].stat().st_size < (tmp_path / "model.onnx").stat().st_size
    assert record[-1]["options"]["activations"] == evaluator.recipe.int8
    assert {"map50_95", "map50", "train_seconds", "file_bytes", "fp32_layers"} == set(metrics) == set(evaluator.metrics)
    again = evaluator.evaluate(tiny, tmp_path)
    assert again == metrics  # its training seconds too, which no second training would have repeated
    judged = []
    evaluator._accuracy = lambda piece: judged.append(dict(piece.artefacts)) or {"map50_95": 0.5, "map50": 0.5}
    evaluator.evaluate(tiny, tmp_path)
    assert judged[0]["onnx"].name == "model-int8.onnx"


@pytest.mark.slow
def test_latency_of_int8_is_not_taken_from_a_profile_of_fp32(board, small_data):
    space = YoloSpace().extended([Choice("quantise.precision", ["FP32", "INT8"])])
    evaluator = DetectorEvaluator(str(small_data), 1, profiles=[board], recipe=Recipe.read(FULL))
    sample = space.sample(0).to_dict()
    half = [space.architecture(**{**sample, "quantise.precision": p}) for p in ("FP32", "INT8")]
    assert np.isfinite(evaluator.estimate(half[:1])["latency_ms"]).all()
    with pytest.raises(InputError, match="device profile board is of FP32 networks and the recipe makes INT8 ones"):
        evaluator.estimate(half[1:])
    with pytest.raises(InputError, match="device profile board is of one precision, and the recipe makes FP32 or INT8"):
        evaluator.estimate(half)
    space = YoloSpace().extended([Choice("quantise.precision", ["FP16", "INT8-dynamic"])])
    for precision, can in (("FP16", "measure one with `--precision FP16`"), ("INT8-dynamic", "no profile is of such")):
        made = space.architecture(**{**sample, "quantise.precision": precision})
        with pytest.raises(InputError, match=f"is of FP32 networks and the recipe makes {precision} ones; {can}"):
            evaluator.estimate([made])


def test_the_form_of_int8_is_given_once_and_travels():
    free, fixed = Recipe.read(FULL), Recipe.read(["train", "export", {"quantise": {"activations": "unsigned"}}])
    assert free.with_int8("signed").int8 == "signed" and fixed.with_int8("signed").int8 == "unsigned"
    for form in agent.ACTIVATIONS:  # whatever suits the machine that reads it again, as for a choice of the recipe
        again = free.with_int8(form).with_values({"quantise.images": 2})
        assert again.int8 == again.steps[-1].model_dump()["activations"] == form
    assert training_only().int8 is None and training_only().with_int8("signed") == training_only()
    with pytest.raises(InputError, match="quantise: field activations: 'both'"):
        Recipe.read([*FULL[:2], {"quantise": {"activations": "both"}}])


def test_latency_of_one_form_of_int8_is_not_taken_for_another_s(board, small_data):
    recipe, architectures = Recipe.read(FULL).with_int8("unsigned"), [YoloSpace().sample(0)]
    old, new = (board.model_copy(update={"precision": "INT8", "activations": a}) for a in (None, "unsigned"))
    estimate = DetectorEvaluator(str(small_data), 1, profiles=[new], recipe=recipe).estimate(architectures)
    assert np.isfinite(estimate["latency_ms"]).all()
    with pytest.raises(
        InputError, match=r"INT8 with signed activations .* give quantise the option activations: signed"
    ):
        DetectorEvaluator(str(small_data), 1, profiles=[old], recipe=recipe).estimate(architectures)


def test_a_worker_reads_the_labels_itself_and_once(small_data, monkeypatch):
    import pickle

    from evaluators import detector

    evaluator = DetectorEvaluator(str(small_data), 1)
    evaluator.setup()
    travelled = pickle.loads(pickle.dumps(evaluator))
    assert travelled._truth is None and travelled.bench == evaluator.bench
    counted = []
    monkeypatch.setattr(detector, "coco_ground_truth", lambda dataset: counted.append(dataset) or {"images": []})
    travelled.setup()
    assert len(counted) == 1 and travelled._truth == {"images": []}


def test_a_repeat_trains_with_another_seed_and_nothing_else(small_data):
    evaluator = DetectorEvaluator(str(small_data), 1, seed=2**32 - 1, batch=8)
    evaluator.setup()
    first, second = evaluator.repeated(1), evaluator.repeated(2)
    assert (evaluator.bench.seed, first.bench.seed, second.bench.seed) == (2**32 - 1, 0, 1)
    assert replace(first.bench, seed=2**32 - 1) == evaluator.bench and first._truth is evaluator._truth
    assert {**vars(first), "bench": None} == {**vars(evaluator), "bench": None}
