#!/usr/bin/env bash
# jail under an emulator of single programs, which can load no filter: one line that says so and what
# to do. BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
printf 'version: 1\ndefault: allow\n' >"$dir/p.yml"

emulated() { # emulated MACHINE ARCH PROGRAM
	local qemu
	qemu=$(command -v "qemu-$1" "qemu-$1-static" | head -1) || true
	if [[ -z $qemu ]]; then
		skip "jail for $2 under qemu-user" "no qemu-$1 here"
	elif [[ ! -x $3 ]]; then
		skip "jail for $2 under qemu-user" "not built"
	elif ! "$qemu" "$3" --version >/dev/null 2>&1; then
		skip "jail for $2 under qemu-user" "qemu-$1 cannot run this build"
	else
		ok "jail for $2 under qemu-user: what is missing, and what to do" says 125 \
			"jail: no system-call filters: this is an emulator of single programs (qemu-user) that cannot load them: use a whole machine: lab run --arch $2" \
			"$qemu" "$3" --policy "$dir/p.yml" -- true
	fi
}

emulated aarch64 arm64 "$BUILD/guest/arm64/jail"
emulated x86_64 amd64 "$BUILD/guest/amd64/jail"
done_testing
