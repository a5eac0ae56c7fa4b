#!/usr/bin/env bash
# The built-in profiles on this host: what programs they run, what they refuse, and the script that
# writes `default`. As root also as an ordinary user. BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

jail_setup
python=/usr/bin/python3 # not one of root's own
export SECRET=1

# errno CALL ARG...: makes a system call by its number and prints the error's name
cat >errno.py <<'P'
import ctypes, errno, os, sys
numbers = {"bpf": (321, 280), "kexec_load": (246, 104), "add_key": (248, 217), "ioctl": (16, 29),
           "swapon": (167, 224), "userfaultfd": (323, 282), "unshare": (272, 97),
           "socket": (41, 198), "ptrace": (101, 117), "mount": (165, 40), "finit_module": (313, 273),
           "io_uring_setup": (425, 425), "clone3": (435, 435), "openat2": (437, 437), "socketpair": (53, 199), "sendto": (44, 206),
           "futex_waitv": (449, 449), "mseal": (462, 462), "none_yet": (500, 500)}
libc = ctypes.CDLL(None, use_errno=True)
number = numbers[sys.argv[1]][os.uname().machine == "aarch64"]
args = [ctypes.c_long(int(a, 0)) for a in sys.argv[2:]] + [ctypes.c_long(0)] * 6
ret = libc.syscall(ctypes.c_long(number), *args[:6])
print("ok" if ret >= 0 else errno.errorcode[ctypes.get_errno()])
P
cat >work.py <<'P'
import asyncio, os, random, subprocess, threading, time
asyncio.run(asyncio.sleep(0.01)) # a pair of sockets, epoll
threads = [threading.Thread(target=time.sleep, args=(0.01,)) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
assert subprocess.run("echo a; exit 3", shell=True, capture_output=True).returncode == 3
assert os.listdir("/") and random.SystemRandom().random() < 1
print("done")
P
cat >more.py <<'P'
import multiprocessing, os, socket, tempfile
with multiprocessing.Pool(2) as pool: # semaphores, in /dev/shm
    assert pool.map(abs, [-1, 2]) == [1, 2]
with tempfile.TemporaryDirectory() as name:
    with open(name + "/a", "w") as file:
        file.write("x")
    os.rename(name + "/a", name + "/b")
    os.chmod(name + "/b", 0o600)
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
server.accept()[0].sendall(b"hi")
assert client.recv(9) == b"hi"
print("done")
P

as=()
run() { # run PROFILE COMMAND...
	local profile=$1
	shift
	"${as[@]}" ./jail --policy "$profile" -- "$@" 2>said || { cat said; return 1; }
}
gives() { # gives TEXT COMMAND...: this and nothing else on its stdout
	local want=$1 got
	shift
	got=$("$@") || { echo "failed: $got"; return 1; }
	echo "$got"
	[[ $got == "$want" ]]
}
errno() { # errno PROFILE WANT CALL ARG...
	local profile=$1 want=$2
	shift 2
	gives "$want" run "$profile" "$python" errno.py "$@"
}

declare -A five=([node]='console.log(2 + 3)' [Rscript]='cat(2 + 3)')
programs() {
	local profile interpreter
	for profile in default strict permissive compute; do
		ok "$profile$1: true" run "$profile" true
		ok "$profile$1: python3: threads, subprocesses" gives "done" run "$profile" "$python" work.py
		ok "$profile$1: perl" gives 42 run "$profile" perl -e 'print 6 * 7, "\n"'
		# shellcheck disable=SC2016 # for the inner shell
		ok "$profile$1: a shell pipeline" gives "3 B" run "$profile" \
			sh -c 'for i in b c a; do echo $i; done | sort | tr a-z A-Z | { read x; read y; echo 3 $y; }'
		for interpreter in node Rscript; do
			# R wants a folder for temporary files, which strict lets nobody make
			[[ $profile-$interpreter != strict-Rscript ]] || continue
			if command -v $interpreter >/dev/null; then
				ok "$profile$1: $interpreter" gives 5 run "$profile" $interpreter -e "${five[$interpreter]}"
			else
				skip "$profile$1: $interpreter" "not installed"
			fi
		done
	done
	for profile in default permissive compute; do
		ok "$profile$1: python3: semaphores, files, sockets" gives "done" run "$profile" "$python" more.py
	done
}
programs ""
if [[ $(id -u) != 0 ]]; then
	skip "as an ordinary user" "runs as one already"
elif setpriv --reuid=65534 --regid=65534 --clear-groups unshare -U true 2>/dev/null; then
	as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	programs " (ordinary user)"
	as=()
else
	skip "as an ordinary user" "user namespaces are not for everybody here"
fi

# --- what they refuse: docs/profiles.md
for profile in default strict permissive compute; do
	for call in bpf kexec_load add_key swapon userfaultfd finit_module; do
		want=EPERM
		[[ $profile-$call != strict-userfaultfd ]] || want=ENOSYS
		ok "$profile: $call: $want" errno "$profile" "$want" "$call"
	done
	ok "$profile: typing into the terminal" errno "$profile" EPERM ioctl 0 0x5412 0
	ok "$profile: the same with a high bit set" errno "$profile" EPERM ioctl 0 0x100005412 0
	case $profile in strict | compute) want=ENOSYS ;; *) want=EPERM ;; esac
	ok "$profile: io_uring: $want" errno "$profile" $want io_uring_setup 1 0
	ok "$profile: a call of the future: ENOSYS" errno "$profile" ENOSYS none_yet
	ok "$profile: processes outside are out of sight" run "$profile" "$python" -c "
