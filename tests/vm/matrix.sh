#!/usr/bin/env bash
# Every scenario that ships, on each of Debian's pinned kernels and both architectures: one test for each
# cell. BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

lab_setup

kernels=$(debian_kernels)
IFS=, read -ra names <<<"$kernels"
status=0
# a hung guest is waited for without work: one machine more than processors
"$lab" run --kernel "$kernels" --arch amd64,arm64 --jobs $(($(nproc) + 1)) --out "$dir/run" scenarios/ >"$dir/said.txt" || status=$?
cat "$dir/said.txt"

cell() { # cell NAME VERDICT REASONS
	echo "$2: $3"
	[[ $2 == pass || $2 == skip ]]
}
while IFS=$'\t' read -r name verdict reasons; do
	if [[ $verdict == skip ]]; then
		skip "$name" "$reasons"
	else
		ok "$name" cell "$name" "$verdict" "$reasons"
	fi
done < <("$lab" show --json "$dir/run" | jq -r '.results[] | [.dir, .verdict, (.reasons | join("; "))] | @tsv')

all_there() {
	[[ $(($("$lab" list scenarios | wc -l) * ${#names[@]} * 2)) == "$tap_n" && $status == 0 ]]
}
same() {
	"$lab" show "$dir/run" | diff - "$dir/said.txt"
}
ok "$kernels, both architectures, every scenario: exit $status" all_there
ok "lab show prints the run as lab run did" same
done_testing
