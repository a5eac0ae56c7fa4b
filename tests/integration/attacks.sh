#!/usr/bin/env bash
# What runs under jail attacks jail: each attack fails, jail survives and says how it ended.
# BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

jail_setup
cp "$home/tests/integration/attacker.py" .
python=/usr/bin/python3 # not a script that looks for it; where an ordinary user reaches it

printf 'version: 1\nextends: default\nallow: [ptrace, process_vm_readv, process_vm_writev, kcmp, pidfd_getfd, process_madvise]\n' >loose.yml
printf 'version: 1\nextends: ./loose.yml\ndeny: [execve, execveat]\n' >noexec.yml
printf 'version: 1\nextends: default\ndeny: [{ioctl: {cmd: TIOCSTI}}]\n' >terminal.yml

if ! "$jail" -n user,pid,mount --debug -p loose.yml -- true 2>why; then
	skip "attacks on a supervisor" "$(tail -n 1 why | head -c 150)"
	done_testing
	exit
fi

# fails WHO OPTION... -- ATTACK...: they fail, and jail lives to say that the attacker ended with 42.
# The attacks on jail itself are made on the pid that it has where the attacker sees it.
attack() {
	local got=0
	timeout 60 "$@" >said 2>&1 || got=$?
	grep -v 'jail:' said | head -n 20
	echo "exit $got"
	[[ $got == 42 ]] && ! grep -q -e succeeded -e EXECUTED said
}
# shellcheck disable=SC2016 # the inner shell's
on_parent='exec "$0" attacker.py "$@" $PPID'
attacks() { # attacks WHO COMMAND...: the command starts jail
	local who=$1
	shift
	ok "$who: jail cannot be taken hold of, by a policy that allows it" attack "$@" -p loose.yml -- \
		sh -c "$on_parent" "$python" hold
	ok "$who: nor by the default policy" attack "$@" -p default -- sh -c "$on_parent" "$python" hold
	ok "$who: nor while it watches" attack "$@" --watch -p default -- sh -c "$on_parent" "$python" hold
	ok "$who: in a pid namespace there is nobody to take hold of but PID 1" attack "$@" -n user,pid,mount -p loose.yml -- \
		"$python" attacker.py hold 1 3 4 5 $$
	ok "$who: nobody to send signals to" attack "$@" -n user,pid,mount -p default -- \
		"$python" attacker.py signals 3 4 5 $$ -1
	ok "$who: PID 1 cannot be ended" attack "$@" -n user,pid,mount -p default -- "$python" -c '
import os, signal, sys, time
os.kill(1, signal.SIGKILL); os.kill(1, signal.SIGTERM); time.sleep(0.2); sys.exit(42)'
	ok "$who: the cookie cannot be guessed" attack "$@" -p noexec.yml -- "$python" attacker.py cookie
	ok "$who: no listener is left to find" attack "$@" -p default -- "$python" attacker.py listener
	ok "$who: nor after everything is closed and opened again" attack "$@" -p default -- "$python" -c '
import os, sys
os.closerange(0, 4096)
for fd in range(3): os.open("/dev/null", os.O_RDWR)
os.execv(sys.executable, [sys.executable, "attacker.py", "listener"])'
	ok "$who: the filter cannot be lifted" attack "$@" -p default -- "$python" attacker.py filter
}
attacks self "$jail"
ordinary=(setpriv --reuid 65534 --regid 65534 --clear-groups --)
if [[ $(id -u) == 0 ]] && "${ordinary[@]}" "$jail" -n user,pid,mount -p loose.yml -- "$python" -c '' 2>/dev/null; then
	attacks ordinary "${ordinary[@]}" "$jail"
fi
# getpid as 32-bit programs make it, out of a page of machine code; what a kernel without them does is SIGSEGV
cat >old-entry.py <<'Y'
import ctypes, mmap, os, sys
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex("53b814000000cd805bc3"))  # push rbx; mov eax, 20; int 0x80; pop rbx; ret
result = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
print("succeeded" if result == os.getpid() else f"result {result}", flush=True)
os._exit(42)
Y
if [[ $(uname -m) == x86_64 && $("$jail" --noop "$python" old-entry.py 2>/dev/null) == succeeded ]]; then
	for profile in default strict permissive; do
		ok "$profile: the 32-bit entry is closed" attack "$jail" -p $profile -- "$python" old-entry.py
	done
else
	skip "the 32-bit entry is closed" "this kernel has none"
fi
if command -v script >/dev/null; then
	# shellcheck disable=SC2016
	ok "nothing is typed on the terminal" attack script -qec "'$jail' -p terminal.yml -- '$python' attacker.py terminal" /dev/null
else
	skip "nothing is typed on the terminal" "no script(1)"
fi

done_testing
