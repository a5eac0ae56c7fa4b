#!/usr/bin/env bash
# docs/debugging.md: each session that it shows is run, and prints what it shows. UPDATE_GOLDEN=1 writes
# what is printed into it; with arguments: these sections only.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
lab_setup
home=$PWD
cd "$dir"
ln -s "$home/scenarios" scenarios
mkdir -m 700 x
export XDG_RUNTIME_DIR=$dir/x # machines of this test only
PATH=$(dirname "$lab"):$PATH

tour() { python3 "$home/tests/vm/tour.py" "$home/docs/debugging.md" "$@"; }
wanted() { # wanted SECTION ARGUMENT...
	local section=$1
	shift
	(($# == 0)) || [[ " $* " == *" $section "* ]]
}
mapfile -t sections < <(tour list)
for line in "${sections[@]}"; do
	IFS=$'\t' read -r section archs <<<"$line"
	wanted "$section" "$@" || continue
	status=0
	for arch in $archs; do
		lab kernel pull 6.1 --debug --arch "$arch" >pull.txt 2>&1 || status=$?
		((status == 0)) || break
	done
	if [[ $(uname -m) != x86_64 ]]; then
		skip "$section" "it is an amd64 host's tour"
	elif ((status == 3)); then
		skip "$section" "no debug package of 6.1 $arch: $(tail -n 1 pull.txt)"
	elif ((status)); then
		ok "$section: the debug package of 6.1 $arch" bash -c "cat pull.txt; exit $status"
	else
		ok "$section" tour run "$section"
	fi
done
done_testing
