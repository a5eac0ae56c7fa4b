#!/usr/bin/env bash
# lab debug, for real: ksys_unshare, reached by a scenario of ours with KASLR on, and who called it: with
# lines where the debug package can be had (without it: symbols.sh). Then whatever can go wrong with a
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
# lines of a module's code, wherever this guest and earlier ones have it
cat >lines.gdb <<'S'
python
base = [l.split() for l in gdb.execute("lab-modules", to_string=True).split("\n") if l.startswith("virtio_ring ")][0][4]
print(gdb.find_pc_line(int(base, 16) + 0x800).symtab)
end
S

# hits KERNEL ARCH SYMBOLS TEXT [OPTION...]: the scenario reaches ksys_unshare, and gdb shows the call with TEXT.
hits() {
	local out=$1-$2-$3
	timeout 300 "$lab" debug -q --batch --out "$out" --kernel "$1" --arch "$2" --symbols "$3" --break ksys_unshare \
		-x hit.gdb "${@:5}" "$scenario" >"$out.txt" 2>&1 || {
		echo "exit $?"
		cat "$out.txt"
		return 1
	}
	cat "$out.txt"
	# who called it: the entry of the system call, however the series names it
	grep -q "ksys_unshare" "$out.txt" && grep -q "^#0 .*ksys_unshare" "$out.txt" &&
		grep -Eq "^#[1-9] .*(sys_unshare|__invoke_syscall|invoke_syscall)" "$out.txt" &&
		grep -q "$4" "$out.txt" && grep -q "slide 0x" "$out.txt" && ! grep -q "slide 0x0\b" "$out.txt" &&
		# and nothing that gdb guesses beyond it
		! grep -A 1 '^#[0-9]* .*\(entry_SYSCALL_64\|el0t_64_sync ()\)' "$out.txt" | grep -q '^#.*??\|^Backtrace stopped'
}

if [[ ${1:-} == all ]]; then
	while read -r kernel arch debug; do
		if [[ $debug == true ]]; then
			ok "$kernel $arch, the debug package" hits "$kernel" "$arch" package 'kernel/fork.c:'
		else
			skip "$kernel $arch, the debug package" "Debian has none"
		fi
		ok "$kernel $arch, the image alone" hits "$kernel" "$arch" image 'ksys_unshare'
	done < <("$lab" kernel list --json | jq -r '.[] | select(.suite) | "\(.name) \(.arch) \(.debug_bytes > 0)"')
	done_testing
	exit
fi

# has_package ARCH: it is here, or can be had; 3: nobody has it for us now.
has_package() { "$lab" kernel pull --debug 6.1 --arch "$1" >/dev/null 2>why || [[ $? != 3 ]]; }
for arch in amd64 arm64; do
	if has_package $arch; then
		ok "6.1 $arch: a backtrace with lines" hits 6.1 $arch package 'kernel/fork.c:' -x lines.gdb
		ok "6.1 $arch: lines of a module's code" grep -x drivers/virtio/virtio_ring.c 6.1-$arch-package.txt
	else
		skip "6.1 $arch: a backtrace with lines" "$(tail -n 1 why)"
	fi
done

# --- break points that do not say yes, and where a session starts
try() { "$lab" debug -q --batch --symbols image --out "$@" "$scenario"; }
ok "a name that no function has, with the nearest" \
	says 2 "no function 'ksys_unshar' in 6.1 amd64 (did you mean 'ksys_unshare'?)" try misspelt --arch amd64 -b ksys_unshar -x hit.gdb
ok "a vmlinux of another build is refused by its build id" \
	says 2 "build id" "$lab" debug -q --offline --arch amd64 --vmlinux "$lab" "$scenario"
echo continue >go.gdb
never() {
	exits 1 try never --arch amd64 -b panic -x go.gdb >never.txt 2>&1 || return 1
	cat never.txt
	grep -q 'panic: never reached' never.txt && grep -q '1 passed, 0 failed' never.txt
}
ok "a break point that is never reached is no success" never
from_the_start() { # stopped at the first instruction, then at the payload, then where flags say
	printf 'continue\ncontinue\nbt\n' >start.gdb
	exits 0 try start --arch arm64 --wait-at-start -b "ksys_unshare:\$lab_arg(0)&0x20000" -x start.gdb >start.txt 2>&1
	cat start.txt
	grep -q '^#0 .*ksys_unshare' start.txt && grep -q 'slide 0x[1-9a-f]' start.txt && grep -q '^evidence: start/' start.txt
}
ok "--wait-at-start, and a condition without types" from_the_start
no_kaslr() {
	try fixed --arch amd64 --no-kaslr -b ksys_unshare -x hit.gdb >fixed.txt 2>&1
	cat fixed.txt
	grep -q '^#0 .*0xffffffff81.*ksys_unshare' fixed.txt && ! grep -q 'slide' fixed.txt
}
ok "--no-kaslr: the kernel is where it was linked" no_kaslr

