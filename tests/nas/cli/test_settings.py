"""The options of `search` and `resume` are the fields of the configuration, with their types."""

from typing import Literal, get_args

import pytest
import typer
from pydantic import BaseModel, Field

from evaluators.latency import agent
from nas.cli import device
from nas.cli.command import group
from nas.cli.main import main
from nas.cli.settings import SettingsCommand, given
from nas.launch.config import SearchConfig, make_config
from nas.launch.resuming import RESUMABLE


def read(*arguments, cls=SettingsCommand):
    """The fields that a command line gives."""
    app, found = group(), {}

    @app.command(cls=cls)
    def command(ctx: typer.Context) -> None:
        found.update(given(ctx))

    typer.main.get_command(app)(list(arguments), standalone_mode=False)
    return found


def test_the_forms_of_int8_that_the_command_names_are_those_there_are():
    # written out twice, since the help of a command must not load what knows them
    forms, _ = get_args(get_args(device.Activations)[0])
    assert get_args(forms) == agent.ACTIVATIONS


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ([], {}),
        (["--epochs", "3", "--fraction", "0.5"], {"epochs": 3, "fraction": 0.5}),
        (
            ["--name", "1e3", "--directory", "007", "--data", "null"],
            {"name": "1e3", "directory": "007", "data": "null"},
        ),
        (["--training-device", "0"], {"training_device": "0"}),
        (["--executor", "here"], {"executor": "here"}),
        (["--rungs", "3", "9"], {"rungs": [3, 9]}),
        (["--rungs", "3", "--rungs", "9"], {"rungs": [3, 9]}),
        (["--device", "1", "b"], {"device": ["1", "b"]}),
        (["--device", "a", "--device", "b"], {"device": ["a", "b"]}),
        (
            ["--objectives", "map50_95:max", "latency_ms:min", "--seed", "0"],
            {"objectives": ["map50_95:max", "latency_ms:min"], "seed": 0},
        ),
        (["--references"], {"references": []}),
        (["--references", "--seed", "1"], {"references": [], "seed": 1}),
        (["--max-macs", "null"], {"max_macs": None}),
        (["--within", "none", "--hours", "2", "--scalings", "0"], {"within": "none", "hours": 2, "scalings": 0}),
        (["--max-latency-ms", "8"], {"max_latency_ms": 8}),
        (["--max-latency-ms", "{pi: 25, laptop: 4.5}"], {"max_latency_ms": {"pi": 25, "laptop": 4.5}}),
        (["--restrict", "{image_size: [64, 96]}"], {"restrict": {"image_size": [64, 96]}}),
        (["--restrict", "{}"], {"restrict": {}}),
        (["--image-size", "96", "--gpus-per-trial", "0"], {"image_size": 96, "gpus_per_trial": 0.0}),
    ],
)
def test_values_have_the_type_of_their_field(arguments, fields):
    found = read(*arguments)
    assert found == fields and {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in fields.items()
    }


def test_what_is_read_makes_a_configuration():
    config = make_config(read("--name", "1e3", "--epochs", "9", "--rungs", "3", "9", "--max-macs", "null"), "x")
    assert config == SearchConfig(name="1e3", epochs=9, rungs=[3, 9], max_macs=None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--epochs", "many"], "'--epochs'"),
        (["--fraction", "half"], "'--fraction'"),
        (["--executor", "slurm"], "'here'"),
        (["--epochs"], "requires an argument"),
    ],
)
def test_values_of_another_type_are_usage_errors(arguments, said, capsys):
    assert main(["search", *arguments]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def described(name, text):
    """Whether a help text has the option with the start of its field's description."""
    flag, start = f"--{name.replace('_', '-')}", " ".join(SearchConfig.model_fields[name].description.split()[:3])
    return f" {flag} " in text and start in text


def test_search_has_every_field_with_its_description_and_default(capsys):
    assert main(["search", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert all(described(name, text) for name in SearchConfig.model_fields)
    assert "(default: 6)" in text and "(default: yolov8n light-recipe)" in text
    assert "--executor <ray|here>" in text and "--max-latency-ms <float|mapping>" in text and "--rungs <int...>" in text


def test_resume_has_what_may_change_and_no_default_of_a_new_run(capsys):
    assert main(["resume", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for name in SearchConfig.model_fields:
        assert described(name, text) == (name in RESUMABLE)
    assert "default:" not in text


def test_fields_of_other_types_need_no_code():
    class Config(BaseModel):
        quick: bool = Field(False, description="a switch")
        kind: Literal["a", "b"] | None = Field(None, description="a choice, or none")
        weights: dict[str, float] | list[float] = Field(default_factory=list, description="a mapping or a list")

    class Of(SettingsCommand):
        def fields(self):
            return Config.model_fields

    assert read("--quick", "--kind", "b", cls=Of) == {"quick": True, "kind": "b"}
    assert read("--no-quick", "--weights", "{a: 0.5}", cls=Of) == {"quick": False, "weights": {"a": 0.5}}
    assert read("--weights", "[1.5, 2]", cls=Of) == {"weights": [1.5, 2]}
