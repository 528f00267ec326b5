"""Gaussian-process regression against its definition."""

import numpy as np
import pytest
import torch

from evaluators import gaussian_process
from evaluators.gaussian_process import JITTER, GaussianProcess, Kernel, most_telling
from evaluators.inputs import Inputs, choice_inputs
from search_spaces import Choice, SearchSpace


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
    theta = torch.from_numpy(process.parameters)
    a, b = process.kernel.points(inputs), process.kernel.points(new)
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


@pytest.mark.parametrize(("numbers", "categories", "others"), [(2, 1, 0), (2, 0, 0), (0, 1, 0), (2, 2, 3), (0, 0, 3)])
def test_the_kernel_is_positive_definite_and_its_diagonal_agrees(numbers, categories, others):
    rng = np.random.default_rng(3)
    inputs = Inputs(rng.standard_normal((40, others + numbers)), rng.integers(-1, 3, (40, categories)))
    kernel = Kernel(numbers, categories, others=others)
    theta, points = kernel.prior()[0] + 0.3, kernel.points(inputs)
    matrix = kernel(theta, points, points).numpy()
    assert np.linalg.eigvalsh(matrix).min() > -1e-9
    assert np.diag(matrix) == pytest.approx(kernel.diagonal(theta, points).numpy(), rel=1e-5)


def test_the_kernel_is_the_one_of_its_documentation():
    rng = np.random.default_rng(4)
    inputs = Inputs(rng.standard_normal((2, 1 + 2)), np.array([[0, 1], [0, -1]]))
    kernel = Kernel(2, 2, others=1)
    theta = kernel.prior()[0]
    p = {name: values.numpy() for name, values in kernel.split(theta).items()}
    (z, x0, x1), (w, y0, y1) = inputs.numbers
    x, y = np.array([x0, x1]), np.array([y0, y1])

    def matern(distance):
        d = 5**0.5 * distance
        return (1 + d + d**2 / 3) * np.exp(-d)

    curves = matern(np.abs(x - y) / p["curve_length"])
    apart = (((x - y) / p["length"]) ** 2).sum() + p["category_length"][1] ** -2
    expected = (
        p["constant"][0]
        + (p["linear"] * x * y + p["curve"] * curves).sum()
        + p["offset"][0]
        + (p["category_linear"] * x * y + p["category_curve"] * curves).sum()
        + p["matern"][0] * matern(apart**0.5)
        + p["elsewhere"][0] * z * w
    )
    points = kernel.points(inputs)
    assert kernel(theta, points, points)[0, 1].item() == pytest.approx(expected)


def test_many_points_are_conditioned_on_and_predicted_in_parts(monkeypatch):
    monkeypatch.setattr(gaussian_process, "MOST", 30)
    inputs, new = points(120), points(50, seed=5)
    values = np.sin(inputs.numbers[:, 0])
    process = GaussianProcess.fit(inputs, values)
    whole = process.predict(new)
    monkeypatch.setattr(gaussian_process, "CHUNK", 7)
    for one, other in zip(process.predict(new), whole):
        assert one == pytest.approx(other)
    assert np.abs(process.predict(inputs)[0] - values).max() < 0.1


def test_choices_become_numbers_and_categories():
    space = SearchSpace(
        "toy",
        [Choice("size", [1, 10, 100]), Choice("kind", ["a", "b"]), Choice("extra", [0, 1], when={"kind": ["a"]})],
    )
    architectures = list(space.enumerate())
    inputs = choice_inputs(architectures)
    assert inputs.numbers.shape == (len(architectures), 2) and inputs.categories.shape == (len(architectures), 1)
    sizes = np.array([a["size"] for a in architectures])
    middle = inputs.numbers[sizes == 10, 0]
    assert middle == pytest.approx(0)  # logarithms: 10 is half way
    inactive = np.array(["extra" not in a for a in architectures])
    assert inputs.numbers[inactive, 1] == pytest.approx(0)


def test_each_point_leaves_the_least_variance():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((30, 4))
    covariance, noise = features @ features.T, 0.1
    chosen = most_telling(covariance, 5, noise)

    def left(measured):
        k = covariance[np.ix_(measured, measured)] + noise**2 * np.eye(len(measured))
        across = covariance[:, measured]
        return np.trace(covariance - across @ np.linalg.solve(k, across.T))

    for i in range(5):
        tried = [left([*chosen[:i], j]) for j in range(30)]
        assert tried[chosen[i]] == pytest.approx(min(tried))
    assert len(set(chosen)) == 5


def test_no_more_points_than_there_are():
    assert sorted(most_telling(np.eye(3), 10, 0.1)) == [0, 1, 2]


def test_what_is_measured_already_counts():
    rng = np.random.default_rng(1)
    features = rng.standard_normal((20, 3))
    covariance = features @ features.T
    whole = most_telling(covariance, 5, 0.1)
    assert most_telling(covariance, 3, 0.1, measured=whole[:2]) == whole[2:]
