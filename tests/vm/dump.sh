#!/usr/bin/env bash
# How guests end that crash or hang, told from guests that only say so; and the dumps they leave: which,
# how many, whose to read. BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

lab_setup
cd "$dir"
export TMPDIR=$dir
mkdir -m 700 x
export XDG_RUNTIME_DIR=$dir/x # nobody else's machines
mkdir ends
cat >ends/fake.yml <<'S'
trace: false
run: |
  for t in "Kernel panic - not syncing: fake" "---[ end Kernel panic - not syncing: fake ]---"; do
    echo "[    9.000000] $t" >/dev/console
    echo "<0>$t" >/dev/kmsg
  done
  sleep 1
  echo "<0>BUG: kernel NULL pointer dereference, address: 0000000000000000" >/dev/kmsg
  echo "[    9.000000] Internal error: Oops: 96000004 [#1] SMP" >/dev/console
  sleep 1
  echo lived on
expect: [{exit: 0, stdout: lived on}]
S
cat >ends/off.yml <<'S'
summary: a panic while the guest powers off
trace: false
packages: [python3-minimal]
run:
  - python3
  - -c
  - |
    import os
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99)) # ahead of who powers off
    f = os.open("/proc/sysrq-trigger", os.O_WRONLY)
    os.write(f, b"o")
    os.write(f, b"c")
expect: [{crash: "kernel panic: sysrq triggered crash"}]
S
cat >ends/reboots.yml <<'S'
summary: a panic after which the kernel would boot anew, and panic again
trace: false
run: |
  printf '\033]0;x\007\n' >/dev/kmsg
  sleep 1
  echo 20 >/proc/sys/kernel/panic; echo c >/proc/sysrq-trigger; sleep 20
expect: [{crash: "kernel panic: sysrq triggered crash"}]
S
cat >ends/reset.yml <<'S'
trace: false
run: echo b >/proc/sysrq-trigger; sleep 20
expect: [{crash: unexpected kernel reboot}]
S
cat >ends/late.yml <<'S'
summary: the kernel is asked what a late payload waits for
timeout: 1s
trace: false
run: sleep 100
expect: [{hang: true, console: [/sysrq. Show Blocked State/, "task:sleep"]}]
S
cat >pass.yml <<'S'
trace: false
run: echo hello
S
cat >fail.yml <<'S'
trace: false
run: exit 3
S
cp "$LAB_HOME/scenarios/crash/panic.yml" .

# cell NAME CELL FILTER: of its result.json
cell() { jq -e "$3" "$1/6.1-$2/result.json" >/dev/null || { jq . "$1/6.1-$2/result.json"; return 1; }; }
ends() { "$lab" run -q -k 6.1 -a amd64,arm64 --out e ends; }
ok "panics, a reset, a late payload and a fake panic, on both architectures" ends
there() { # there CELL ENDING: and it was dumped
	local f=e/6.1-$1/vmcore
	cell e "$1" ".ending == \"$2\" and .dump.file == \"vmcore\" and .dump.form == \"kdump\" and
		.dump.bytes == $(stat -c %s "$f") and .dump.ms > 0" &&
		[[ $(stat -c %a "$f") == 600 ]] && (($(stat -c %s "$f") < 256 << 20)) &&
		[[ ! -e $f.part && $(stat -c %a "$f.txt") == 600 ]]
}
once() { # once FILE: a line is there once, and as no terminal obeys it; the panic follows
	! grep -q $'\x1b' "$1" && [[ $(grep -c 'x1b]0;x' "$1") == 1 ]] && grep -q 'Kernel panic' "$1"
}
for arch in amd64 arm64; do
	ok "$arch: a program that prints a panic and an oops: no crash, no dump" \
		cell e "$arch/fake" '.ending == "exited" and .dump == null and .crash == null'
	ok "$arch: a panic while it powers off: dumped, for its owner to read" there "$arch/off" panic
	ok "$arch: a panic that reboots: dumped before" there "$arch/reboots" panic
	ok "$arch: its log goes on from what was sent" once "e/6.1-$arch/reboots/dmesg.log"
	ok "$arch: vmcore.txt names the task" grep -q '^task  *sh, pid' "e/6.1-$arch/reboots/vmcore.txt"
	ok "$arch: a reset has no memory left" cell e "$arch/reset" '.ending == "reboot" and (.dump.skipped | test("gone"))'
	ok "$arch: a late payload: dumped, with its registers" there "$arch/late" timeout
	ok "$arch: the kernel that idles meanwhile is not to blame" cell e "$arch/late" '.crash == null'
	ok "$arch: registers of its processor" grep -Eq '^RIP=| PC=' "e/6.1-$arch/late/registers.txt"
