#!/bin/sh
# What an NVIDIA GPU needs for steered sampling: correctness first, then speed; under 8 minutes.
#
#   benchmarks/gpu.sh [FOLDER [options of benchmarks.gpu]]
#
# Needs torch, transformers, numpy, pandas and pyarrow, and downloads nothing: weights are random.
set -u
cd "$(dirname "$0")/.."
folder=${1:-results/gpu}
[ $# -gt 0 ] && shift
mkdir -p "$folder"
export PYTHONPATH="workflow:tests:.${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
"${PYTHON:-python3}" -m benchmarks.gpu --output "$folder" "$@" 2>&1 | tee "$folder/log.txt"
