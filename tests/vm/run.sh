#!/usr/bin/env bash
# lab run, for real: verdicts, exit codes, evidence, and what happens when things die in mid-run.
# BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

lab_setup
cd "$dir"
mkdir scenarios
cat >scenarios/hello.yml <<'S'
summary: prints and leaves a file
run: |
  echo hello; echo oops >&2; uname -m; echo kept >note.txt; exit 3
artefacts: [note.txt]
expect:
  - {exit: 3, stdout: [hello, "/^(x86_64|aarch64)$/"], stderr: oops, files: {note.txt: kept}}
S
cat >scenarios/wrong.yml <<'S'
run: echo hello
expect: [{exit: 32, stderr: permission denied}]
S
cat >scenarios/slow.yml <<'S'
run: echo begun; sleep 60
S

both() {
	"$lab" run -q --arch all --out both scenarios/hello.yml && for a in amd64 arm64; do
		local c=both/6.1-$a/hello
		grep -qx hello "$c/stdout" && grep -qx oops "$c/stderr" && grep -qx kept "$c/artefacts/note.txt" &&
			grep -q 'execve("/bin/sh"' "$c/strace.log" && grep -q 'Linux version 6.1' "$c/dmesg.log" &&
			jq -e '.verdict == "pass" and .exit == 3 and .arch == "'$a'" and .times.boot_ms > 0' "$c/result.json" &&
			jq -e '.state == "done" and (.cells | length) == 2 and (.accelerators.'$a' | length) > 0' both/run.json ||
			return 1
	done
}
ok "a scenario on both architectures, with its evidence" both
ok "show prints the run again" bash -c "'$lab' show both | grep -q '2 passed, 0 failed'"
ok "show prints a cell" bash -c "'$lab' show both 6.1-arm64/hello | grep -q '^    hello$'"
ok "a second run in the same folder is refused" says 2 "holds a run already" "$lab" run -q --out both scenarios/hello.yml
ok "and leaves the first alone" jq -e '.cells | length == 2' both/run.json

cat >packages.yml <<'S'
packages: [mount]
run: mount --version
expect: [{exit: 0, stdout: util-linux}]
S
package() {
	"$lab" run -q --out package packages.yml && grep 'execve("/[a-z/]*bin/mount", \["mount", "--version"\]' package/*/packages/strace.log
}
ok "a package's program is found before busybox's, and is in the strace log" package

broken() {
	local status=0
	"$lab" run --out broken scenarios >broken.txt 2>broken.err || status=$?
	cat broken.txt broken.err
	[[ $status == 1 ]] && grep -q '^FAIL wrong on 6.1 amd64: exit 0, expected 32' broken.txt &&
		grep -q 'stderr is empty, expected "permission denied"' broken.txt &&
		grep -q 'again: lab run --kernel 6.1' broken.txt && grep -q '^pass' broken.err &&
		grep -q 'guests: ' broken.err
}
rm scenarios/slow.yml
ok "a broken expectation: exit 1, the reason, what to type" broken
cat >known.yml <<'K'
- {title: a, kernel: <6.1, reason: r, link: https://x, until: 2999-12-31}
- {title: b, reason: r, link: https://x, until: 2999-12-31}
- {title: c, reason: r, link: https://x, until: 2020-01-31}
K
repeated() {
	"$lab" run -q --repeat 2 --filter hello --known known.yml --out twice scenarios >twice.txt 2>twice.err && grep -q 'pass 2/2' twice.txt &&
		[[ -e twice/6.1-amd64/hello@2/result.json || -e twice/6.1-arm64/hello@2/result.json ]]
}
ok "--repeat 2 runs each cell twice" repeated
ok "known crashes that matched nothing are told" grep -x 'lab: known.yml:2, known.yml:3: matched nothing in this run' twice.err

cat >slow.yml <<'S'
run: echo begun; sleep 60
S
# begin NAME: lab in the background in a session of its own, until the payload has begun.
begin() {
	setsid "$lab" run -q --out "$1" slow.yml >"$1.txt" 2>&1 &
	lab_pid=$!
	for _ in {1..1200}; do
		if grep -qs begun "$1"/*/slow/stdout; then
			# a daemonised QEMU is the guardian's child, beside the worker
			qemu_pid=$(pgrep -P "$lab_pid" -f -- '-name guest=lab-')
			return
		fi
		sleep 0.1
	done
	cat "$1.txt"
	return 1
}
lost() {
	local status=0
	begin lost
	kill -9 "$qemu_pid"
	wait "$lab_pid" || status=$?
	cat lost.txt
	[[ $status == 3 ]] && grep -q '^LOST slow' lost.txt && grep -q begun lost/*/slow/stdout &&
		jq -e '.verdict == "lost" and .ending == "gone"' lost/*/slow/result.json
}
ok "QEMU killed in mid-run: lost, exit 3, evidence kept" lost
interrupted() {
	local status=0
	begin interrupted
	kill -INT "$lab_pid"
	wait "$lab_pid" || status=$?
	cat interrupted.txt
	[[ $status == 130 ]] && soon ended "$qemu_pid" && grep -q begun interrupted/*/slow/stdout &&
		jq -e '.state == "interrupted"' interrupted/run.json
}
ok "interrupted: exit 130, no QEMU left" interrupted
killed() {
	begin killed
	kill -9 "$lab_pid"
	wait "$lab_pid" || true
	soon ended "$qemu_pid" && grep -q begun killed/*/slow/stdout || return 1
	"$lab" show killed >shown.txt || [[ $? == 3 ]]
	grep -q '0 passed, 0 failed, 1 not run' shown.txt
}
ok "lab killed with -9: no QEMU left, evidence kept, show says so" killed
ok "and the next run works" bash -c "'$lab' run -q --filter hello --out after scenarios | grep -q '1 passed, 0 failed'"

cat >output.yml <<'S'
trace: false
run: head -c 104857600 /dev/zero
timeout: 2m
S
bounded() {
	"$lab" run -q --out bounded output.yml >bounded.txt &&
		grep -q 'note output on .*stdout.*kept' bounded.txt &&
		jq -e '.streams.stdout | .bytes == 104857600 and .kept < 17000000' bounded/*/output/result.json
}
ok "100 MB of output is bounded, and that is said" bounded
two_at_once() {
	"$lab" run -q --out one scenarios/hello.yml &
	"$lab" run -q --out two scenarios/hello.yml && wait "$!"
}
ok "two labs at once" two_at_once

full_disk() {
	local status=0
	mkdir small
	mount -t tmpfs -o size=1m tmpfs small
	"$lab" run -q --out small/run output.yml >full.txt 2>&1 || status=$?
	cat full.txt
	local kept
	kept=$(stat -c %s small/run/*/output/stdout)
	umount small
	[[ $status == 3 ]] && grep -q 'no space left' full.txt && ((kept > 100000))
}
if [[ $EUID == 0 ]] && mkdir probe && mount -t tmpfs tmpfs probe 2>/dev/null && umount probe; then
	ok "no space left in mid-run: one line, exit 3, what was collected stays" full_disk
else
	skip "no space left in mid-run" "only root can make a small file system"
fi
done_testing
