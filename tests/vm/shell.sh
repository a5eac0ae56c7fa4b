#!/usr/bin/env bash
# 'lab shell' with pipes, on both architectures, and on a terminal (shell-tty.py); 'lab vm'.
# BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

lab_setup
tty=$PWD/tests/vm/shell-tty.py
cd "$dir"
export TMPDIR=$dir
mkdir -m 700 x
export XDG_RUNTIME_DIR=$dir/x # nobody else's 'lab vm stop --all' is for machines of this test

# 1 MiB in and 1 MiB out, past who reads slowly, and the command's exit code
bytes() {
	local status=0
	head -c 1048576 /dev/urandom >in
	"$lab" shell --kernel 6.1 --out kept -- sh -c 'cat; echo to stderr >&2; exit 7' <in 2>err |
		(sleep 5 && cat >out) || status=$?
	echo "exit $status"
	cat err
	[[ $status == 7 && $(cat err) == "to stderr" ]] && cmp in out
}
foreign() {
	local status=0
	# shellcheck disable=SC2016 # the guest's shell expands it
	echo 'uname -m; kill -9 $$' | "$lab" shell --kernel 6.1 --arch arm64 >out 2>err || status=$?
	cat out err
	[[ $status == 137 && $(cat out) == aarch64 ]]
}
closed() { # who reads goes: so does the guest
	local status=0
	"$lab" shell --kernel 6.1 -- yes 2>err | head -n 1 || status=$?
	cat err
	[[ $status == 141 ]]
}

ok "bytes go in and out whole, with the exit code" bytes
ok "--out keeps the evidence" cmp in kept/stdout
ok "its kernel's log too" test -s kept/dmesg.log
ok "no input that is left does no harm" exits 0 bash -c "yes | '$lab' shell --kernel 6.1 --no-kaslr -- grep -qw nokaslr /proc/cmdline"
ok "arm64: commands by a pipe, a signal's exit code" foreign
ok "output that nobody reads" closed
nothing_left() { fails compgen -G 'lab-shell-*' && [[ $("$lab" vm list --json) != *"$dir"* ]]; }
ok "no machine is left, and no folder" nothing_left

LAB=$lab python3 "$tty" >tty.tap || tap_failed=1
while read -r line; do
	[[ $line != 1..* ]] || continue
	[[ $line != *"ok "*" - "* ]] || line="${line%%ok *}ok $((++tap_n)) -${line#* -}"
	echo "$line"
done <tty.tap
done_testing
