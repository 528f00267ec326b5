#!/usr/bin/env bash
# The whole suite several times over, beside a process that keeps one core busy: a test that fails now and then is found here.
#
#     benchmarks/suite.sh [TIMES]      (10 times if none are given)
#
# Prints one line a run, and under it the names of tests that failed. Needs `make .venv/ready`.
cd "$(dirname "$0")/.." || exit 1
times=${1:-10}
python=.venv/bin/python
PYTHONPATH=benchmarks $python -c 'from machine import describe; print(describe())'
echo "beside: one process that computes without end; pytest -n 2 --dist loadfile"
$python -c 'while True: sum(range(10**6))' &
neighbour=$!
trap 'kill $neighbour 2>/dev/null' EXIT
failed=0
for run in $(seq "$times"); do
    log=$(mktemp)
    began=$(date +%s)
    OMP_NUM_THREADS=1 $python -m pytest -q -n 2 --dist loadfile -p no:cacheprovider >"$log" 2>&1 || failed=$((failed + 1))
    echo "run $run: $(tail -1 "$log" | tr -d '=') ($(($(date +%s) - began)) s)"
    grep -E '^(FAILED|ERROR) ' "$log" | cut -c1-160
    rm -f "$log"
done
echo "$failed of $times runs with a failure"
[ "$failed" -eq 0 ]
