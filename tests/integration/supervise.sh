#!/usr/bin/env bash
# jail's supervisor on this host: what it shows, counts, logs and learns, how it ends what it
# started, and programs that do not want to end. What this host forbids is skipped.
# BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

jail_setup

cat >eperm.yml <<'Y'
version: 1
default: allow
deny:
  - mkdir
  - mkdirat
kill: [symlink, symlinkat]
notify: [rmdir]
Y
printf 'version: 1\ndefault: allow\ntrap: [mkdir, mkdirat]\n' >trap.yml
printf 'version: 1\ndefault: allow\ndeny: [rmdir]\n' >outer.yml
python=/usr/bin/python3 # not a script that looks for it; where an ordinary user reaches it

if ! "$jail" --watch -p eperm.yml -- true 2>why; then
	skip "supervision" "$(head -c 150 why)"
	done_testing
	exit
fi

# --- what it says ---------------------------------------------------------------------------------
ok "--watch needs a policy" says 2 "--watch: only with --policy" "$jail" --watch -- true
ok "--extends needs --learn" says 2 "--extends: only with --learn" "$jail" --extends default -- true
ok "--quiet and --debug" says 2 "--quiet: not with" "$jail" -q --debug -- true
ok "--status-fd that is not open" says 2 "--status-fd 77: no such open descriptor" "$jail" --status-fd 77 -- true
ok "refused: the call fails" says 1 "Operation not permitted" "$jail" -p eperm.yml -- mkdir d
ok "refused: which call, by which rule" says 1 "eperm.yml:4:" "$jail" -p eperm.yml -- mkdir d
ok "nothing refused: nothing said" test -z "$("$jail" -p eperm.yml -- true 2>&1)"
ok "--quiet: refused, nothing said" says 1 "Operation not permitted" \
	"$jail" -q -p eperm.yml -- mkdir d
ok "--quiet says no more than that" test "$("$jail" -q -p eperm.yml -- mkdir d 2>&1 | wc -l)" = 1
ok "--watch: nothing is refused" exits 0 "$jail" --watch -p eperm.yml -- mkdir watched
ok "--watch: it was made" test -d watched
ok "--watch: the call, its arguments, the rule" says 0 'mkdir("more", 0777) → would be errno EPERM  eperm.yml:' \
	"$jail" --watch -p eperm.yml -- mkdir more
ok "--watch: no trap either" exits 0 "$jail" --watch -p trap.yml -- mkdir other
ok "--debug: every call" says 0 'exit_group(0) → allow' "$jail" --debug -- true
ok "--debug: refused all the same" says 1 'mkdir("d", 0777) → errno EPERM' "$jail" --debug -p eperm.yml -- mkdir d
ok "--debug needs no --" says 0 'exit_group(' "$jail" --debug sh -c 'exit 0'
ok "killed by the policy: 159, said so" says 159 "ln was killed by the policy eperm.yml" \
	"$jail" -p eperm.yml -- ln -s a b
ok "killed by the policy in a pid namespace" exits 159 "$jail" -n user,pid -p eperm.yml -- ln -s a b
ok "killed as PID 1" exits 159 "$jail" -n user,pid --no-init -p eperm.yml -- ln -s a b
ok "a child killed by the policy: the command goes on" exits 5 "$jail" -p eperm.yml -- sh -c 'ln -s a b; exit 5'
ok "a trap is the kernel's: 159" exits 159 "$jail" -p trap.yml -- mkdir d
ok "the kernel kills without a supervisor" exits 159 "$jail" -q -p eperm.yml -- ln -s a b
ok "--noop: no sandbox" test "$("$jail" --noop -p nowhere.yml -- grep NoNewPrivs /proc/self/status)" = "NoNewPrivs:	0"
ok "--noop: 127" exits 127 "$jail" --noop -- no-such-command
ok "a supervised jail in a supervised jail" says 1 "Operation not permitted" \
	"$jail" -p outer.yml -- "$jail" -p eperm.yml -- mkdir d
ok "then nothing is counted, and a report says so" says 1 "was not counted" \
	"$jail" -p outer.yml -- "$jail" --report -p eperm.yml -- mkdir d
ok "but not with --watch" says 125 "--quiet" "$jail" -p outer.yml -- "$jail" --watch -p eperm.yml -- mkdir d
ok "--report" says 0 "wall" "$jail" --report -p eperm.yml -- true

