"""Gaussian-process regression against its definition."""

import numpy as np
import pytest
import torch

from evaluators.latency.gaussian_process import JITTER, GaussianProcess, Inputs, Kernel


def points(count, seed=0):
    rng = np.random.default_rng(seed)
    return Inputs(rng.standard_normal((count, 2)), rng.integers(0, 3, (count, 1)))


@pytest.fixture
def fitted():
    inputs = points(25)
    values = inputs.numbers[:, 0] - 0.3 * inputs.numbers[:, 1] ** 2 + 0.5 * (inputs.categories[:, 0] == 1)
    return GaussianProcess.fit(inputs, values), inputs, values


def test_the_posterior_is_the_textbook_s(fitted):
    process, inputs, values = fitted
    new = points(7, seed=1)
    theta, a, b = torch.from_numpy(process.parameters), inputs.tensors(), new.tensors()
    with torch.no_grad():
        k = process.kernel(theta, a, a).numpy() + (np.exp(process.parameters[0]) + JITTER) * np.eye(25)
        across = process.kernel(theta, b, a).numpy()
        itself = process.kernel(theta, b, b).numpy()
    mean, deviation = process.predict(new)
    assert mean == pytest.approx(across @ np.linalg.solve(k, values), abs=1e-6)
    variance = np.diag(itself - across @ np.linalg.solve(k, across.T)) + np.exp(process.parameters[0])
    assert deviation == pytest.approx(np.sqrt(variance), rel=1e-4)


def test_leaving_one_out_is_conditioning_on_the_others(fitted):
    process, inputs, values = fitted
    mean, deviation = process.leave_one_out()
    for i in (0, 7, 24):
        rest = np.delete(np.arange(25), i)
        other = GaussianProcess(inputs.rows(rest), values[rest], process.parameters)
        expected, spread = other.predict(inputs.rows([i]))
        assert mean[i] == pytest.approx(expected[0], abs=1e-6)
        assert deviation[i] == pytest.approx(spread[0], rel=0.01, abs=1e-5)


def test_it_learns_a_function_of_numbers_and_categories(fitted):
    process, _, _ = fitted
    new = points(200, seed=2)
    truth = new.numbers[:, 0] - 0.3 * new.numbers[:, 1] ** 2 + 0.5 * (new.categories[:, 0] == 1)
    mean, _ = process.predict(new)
    assert np.corrcoef(mean, truth)[0, 1] > 0.98


def test_the_kernel_is_positive_definite_and_its_diagonal_agrees():
    inputs = points(40, seed=3)
    for shape in (inputs, Inputs(inputs.numbers, np.zeros((40, 0), np.int64)), Inputs(np.zeros((40, 0)), inputs.categories)):
        kernel = Kernel(shape.numbers.shape[1], shape.categories.shape[1])
        theta = kernel.prior()[0] + 0.3
        matrix = kernel(theta, shape.tensors(), shape.tensors()).numpy()
        assert np.linalg.eigvalsh(matrix).min() > -1e-9
        assert np.diag(matrix) == pytest.approx(kernel.diagonal(theta, shape.tensors()).numpy(), rel=1e-5)
