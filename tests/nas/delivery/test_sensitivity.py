"""How much each layer bears, as files and in words."""

import csv

import pytest
from PIL import Image

from evaluators.data import load_dataset
from nas.cli.main import main
from nas.delivery.sensitivity import write_sensitivity
from search_spaces import InputError

pytestmark = pytest.mark.slow


def test_the_folder_and_what_is_said(checkpoint, small_data, tmp_path):
    said = []
    rows = write_sensitivity(
        checkpoint,
        load_dataset(small_data),
        tmp_path / "out",
        ratios=[0.5],
        criterion="taylor",
        images=8,
        say=said.append,
    )
    with open(tmp_path / "out" / "sensitivity.csv", newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [row["width"] for row in table] == [row["width"] for row in rows] and len(table) > 5
    assert Image.open(tmp_path / "out" / "sensitivity.png").format == "PNG"
    worst = max(rows, key=lambda row: row["rise"])
    assert said[0].startswith(
        "rise of the training loss on 8 images when one width alone loses up to 50% of its channels"
    )
    assert said[2].startswith(f"  bears least: {worst['width']} {worst['rise']:+.1%}")


def test_what_cannot_be_done(checkpoint, small_data, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="mine exists; it is left as it is"):
        write_sensitivity(checkpoint, load_dataset(small_data), tmp_path / "mine")
    command = ["sensitivity", str(checkpoint), "--data", str(small_data), "--output", str(tmp_path / "out")]
    assert main([*command, "--ratios", "1.5"]) == 1
    assert "ratio 1.5: must be a share of the channels above 0 and below 1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
