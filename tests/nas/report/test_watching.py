"""What a log says of a training that goes on below a folder."""

import os
import time

from evaluators.epochs import Epochs
from nas.report.watching import Watching


def at(folder, epoch, epochs=20):
    folder.mkdir(parents=True, exist_ok=True)
    Epochs(epoch=epoch, epochs=epochs, seconds=10.0 * epoch, epoch_seconds=10.0, map50_95=0.1, best=0.2).write(folder)


def test_every_part_is_said_once(tmp_path):
    said = []
    with Watching(tmp_path, said.append) as watching:
        for epoch in (1, 2, 3, 4, 20):
            at(tmp_path / "finetune-1", epoch)
            watching.tell()
            watching.tell()
    assert [text.split(",")[0].strip() for text in said] == ["epoch 2 of 20", "epoch 4 of 20", "epoch 20 of 20"]
    assert "mAP50-95 0.1" in said[0] and "best 0.2" in said[0] and "3 min" in said[0]


def test_it_looks_by_itself(tmp_path):
    said = []
    with Watching(tmp_path, said.append):
        at(tmp_path / "deep" / "down", 10)
        for _ in range(50):
            time.sleep(0.1)
            if said:
                break
    assert said and said[0].strip().startswith("epoch 10 of 20")


def test_trainings_of_before_and_of_elsewhere_are_not_spoken_of(tmp_path):
    said, elsewhere = [], tmp_path / "elsewhere"
    at(tmp_path / "run" / "old", 20)
    os.utime(tmp_path / "run" / "old" / "progress.json", (1, 1))
    at(elsewhere, 10)
    (tmp_path / "run" / "linked").symlink_to(elsewhere)
    (tmp_path / "run" / "broken").mkdir()
    (tmp_path / "run" / "broken" / "progress.json").write_text("{")
    with Watching(tmp_path / "run", said.append) as watching:
        watching.tell()
    assert not said
