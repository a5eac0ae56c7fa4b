#!/usr/bin/env bash
# lab debug, for real: ksys_unshare, reached by a scenario of ours with KASLR on, and who called it: with
# lines where the debug package is, with names from the image alone. Then whatever can go wrong with a
# debugger beside a guest: nothing of it leaves a QEMU behind.
# BUILD: the tree that was built. "all": every pin on both architectures, in both ways (make check-all).
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
lab_setup
scenario=$PWD/scenarios/userns/proc.yml
cd "$dir"

cat >hit.gdb <<'S'
continue
bt
S

# hits KERNEL ARCH SYMBOLS TEXT: the scenario reaches ksys_unshare, and gdb shows the call with TEXT.
hits() {
	local out=$1-$2-$3
	timeout 300 "$lab" debug -q --batch --out "$out" --kernel "$1" --arch "$2" --symbols "$3" --break ksys_unshare \
		-x hit.gdb "$scenario" >"$out.txt" 2>&1 || {
		echo "exit $?"
		cat "$out.txt"
		return 1
	}
	cat "$out.txt"
	# who called it: the entry of the system call, however the series names it
	grep -q "ksys_unshare" "$out.txt" && grep -q "^#0 .*ksys_unshare" "$out.txt" &&
		grep -Eq "^#[1-9] .*(sys_unshare|__invoke_syscall|invoke_syscall)" "$out.txt" &&
		grep -q "$4" "$out.txt" && grep -q "slide 0x" "$out.txt" && ! grep -q "slide 0x0\b" "$out.txt"
}

if [[ ${1:-} == all ]]; then
	while read -r kernel arch debug; do
		[[ $debug == true ]] && ok "$kernel $arch, the debug package" hits "$kernel" "$arch" package 'kernel/fork.c:'
		ok "$kernel $arch, the image alone" hits "$kernel" "$arch" image 'ksys_unshare'
	done < <("$lab" kernel list --json | jq -r '.[] | select(.suite) | "\(.name) \(.arch) \(.debug != null)"')
	done_testing
	exit
fi

ok "6.1 amd64: a backtrace with lines" hits 6.1 amd64 package 'kernel/fork.c:'
ok "6.1 arm64: a backtrace with lines" hits 6.1 arm64 package 'kernel/fork.c:'
ok "7.2 amd64: names, without a debug package" hits 7.2 amd64 image 'ksys_unshare'
ok "5.10 arm64: names, without a debug package" hits 5.10 arm64 image 'ksys_unshare'
done_testing