# --- a debugger from elsewhere, lab gdb, two at once
printf 'run: sleep 200\ntimeout: 250s\n' >slow.yml
mkdir -m 700 run
export XDG_RUNTIME_DIR=$dir/run
{
	code=0
	"$lab" debug -q --symbols image --arch amd64 --listen "unix:$dir/dbg" --out listen slow.yml >listen.txt 2>&1 || code=$?
	echo $code >listen.code
} &
listening=$!
as_told() { # the command that was printed, as a shell takes it
	soon grep -q 'target remote' listen.txt
	timeout 300 bash -c "$(sed -n 's/^  //p' listen.txt | head -n 1) -nx -batch -ex 'info symbol \$pc' -ex 'x/s &linux_banner' -ex disconnect" </dev/null 2>&1 | tee told.txt
	grep -q 'Linux version 6.1' told.txt
}
ok "--listen prints a command, which attaches a plain gdb" as_told
ok "an address in use says so" says 2 "$dir/dbg" \
	"$lab" debug -q --symbols image --arch amd64 --listen "unix:$dir/dbg" --out again "$scenario"
guardian=$(pgrep -P "$listening" -x lab)
pgrep -P "$guardian" -x lab >worker
echo bt >look.gdb
attached() { # lab gdb finds it by name; it is left as it was
	exits 0 timeout 300 "$lab" gdb --batch -x look.gdb "$(<worker)-0" >look.txt 2>&1
	cat look.txt
	grep -q '^#0' look.txt && grep -q 'slide 0x[1-9a-f]' look.txt && kill -0 "$(<worker)"
}
ok "lab gdb attaches to a machine that runs" attached
ok "and again" attached
ends() { # ends CODE PID: that process ends so, and none of its machines is left
	local code=0
	wait "$2" || code=$?
	echo "exit $code"
	[[ $code == "$1" ]] && soon gone "guest=lab-$(<worker)-"
}
interrupted() {
	kill -INT "$guardian"
	soon test -s listen.code
	is 130 cat listen.code && soon gone "guest=lab-$(<worker)-"
}
ok "Ctrl-C ends the machine that waits" interrupted

# --- what dies in mid-session
echo 'shell touch attached; sleep 100' >wait.gdb
# session NAME: a gdb that stays attached; its processes in $guardian, worker, $gdb, $qemu
session() {
	rm -f attached
	setsid "$lab" debug -q --batch --symbols image --arch amd64 --out "$1" -x wait.gdb "$scenario" >"$1.txt" 2>&1 &
	guardian=$!
	soon test -e attached
	pgrep -P "$guardian" -x lab >worker
	gdb=$(pgrep -P "$(<worker)" -x gdb)
	qemu=$(pgrep -P "$guardian" -f "guest=lab-$(<worker)-")
}
gdb_killed() {
	session gdb && kill -9 "$gdb" && ends 3 "$guardian" && grep -q 'gdb was killed' gdb.txt
}
ok "gdb killed: the guest ends, exit 3" gdb_killed
lab_killed() {
	session lab && kill -9 "$guardian"
	soon gone "guest=lab-$(<worker)-" && soon fails kill -0 "$gdb" && soon fails kill -0 "$(<worker)"
}
ok "lab killed: no QEMU and no gdb is left" lab_killed
qemu_killed() { # gdb's script goes on, and fails
	session qemu && kill -9 "$qemu" && sleep 1 && pkill -P "$gdb" -x sleep
	ends 3 "$guardian" && grep -q 'QEMU ended in mid-run' qemu.txt
}
ok "QEMU killed while gdb is attached: the machine is lost, exit 3" qemu_killed
stopped() {
	session stop && kill -INT -- -"$guardian"
	ends 130 "$guardian"
}
ok "Ctrl-C in a batch session: exit 130" stopped
early() {
	local code
	for wait in 0.1 0.8 2; do
		# what a shell puts behind is deaf to SIGINT until it says otherwise, which takes lab a while
		setsid env --default-signal=INT "$lab" debug -q --batch --symbols image --arch amd64 --out "early$wait" -x wait.gdb "$scenario" &>early.txt &
		guardian=$!
		sleep $wait
		soon kill -INT -- -"$guardian" && code=0
		wait "$guardian" || code=$?
		echo "after $wait s: exit $code"
		[[ $code == 130 ]] || return 1
	done
	soon gone "guest=lab-.*$dir"
}
ok "Ctrl-C while it starts: exit 130, nothing is left" early
done_testing
