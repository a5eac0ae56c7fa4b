#!/usr/bin/env bash
# Every scenario that ships (but crash/: crash.sh), on Debian's pinned kernels and both architectures: one
# test for each cell. The oldest kernel, the default and the newest; with "all" each of them. A cell that
# did not pass is run once more alone, for a machine may be starved by the others: it counts then, and
# both are told. BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

lab_setup

kernels=$(debian_kernels)
if [[ ${1:-} != all ]]; then
	IFS=, read -ra names <<<"$kernels"
	kernels=${names[0]},6.1,${names[-1]}
fi
IFS=, read -ra names <<<"$kernels"
mapfile -t scenarios < <(find scenarios -mindepth 1 -maxdepth 1 ! -name crash | sort)
# a hung guest is waited for without work: one machine more than processors
"$lab" run --kernel "$kernels" --arch amd64,arm64 --jobs $(($(nproc) + 1)) --out "$dir/run" "${scenarios[@]}" >"$dir/said.txt" || true
cat "$dir/said.txt"

again() { # again KERNEL ARCH FILE: alone
	"$lab" run --quiet --kernel "$1" --arch "$2" --jobs 1 --out "$(mktemp -du -p "$dir")" "$3"
}
# shellcheck disable=SC2329 # by ok
cell() { # cell VERDICT REASONS
	echo "$1: $2"
	[[ $1 == pass ]]
}
while IFS=$'\t' read -r name verdict reasons kernel arch path; do
	if [[ $verdict == skip ]]; then
		skip "$name" "$reasons"
	elif [[ $verdict != pass ]] && again "$kernel" "$arch" "$path" >/dev/null; then
		echo "# $name was $verdict ($reasons), and passed when it ran again alone"
		ok "$name" true
	else
		ok "$name" cell "$verdict" "$reasons"
	fi
done < <("$lab" show --json "$dir/run" | jq -r '.results[] | [.dir, .verdict, (.reasons | join("; ")), .kernel, .arch, .path] | @tsv')

all_there() {
	[[ $(($("$lab" list "${scenarios[@]}" | wc -l) * ${#names[@]} * 2)) == "$tap_n" ]]
}
same() {
	"$lab" show "$dir/run" | diff - "$dir/said.txt"
}
ok "$kernels, both architectures, every scenario" all_there
ok "lab show prints the run as lab run did" same
done_testing
