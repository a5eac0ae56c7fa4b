#!/usr/bin/env bash
# lab record and lab replay: the same instructions and console again, and backwards from a panic to
# who wrote a value before it. BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

lab_setup
cd "$dir"
mkdir -m 700 x
export XDG_RUNTIME_DIR=$dir/x # sockets: by their path a machine of this test is told from others
cat >later.yml <<'S'
run: |
  uname -r; echo err >&2; printf '\342\200\234quoted\342\200\235 in the log\n' >/dev/kmsg
  echo 1 >/proc/sys/kernel/panic_on_oops
  sleep 0.2
  echo c >/proc/sysrq-trigger
expect:
  - {crash: "kernel panic: sysrq triggered crash", console: Kernel panic - not syncing}
S
cat >exits.yml <<'S'
run: |
  seq 1 3000; printf '\376\200\n'; mkdir out; echo made >out/file; exit 3
artefacts: [out]
trace: true
expect:
  - {exit: 3, stdout: "\n2999\n3000\n", files: {out/file: made}}
S

recorded() { # recorded ARCH SCENARIO...
	"$lab" record -q --offline --arch "$1" -o "$1" "${@:2}" || return 1
	! LC_ALL=C grep -q $'[\376\377]' "$1/6.1-$1/later/console.log" &&
		grep -q 'Kernel panic - not syncing: sysrq' "$1/6.1-$1/later/console.log" &&
		[[ $(<"$1/6.1-$1/later/stdout") == 6.1.0-* && $(<"$1/6.1-$1/later/stderr") == err ]]
}
same() { # same CELL: replayed, it says as many instructions as were recorded
	is "the same: $(jq .icount "$1/replay/recording.json") instructions, $(jq .serial_bytes \
		"$1/replay/recording.json") bytes of console" "$lab" replay -q --check "$1"
}
# By name alone, so on every kernel: break points work backwards, and a step goes back by one; who goes
# on to the end can go back again.
cat >names.gdb <<'G'
bt 30
hbreak proc_dointvec
reverse-continue
bt 3
monitor info replay
reverse-stepi
monitor info replay
delete
continue
monitor info replay
stepi
reverse-stepi
monitor info replay
G
goes_back() { # goes_back ARCH
	local counts end=$(($(jq .icount "$1/6.1-$1/later/replay/recording.json") - 10000))
	"$lab" replay -q --offline --symbols image --batch -x names.gdb "$1/6.1-$1/later" >"$1.txt" 2>&1 ||
		{ cat "$1.txt"; return 1; }
	cat "$1.txt"
	grep -q '^#.* sysrq_handle_crash' "$1.txt" && grep -q '^#0 .*proc_dointvec' "$1.txt" || return 1
	mapfile -t counts < <(sed -n 's/.*instruction count = \([0-9]*\).*/\1/p' "$1.txt")
	# and forwards to the end of what can be gone back from
	((${#counts[@]} == 4 && counts[1] == counts[0] - 1 && counts[2] == end && counts[3] == end - 1))
}
cat >writer.gdb <<'G'
lab-writer panic_on_oops
bt 3
G
finds_writer() { # finds_writer ARCH
	"$lab" replay -q --offline --symbols package --batch -x writer.gdb "$1/6.1-$1/later" >"$1.txt" 2>&1 ||
		{ cat "$1.txt"; return 1; }
	cat "$1.txt"
	grep -qx 'panic_on_oops: 0 before, 1 after' "$1.txt" && grep -q '^#.*dointvec.*kernel/sysctl.c' "$1.txt"
}
cat >where.gdb <<'G'
monitor info replay
info registers pc
G
lands() { # lands ARCH N: at that instruction
	"$lab" replay -q --offline --symbols image --batch -x where.gdb --to "$2" "$1/6.1-$1/later" 2>&1 | tee where.txt
	grep -q "instruction count = $2" where.txt && grep -q '^pc .*0x' where.txt
}
has_package() { "$lab" kernel path 6.1 --arch "$1" --what vmlinux --offline >/dev/null 2>&1; }

ok "arm64: recorded, one that exits and one that panics, and judged as by lab run" \
	recorded arm64 exits.yml later.yml
cell=arm64/6.1-arm64/later
ok "arm64: replayed, the same" same $cell
ok "arm64: the one that exits, too" same arm64/6.1-arm64/exits
ok "arm64: from the panic back to an earlier call, by name" goes_back arm64
# A QEMU that stands still, in a copy of its own and in the background: it takes a minute.
cat >still.gdb <<'G'
hbreak kernel_halt
reverse-continue
G
mkdir -m 700 y
cp -r $cell still
timeout 400 env XDG_RUNTIME_DIR="$dir/y" "$lab" replay -q --offline --symbols image --batch -x still.gdb \
	still >still.txt 2>&1 &
still=$!
{
	soon grep -qs '^Hardware assisted' still.txt || soon grep -qs '^Hardware assisted' still.txt || :
	sleep 0.5
	pkill -STOP -f "$dir/y/.*replay[.]qmp" || :
} &
listens() { # for a gdb from elsewhere, by a path relative to here, as lab debug does
	local pid status=0
	"$lab" replay -q --offline --symbols image --listen unix:dbg $cell >told &
	pid=$!
	soon grep -q 'target remote' told
	timeout 300 bash -c "$(sed -n 's/^  //p' told) -nx -batch -ex bt -ex disconnect" </dev/null 2>&1 | tee bt.txt
	kill -INT $pid
	wait $pid || status=$?
	echo "exit $status"
	[[ $status == 130 ]] && grep -q '^#.* sysrq_handle_crash' bt.txt
}
ok "arm64: --listen prints a command, which attaches a plain gdb" listens
ok "Ctrl-C in gdb, at its prompt and while it goes back: the guest stops, and goes back on" \
	"$LAB_HOME/tests/vm/replay-tty.py" "$lab" $cell
ok "amd64: recorded" recorded amd64 later.yml
ok "amd64: from the panic back to an earlier call, by name" goes_back amd64
ok "amd64: to an instruction" lands amd64 650000000
ok "amd64: replayed, the same" same amd64/6.1-amd64/later
for arch in arm64 amd64; do
	if has_package $arch; then
		ok "$arch: back to who wrote the value" finds_writer $arch
	else
		skip "$arch: back to who wrote the value" "the debug package is not cached (lab kernel pull --debug)"
	fi
done

# --- what cannot be replayed: of a recording without the large states that gdb's were kept in
cell=arm64/6.1-arm64/exits
changed() { # changed EXPRESSION CODE TEXT: recording.json changed by jq
	rm -rf bad && mkdir bad && cp -r $cell/replay bad/ && jq "$1" $cell/replay/recording.json >bad/replay/recording.json &&
		says "$2" "$3" "$lab" replay -q --check bad
}
damaged() { # damaged COMMAND...: the log
	rm -rf bad && mkdir bad && cp -r $cell/replay bad/ && "$@" && says 3 "QEMU has ended" "$lab" replay -q --check bad
}
ok "no recording: one line" says 2 "no recording there" "$lab" replay .
ok "recorded by another QEMU: one line" changed '.qemu = "6.0.0"' 2 "recorded by QEMU 6.0.0"
ok "another kernel: one line" changed '.image_sha256 = "00"' 2 "is not the kernel that was recorded"
ok "another initrd: one line" changed '.initrd_sha256 = "00"' 2 "is not the initrd that was recorded"
ok "a machine with options: refused" changed '.machine = "virt,dumpdtb=x"' 2 "'machine' is not what was recorded"
ok "one that did not come to its end: one line" changed '.icount = -1' 2 "did not come to its end"
other_console() {
	rm -rf bad && mkdir bad && cp -r $cell/replay bad/ && printf '\1' | dd of=bad/replay/serial.log bs=1 seek=5000 conv=notrunc status=none &&
		exits 1 "$lab" replay -q --check bad >said && grep 'not the same: .* the console differs from byte 5000 on' said
}
ok "another console is seen" other_console
ok "a log cut short: one line, soon" damaged truncate -s 300000 bad/replay/log
ok "an instruction that is not there: one line" says 2 "it has" "$lab" replay -q --offline --to 99999999999 $cell
ok "KVM cannot record: one line" says 2 "only TCG" "$lab" record --accel kvm later.yml
no_qemu_left() { soon gone "$dir/x/.*replay[.]qmp"; }
interrupted() { # by the terminal's key; an instruction that takes a while
	local status=0
	timeout -s INT 3 "$lab" replay -q --check amd64/6.1-amd64/later || status=$?
	echo "exit $status"
	[[ $status == 124 ]] && no_qemu_left
}
killed() { # killed WHOM: lab's two processes are the guardian and its child
	local pid worker
	"$lab" replay -q --check amd64/6.1-amd64/later &
	pid=$!
	soon pgrep -f "$dir/x/.*replay[.]qmp" >/dev/null && worker=$(pgrep -P $pid | head -1) || return 1
	case $1 in guardian) kill -9 $pid ;; worker) kill -9 "$worker" ;; both) kill -9 $pid "$worker" ;; esac
	wait $pid || true
	no_qemu_left
}
ok "interrupted: no QEMU is left" interrupted
for whom in guardian worker both; do
	ok "kill -9 of its $whom: no QEMU is left" killed $whom
done
status=0
wait $still || status=$?
stood_still() {
	echo "exit $status"
	cat still.txt
	grep -q '^lab: the replay stands still: .*QEMU did not answer' still.txt && [[ $status == 3 ]] &&
		gone "$dir/y/.*replay[.]qmp"
}
ok "QEMU stands still while gdb waits: said after a minute, and ended" stood_still
done_testing
