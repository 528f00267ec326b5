"""Results files: what is wrong with one is named, and nothing is made of it."""

import json

import pytest

from evaluators.latency import agent
from evaluators.latency.results import read_results
from search_spaces import InputError


def write(path, document, sealed=True):
    """A results file; `sealed` gives it the checksum that belongs to it."""
    if sealed:
        document["checksum"] = agent.checksum(document)
    path.write_text(json.dumps(document))
    return path


def test_a_good_file_is_read(results_file):
    results = read_results(results_file)
    assert len(results.figures) == len(results.models) == 40
    assert results.machine == "a made-up board" and results.threads == 4


def test_a_file_that_was_cut_off_is_refused(results_file, tmp_path):
    text = results_file.read_text()
    (tmp_path / "r.json").write_text(text[: len(text) // 2])
    with pytest.raises(InputError, match="r.json, line 1: not valid JSON .*cut off"):
        read_results(tmp_path / "r.json")


def test_a_file_that_was_edited_is_refused(made_up_results, tmp_path):
    document = made_up_results()
    document["measurements"][3]["ratio"] *= 1.001
    with pytest.raises(InputError, match="r.json: its checksum does not match: it was changed"):
        read_results(write(tmp_path / "r.json", document, sealed=False))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("raw_ms", -3.0, "field measurements.2.raw_ms: -3.0: .*greater"),
        ("raw_ms", 1e9, "field measurements.2.raw_ms: 1000000000.0: .*less"),
        ("reference_ms", 0.0, "field measurements.2.reference_ms: 0.0"),
        ("ratio", -1.0, "field measurements.2.ratio: -1.0"),
        ("ratio", 1e-3, "field measurements.2: .*not between its quartiles"),
        ("ratio", None, "field measurements.2: .*neither its figures nor a reason"),
        ("name", "ffffffffffff", "'ffffffffffff' is no model of the pack"),
        ("time", 1.7e12, "field measurements.2.time: .*less"),  # of milliseconds
        ("time", -1, "field measurements.2.time: -1: .*greater"),
        ("speed", 3, "no field 'measurements.2.speed' is known"),
    ],
)
def test_absurd_figures_are_named(made_up_results, tmp_path, field, value, message):
    document = made_up_results()
    document["measurements"][2][field] = value
    with pytest.raises(InputError, match=message):
        read_results(write(tmp_path / "r.json", document))


def test_not_a_number_is_no_time(made_up_results, tmp_path):
    document = made_up_results()
    document["measurements"][2]["raw_ms"] = float("nan")
    with pytest.raises(InputError, match="r.json: not valid JSON .NaN is no finite number"):
        read_results(write(tmp_path / "r.json", document))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"evoyolo_results": 99}, "field evoyolo_results: version 99 is not known; this evoyolo reads version 1"),
        ({"runtime": "tflite"}, "field runtime: 'tflite'"),
        ({"threads": 0}, "field threads: 0"),
    ],
)
def test_wrong_fields_are_named(made_up_results, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        read_results(write(tmp_path / "r.json", {**made_up_results(), **change}))


def test_another_file_is_no_results_file(tmp_path):
    (tmp_path / "r.json").write_text('{"name": 1}')
    with pytest.raises(InputError, match="r.json: not a results file of run.py"):
        read_results(tmp_path / "r.json")
    with pytest.raises(InputError, match="none.json: cannot be read"):
        read_results(tmp_path / "none.json")
