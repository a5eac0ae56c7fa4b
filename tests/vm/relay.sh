#!/usr/bin/env bash
# Where gdbs attach to a machine: one at a time, none that does harm, all told the kernel's slide.
# BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
lab_setup
top=$PWD
cd "$dir"

ok "amd64: the slide is exact on each of two boots" "$top/tests/bench/slide" "$lab" 2 --arch amd64
ok "arm64: the slide is exact on each of two boots" "$top/tests/bench/slide" "$lab" 2 --arch arm64

cat >count.yml <<'S'
run: |
  grep -w -e _text -e ksys_write /proc/kallsyms
  i=0; while :; do echo $((i += 1)); sleep 0.1; done
trace: false
timeout: 900
S
"$lab" run -q --arch amd64 --out count count.yml >count.txt 2>&1 &
run_pid=$!
trap 'kill $run_pid 2>/dev/null || :; wait; rm -rf "$dir"' EXIT
said() { cat count/*/count/stdout; }
begun() { said 2>/dev/null | grep -qx 3; }
soon begun || soon begun
write=0x$(said | awk '$3 == "ksys_write" {print $1}')
place=$("$lab" vm list --json | jq -er '.[] | select(.what == "count").gdb')

lines() { said | wc -l; }
goes_on() {
	local before now
	before=$(lines)
	for _ in {1..600}; do
		now=$(lines)
		[[ $now -le $((before + 2)) ]] || return 0
		sleep 0.1
	done
	echo "stood still at $now"
	return 1
}
gdb_does() { timeout 300 gdb -nx -batch -ex "target remote $place" "$@" 2>&1; }
# hit_one [ADDRESS]: a break point on a system call that the payload makes all the time is hit
hit_one() {
	gdb_does -ex "break *$write" -ex continue -ex 'echo at\ ' -ex 'output/x $pc' -ex detach >gdb.txt
	cat gdb.txt
	grep -q "at $write" gdb.txt
}
ok "gdb stops at a break point, and detaches" hit_one
ok "the guest goes on" goes_on
ok "another gdb attaches after it" hit_one
ok "and the guest goes on" goes_on

cat >clients.py <<'P'
"""clients.py PLACE WHAT: one way to treat a relay; prints what came back."""
import os
import sys
import time

sys.path.insert(0, os.environ["TOP"] + "/tests/vm")
import rsp

place, what = sys.argv[1:]
c = rsp.Client(place)
if what == "second":
    print(c.ask("?").decode())
    other = rsp.Client(place)
    print(other.ask("qSupported").decode())
    print(other.ask("?"))
    print(c.ask("?").decode(), c.ask("D").decode(), c.ask("D;1").decode())
elif what == "garbage":
    c.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
    print(c.receive())
elif what == "huge":
    c.socket.sendall(b"$")
    try:
        for _ in range(1024):
            c.socket.sendall(b"m" * (1 << 20))
        print("took a GiB")
    except (BrokenPipeError, ConnectionResetError):
        print("hung up")
elif what == "deaf":  # asks and never reads, as long as it is listened to
    c.socket.settimeout(3)
    try:
        while True:
            c.socket.sendall(b"$qXfer:features:read:i386-64bit.xml:0,ffb#d2" * 1000)
    except TimeoutError:
        print("not listened to any more")
elif what == "interrupt":
    print(c.ask("?").decode())
    c.send("c")
    time.sleep(0.3)
    c.socket.sendall(b"\3")
    print(c.receive().decode())
elif what == "monitor":  # HOST:PORT; the second word is a file that must not be made
    c.ask("?")
    print(c.ask("qRcmd," + b"info status".hex()).decode() != "", c.receive() == b"OK")
    for word in (b"qRcmd,", b"}QRcmd,"):
        said = c.ask(word + b"pmemsave 0 1 evil".hex().encode())
        print(bytes.fromhex(said[1:].decode()).decode().strip(), c.receive().decode())
    evil = b"qRcmd," + b"pmemsave 0 1 evil".hex().encode()
    evil = b"$%s#%02x" % (evil, sum(evil) & 0xFF)
    for before in (b"%", b"$" + b"m" * 5000, b"$m* ", b"$m*#00", b"$#zz"):
        c.close()
        c = rsp.Client(place)
        c.ask("?")
        c.socket.sendall(before + evil)
        try:
            while c.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        print("hung up")
    print(rsp.Client(place).ask("vKill;1").decode())
elif what == "kill":
    print(c.ask("vKill;1").decode())
P
client() { TOP=$top python3 clients.py "$place" "$1"; }
second() {
	client second | tee second.txt
	[[ $(sed -n 1p second.txt) == T* && $(sed -n 3p second.txt) == None && $(sed -n 4p second.txt) == T*OK ]] &&
		grep -q '^E\.lab: another gdb is attached (process [0-9]*); it has to detach first$' second.txt
}
ok "a second one is told who is attached, and hung up on" second
ok "the guest goes on after both" goes_on
ok "what is not gdb is hung up on" is None client garbage
ok "a packet of a GiB is hung up on" is "hung up" client huge
ok "who never reads is not listened to" is "not listened to any more" client deaf
ok "the guest goes on after them" goes_on
small() {
	local kib
	kib=$(awk '/VmHWM/ {print $2}' "/proc/$("$lab" vm list --json | jq -r '.[] | select(.what == "count").lab')/status")
	echo "lab took $kib KiB"
	[[ $kib -lt 131072 ]]
}
ok "lab kept none of it" small
stopped() { client interrupt | grep -q '^T02'; }
ok "an interrupt stops the guest" stopped
ok "who goes away without a word is detached" goes_on

killed() {
	gdb -nx -batch -ex "target remote $place" -ex "break *$write" -ex continue -ex 'shell echo >hit' \
		-ex 'python import time; time.sleep(600)' >/dev/null 2>&1 &
	local it=$!
	soon test -e hit
	kill -9 "$it"
	wait "$it" || :
	goes_on
}
ok "a gdb that is killed at a break point: the guest goes on" killed
ok "and the next one attaches" hit_one

ended() {
	is OK client kill || return 1
	soon grep -q '^LOST count .*: the debugger killed it' count.txt &&
		grep -rq 'a debugger was attached for' count/*/count || ! cat count.txt
}
ok "gdb's kill ends the machine" ended
ok "without a trace" fails test -e "$place"

