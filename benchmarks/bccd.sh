#!/usr/bin/env bash
# A real search on blood-smear photographs (BCCD: github.com/Shenggan/BCCD_Dataset, MIT), from its Pascal VOC XML.
#   benchmarks/bccd.sh PATH_OF_BCCD [further options of `evoyolo search`]
set -euo pipefail
source=$1; shift
work=${BCCD_WORK:-$(mktemp -d)}
[ -e "$work/bccd/data.yaml" ] || evoyolo dataset convert voc "$source" "$work/bccd"
evoyolo search --data "$work/bccd/data.yaml" --directory "$work/run" --restrict '{image_size: [160]}' \
    --max-macs 200000000 --epochs 10 --max-evaluations 14 --training '{fliplr: 0.5, flipud: 0.5}' "$@"
