"""The time of a training step, before there is a training."""

import torch

from evaluators.detector import DetectorEvaluator
from evaluators.training import timing
from search_spaces import YoloSpace


def test_a_step_is_timed_and_leaves_no_trace(tiny):
    before, threads, state = torch.get_rng_state(), torch.get_num_threads(), torch.is_grad_enabled()
    step, look = timing.step_seconds(tiny, 4, 2, threads=2)
    assert 0 < look < step
    assert torch.equal(torch.get_rng_state(), before) and torch.get_num_threads() == threads
    assert torch.is_grad_enabled() == state


def test_more_work_takes_longer(tiny):
    large = YoloSpace().preset("yolov8s", image_size=160)
    assert timing.step_seconds(large, 4, 4)[0] > 3 * timing.step_seconds(tiny, 4, 4)[0]


def test_an_evaluation_is_its_steps_and_its_judging(small_data, tiny, monkeypatch):
    asked = []

    def step_seconds(architecture, num_classes, batch, **options):
        asked.append((architecture, num_classes, batch))
        return 2.0, 0.5

    monkeypatch.setattr(timing, "step_seconds", step_seconds)
    evaluator = DetectorEvaluator(str(small_data), 3, batch=5, fraction=0.5)  # 16 training and 8 validation images
    assert evaluator.expected_seconds(tiny) == 3 * 2 * 2.0 + 8 * 0.5 and asked == [(tiny, 4, 5)]