# --- logs -----------------------------------------------------------------------------------------
events() { jq -r .event "$1" | paste -sd' '; }
"$jail" --log log.json -p eperm.yml -- sh -c 'mkdir d; rmdir nowhere; exit 3' 2>/dev/null || true
ok "--log: what happened" test "$(events log.json)" = "start refused call exit"
ok "--log: the refused call" test "$(jq -r 'select(.event == "refused") | .call, .program, .action' log.json | paste -sd' ')" = \
	"mkdir mkdir errno EPERM"
ok "--log: the end" test "$(jq -r 'select(.event == "exit") | .code, .refusals' log.json | paste -sd' ')" = "3 1"
"$jail" --status-fd 7 -- true 7>status.json
ok "--status-fd, without a policy" test "$(events status.json)" = "start exit"
# shellcheck disable=SC2016
ok "--status-fd is not the command's" "$jail" --status-fd 7 -- sh -c '! test -e /proc/self/fd/7' 7>>status.json
ok "--log that cannot be written" says 125 "--log /no/such" "$jail" --log /no/such -- true
ok "a log whose reader is gone from the start" bash -c "sleep 0.1; '$jail' --status-fd 7 -- sh -c 'exit 3'; test \$? = 3" 7> >(exec true)
ok "a log without a reader stops nobody" bash -c "exits=\$(timeout 20 '$jail' --status-fd 7 -p eperm.yml -- \
	sh -c 'mkdir d; exit 3' 7> >(exec sleep 0.01) 2>/dev/null || echo \$?); test \"\$exits\" = 3"

# --- ends -----------------------------------------------------------------------------------------
ends() { # ends SIGNAL CODE OPTION... -- COMMAND...: jail gets the signal once the file ready is there
	local sig=$1 want=$2 got=0 pid
	shift 2
	rm -f ready
	"$jail" "$@" 2>said &
	pid=$!
	for _ in {1..400}; do
		[[ ! -e ready ]] || break
		sleep 0.02
	done
	kill -s "$sig" "$pid"
	wait "$pid" || got=$?
	echo "exit $got"
	[[ $got == "$want" ]]
}
# shellcheck disable=SC2016
stubborn='trap "" TERM INT; touch ready; while :; do sleep 0.05; done'
ok "TERM, then a grace time, then KILL" ends TERM 137 --grace 200ms -p eperm.yml -- sh -c "$stubborn"
ok "the same in a pid namespace" ends INT 137 --grace 200ms -n user,pid -- sh -c "$stubborn"
ok "who ends in time is not killed" ends TERM 0 --grace 20s -- sh -c 'trap "exit 0" TERM; touch ready; while :; do sleep 0.05; done'
ok "a terminal's or a parent's HUP does not start the grace time" ends HUP 9 --grace 100ms -- \
	sh -c 'trap "sleep 0.4; exit 9" HUP; touch ready; while :; do sleep 0.05; done'
# shellcheck disable=SC2016
stopped='(until grep -q "State:.T" /proc/$$/status; do sleep 0.02; done; touch ready) & kill -STOP $$; exit 3'
ok "one that has stopped itself" ends TERM 137 --grace 200ms -p eperm.yml -- sh -c "$stopped"
ok "what is left stopped is ended" exits 6 timeout 30 "$jail" -p eperm.yml -- sh -c 'sh -c "kill -STOP \$\$; exec sleep 65.25" & sleep 0.2; exec sh -c "exit 6"'
ok "nothing of that is left" gone '65[.]25'
ok "kill -9 of jail: the command ends" ends KILL 137 -p eperm.yml -- sh -c 'touch ready; exec sleep 66.25'
ok "and with a pid namespace all of it" ends KILL 137 -n user,pid -p eperm.yml -- sh -c 'sleep 66.25 & touch ready; exec sleep 66.25'
ok "nothing is left then either" soon gone '^sleep 66.25'
# shellcheck disable=SC2016
daemons='import os, time
for i in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for s in range(1, 32):
                try: __import__("signal").signal(s, 1)
                except (OSError, ValueError): pass
            os.execlp("sleep", "jail-left-behind", "63.25")
        os._exit(0)