done

which() {
	"$lab" run -q -k 6.1 -a arm64 --out w --dump elf --dump-on pass,fail --max-dump-bytes 300M pass.yml
	"$lab" run -q -k 6.1 -a arm64 --out v panic.yml fail.yml --dump-on fail || true
	cell w arm64/pass '.verdict == "pass" and .dump.form == "elf"' && cell v arm64/panic '.dump == null' &&
		cell v arm64/fail '.verdict == "fail" and .dump.file == "vmcore"'
}
ok "--dump-on pass and fail, and nothing else" which
elf() { readelf -lW w/6.1-arm64/pass/vmcore 2>/dev/null | grep 'LOAD .* 0xffff' >/dev/null && grep -q '^kernel .*6\.1' w/6.1-arm64/pass/vmcore.txt; }
ok "--dump elf has the kernel's addresses" elf
budget() {
	"$lab" run -q -j 1 -k 6.1 -a arm64 --out b --repeat 2 --max-dump-bytes 25M panic.yml >b.txt || return
	cat b.txt
	cell b arm64/panic '.dump.file == "vmcore"' && cell b "arm64/panic@2" '.dump.skipped | test("max-dump-bytes")' &&
		grep -q '^1 dump left out: .*--max-dump-bytes' b.txt && [[ ! -e b/6.1-arm64/panic@2/vmcore ]]
}
ok "--max-dump-bytes: one dump fits, the other is left out, and said to be" budget

full() { # a file system that has room for all but the dump
	mkdir small && mount -t tmpfs -o size=4m tmpfs small || return
	"$lab" run -q -k 6.1 -a arm64 --out small/run panic.yml || return
	cell small/run arm64/panic '.verdict == "pass" and .ending == "panic" and (.dump.skipped | test("space|full|write"; "i"))' &&
		[[ -s small/run/6.1-arm64/panic/console.log ]] && fails compgen -G 'small/run/6.1-arm64/panic/vmcore*'
}
# in_mounts FUNCTION: in a mount name space of our own
in_mounts() {
	export -f full cell fails
	export lab
	unshare --mount "${user[@]}" bash -euo pipefail -c full
}
user=()
((EUID == 0)) || user=(--map-root-user)
ok "a disk that the dump fills: the verdict stays, nothing partial does" in_mounts

interrupted() { # interrupted VM: Ctrl-C within its dump, which takes longer than what it waits for here
	local asker
	"$lab" vm dump -o cut "$1" &
	asker=$!
	until [[ -e cut.part ]]; do
		kill -0 "$asker" || return
	done
	kill -TERM "$asker"
	! wait "$asker" || return
	for _ in {1..600}; do
		[[ $("$lab" vm list) == *"$1"*running* && ! -e cut.part ]] && break
		sleep 0.1
	done
	[[ ! -e cut && ! -e cut.part ]]
}
live() {
	local name
	mkfifo in
	"$lab" shell -k 6.1 -a arm64 -- cat <in >said 2>err &
	local shell=$!
	exec 9>in
	echo first >&9
	for _ in {1..1800}; do
		grep -qs first said && break
		sleep 0.1
	done
	name=$("$lab" vm list --json | jq -r --arg dir "$dir" '.[] | select(.dir | startswith($dir)).name')
	"$lab" vm dump "$name" && [[ -s vmcore-$name && $(stat -c %a "vmcore-$name") == 600 ]] || return
	says 2 "is there already" "$lab" vm dump "$name" || return
	says 3 "create" "$lab" vm dump -o /proc/none "$name" || return
	interrupted "$name" || return
	"$lab" vm dump --elf -o live.elf "$name" && readelf -lW live.elf | grep 'LOAD .* 0xffff' >/dev/null || return
	echo second >&9
	exec 9>&-
	wait "$shell" && cat said && [[ $(cat said) == first$'\n'second ]]
}
ok "lab vm dump: the guest goes on" live
shell() {
	local status=0 folder
	echo 'echo c >/proc/sysrq-trigger' | "$lab" shell -k 6.1 -a arm64 >said 2>err || status=$?
	cat err
	folder=$(sed -n 's/^lab: its memory and its console are in //p' err)
	[[ $status == 3 && -s $folder/vmcore && -s $folder/vmcore.txt && -s $folder/console.log ]]
}
ok "a lab shell that panics: its folder stays, and is named" shell
done_testing
