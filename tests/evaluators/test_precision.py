"""The precision of a training, on GPUs as they are described: none is needed here."""

import contextlib
from types import SimpleNamespace

import pytest
import torch

from evaluators import EvaluationError
from evaluators.data import load_dataset
from evaluators.training import Fidelity, precision_on, train
from evaluators.training.train import stop_at_nan
from search_spaces import InputError


@pytest.fixture
def gpu(monkeypatch):
    """The function that puts a GPU of a name, with bf16 or without, into this machine."""

    def put(name, bf16):
        monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: name)
        # a T4 says True where emulation counts
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16 or including_emulation
        )

    return put


@pytest.mark.parametrize(
    ("name", "bf16", "wanted", "expected"),
    [
        ("NVIDIA A100-SXM4-40GB", True, "auto", "bf16"),
        ("Tesla T4", False, "auto", "fp16"),
        ("Tesla V100-SXM2-16GB", False, "auto", "fp16"),
        ("NVIDIA GeForce GTX 1660 Ti", False, "auto", "fp32"),
        ("NVIDIA GeForce GTX 1660 Ti", False, "fp16", "fp16"),
        ("NVIDIA A100-SXM4-40GB", True, "fp16", "fp16"),
        ("NVIDIA A100-SXM4-40GB", True, "fp32", "fp32"),
    ],
)
def test_it_is_what_the_gpu_has(gpu, name, bf16, wanted, expected):
    gpu(name, bf16)
    assert precision_on("0", wanted) == expected


def test_what_cannot_be_is_refused_and_says_what_can(gpu):
    assert precision_on("cpu") == precision_on("cpu", "fp32") == "fp32"
    with pytest.raises(InputError, match="amp 'bf16': a CPU trains in fp32; leave it at auto, or give a training_dev"):
        precision_on("cpu", "bf16")
    with pytest.raises(InputError, match="amp must be auto, bf16, fp16 or fp32, not 'fp8'"):
        precision_on("cpu", "fp8")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="training_device 'cuda:3': PyTorch cannot use it here"):
            precision_on("cuda:3")
    gpu("Tesla T4", False)
    with pytest.raises(InputError, match="amp 'bf16': Tesla T4 has no bf16; leave it at auto, or give fp16 or fp32"):
        precision_on("cuda", "bf16")


def test_fp16_in_which_no_step_is_taken_any_more_is_a_failure():
    def trainer(scale):
        scaler = SimpleNamespace(is_enabled=lambda: True, get_scale=lambda: scale)
        return SimpleNamespace(loss=torch.tensor(1.0), epoch=2, scaler=scaler)

    stop_at_nan(trainer(2.0**12))  # some steps were skipped, as is usual
    with pytest.raises(EvaluationError, match="the gradients are not finite in fp16, in epoch 3; bf16 or fp32 may do"):
        stop_at_nan(trainer(2.0**-11))


@pytest.mark.slow
def test_fp16_scales_its_gradients_fetches_nothing_and_goes_on_where_it_paused(small_data, tiny, tmp_path, monkeypatch):
    """With a CPU's automatic precision and scaler in the place of a GPU's."""
    scalers, made = [], torch.amp.GradScaler

    def scaler(device, enabled):
        scalers.append(made("cpu", enabled=enabled, growth_interval=3))
        return scalers[-1]

    def fetch(model):
        raise AssertionError("it would fetch weights")

    monkeypatch.setitem(train.__globals__, "precision_on", lambda device, wanted: "fp16")
    monkeypatch.setattr("ultralytics.engine.trainer.check_amp", fetch)
    monkeypatch.setattr(torch.amp, "GradScaler", scaler)
    data = load_dataset(small_data)
    for name, until in (("whole", None), ("parts", 1), ("parts", None)):
        result = train(tiny, data, Fidelity(2), tmp_path / name, until=until, batch=8)
    whole, first, second = (each.get_scale() for each in scalers)
    assert whole == second > first > 2.0**15
    assert torch.load(result.checkpoint, weights_only=False)["train_args"]["amp"] == "fp16"