time.sleep(0.3)'
ok "what forks away twice is ended" exits 0 timeout 30 "$jail" -p eperm.yml -- "$python" -c "$daemons"
ok "and is gone" gone jail-left-behind
ok "also without a policy" exits 0 timeout 30 "$jail" -- "$python" -c "$daemons"
ok "also gone" gone jail-left-behind
ok "dies by a signal while it forks" exits 139 timeout 30 "$jail" -p eperm.yml -- \
	sh -c 'sleep 64.25 & sleep 64.25 & kill -SEGV $$'
ok "nothing of it is left" gone '^sleep 64.25'

# --- programs that are hard to run ----------------------------------------------------------------
ok "closes all its descriptors" exits 4 timeout 20 "$jail" -p eperm.yml -- \
	"$python" -c 'import os; os.closerange(0, 65536)
try: os.mkdir("d")
except PermissionError: os._exit(4)'
ok "paths that are no UTF-8" says 1 '→ errno EPERM' timeout 20 "$jail" --debug -p eperm.yml -- mkdir $'d\xff\xfe\x1b[31m'
ok "no escape reaches the terminal" bash -c "! '$jail' --watch -p eperm.yml -- mkdir $'w\xff\x1b[31m' 2>&1 | grep -q $'\x1b'"
ok "floods stdout" bash -c "test \$('$jail' -p eperm.yml -- sh -c 'yes | head -c 50000000' | wc -c) = 50000000"
ok "floods stdout whose reader is gone" exits 141 bash -c "set +o pipefail; '$jail' -p eperm.yml -- yes | head -c 10 >/dev/null; exit \${PIPESTATUS[0]}"
# threads that are killed while they wait for an answer, thousands of times
ok "vanishes while it is asked about" exits 0 timeout 30 "$jail" -p eperm.yml -- "$python" -c '
import os, signal, time
for i in range(60):
    pid = os.fork()
    if pid == 0:
        while True:
            try: os.mkdir("d")
            except OSError: pass
    time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)'
ok "is interrupted while it is asked about" exits 0 timeout 30 "$jail" -p eperm.yml -- "$python" -c '
import os, signal
n = 0
def tick(*_):
    global n
    n += 1
signal.signal(signal.SIGALRM, tick)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
while n < 300:
    try: os.mkdir("d")
    except (PermissionError, InterruptedError): pass
signal.setitimer(signal.ITIMER_REAL, 0)'
ok "many threads at once" exits 0 timeout 30 "$jail" -p eperm.yml -- "$python" -c '
import os, threading
def work():
    for i in range(300):
        try: os.mkdir("d")
        except PermissionError: pass
all = [threading.Thread(target=work) for i in range(16)]
[t.start() for t in all]
[t.join() for t in all]'
cat >faults.py <<'Y'
# A path in a page that nobody fills: whoever reads it waits.
import ctypes, os, platform, signal, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
uffd = libc.syscall(282 if platform.machine() == "aarch64" else 323, 0)
if uffd < 0:
    sys.exit(77)
libc.mmap.restype = ctypes.c_void_p
page = libc.mmap(None, ctypes.c_size_t(4096), 3, 0x22, -1, ctypes.c_long(0))
api = (ctypes.c_uint64 * 3)(0xAA, 0, 0)
area = (ctypes.c_uint64 * 4)(page, 4096, 1, 0)
if libc.ioctl(uffd, ctypes.c_ulong(0xC018AA3F), api) or libc.ioctl(uffd, ctypes.c_ulong(0xC020AA00), area):
    sys.exit(77)
threading.Thread(target=lambda: libc.mkdir(ctypes.c_void_p(page), 0o777), daemon=True).start()
time.sleep(1)
os.kill(os.getpid(), signal.SIGKILL)
Y
if [[ $(id -u) == 0 ]] && "$jail" --noop "$python" faults.py; [[ $? == 137 ]]; then
	ok "a path that nobody can read: its address" says 137 "mkdir(0x" timeout 20 "$jail" --watch --caps sys_ptrace -p eperm.yml -- \
		"$python" faults.py
else
	skip "a path that nobody can read" "no userfaultfd here"
