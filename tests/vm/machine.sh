#!/usr/bin/env bash
# No machine outlives lab, however it dies; and the endings of machines are told apart.
# BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

lab_setup
mkdir -m 700 "$dir/x"
export XDG_RUNTIME_DIR=$dir/x # a lab beside this test would clean up what it looks for
cd "$dir"
cat >slow.yml <<'S'
run: echo begun; sleep 60
S
cat >off.yml <<'S'
run: echo begun; sync; echo o >/proc/sysrq-trigger; sleep 30
trace: false
S
cat >hello.yml <<'S'
run: echo hello
expect: [{exit: 0, stdout: hello}]
S

# begin NAME: lab in the background until the payload has begun: guardian, worker, qemu are its pids.
begin() {
	setsid "$lab" run -q --out "$1" slow.yml >"$1.txt" 2>&1 &
	guardian=$!
	for _ in {1..1800}; do
		if grep -qs begun "$1"/*/slow/stdout; then
			qemu=$(pgrep -P "$guardian" -f -- '-name guest=')
			worker=$(pgrep -P "$guardian" -x lab)
			return
		fi
		sleep 0.1
	done
	cat "$1.txt"
	return 1
}
ended_soon() { # ended_soon PID [SECONDS]: five unless told otherwise
	for ((i = 0; i < 50 * ${2:-5}; i++)); do
		ended "$1" && return
		sleep 0.02
	done
	return 1
}
killed() { # killed NAME SIGNAL WHO...: lab's processes get the signal in one call
	local name=$1 signal=$2 pids=() who status=0
	shift 2
	begin "$name"
	for who; do
		pids+=("${!who}")
	done
	kill "-$signal" "${pids[@]}"
	ended_soon "$qemu" || return 1
	wait "$guardian" || status=$?
	echo "exit status $status"
	# without the guardian nobody reaps QEMU at once, and libvirt waits for that
	ended_soon "$worker" 10 && grep -q begun "$name"/*/slow/stdout
}
ok "kill -9 of the worker ends QEMU" killed worker KILL worker
ok "kill -9 of the guardian ends QEMU" killed guardian KILL guardian
ok "kill -9 of both at once ends QEMU" killed both KILL guardian worker
after_all() {
	"$lab" run -q --out after hello.yml | grep '1 passed, 0 failed' >/dev/null
}
ok "and the next run works" after_all

interrupted() {
	local status=0 begun
	begin "int-$1"
	begun=${EPOCHREALTIME/./}
	kill "-$1" "$guardian"
	wait "$guardian" || status=$?
	echo "exit status $status after $(((${EPOCHREALTIME/./} - begun) / 1000)) ms"
	[[ $status == 130 ]] && ended "$qemu" && ((${EPOCHREALTIME/./} - begun < 2000000))
}
ok "SIGTERM to the guardian alone: exit 130 within two seconds, no QEMU" interrupted TERM
ok "SIGINT to the guardian alone: the same" interrupted INT

gone() {
	local status=0 begun
	begin gone
	begun=${EPOCHREALTIME/./}
	kill -9 "$qemu"
	wait "$guardian" || status=$?
	echo "exit status $status after $(((${EPOCHREALTIME/./} - begun) / 1000)) ms"
	[[ $status == 3 ]] && ((${EPOCHREALTIME/./} - begun < 2000000)) &&
		jq -e '.ending == "gone" and .verdict == "lost"' gone/*/slow/result.json
}
ok "QEMU killed: gone, at once, exit 3" gone
powered_off() {
	local status=0
	"$lab" run -q --out off off.yml || status=$?
	[[ $status == 3 ]] && jq -e '.ending == "gone"' off/*/off/result.json
}
ok "a guest that powers itself off in mid-run: gone, exit 3" powered_off

# stale: a folder as a lab that was killed together with its machine's tie would leave it.
stale() {
	begin one
	local folder
	folder=$(tr '\0' '\n' <"/proc/$qemu/cmdline" | grep -o '/[^"]*/lab-[0-9-]*' | head -n 1)
	kill -9 "$guardian" "$worker"
	wait "$guardian" || true
	[[ -d $folder/v ]] && "$lab" run -q --out two hello.yml && [[ ! -e $folder/v ]]
}
ok "what a killed lab left behind is cleaned by the next" stale
two_at_once() {
	"$lab" run -q --out first hello.yml >first.txt &
	local first=$!
	"$lab" run -q --out second hello.yml >second.txt && wait "$first" &&
		grep -q '1 passed' first.txt && grep -q '1 passed' second.txt
}
ok "two labs at once" two_at_once
done_testing
