#!/usr/bin/env bash
# Test in several processes; see dist_train.sh.
set -euo pipefail

if [ $# -lt 3 ] || ! [[ $3 =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: [NNODES=1] [NODE_RANK=0] [MASTER_ADDR=127.0.0.1] [PORT=29500]" \
        "[PYTHON=python] $0 CONFIG CHECKPOINT GPUS [options of tools/test.py]" >&2
    exit 2
fi
config=$1
checkpoint=$2
gpus=$3
shift 3
export MMKD_TOOL=test.py
exec "$(dirname "$0")/dist_train.sh" "$config" "$gpus" "$checkpoint" "$@"