fi
cp "$(readlink -f /bin/true)" foreign && printf '\xff\x7f' | dd of=foreign bs=1 seek=18 conv=notrunc status=none
ok "of another architecture" says 126 "another architecture" "$jail" -p eperm.yml -- ./foreign
ok "missing" says 127 "not found" "$jail" -p eperm.yml -- no-such-command
ok "not executable" says 126 "Permission denied" "$jail" -p eperm.yml -- ./eperm.yml
printf '#!/bin/sh\nexit 6\n' >script && chmod +x script
ok "a script" exits 6 "$jail" -p eperm.yml -- ./script
ok "its name is its own" test "$("$jail" -p eperm.yml -- cat /proc/self/comm)" = cat

# --- limits by count ------------------------------------------------------------------------------
printf 'version: 1\ndefault: allow\nlimits: {fork: 20}\n' >fork.yml
printf 'version: 1\ndefault: allow\nlimits: {exec: 2}\n' >exec.yml
ok "forks until the limit" exits 20 timeout 30 "$jail" -p fork.yml -- "$python" -c '
import os
n = 0
try:
    while True:
        if os.fork() == 0: os._exit(0)
        n += 1
except OSError: os._exit(n)'
# shellcheck disable=SC2016
ok "a fork bomb ends" fails timeout 30 "$jail" -p fork.yml --grace 1s -- bash -c 'b() { b | b & }; b; wait; exit 1'
ok "exec: the command's own is free" exits 0 "$jail" -p exec.yml -- sh -c '/bin/true; /bin/true; exit 0'
ok "exec: the third is refused" exits 126 "$jail" -p exec.yml -- sh -c '/bin/true; /bin/true; /bin/true'

# --- learning -------------------------------------------------------------------------------------
ok "--learn: the exit code is the command's" exits 7 "$jail" --learn new.yml -- sh -c 'mkdir learned; exit 7'
ok "--learn: what it was" grep -q mkdir new.yml
ok "the policy is enough" exits 7 "$jail" -p ./new.yml -- sh -c 'rmdir learned; mkdir learned; exit 7'
cp new.yml before.yml
ok "--learn merges" exits 0 "$jail" --learn new.yml -- sh -c 'ln -s a learned-link'
ok "it holds both" sh -c 'grep -q mkdir new.yml && grep -q symlink new.yml'
echo "precious: text" >precious.txt
ok "--learn leaves alone what is no policy" says 2 "left alone" "$jail" --learn precious.txt -- true
ok "as it was" test "$(cat precious.txt)" = "precious: text"
ok "--learn --extends: only the difference" exits 0 "$jail" --learn diff.yml --extends ./before.yml -- ln -s a link2
ok "the difference" sh -c 'sed "/^frequency/,$ d" diff.yml >d && grep -q symlink d && ! grep -q mmap d'

# --- as an ordinary user --------------------------------------------------------------------------
ordinary=(setpriv --reuid 65534 --regid 65534 --clear-groups --)
if [[ $(id -u) == 0 ]] && "${ordinary[@]}" true 2>/dev/null; then
	ok "ordinary: refused and counted" says 1 "eperm.yml:4:" "${ordinary[@]}" "$jail" -p eperm.yml -- mkdir /tmp/d
	ok "ordinary: killed" exits 159 "${ordinary[@]}" "$jail" -p eperm.yml -- ln -s a /tmp/b
	cat >bomb.py <<'Y'
import os, time
for i in range(4):
    try:
        pid = os.fork()
    except OSError:
        continue
    if pid == 0:
        while True:
            try:
                os.fork()
            except OSError:
                pass
time.sleep(0.3)
os._exit(9)
Y
	# an id that nobody else has, since its processes are counted
	ok "a fork bomb at full speed is left behind, and ended" exits 9 \
		setpriv --reuid 64321 --regid 65534 --clear-groups -- bash -c 'ulimit -u 200; exec timeout 60 "$@"' bash \
		"$jail" -p eperm.yml -- "$python" bomb.py
	ok "nothing is left of it" gone 'python3 bomb[.]py'
	if "${ordinary[@]}" "$jail" -n user,pid -- true 2>/dev/null; then
		ok "ordinary: refused in namespaces" says 1 'mkdir("/tmp/d", 0777) → errno EPERM' \
			"${ordinary[@]}" "$jail" --debug -n all -p eperm.yml -- mkdir /tmp/d
		ok "ordinary: killed in namespaces" exits 159 "${ordinary[@]}" "$jail" -n all -p eperm.yml -- ln -s a /tmp/b
	fi
fi

done_testing
