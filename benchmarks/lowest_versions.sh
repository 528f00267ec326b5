#!/bin/sh
# The quick tests and the trainings with every dependency at its lower bound in pyproject.toml.
#
#     benchmarks/lowest_versions.sh [FOLDER]      # FOLDER keeps the environment; without one it is made and removed again
#     PYTHON=python3.10 benchmarks/lowest_versions.sh    # 3.10 to 3.12: the oldest have no wheels for 3.13
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
if [ $# -gt 0 ]; then
    folder=$1
    mkdir -p "$folder"
else
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi
"$python" -m venv "$folder/venv"
bin=$folder/venv/bin
# >=X of everything that is named, whatever it is needed for, becomes ==X; what that needs in turn is pip's choice
"$bin/python" - > "$folder/lowest.txt" <<'END'
from pip._vendor.packaging.requirements import Requirement
try:
    import tomllib
except ImportError:
    from pip._vendor import tomli as tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
texts = project["dependencies"] + [text for extra in project["optional-dependencies"].values() for text in extra]
for name, bound in sorted({(r.name, s.version) for r in map(Requirement, texts) for s in r.specifier if s.operator == ">="}):
    print(f"{name}=={bound}")
END
"$bin/python" -m pip install --progress-bar off --disable-pip-version-check --constraint "$folder/lowest.txt" '.[test]' \
    > "$folder/pip.log" 2>&1 || { tail -n 20 "$folder/pip.log"; exit 1; }
"$bin/python" --version
"$bin/python" -m pip freeze --disable-pip-version-check | grep -i -E "^($(cut -d= -f1 "$folder/lowest.txt" | paste -sd'|'))=="
OMP_NUM_THREADS=1 "$bin/python" -m pytest -q -p no:cacheprovider -n 2 --dist loadfile -m "not slow and not ray"
OMP_NUM_THREADS=1 "$bin/python" -m pytest -q -p no:cacheprovider tests/evaluators/training tests/evaluators/accuracy
