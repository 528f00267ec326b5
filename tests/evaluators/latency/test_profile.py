"""Device profiles: one JSON file with everything, which says what it is not good for."""

import json
import subprocess
import sys

import numpy as np
import pytest

from evaluators.latency import agent
from evaluators.latency import profile as profile_module
from evaluators.latency.profile import DeviceProfile, profile_paths
from evaluators.latency.results import Results
from search_spaces import InputError, YoloSpace

pytestmark = pytest.mark.slow

SPACE = YoloSpace()


def sealed(document):
    return {**document, "checksum": agent.checksum(document)}


def sample(count, seed=7):
    rng = np.random.default_rng(seed)
    return [SPACE.sample(rng) for _ in range(count)]


def test_it_predicts_what_was_not_measured(board, made_up_latency):
    rest = sample(200)
    value, low, high = board.predict(rest)
    truth = made_up_latency(rest)
    assert (np.abs(value / truth - 1) <= 0.1).mean() > 0.8
    assert ((low <= truth) & (truth <= high)).mean() > 0.8


def test_the_file_has_everything_and_gives_the_same_predictions(board, tmp_path):
    board.save(tmp_path / "board.json")
    again = DeviceProfile.load(tmp_path / "board.json")
    assert again == board
    for one, other in zip(board.predict(sample(20)), again.predict(sample(20))):
        assert one == pytest.approx(other, rel=1e-9)
    content = json.loads((tmp_path / "board.json").read_text())
    assert content["machine"] == "a made-up board" and content["precision"] == "FP32" and content["threads"] == 4
    assert len(content["measurements"]) == 40 and content["date"] and content["held_out"]["within_10"] > 0.7
    assert "a made-up board, onnxruntime 1.0, FP32, 4 thread(s), batch 1" in again.protocol


def test_failed_models_are_kept_with_their_reason(made_up_results):
    document = made_up_results()
    document["measurements"][5] = {"name": document["measurements"][5]["name"], "time": 1, "failed": "no kernel"}
    made = DeviceProfile.fit("board", Results(**sealed(document)))
    assert len(made.measured) == 39 and [m.failed for m in made.measurements if m.failed] == ["no kernel"]
    for m in document["measurements"]:
        m.clear()
        m.update({"name": document["models"][0]["name"], "time": 1, "failed": "no kernel"})
    with pytest.raises(InputError, match="none of the models could be measured: no kernel"):
        DeviceProfile.fit("board", Results(**sealed(document)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"evoyolo_profile": 7}, "field evoyolo_profile: version 7 is not known; this evoyolo reads version 1"),
        ({"precision": 5}, "field precision: 5"),
        ({"name": "../x"}, "field name: '../x'"),
        ({"colour": "red"}, "no field 'colour' is known"),
        ({"reference_ms": -1.0}, "field reference_ms: -1.0"),
        ({"predictor": {"prices": None}}, "field predictor: cannot be used"),
    ],
)
def test_wrong_files_are_named(board, tmp_path, change, message):
    (tmp_path / "p.json").write_text(json.dumps({**board.model_dump(exclude_none=True), **change}))
    with pytest.raises(InputError, match=f"p.json: {message}"):
        DeviceProfile.load(tmp_path / "p.json")


def test_measurements_that_contradict_themselves_are_named(board, tmp_path):
    content = board.model_dump(exclude_none=True)
    content["measurements"][4]["latency_ms"] *= 10
    (tmp_path / "p.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="field measurements.4: .*not between q25_ms and q75_ms"):
        DeviceProfile.load(tmp_path / "p.json")


def test_other_files_are_no_profiles(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.json").write_text("[1, 2]")
    with pytest.raises(InputError, match="p.json: not a device profile"):
        DeviceProfile.load("p.json")
    (tmp_path / "p.json").write_text('{"evoyolo_profile": 1, ')
    with pytest.raises(InputError, match="p.json, line 1: not valid JSON"):
        DeviceProfile.load("p.json")
    with pytest.raises(InputError, match="no device profile 'pi9': give a JSON file.*`evoyolo device profile NAME`"):
        DeviceProfile.load("pi9")


def test_a_profile_is_found_by_its_name(board, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "devices").mkdir()
    board.save(tmp_path / "devices" / "board.json")
    assert DeviceProfile.load("board") == board
    assert profile_module.PROFILES / "board.json" in profile_paths()


def test_what_it_was_not_measured_for_is_refused(board):
    board.check_covers(SPACE)
    narrow = board.model_copy(
        update={"measurements": [m for m in board.measurements if 128 <= m.architecture["image_size"] <= 320]}
    )
    narrow.check_covers(SPACE.restrict({"image_size": [160, 256]}))
    with pytest.raises(
        InputError, match="profile board was measured at image sizes from 1.. to 3.. px and says nothing of 64"
    ):
        narrow.check_covers(SPACE.restrict({"image_size": [64, 256]}))
    with pytest.raises(InputError, match="is of the space 'yolo', not of 'toy'"):
        from search_spaces import Choice, SearchSpace

        board.check_covers(SearchSpace("toy", [Choice("image_size", [64])]))


def test_few_measurements_are_adapted(board, made_up_results, made_up_latency):
    few = made_up_results(count=10, seed=5)
    adapted = DeviceProfile.fit("new", Results(**few), adapt_from=board)
    assert adapted.adapted_from == "board"
    rest = sample(100)
    errors = [
        np.median(np.abs(p.predict(rest)[0] / made_up_latency(rest) - 1))
        for p in (adapted, DeviceProfile.fit("alone", Results(**few)))
    ]
    assert errors[0] < errors[1]


def test_profiles_that_ship_can_be_read():
    for path in profile_module.SHIPPED.glob("*.json"):
        shipped = DeviceProfile.load(path)
        assert shipped.name == path.stem and len(shipped.measured) >= 50
        assert shipped.held_out.within_10 > 0.75
        shipped.check_covers(SPACE)


def test_numbers_that_make_no_process_are_found_out_when_it_predicts(board, tmp_path):
    content = board.model_dump(exclude_none=True)
    content["predictor"]["process"]["parameters"][1] = 1e6  # its exponential is not finite
    (tmp_path / "p.json").write_text(json.dumps(content))
    profile = DeviceProfile.load(tmp_path / "p.json")
    with pytest.raises(InputError, match="device profile board: field predictor: cannot be used"):
        profile.predict(sample(1))


def test_a_profile_is_read_without_a_framework():
    (path, *_) = profile_module.SHIPPED.glob("*.json")
    script = (
        "import sys; from evaluators.latency.profile import DeviceProfile; "
        f"DeviceProfile.load({str(path)!r}); print(*sorted({{'torch', 'scipy', 'onnxruntime'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_profile_of_int8_says_its_form_and_one_that_says_none_is_of_signed(made_up_results, tmp_path):
    for given, form in ((None, "signed"), ("unsigned", "unsigned")):
        fields = {"precision": "INT8", **({"activations": given} if given else {})}
        profile = DeviceProfile.fit("board", Results(**made_up_results(**fields)))
        profile.save(tmp_path / "board.json")
        kept = DeviceProfile.load(tmp_path / "board.json")
        assert kept.int8 == form and kept.activations == given and f"INT8 ({form} activations)" in kept.protocol
    assert DeviceProfile.fit("board", Results(**made_up_results())).int8 is None
    with pytest.raises(InputError, match="activations"):
        (tmp_path / "x.json").write_text((tmp_path / "board.json").read_text().replace('"unsigned"', '"none"'))
        DeviceProfile.load(tmp_path / "x.json")
