#!/usr/bin/env bash
# Every line of the tables that needs a GPU, in at most 8 minutes on an H200: one log and one folder of CSV files.
#
#     benchmarks/gpu.sh [OUTPUT]        OUTPUT: runs/gpu by default; PEAK: the device's TFLOP/s in bfloat16 (989)
#
# A line that fails is named at the end, and the others are carried out all the same.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-runs/gpu}
peak=${PEAK:-989}
python=.venv/bin/python
mkdir -p "$out"
failed=()

line() { # NAME SECONDS COMMAND...
	local name=$1 seconds=$2
	shift 2
	echo "== $name: $*"
	timeout "$seconds" "$@" 2>&1 | tee "$out/$name.log"
	if [ "${PIPESTATUS[0]}" -ne 0 ]; then failed+=("$name"); fi
}

$python -c 'import torch; assert torch.cuda.is_available(), "no GPU that torch can use"; print(torch.cuda.get_device_name(), torch.__version__)' | tee "$out/device.log"
[ "${PIPESTATUS[0]}" -eq 0 ] || exit 2

line tests 120 "$python" -m pytest -q -m gpu tests
line one_pass 80 "$python" -m benchmarks.one_pass --shape llama-7b --device cuda --dtype bfloat16 --batch 8 --prefix 620 \
	--peak "$peak" --rounds 3 --output "$out/one_pass.csv"
line training_step 80 "$python" -m benchmarks.training_step --shape llama-7b --device cuda --dtype bfloat16 --grid 24 \
	--peak "$peak" --rounds 3 --output "$out/training_step.csv"
line logic 60 "$python" -m benchmarks.logic --device cuda --batches 4096 65536 --output "$out/logic.csv"
line paper_size 30 "$python" -m benchmarks.paper_size
line ablation 110 .venv/bin/faceinsight ablate experiments/constraints.yaml --seeds 0 --only full "evidence alone" --output "$out/ablation"

if [ "${#failed[@]}" -gt 0 ]; then
	echo "failed: ${failed[*]}"
	exit 1
fi
echo "all lines done: $out"
