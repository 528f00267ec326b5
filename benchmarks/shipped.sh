#!/usr/bin/env bash
# Every shipped folder in an environment of its own, with numpy, pillow and one runtime only: what it finds on an image.
#   bash benchmarks/shipped.sh best.pt image.jpg
set -euo pipefail
checkpoint=$(realpath "$1") image=$(realpath "$2")
python=${PYTHON:-python3}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
evoyolo export "$checkpoint" --format onnx openvino ncnn --output "$scratch/shipped" --no-latency
for pair in onnx:onnxruntime openvino:openvino ncnn:ncnn; do
    folder=${pair%%:*} runtime=${pair##*:}
    "$python" -m venv "$scratch/$folder"
    "$scratch/$folder/bin/pip" install --quiet --disable-pip-version-check numpy pillow "$runtime"
    echo "== $folder: $(wc -l < "$scratch/shipped/$folder/run.py") lines; $("$scratch/$folder/bin/pip" list --format freeze | tr '\n' ' ')"
    (cd "$scratch" && "$scratch/$folder/bin/python" "shipped/$folder/run.py" "$image" | head -5)
done
