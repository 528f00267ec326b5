"""The configuration: what is wrong is named with its file, field and value."""

from dataclasses import replace

import pytest
import yaml

from nas.launch.config import SMALL, SearchConfig, commented_yaml, load_config, make_config
from search_spaces import InputError


def test_the_commented_file_is_the_defaults_with_every_field(tmp_path):
    path = tmp_path / "search.yaml"
    path.write_text(commented_yaml())
    assert load_config(path) == SearchConfig()
    assert list(yaml.safe_load(path.read_text())) == list(SearchConfig.model_fields)
    assert path.read_text().count("\n# ") == len(SearchConfig.model_fields)


def test_a_changed_configuration_survives_its_file(tmp_path):
    config = make_config(
        {"max_latency_ms": 8, "restrict": {"neck": ["PAN"]}, "references": [], "training": {"lr0": 0.01}}, "x"
    )
    (tmp_path / "s.yaml").write_text(commented_yaml(config))
    assert load_config(tmp_path / "s.yaml") == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epoch": 3}, "x.yaml: no field 'epoch'; there are name, "),
        ({"epochs": 0}, "x.yaml: field epochs: 0: .*greater than 0"),
        ({"epochs": "many"}, "field epochs: 'many': .*integer"),
        ({"fraction": 1.5}, "field fraction: 1.5: .*less than or equal to 1"),
        (
            {"algorithm": "magic"},
            "field algorithm: 'magic': must be evolution, local, random, regularized, surrogate, optuna-tpe, ",
        ),
        ({"objectives": ["speed:max"]}, "'speed' is not a metric; there are map50_95"),
        ({"objectives": ["latency_ms"]}, "'latency_ms' must end in :min or :max, such as latency_ms:min"),
        ({"restrict": {"neck": ["FPN"]}}, "'neck' cannot be 'FPN'; it can be PAN or AFPN"),
        ({"restrict": {"necks": ["PAN"]}}, "no choice 'necks'"),
        ({"references": ["yolov9"]}, "no preset 'yolov9'"),
        ({"within": "yolov9"}, "no preset 'yolov9'; there are yolov8n, "),
        ({"scalings": -1}, "field scalings: -1: .*greater than or equal to 0"),
        ({"hours": 0}, "field hours: 0: .*greater than 0"),
        ({"hours": "2"}, "field hours: '2': .*number"),
        ({"image_size": 100}, "choice 'image_size' cannot be 100; it can be any multiple of 32 up to 4096"),
        ({"image_size": "640"}, "field image_size: '640': .*integer"),
        (
            {"image_size": 640, "restrict": {"image_size": [96, 160]}},
            r"image_size 640: restrict says .* \[96, 160\]; leave",
        ),
        (
            {"training_device": "0,1"},
            "field training_device: '0,1': a model is trained on one GPU; with gpus_per_trial: 1",
        ),
        ({"training_device": "gpu"}, "must be cpu, or one CUDA device such as 0 or cuda:0"),
        ({"amp": "bf16"}, "amp 'bf16': a CPU trains in fp32"),
        ({"amp": "fp8", "training_device": "0"}, "field amp: 'fp8'"),
        ({"name": "../x"}, "field name: '../x': must be a plain folder name"),
        ({"name": "aux"}, "field name: 'aux': must be a plain folder name, and names a device on Windows"),
        ({"space": "resnet"}, "field space: 'resnet': .*yolo"),
        ({"scheduler": "slurm"}, "field scheduler: 'slurm': must be fifo or halving"),
        ({"recipe": ["export"]}, "recipe: export reads weights, which no step before it writes"),
        ({"recipe": ["train", "prune"]}, "recipe: prune is a step of `evoyolo compress`, not of a search"),
        ({"space": "yolo-pruned"}, "space: .*must be yolo"),
        (
            {"recipe": ["train", "export", "quantise"], "recipe_choices": {"quantise.precision": ["FP32", "INT8"]}},
            "recipe_choices: makes models in FP32 or INT8, and a latency is predicted for one precision",
        ),
        ({"executor": "slurm"}, "field executor"),
        ({"epochs": True}, "field epochs: True: .*integer"),
        ({"epochs": "14"}, "field epochs: '14': .*integer"),
        ({"epochs": 1.5}, "field epochs: 1.5: .*integer"),
        ({"epochs": 10**30}, "field epochs: .*less than or equal to 9007199254740992"),
        ({"fraction": True}, "field fraction: True: .*number"),
        ({"max_latency_ms": float("inf")}, "field max_latency_ms.*finite"),
        ({"max_latency_ms": {"pi": "8"}}, "field max_latency_ms.*'8'"),
        ({"rungs": [True, 6]}, "field rungs.0: True: .*integer"),
        ({"seed": 2**32}, "field seed: 4294967296: .*less than 4294967296"),
        ({"restrict": {"image_size": ["96"]}}, "'image_size' cannot be '96'; it can be"),
        ({"restrict": {"p5_depth": [True]}}, "'p5_depth' cannot be True; it can be"),
        ({"recipe": ["train", "export", {"quantise": {"images": True}}]}, "quantise: field images: True: .*integer"),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(InputError, match=message):
        make_config(values, "x.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [("epochs: [1\nname: x", "s.yaml, line 2: not valid YAML"), ("- 1", "must be a list of `field: value` lines")],
)
def test_wrong_files_are_named(tmp_path, text, message):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_config(tmp_path / "s.yaml")
    with pytest.raises(InputError, match="none.yaml: cannot be read"):
        load_config(tmp_path / "none.yaml")


def test_yaml_never_makes_objects(tmp_path):
    (tmp_path / "s.yaml").write_text("name: !!python/object/apply:os.system ['touch hacked']\n")
    with pytest.raises(InputError, match="not valid YAML"):
        load_config(tmp_path / "s.yaml")


def test_whole_numbers_may_be_written_as_floats(tmp_path):
    (tmp_path / "s.yaml").write_text("max_params: 1e6\nepochs: 1E1\nbatch: 8.0\ntraining: {lr0: 1e-3}\n")
    config = load_config(tmp_path / "s.yaml")
    assert (config.max_params, config.epochs, config.batch) == (1_000_000, 10, 8)
    assert type(config.epochs) is int and config.training == {"lr0": 0.001}


def test_keys_that_stand_twice_are_refused(tmp_path):
    (tmp_path / "s.yaml").write_text("epochs: 3\nseed: 1\nepochs: 30\n")
    with pytest.raises(InputError, match="s.yaml, line 3: .*'epochs' is there twice, first in line 1"):
        load_config(tmp_path / "s.yaml")


def test_home_folders_are_expanded_in_every_path(boards, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = make_config(
        {"data": "~/a.json:~/b.json", "directory": "~/run", "device": ["~/a.json"], "start_from": "~/old"}, "x"
    )
    assert config.data == f"{tmp_path}/a.json:{tmp_path}/b.json" and config.run_directory == tmp_path / "run"
    assert config.device == [str(tmp_path / "a.json")] and config.start_from == str(tmp_path / "old")


def test_text_that_looks_like_something_else_survives_the_settings_file(tmp_path):
    config = make_config(
        {"name": "1e3", "algorithm_options": {"a": ["yes", "010", "1e-3", "2024-01-01", 1e-3, 10]}}, "x"
    )
    (tmp_path / "s.yaml").write_text(commented_yaml(config))
    assert load_config(tmp_path / "s.yaml") == config


def test_how_many_evaluations_there_are_is_said_or_follows_from_the_hours():
    assert SearchConfig().evaluations == 14 and SearchConfig(hours=2).evaluations is None
    assert SearchConfig(max_evaluations=5).evaluations == SearchConfig(max_evaluations=5, hours=2).evaluations == 5


@pytest.mark.parametrize(
    ("values", "bounded"),
    [
        ({}, True),
        ({"max_latency_ms": {}}, True),
        ({"max_latency_ms": 5}, False),
        ({"max_params": 10}, False),
        ({"max_macs": 10}, False),
        ({"within": None}, False),
        ({"within": "none"}, False),
    ],
)
def test_the_region_of_interest_is_that_of_a_reference_unless_there_is_a_bound(values, bounded, tmp_path):
    config = make_config(values, "x")
    reference = config.region_architecture()
    assert (reference is not None) == bounded
    if reference is not None:
        assert reference == config.reference_architectures()["yolov8n"] and reference["image_size"] == 96
    (tmp_path / "s.yaml").write_text(commented_yaml(config))
    assert load_config(tmp_path / "s.yaml") == config


def test_fields_become_objects():
    config = make_config({"max_params": 2_000_000, "restrict": {"image_size": [96, 128]}, "max_macs": None}, "x")
    assert [str(c) for c in config.make_constraints()] == ["params <= 2,000,000"]
    assert [o.metric for o in config.make_objectives()] == ["map50_95", "latency_ms"]
    assert {a["image_size"] for a in config.reference_architectures().values()} == {96}
    assert str(config.run_directory) == "results/search"


@pytest.mark.parametrize("size", [64, 416, 1280])
@pytest.mark.parametrize("more", [{}, {"restrict": {}}, {"restrict": SMALL}, {"recipe": ["train", "export"]}])
def test_one_image_size_is_that_of_everything(size, more, tmp_path):
    from evaluators import complexity
    from search_spaces.definition import define, recall
    from search_spaces.models import load_yaml, save_yaml

    config = make_config({"image_size": size, **more}, "x")
    space, references = config.make_space(), config.reference_architectures()
    drawn = [space.sample(seed) for seed in range(5)]
    assert {a["image_size"] for a in [*drawn, *references.values()]} == {size}
    smaller = [space.unrestricted.architecture(**{**a, "image_size": 320}) for a in drawn]
    ratio = complexity(drawn).macs / complexity(smaller).macs
    assert ratio == pytest.approx((size / 320) ** 2, rel=0.05)
    assert all(space.unrestricted.adopt(reference)["image_size"] == size for reference in references.values())
    (tmp_path / "s.yaml").write_text(commented_yaml(config))
    assert load_config(tmp_path / "s.yaml") == config  # also where the file says what was not said before
    assert recall(yaml.safe_load(yaml.safe_dump(define(space)))).adopt(drawn[0]).key == drawn[0].key
    save_yaml(tmp_path / "model.yaml", drawn[0], 3)
    assert load_yaml(tmp_path / "model.yaml")[0].key == drawn[0].key


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:0", "0", "13"])
def test_one_training_device_is_taken(device):
    assert make_config({"training_device": device}, "x").training_device == device


@pytest.fixture
def boards(board, tmp_path):
    """Files of two profiles, a and b."""
    for name in ("a", "b"):
        board.model_copy(update={"name": name}).save(tmp_path / f"{name}.json")
    return [str(tmp_path / "a.json"), str(tmp_path / "b.json")]


def test_one_device_s_latency_is_the_latency(boards):
    config = make_config({"device": boards[:1], "max_latency_ms": 5, "max_macs": None}, "x")
    assert [o.metric for o in config.make_objectives()] == ["map50_95", "latency_ms"]
    assert [str(c) for c in config.make_constraints()] == ["latency_ms <= 5.0"]


def test_several_devices_are_told_apart(boards):
    config = make_config({"device": boards, "max_latency_ms": {"b": 5.0}, "max_macs": None}, "x")
    assert [o.metric for o in config.make_objectives()] == ["map50_95", "latency_ms@a", "latency_ms@b"]
    assert [str(c) for c in config.make_constraints()] == ["latency_ms@b <= 5.0"]
    config = make_config(
        {"device": boards, "max_latency_ms": 7, "objectives": ["map50_95:max", "latency_ms@b:min"]}, "x"
    )
    assert [o.metric for o in config.make_objectives()] == ["map50_95", "latency_ms@b"]
    assert {"latency_ms@a <= 7.0", "latency_ms@b <= 7.0"} <= {str(c) for c in config.make_constraints()}


def test_devices_that_do_not_fit_are_named(board, boards, tmp_path):
    kept = [i for i, m in enumerate(board.measurements) if m.architecture["image_size"] <= 256]
    held = {name: [getattr(board.held_out, name)[i] for i in kept] for name in ("value_ms", "low_ms", "high_ms")}
    small = {"measurements": [board.measurements[i] for i in kept], "held_out": replace(board.held_out, **held)}
    board.model_copy(update={"name": "small", **small}).save(tmp_path / "small.json")
    with pytest.raises(
        InputError, match="device profile small was measured at image sizes from .* and says nothing of .*640 px"
    ):
        make_config({"device": [str(tmp_path / "small.json")], "restrict": {}}, "x")
    with pytest.raises(InputError, match="small was measured at image sizes from .* and says nothing of .*640 px"):
        make_config({"device": [str(tmp_path / "small.json")], "image_size": 640}, "x")
    with pytest.raises(InputError, match="device: two profiles have the same name"):
        make_config({"device": [boards[0], boards[0]]}, "x")
    with pytest.raises(InputError, match="'c' is none of several devices; they are a or b"):
        make_config({"device": boards, "max_latency_ms": {"c": 3}}, "x")
    with pytest.raises(InputError, match="'a' is none of several devices; give two or more"):
        make_config({"device": boards[:1], "objectives": ["latency_ms@a:min"]}, "x")
    with pytest.raises(InputError, match="device: '0' is no device profile; what trains is `training_device`"):
        make_config({"device": ["0"]}, "x")
    with pytest.raises(InputError, match="no device profile 'none'"):
        make_config({"device": ["none"]}, "x")
    for odd in ("x" * 5000, "a\0b", "", "."):
        with pytest.raises(InputError, match="no device profile"):
            make_config({"device": [odd]}, "x")


@pytest.mark.parametrize(("settings", "repeats"), [({}, 1), ({"max_evaluations": 7}, 0), ({"hours": 2.0}, 1)])
def test_few_evaluations_are_not_spent_on_learning_how_noisy_they_are(settings, repeats):
    assert SearchConfig(**settings).repeats_of_reference == repeats
    assert SearchConfig(**settings, repeats=2).repeats_of_reference == 2


def test_a_bound_that_is_no_preset_is_named_with_its_field():
    with pytest.raises(InputError, match="within: no preset 'yolov9'; there are yolov8n"):
        make_config({"within": "yolov9"}, "search.yaml")
