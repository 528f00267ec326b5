"""The benchmark of training-free scores: its statistics, what it keeps, and what it refuses."""

import csv
import importlib.util
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from search_spaces import YoloSpace

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "proxies.py"
SPACE = YoloSpace()


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        spec = importlib.util.spec_from_file_location("benchmark_of_proxies", SCRIPT)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(SCRIPT.parent))


def write_table(path, rows, **about):
    with open(path, "w", newline="") as stream:
        writer = csv.DictWriter(stream, ["key", "name", "seed", "architecture", "map50_95", "macs"])
        writer.writeheader()
        writer.writerows(rows)
    path.with_suffix(".json").write_text(json.dumps({"num_classes": 2, "epochs": 3, "data": "digits", **about}))
    return path


def make_rows(count=8, seeds=1):
    rows = []
    for number in range(count):
        values = SPACE.preset(
            "yolov8-w1/16", image_size=64, p3_width=(16, 32, 48, 64)[number % 4], p2_depth=1 + number // 4
        )
        for seed in range(seeds):
            accuracy = 0.1 + 0.05 * number + 0.01 * seed
            rows.append(
                {"key": values.key, "seed": seed, "architecture": json.dumps(values.to_dict()), "map50_95": accuracy}
            )
    return rows


def test_kendall_is_scipys_with_ties_and_counts_only_what_it_is_told_to(benchmark):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, 40), rng.integers(0, 5, 40)
    assert benchmark.kendall(x, y) == pytest.approx(kendalltau(x, y).statistic)
    half = np.arange(40) < 20
    only = benchmark.kendall(x, y, half[:, None] & half[None])
    assert only == pytest.approx(kendalltau(x[:20], y[:20]).statistic)
    assert np.isnan(benchmark.kendall(np.ones(5), np.arange(5)))


def test_what_macs_explain_is_told_from_what_they_do_not(benchmark):
    rng = np.random.default_rng(1)
    log_macs = rng.uniform(1, 5, 200)
    beside = rng.normal(size=200)
    truth = 0.2 * log_macs + 0.1 * beside
    found = benchmark.taus(
        {"macs": np.exp(log_macs), "same": np.exp(3 * log_macs), "beside": beside, "noise": rng.normal(size=200)},
        truth,
        np.exp(log_macs),
    )
    assert found["same"][0] == pytest.approx(found["macs"][0]) and found["macs"][0] > 0.6
    assert np.isnan(found["macs"][2]) and np.isnan(found["same"][2])
    assert found["beside"][2] == pytest.approx(1, abs=0.02) and found["beside"][1] > found["beside"][0]
    assert abs(found["noise"]).max() < 0.15


def test_seeds_of_an_architecture_are_averaged(benchmark, tmp_path):
    truth = benchmark.read_table(write_table(tmp_path / "t.csv", make_rows(seeds=3)))
    assert len(truth.architectures) == 8 and truth.trainings == 24 and truth.num_classes == 2
    assert truth.map50_95 == pytest.approx(0.11 + 0.05 * np.arange(8))


def test_scores_are_computed_once_for_the_same_settings(benchmark, tmp_path, monkeypatch, capsys):
    table = write_table(tmp_path / "t.csv", make_rows())
    computed = []
    monkeypatch.setattr(benchmark, "TIMED", 1)
    monkeypatch.setattr(benchmark, "RESAMPLES", 20)
    whole = benchmark.proxy_scores

    def counted(architectures, *given, **options):
        computed.extend((a.key, name) for a in architectures for name in options["scores"])
        return whole(architectures, *given, **options)

    def call(*options):
        computed.clear()
        monkeypatch.setattr(
            sys, "argv", ["proxies.py", str(table), "--batch-size", "2", "--seeds", "0", "--scores", *options]
        )
        benchmark.main()
        return len(computed) - 2 * len(options)  # once to load what is loaded once, once to time it

    monkeypatch.setattr(benchmark, "proxy_scores", counted)
    assert call("macs", "nwot") == 16
    assert call("macs", "nwot") == 0
    assert call("nwot", "params") == 8  # what is new
    kept = list(csv.DictReader(io.StringIO((tmp_path / "t.scores.csv").read_text())))
    assert len(kept) == 8 and all(row["nwot"] and row["params"] and row["macs"] and not row["zico"] for row in kept)
    out = capsys.readouterr().out
    assert "8 architectures, 8 trainings, map50_95 0.100 to 0.450" in out and "within quarters of MACs" in out
    monkeypatch.setattr(sys, "argv", ["proxies.py", str(table), "--batch-size", "4", "--scores", "nwot"])
    benchmark.main()  # with two seeds
    rows = list(csv.DictReader(io.StringIO((tmp_path / "t.scores.csv").read_text())))
    settings = [(row["batch_size"], row["seed"]) for row in rows]
    assert len(rows) == 24 and set(settings) == {("2", "0"), ("4", "0"), ("4", "1")}  # others' are kept
    assert "seeds 0, 1" in capsys.readouterr().out


def bad(row):
    return lambda rows: rows[3].update(row)


@pytest.mark.parametrize(
    ("change", "about", "message"),
    [
        (bad({"map50_95": "much"}), {}, "t.csv: row 5: column map50_95: 'much' is not a number from 0 to 1"),
        (bad({"map50_95": "nan"}), {}, "column map50_95: 'nan' is not a number"),
        (bad({"architecture": ""}), {}, "row 5: column architecture is missing"),
        (bad({"architecture": "{"}), {}, "row 5: column architecture"),
        (bad({"architecture": "[]"}), {}, "must be the values of choices"),
        (bad({"architecture": '{"neck": "FPN"}'}), {}, "choice"),
        (lambda rows: rows.__delitem__(slice(4, None)), {}, "has 4 architectures; at least 8 are needed"),
        (bad({}), {"num_classes": "two"}, "t.json: field num_classes"),
    ],
)
def test_wrong_tables_are_refused_in_one_line(benchmark, tmp_path, change, about, message):
    rows = make_rows()
    change(rows)
    table = write_table(tmp_path / "t.csv", rows, **about)
    with pytest.raises(benchmark.InputError, match=message):
        benchmark.read_table(table)


def test_another_file_in_the_place_of_the_scores_stays(benchmark, tmp_path):
    other = tmp_path / "t.scores.csv"
    other.write_text("a,b\n1,2\n")
    with pytest.raises(benchmark.InputError, match="is not a file of scores"):
        benchmark.Scores(other, dict.fromkeys(benchmark.SETTINGS, ""))
    assert other.read_text() == "a,b\n1,2\n"


@pytest.mark.slow
def test_the_script_says_in_one_line_what_is_wrong(tmp_path):
    done = subprocess.run([sys.executable, SCRIPT, tmp_path / "none.csv"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "none.csv" in done.stderr
