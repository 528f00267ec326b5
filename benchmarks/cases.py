"""Inputs that people's tools write, read by this version and by an earlier one: what each makes of them.

python benchmarks/cases.py CASES [--before CHECKOUT]

CASES is a folder of cases (a data.yaml, train.json and val.json, or XML in each); CHECKOUT is a checkout of an earlier version, run
by the same Python. Nothing is trained. Prints one line a case and version; the last column names the test that holds the right answer.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import describe

HERE = Path(__file__).parents[1]
TEST = "tests/evaluators/data/test_rules.py"
TABLE = HERE / "docs" / "datasets.md"
SAME = {"image-12-bits-in-16": "image-16-bits", "yaml-names-yes-no": "yaml-names-text"}  # another name in our tests
READ = """
import json, sys
from pathlib import Path
from search_spaces import InputError
from evaluators.data import calibration_images, check_dataset, coco_ground_truth, convert_voc, load_dataset

source, scratch = sys.argv[1:]
try:
    if any(Path(source).rglob("*.xml")):
        source = str(convert_voc(source, scratch + "/voc").yaml_path)
    dataset = load_dataset(source)
    said = str(check_dataset(dataset))
    truth = coco_ground_truth(dataset)
    boxes = [[round(v, 1) for v in a["bbox"]] for a in truth["annotations"] if a["image_id"] == 0]
    size = [truth["images"][0]["width"], truth["images"][0]["height"]]
    seen = round(float(calibration_images(dataset, 1, 64).mean()), 3)
    outcome = f"accepted: {', '.join(dataset.names)}; val image 0: {size[0]} x {size[1]}, boxes {boxes}; calibration mean {seen}; {said}"
except InputError as error:
    outcome = f"refused: {error}"
except Exception as error:
    outcome = f"TRACEBACK: {type(error).__name__}: {error}"
print(json.dumps(outcome))
"""


def read(checkout: Path, source: str) -> str:
    """What a version makes of a dataset, in one line without the folder's name."""
    with tempfile.TemporaryDirectory() as scratch:
        environment = {**os.environ, "PYTHONPATH": str(checkout), "EVOYOLO_CACHE": f"{scratch}/cache"}
        done = subprocess.run(
            [sys.executable, "-c", READ, source, scratch],
            cwd=scratch,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    lines = done.stdout.strip().splitlines()
    outcome = json.loads(lines[-1]) if lines else f"TRACEBACK: {done.stderr.strip().splitlines()[-1]}"
    return " / ".join(outcome.replace(scratch, "").splitlines())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", type=Path)
    parser.add_argument("--before", type=Path, help="a checkout of an earlier version")
    arguments = parser.parse_args()
    if arguments.before and not (arguments.before / "evaluators" / "data").is_dir():
        parser.error(f"{arguments.before} is no checkout of evoyolo")
    versions = {"before": arguments.before, "now": HERE} if arguments.before else {"now": HERE}
    tested = set(re.findall(r"`([\w-]+)`", TABLE.read_text(encoding="utf-8")))
    print(describe())
    folders = sorted(arguments.cases.absolute().iterdir())
    for folder in (each for each in folders if not each.name.endswith("-elsewhere")):
        files = list(folder.iterdir())
        described = next((file for file in files if file.suffix.lower() == ".yaml"), None)
        pair = f"{folder}/train.json:{folder}/val.json"
        source = str(described) if described else pair if (folder / "train.json").exists() else str(folder)
        print(f"\n{folder.name}")
        for name, checkout in versions.items():
            print(f"  {name:<7}{read(checkout.absolute(), source).replace(str(arguments.cases.absolute()), '')}")
        case = SAME.get(folder.name, folder.name)
        print(f"  test   {f'{TEST} [{case}]' if case in tested else 'NONE'}")


if __name__ == "__main__":
    main()
