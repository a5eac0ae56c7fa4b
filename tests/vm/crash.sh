#!/usr/bin/env bash
# Every bug of scenarios/crash on real kernels: named as expected, dumped, and the dump opened. 6.1 and 6.12
# on both architectures; with an argument the kernels it names (A,B... or all: each of Debian's pins), and
# every dump is opened by gdb too.
# BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

lab_setup

kernels=6.1,6.12
opened='/(bug|stack-overflow)$' # cells whose dump gdb opens
symbols=image
if [[ ${1:-} ]]; then
	kernels=$1
	[[ $kernels != all ]] || kernels=$(debian_kernels)
	opened=.
	symbols=auto # arm64's images of 5.10 and 6.1 name functions only, and lab-bt needs more
fi
results=$dir/results.tsv

# dumped CELL: the machine's end left a dump, and what it says has who was there when it ended, by name.
dumped() {
	local cell=$1 guilty stacks
	[[ -s $cell/vmcore && -s $cell/vmcore.txt && $(stat -c %a "$cell/vmcore") == 600 ]] || return
	guilty=$(jq -r '.crash.guilty // ""' "$cell/result.json")
	stacks=$(sed '/^log$/,$d' "$cell/vmcore.txt")
	echo "guilty: $guilty; $stacks"
	[[ $guilty != crashme_* || $stacks =~ \ #[0-9]+\ +"$guilty"(\.cold)?\+ ]] # gcc moves what panics out of it
}
# opened_by_gdb CELL: who is to blame is in a backtrace: of the task that panicked, or of one that waits.
opened_by_gdb() {
	local guilty
	guilty=$(jq -r .crash.guilty "$1/result.json")
	{
		echo bt
		sed -n '/^tasks in state D/,/^modules/ s/.* pid \([0-9]*\).*/lab-bt \1/p' "$1/vmcore.txt"
	} >"$dir/bt.gdb"
	"$lab" crash --offline --symbols "$symbols" --with gdb -x "$dir/bt.gdb" "$1" >"$dir/bt.txt"
	cat "$dir/bt.gdb" "$dir/bt.txt"
	grep -q "$guilty" "$dir/bt.txt"
}
# judged CELL: as the scenario expects it, and dumped if the machine did not end by itself.
judged() {
	local cell=$1 verdict ending
	jq . "$cell/result.json"
	read -r verdict ending < <(jq -r '.verdict + " " + .ending' "$cell/result.json")
	[[ $verdict == pass ]] || return
	[[ $ending != @(panic|oops|hung|timeout) ]] || dumped "$cell"
}

# alone KERNEL CELL: once more, with no other machine beside it; the cell's folder is then that one.
alone() {
	local out
	out=$(mktemp -du -p "$dir")
	"$lab" run -q --kernel "$1" --arch "$(jq -r .arch "$dir/$1/$2/result.json")" --jobs 1 --out "$out" \
		"scenarios/${2#*/}.yml" >/dev/null || return
	rm -r "${dir:?}/$1/$2"
	mv "$out/$2" "$dir/$1/$2"
}

IFS=, read -ra names <<<"$kernels"
for kernel in "${names[@]}"; do
	run=$dir/$kernel
	# a guest that hangs is waited for: one machine more than processors
	"$lab" run -q --kernel "$kernel" --arch amd64,arm64 --jobs $(($(nproc) + 1)) --max-dump-bytes 20G \
		--out "$run" scenarios/crash || true
	while IFS=$'\t' read -r name verdict reason; do
		if [[ $verdict == skip ]]; then
			skip "$name" "$reason"
			continue
		fi
		# limits of time are what many of these are about, and three machines share the processors
		if [[ $verdict != pass ]] && alone "$kernel" "$name"; then
			echo "# $name was $verdict ($reason), and passed when it ran again alone"
		fi
		ok "$name" judged "$run/$name"
		if [[ $name =~ $opened && $(jq -r '.crash.guilty // ""' "$run/$name/result.json") == crashme_* ]]; then
			ok "$name: gdb opens its dump, and the function is in a backtrace" opened_by_gdb "$run/$name"
		fi
	done < <("$lab" show --json "$run" | jq -r '.results[] | [.dir, .verdict, (.reasons | join("; "))] | @tsv')
	"$lab" show --json "$run" | jq -r '.results[] | select(.crash.signature) |
		[.scenario, .crash.signature, .dir] | @tsv' >>"$results"
	find "$run" -name vmcore -delete # 3 GB for two kernels
done

# same_signature SCENARIO: kernels that see the bug by the same means call it the same.
same_signature() {
	grep "^$1"$'\t' "$results"
	[[ $(awk -F'\t' -v s="$1" '$1 == s {print $2}' "$results" | sort -u | wc -l) == 1 ]]
}
while read -r scenario; do
	case $scenario in
	*/double-free | */oob-global) ;; # of the allocator, of KFENCE, or of UBSAN: see the scenario
	*) ok "$scenario has one signature on $kernels, both architectures" same_signature "$scenario" ;;
	esac
done < <(cut -f 1 "$results" | sort -u)
done_testing
