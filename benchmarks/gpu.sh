#!/usr/bin/env bash
# What a GPU does with trainings and latencies, without Ray, in under 8 minutes: one table, also written to OUTPUT.
#
#     benchmarks/gpu.sh [OUTPUT] [further options of gpu.py]     # OUTPUT is gpu.txt in $OUT, or here, where it is not given
#     benchmarks/gpu.sh gpu.txt --device cpu --preset yolov8-w1/16 --size 64 --epochs 1 --train 16 --val 8    # is it ready?
#
# It needs PyTorch for CUDA and what else evoyolo trains with (NEEDED in gpu.py), names what is missing, and fetches nothing. A
# machine without a network can be given the wheels: PYTHONPATH=FOLDER after `pip install --no-deps --target FOLDER *.whl`.
set -euo pipefail
cd "$(dirname "$0")/.."
output=${OUT:-.}/gpu.txt
if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then
    output=$1
    shift
fi
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} YOLO_OFFLINE=true
exec "${PYTHON:-python3}" benchmarks/gpu.py "$output" "$@"