# a limit of a second for the boot, all of it under gdb: nothing of it counts
cat >once.yml <<'S'
run: echo once
timeout: 60
S
printf 'continue\ncontinue\n' >go.gdb
held() {
	timeout 200 "$lab" debug --arch arm64 --symbols image --offline --wait-at-start --boot-timeout 1 --batch \
		-x go.gdb --out once once.yml && grep -qx once once/*/once/stdout
}
ok "no limit counts while a gdb is attached, from the first instruction on" held

# QEMU's own folder is /, and so would be the file's
monitor() {
	local it
	"$lab" debug -q --arch amd64 --symbols image --offline --wait-at-start --listen 127.0.0.1:0 --out tcp once.yml >tcp.txt 2>&1 &
	it=$!
	soon grep -q 'target remote 127' tcp.txt || soon grep -q 'target remote 127' tcp.txt
	place=$(grep -o '127[.0-9]*:[0-9]*' tcp.txt | head -1)
	client monitor >monitor.txt 2>&1 || { kill "$it"; wait "$it"; cat tcp.txt monitor.txt; return 1; }
	wait "$it" || :
	cat monitor.txt
	[[ $(grep -c "^lab: over TCP .* 'info' only OK$" monitor.txt) == 2 && $(grep -c '^hung up$' monitor.txt) == 5 ]] &&
		[[ $(head -1 monitor.txt) == "True True" && $(tail -1 monitor.txt) == OK ]]
}
ok "over TCP QEMU's monitor tells, and no more" monitor

python3 -c 'import socket,time; s=socket.socket(); s.bind(("127.0.0.1",0)); s.listen(); print(s.getsockname()[1],flush=True); time.sleep(600)' >port &
port_pid=$!
trap 'kill $run_pid $port_pid 2>/dev/null || :; wait; rm -rf "$dir"' EXIT
soon test -s port
listens() { "$lab" debug -q --arch arm64 --symbols image --offline --listen "$1" --out "in-use-$2" once.yml; }
in_use() {
	fails listens "$(<port)" 1 >in-use.txt 2>&1
	cat in-use.txt
	grep -q "port $(<port) is in use by python3.*, process $port_pid" in-use.txt
}
ok "a port in use: who has it" in_use
done_testing
