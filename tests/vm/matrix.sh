#!/usr/bin/env bash
# Every scenario that ships, on every pinned kernel and both architectures: one test for each cell.
# BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

lab_setup

status=0
"$lab" run --kernel all --arch amd64,arm64 --out "$dir/run" scenarios/ >"$dir/said.txt" || status=$?
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
	[[ $("$lab" list scenarios | wc -l) == "$((tap_n / 10))" && $status == 0 ]]
}
same() {
	"$lab" show "$dir/run" | diff - "$dir/said.txt"
}
ok "5 kernels, 2 architectures, every scenario: exit $status" all_there
ok "lab show prints the run as lab run did" same
done_testing
