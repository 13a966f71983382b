#!/usr/bin/env bash
# Train in several processes, one per GPU; without a GPU they are CPU processes.
# On several machines: the same command on each, with NNODES, its NODE_RANK and the
# MASTER_ADDR of the first.
set -euo pipefail

if [ $# -lt 2 ] || ! [[ $2 =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: [NNODES=1] [NODE_RANK=0] [MASTER_ADDR=127.0.0.1] [PORT=29500]" \
        "[PYTHON=python] $0 CONFIG GPUS [options of tools/train.py]" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
config=$1
gpus=$2
shift 2

# Shared among the processes; with more than four each, starting them costs more.
threads=$(($(getconf _NPROCESSORS_ONLN) / gpus))
threads=$((threads < 1 ? 1 : threads > 4 ? 4 : threads))
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$threads}
export PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}"

exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$gpus" \
    "$here/${MMKD_TOOL:-train.py}" "$config" "$@" --launcher pytorch