import os
try: os.kill($$, 0)
except ProcessLookupError: pass
else: raise SystemExit('reached')"
done
ok "default: calls newer than it: ENOSYS" errno default ENOSYS futex_waitv
ok "default: mseal: ENOSYS" errno default ENOSYS mseal 0 0 0
for profile in strict compute; do
	ok "$profile: unshare: EPERM" errno $profile EPERM unshare 0x10000000
	ok "$profile: clone3: ENOSYS" errno $profile ENOSYS clone3
	ok "$profile: ptrace: EPERM" errno $profile EPERM ptrace
	ok "$profile: mount: EPERM" errno $profile EPERM mount
	ok "$profile: only the environment that it names" run $profile sh -c '[ -z "${SECRET+x}" ] && [ -n "$PATH" ]'
done
ok "strict: openat2: ENOSYS" errno strict ENOSYS openat2
ok "strict: sockets: EPERM" errno strict EPERM socket 1 1 0
ok "strict: pairs that could send to an address: EPERM" errno strict EPERM socketpair 1 2 0
ok "strict: send to an address: EPERM" errno strict EPERM sendto 0 0 0 0 1 16
ok "compute: packet sockets: EAFNOSUPPORT" errno compute EAFNOSUPPORT socket 17 3 0
for what in 'open("new", "w")' 'open("errno.py", "r+")' 'os.mkdir("new")' 'os.unlink("errno.py")' \
	'os.rename("errno.py", "new")' 'os.chmod("errno.py", 0)' 'os.truncate("errno.py", 0)'; do
	ok "strict: $what" run strict "$python" -c "
import os
try: $what
except PermissionError: pass
else: raise SystemExit('done')"
done
ok "strict: nothing was written" test ! -e new -a -s errno.py
ok "compute: the network is its own" run compute "$python" -c "
import socket
assert [name for _, name in socket.if_nameindex()] == ['lo']"
ok "default: the environment is the caller's" run default sh -c '[ "$SECRET" = 1 ]'

# --- scripts/update-default-profile, in a tree of its own
mkdir -p tree/scripts tree/jail/policy/profiles bin
cp "$home/scripts/update-default-profile" tree/scripts
cp "$home/jail/policy/syscall-table.inc" tree/jail/policy
profile=tree/jail/policy/profiles/default.yml
cp "$home/jail/policy/profiles/default.yml" $profile
update() { tree/scripts/update-default-profile "$@"; }
cat >engine.json <<'J'
{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
 {"names": ["read", "write", "exit_group", "waitpid", "nonesuch", "io_uring_enter", "openat2"], "action": "SCMP_ACT_ALLOW"},
 {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 16, "op": "SCMP_CMP_NE"}]},
 {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
 {"names": ["set_tls"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["ppc64le"]}},
 {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"], "minKernel": "5.8"}},
 {"names": ["bpf"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}}]}
J
ok "update: a difference is exit 1 with --check" exits 1 update --check engine.json
ok "update: --check writes nothing" cmp $profile "$home/jail/policy/profiles/default.yml"
update --date 2026-01-02 --source 'an engine' engine.json >shown
ok "update: says what it leaves out" grep -q '^left out: nonesuch: no such call is known' shown
ok "update: says what is no longer allowed" grep -q '^no longer allowed: .*\bclone\b' shown
ok "update: the same again is no difference" exits 0 update --check --date 2026-01-02 --source 'an engine' engine.json
ok "update: known is the newest call's kernel" grep -qx 'known: 5.6' $profile
ok "update: the profile reads" ./jail policy check $profile
decides() { # decides WANT CALL [OPTION]...
	local want=$1
	shift
	./jail policy explain "$@" | tee /dev/stderr | grep -qE "$want"
}
ok "update: arguments are kept" decides EPERM $profile socket AF_NETLINK
ok "update: and let the others through" decides allow $profile socket AF_INET
ok "update: io_uring is refused whatever upstream says" decides EPERM $profile io_uring_enter
ok "update: conditions on capabilities" decides ENOSYS $profile bpf
for bad in '[]' '{' '{"syscalls": [{"names": ["read"], "action": "SCMP_ACT_TRACE"}]}' \
	'{"syscalls": [{"action": "SCMP_ACT_ALLOW"}]}' \
	'{"syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"os": ["x"]}}]}' \
	'{"syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 9}]}]}'; do
	echo "$bad" >bad.json
	ok "update: refuses $bad" says 2 "update-default-profile: " update bad.json
	ok "update: in one line" test "$(update bad.json 2>&1 | wc -l)" = 1
done
ok "update: a file that is not there" says 2 "nowhere.json: No such file or directory" update nowhere.json
printf '#!/bin/sh\necho "W: ignored" >&2\necho "E: Unable to fetch some archives" >&2\nexit 100\n' >bin/apt-get
chmod +x bin/apt-get
PATH=$dir/bin:$PATH ok "update: without a network" says 2 \
	"update-default-profile: apt-get download golang-github-containers-common: Unable to fetch" update
done_testing
