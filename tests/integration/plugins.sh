#!/usr/bin/env bash
# Plugins of jail on this host: what they are asked, told and can answer, what is refused to be one,
# and that a command which is traced for them behaves as it would without. What this host forbids is
# skipped. BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

jail_setup
cp "$(cd "$home" && realpath "$BUILD")/guest/$(dpkg --print-architecture)/jail" jail-static 2>/dev/null || true
include=$home

plugin() { # plugin NAME: from the C on stdin
	cat - >"$1.c"
	cc -shared -fPIC -Wall -Wextra -Werror -Wno-unused-parameter -I"$include" -o "$1.so" "$1.c"
}

# --- plugins --------------------------------------------------------------------------------------
plugin unix-only <<'C'
#include <errno.h>
#include <sys/socket.h>
#include "jail/jail-plugin.h"
static struct jail_verdict before(void *state, const struct jail_call *call)
{
	return (struct jail_verdict){call->args[0] == AF_UNIX ? JAIL_GO_ON : JAIL_REFUSE, EAFNOSUPPORT};
}
static const char *const calls[] = {"socket", NULL};
const struct jail_plugin jail_plugin = {
	.size = sizeof(jail_plugin), .abi = JAIL_PLUGIN_ABI, .name = "unix-only",
	.calls = calls, .before = before,
};
C
# counts like Backend.AI Jail's: opens, their results, the most processes at once
plugin count <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "jail/jail-plugin.h"
struct count {
	const struct jail_host *host;
	int is_loud;
	unsigned long asked, opened, failed, processes, now, most;
};
static int start(const struct jail_host *host, const char *const *options, void **state)
{
	struct count *count = calloc(1, sizeof(*count));
	count->host = host;
	for (; *options; options++) {
		if (!strcmp(*options, "fail=yes")) {
			free(count);
			return -13;
		}
		count->is_loud |= !strcmp(*options, "loud=yes");
	}
	*state = count;
	return 0;
}
static struct jail_verdict before(void *state, const struct jail_call *call)
{
	((struct count *)state)->asked++;
	return (struct jail_verdict){JAIL_GO_ON, 0};
}
static void after(void *state, const struct jail_call *call)
{
	struct count *count = state;
	char path[100] = "", line[200];

	*(call->result < 0 ? &count->failed : &count->opened) += 1;
	count->host->read_memory(count->host, call->tid, call->args[1], path, sizeof(path) - 1);
	snprintf(line, sizeof(line), "%s %s = %d", call->name, path, (int)call->result);
	if (count->is_loud)
		count->host->say(count->host, line);
}
static void process_start(void *state, int pid, int parent)
{
	struct count *count = state;
	char line[100];

	count->processes++;
	if (++count->now > count->most)
		count->most = count->now;
	snprintf(line, sizeof(line), "%s began, of %s", parent ? "a process" : "the command", parent ? "another" : "jail");
	if (count->is_loud)
		count->host->say(count->host, line);
}
static void process_end(void *state, int pid, int status)
{
	struct count *count = state;
	char line[100];

	count->now--;
	snprintf(line, sizeof(line), "ended by %#x", (unsigned)status);
	if (count->is_loud)
		count->host->say(count->host, line);
}
static void end(void *state)
{
	struct count *count = state;
	char line[200];

	snprintf(line, sizeof(line), "asked %lu, opened %lu, failed %lu, processes %lu, left %lu", count->asked,
		 count->opened, count->failed, count->processes, count->now);
	count->host->say(count->host, line);
	free(count);
}
static const char *const calls[] = {"open", "openat", NULL};
const struct jail_plugin jail_plugin = {
	.size = sizeof(jail_plugin), .abi = JAIL_PLUGIN_ABI, .name = "count", .calls = calls,
	.start = start, .before = before, .after = after, .process_start = process_start,
	.process_end = process_end, .end = end,
};
C
# every verdict, by the signal that is asked for; `traced` also wants results
verdicts() { # verdicts NAME AFTER
	plugin "$1" <<C
#include "jail/jail-plugin.h"
static struct jail_verdict before(void *state, const struct jail_call *call)
{
	switch (call->args[1]) {
	case 64: return (struct jail_verdict){JAIL_REFUSE, 11};
	case 65: return (struct jail_verdict){JAIL_RETURN, 77};
	case 66: return (struct jail_verdict){JAIL_KILL, 0};
	case 67: return (struct jail_verdict){9, 0};
	case 68: return (struct jail_verdict){JAIL_REFUSE, 99999};
	}
	return (struct jail_verdict){JAIL_GO_ON, 0};
}
__attribute__((unused)) static void after(void *state, const struct jail_call *call) {}
static const char *const calls[] = {"kill", NULL};
const struct jail_plugin jail_plugin = {
	.size = sizeof(jail_plugin), .abi = JAIL_PLUGIN_ABI, .name = "verdicts", .calls = calls, .before = before, $2
};
C
}
# another file than the program asks for; a second descriptor for eventfd(7)
plugin opens <<'C'
#include <fcntl.h>
#include <stdint.h>
#include "jail/jail-plugin.h"
static struct jail_verdict before(void *state, const struct jail_call *call)
{
	switch (call->args[0]) {
	case 7: return (struct jail_verdict){JAIL_FD, open("given", O_RDONLY)};
	case 8: return (struct jail_verdict){JAIL_FD, open("given", O_RDONLY | O_CLOEXEC)};
	case 9: return (struct jail_verdict){JAIL_FD, 12345};
	}
	return (struct jail_verdict){JAIL_GO_ON, 0};
}
static const char *const calls[] = {"eventfd2", NULL};
const struct jail_plugin jail_plugin = {
	.size = sizeof(jail_plugin), .abi = JAIL_PLUGIN_ABI, .name = "opens", .calls = calls, .before = before,
};
C
verdicts asked ""
verdicts traced ".after = after"

python=/usr/bin/python3
asks='import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
r = libc.kill(os.getpid(), int(sys.argv[1]))
print(r if r >= 0 else "errno %d" % ctypes.get_errno())'
answers() { # answers TEXT NUMBER JAIL...: what the program sees
	local want=$1 number=$2 got
	shift 2
	got=$("$@" -- "$python" -c "$asks" "$number" 2>/dev/null) || got="exit $?"
	echo "$got"
	[[ $got == "$want" ]]
}

# --- what is no plugin ----------------------------------------------------------------------------
refuses() { # refuses NAME TEXT FILE
	ok "$1" says 125 "$2" "$jail" --plugin "$dir/$3" -- true
}
head='#include "jail/jail-plugin.h"
static struct jail_verdict before(void *s, const struct jail_call *c) { return (struct jail_verdict){JAIL_GO_ON, 0}; }
static const char *const good[] = {"read", NULL}, *const bad[] = {"opne", NULL};
__attribute__((unused)) static const void *const used[] = {before, good, bad};'
base='.size = sizeof(jail_plugin), .abi = JAIL_PLUGIN_ABI, .name = "x"'
plugin none <<<'int other;'
plugin abi <<<"$head const struct jail_plugin jail_plugin = {.size = sizeof(jail_plugin), .abi = 7};"
plugin size <<<"$head const struct jail_plugin jail_plugin = {.size = 16, .abi = 1};"
plugin nameless <<<"$head const struct jail_plugin jail_plugin = {.size = sizeof(jail_plugin), .abi = 1};"
plugin unknown <<<"$head const struct jail_plugin jail_plugin = {$base, .calls = bad, .before = before};"
plugin callless <<<"$head const struct jail_plugin jail_plugin = {$base, .before = before};"
plugin undefined <<<"$head int missing(void); int call(void) { return missing(); } const struct jail_plugin jail_plugin = {$base};"
plugin newer <<'C'
#define jail_plugin declared
#include "jail/jail-plugin.h"
#undef jail_plugin
const struct { struct declared known; void (*more)(void); } jail_plugin = {
	{.size = sizeof(jail_plugin), .abi = JAIL_PLUGIN_ABI, .name = "newer"}, (void (*)(void))&jail_plugin};
C
plugin newer-plain <<'C'
#define jail_plugin declared
#include "jail/jail-plugin.h"
#undef jail_plugin
const struct { struct declared known; void (*more)(void); } jail_plugin = {
	{.size = sizeof(jail_plugin), .abi = JAIL_PLUGIN_ABI, .name = "newer"}, 0};
C
ok "not absolute" says 2 "--plugin count.so: an absolute path expected" "$jail" --plugin count.so -- true 2>/dev/null
ok "with --learn" says 2 "--plugin and --learn: one of them" "$jail" --plugin "$dir/count.so" --learn l.yml -- true
refuses "missing" "plugin $dir/missing.so: it is not there: No such file or directory" missing.so
refuses "not a shared object" "it cannot be loaded: file too short" none.c
refuses "a folder" "it cannot be loaded" .
refuses "without the symbol" "none.so: it does not export 'jail_plugin': jail-plugin(3)" none.so
refuses "of another version" "it was made for version 7 of jail-plugin.h, not 1" abi.so
refuses "too small" "its size is 16, but sizeof(struct jail_plugin) is" size.so
refuses "with hooks of a newer jail" "it has hooks that this jail does not know" newer.so
ok "made for a newer jail, but without its hooks" exits 0 "$jail" --plugin "$dir/newer-plain.so" -- true
refuses "without a name" "it has no name" nameless.so
refuses "a call that is none" "unknown system call 'opne' (did you mean 'open'?)" unknown.so
refuses "hooks without calls" "names none in 'calls'" callless.so
refuses "a symbol that is missing" "it cannot be loaded: undefined symbol: missing" undefined.so
cp count.so writable.so && chmod g+w writable.so
refuses "that others may write" "others may write to $dir/writable.so: chmod go-w" writable.so
mkdir -m 777 open && cp count.so open/
refuses "that others may replace" "others may write to $dir/open: chmod go-w" open/count.so
if [[ $(id -u) == 0 ]]; then
	cp count.so foreign.so && chown 65534 foreign.so
	refuses "of another user" "foreign.so belongs to user 65534" foreign.so
fi
printf 'version: 1\ndefault: allow\nplugins: {"%s": {fail: "yes"}}\n' "$dir/count.so" >fail.yml
ok "that does not start" says 125 "count.so: it does not start: Permission denied" "$jail" -p fail.yml -- true
ok "then nothing was started" exits 125 "$jail" -p fail.yml -- touch started
ok "really nothing" test ! -e started
if [[ -x jail-static ]]; then
	ok "a static jail" says 125 "this jail is linked statically" ./jail-static --plugin "$dir/count.so" -- true
else
	skip "a static jail" "none was built"
fi
ok "--noop loads none" exits 0 "$jail" --noop --plugin "$dir/none.so" -- true

# --- before ---------------------------------------------------------------------------------------
if ! "$jail" --plugin "$dir/unix-only.so" -- true 2>why; then
	skip "hooks" "$(head -c 150 why)"
	done_testing
	exit
fi
inet='import socket, sys
socket.socket(socket.AF_UNIX)
try: socket.socket(socket.AF_INET)
except OSError as e: sys.exit(e.errno)'
ok "refuses a call by its argument" exits 97 "$jail" --plugin "$dir/unix-only.so" -- "$python" -c "$inet"
ok "says so at the end" says 97 "jail: refused by the plugin unix-only: socket (1)" "$jail" --plugin "$dir/unix-only.so" -- "$python" -c "$inet"
ok "not with --quiet" test -z "$("$jail" -q --plugin "$dir/unix-only.so" -- "$python" -c "$inet" 2>&1)"
ok "--quiet refuses all the same" exits 97 "$jail" -q --plugin "$dir/unix-only.so" -- "$python" -c "$inet"
ok "--watch: nothing is refused" exits 0 "$jail" --watch -p default --plugin "$dir/unix-only.so" -- "$python" -c "$inet"
ok "--watch: what would be" says 0 "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0) → would be errno EAFNOSUPPORT  plugin unix-only" \
	"$jail" --watch -p default --plugin "$dir/unix-only.so" -- "$python" -c "$inet"
"$jail" --log log.json --plugin "$dir/unix-only.so" -- "$python" -c "$inet" 2>/dev/null || true
ok "--log" test "$(jq -r 'select(.event == "refused") | .call, .action, .by' log.json | paste -sd' ')" = "socket errno EAFNOSUPPORT plugin unix-only"
printf 'version: 1\ndefault: allow\ndeny: [{socket: {domain: AF_INET, errno: EACCES}}]\nplugins: ["%s"]\n' "$dir/unix-only.so" >both.yml
ok "the policy comes first" exits 13 "$jail" -p both.yml -- "$python" -c "$inet"
ok "the same plugin twice is one" says 97 "socket (1)" "$jail" -p both.yml --plugin "$dir/unix-only.so" -- "$python" -c \
	'import socket, sys
try: socket.socket(socket.AF_INET6)
except OSError as e: sys.exit(e.errno)'
for kind in asked traced; do
	with=("$jail" --plugin "$dir/$kind.so")
	if ! "${with[@]}" -- true 2>why; then
		skip "$kind" "$(head -c 150 why)"
		continue
	fi
	ok "$kind: goes on" answers 0 0 "${with[@]}"
	ok "$kind: refused" answers "errno 11" 64 "${with[@]}"
	ok "$kind: a value instead" answers 77 65 "${with[@]}"
	ok "$kind: killed" answers "exit 159" 66 "${with[@]}"
	ok "$kind: killed, said so" says 159 "python3 was killed by the plugin verdicts" "${with[@]}" -- "$python" -c "$asks" 66
	ok "$kind: killed in a pid namespace" answers "exit 159" 66 "${with[@]}" -n user,pid
	ok "$kind: a verdict that is none" answers "errno 1" 67 "${with[@]}"
	ok "$kind: an errno that is none" answers "errno 1" 68 "${with[@]}"
	ok "$kind: --debug shows whose it is" says 0 "64) → errno EAGAIN  plugin verdicts" "${with[@]}" --debug -- "$python" -c "$asks" 64
	ok "$kind: --watch refuses nothing" answers "errno 22" 66 "${with[@]}" --watch -p default
	ok "$kind: the first that says no" answers "errno 11" 64 "${with[@]}" --plugin "$dir/unix-only.so"
done

echo given text >given
given() { # given TEXT NUMBER [OPTION...]: what a program reads that asks for an eventfd of this number
	local want=$1 number=$2 got
	shift 2
	got=$("$jail" --plugin "$dir/opens.so" "$@" -- "$python" -c 'import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
before = len(os.listdir("/proc/self/fd"))
fd = libc.eventfd(int(sys.argv[1]), 0)
if fd < 0: sys.exit("errno %d" % ctypes.get_errno())
more = len(os.listdir("/proc/self/fd")) - before
print(os.path.basename(os.readlink("/proc/self/fd/%d" % fd)), os.get_inheritable(fd), more)' "$number" 2>&1)
	echo "$got"
	[[ $got == "$want" ]]
}
ok "a descriptor instead: the plugin's file" given "given True 1" 7
ok "a descriptor instead: close-on-exec" given "given False 1" 8
ok "a descriptor that is none" given "errno 9" 9
ok "a descriptor: --watch gives none" given "anon_inode:[eventfd] True 1" 7 --watch -p default
ok "jail keeps none of them" says 0 "" "$jail" --plugin "$dir/opens.so" -- sh -c "for i in 1 2 3; do '$python' -c '
import ctypes
for i in range(500):
    fd = ctypes.CDLL(None).eventfd(7, 0)
    assert fd >= 0
    __import__(\"os\").close(fd)' || exit; done"

# --- after, and processes -------------------------------------------------------------------------
with=("$jail" --plugin "$dir/count.so")
if ! "${with[@]}" -- true 2>why; then
	skip "results and processes" "$(head -c 150 why)"
	done_testing
	exit
fi
printf 'version: 1\ndefault: allow\ndeny: [mkdir, mkdirat]\nkill: [symlink, symlinkat]\nlimits: {exec: 2}\nplugins: {"%s": {loud: "yes"}}\n' \
	"$dir/count.so" >loud.yml
ok "results" says 1 "count: openat /no/such = -2" "$jail" -p loud.yml -- cat /no/such
ok "of a file that is there" says 0 "count: openat loud.yml = 3" "$jail" -p loud.yml -- cat loud.yml
ok "the command" says 3 "the command began, of jail" "$jail" -p loud.yml -- sh -c 'exit 3'
ok "a process of its own" says 3 "a process began, of another" "$jail" -p loud.yml -- sh -c '(exit 2) & wait; exit 3'
ok "its end" says 3 "ended by 0x200" "$jail" -p loud.yml -- sh -c '(exit 2) & wait; exit 3'
ok "what is left behind ended too" says 0 "processes 2, left 0" "${with[@]}" -- sh -c 'sleep 61.5 & exit 0'
ok "also in a pid namespace" says 0 "processes 2, left 0" "${with[@]}" -n user,pid -- sh -c 'sleep 61.5 & exit 0'
ok "really ended" gone '^sleep 61.5'
ok "a command that is not there began nothing" says 127 "processes 0, left 0" "${with[@]}" -- no-such-command
"$jail" --log says.json -p loud.yml -- true 2>/dev/null
ok "what is said is logged" test "$(jq -r 'select(.event == "plugin") | .plugin' says.json | sort -u)" = count
ok "one that is traced: refusals are counted" says 1 "mkdir" "$jail" -p loud.yml -- mkdir d
ok "killed by the policy" exits 159 "$jail" -p loud.yml -- ln -s a b
ok "limits by count" exits 126 "$jail" -p loud.yml -- sh -c '/bin/true; /bin/true; /bin/true'
ok "--debug" says 0 '→ allow' "${with[@]}" --debug -- true
ok "dies by a signal" exits 139 "${with[@]}" -- sh -c 'kill -SEGV $$'
ok "stops and goes on" exits 5 timeout 20 "${with[@]}" -- "$python" -c '
import os, signal
pid = os.fork()
if pid == 0:
    os.kill(os.getpid(), signal.SIGSTOP)
    open("/dev/null")
    os._exit(5)
_, status = os.waitpid(pid, os.WUNTRACED)
assert os.WIFSTOPPED(status) and os.WSTOPSIG(status) == signal.SIGSTOP, status
os.kill(pid, signal.SIGCONT)
_, status = os.waitpid(pid, 0)
os._exit(os.WEXITSTATUS(status))'
ok "a signal interrupts a call that is followed" exits 0 timeout 20 "${with[@]}" -- "$python" -c '
import os, signal, threading
os.mkfifo("fifo")
signal.signal(signal.SIGALRM, lambda *_: threading.Thread(target=lambda: os.open("fifo", os.O_WRONLY), daemon=True).start())
signal.setitimer(signal.ITIMER_REAL, 0.1)
os.open("fifo", os.O_RDONLY)'
ok "a thread executes a program" exits 6 timeout 20 "${with[@]}" -- "$python" -c '
import os, threading
threading.Thread(target=lambda: [threading.Event().wait()], daemon=True).start()
threading.Thread(target=lambda: os.execl("/bin/sh", "sh", "-c", "read x </dev/null; exit 6")).start()
threading.Event().wait()'
ok "many threads" says 0 "left 0" timeout 30 "${with[@]}" -- "$python" -c '
import threading
def work():
    for i in range(100): open("/dev/null").close()
all = [threading.Thread(target=work) for i in range(16)]
[t.start() for t in all]
[t.join() for t in all]'
ok "threads are no processes" says 0 "processes 1, left 0" "${with[@]}" -- "$python" -c '
import threading
threading.Thread(target=print).start()'
# shellcheck disable=SC2016
ok "vfork, and many processes" says 0 "processes 201, left 0" timeout 30 "${with[@]}" -- "$python" -c '
import os
for i in range(20):
    all = [os.posix_spawn("/bin/true", ["true"], {}) for k in range(10)]
    [os.waitpid(pid, 0) for pid in all]'
ok "killed while they are followed" says 0 "left 0" timeout 30 "${with[@]}" -- "$python" -c '
import os, signal, time
for i in range(40):
    pid = os.fork()
    if pid == 0:
        while True:
            os.close(os.open("/dev/null", 0))
            if os.fork() == 0: os._exit(0)
    time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)'
ok "who makes calls for ever starves nobody" exits 143 timeout 30 "${with[@]}" -- sh -c '
	for i in 1 2 3 4; do while :; do : </dev/null; done & done; sleep 0.5; kill $$; sleep 9'
# clone(CLONE_UNTRACED | SIGCHLD): a process without a tracer can open nothing
untraced='import ctypes, os, platform
libc = ctypes.CDLL(None, use_errno=True)
pid = libc.syscall(220 if platform.machine() == "aarch64" else 56, 0x00800011, 0, 0, 0, 0)
if pid == 0:
    try: os.open("/dev/null", 0)
    except OSError as e: os._exit(e.errno)
    os._exit(0)
os._exit(os.WEXITSTATUS(os.waitpid(pid, 0)[1]))'
ok "who evades gets ENOSYS" exits 38 "${with[@]}" -- "$python" -c "$untraced"
ok "who evades does not evade an end" exits 0 timeout 30 "${with[@]}" -- "$python" -c "${untraced%%if pid*}"'
import time
if pid == 0: os.execl("/bin/sleep", "jail-untraced", "62.5")
time.sleep(0.2)'
ok "it is gone" gone jail-untraced
kills() { # kills CODE SIGNAL SCRIPT: jail gets the signal once the file ready is there
	local want=$1 sig=$2 script=$3 got=0 pid
	rm -f ready
	"${with[@]}" --grace 200ms -- sh -c "$script" 2>/dev/null &
	pid=$!
	soon test -e ready
	kill -s "$sig" "$pid"
	wait "$pid" || got=$?
	echo "exit $got"
	[[ $got == "$want" ]]
}
opens='trap "" TERM; sleep 67.5 & touch ready; while :; do : </dev/null; done'
ok "TERM, then a grace time, then KILL" kills 137 TERM "$opens"
ok "kill -9 of jail: all that was traced ends" kills 137 KILL "$opens"
ok "nothing is left" soon gone '^sleep 67.5'
# shellcheck disable=SC2016
ok "one that has stopped itself" kills 137 TERM 'touch ready; kill -STOP $$; exit 3'
ok "a jail with plugins in another: says what may forbid it" says 125 "trace the command, for its plugins" \
	env ASAN_OPTIONS=detect_leaks=0 "${with[@]}" -- "${with[@]}" -- true

# --- the manual page's example --------------------------------------------------------------------
sed -n '/^#include <errno.h>/,/^\.Ed/ { /^\.Ed/! p }' "$include/docs/jail-plugin.3" >manual.c
ok "the manual page's example compiles" cc -shared -fPIC -Wall -Wextra -Werror -I"$include/jail" -o manual.so manual.c
ok "it refuses and counts" says 97 "jail: unix-only: 1 processes" "$jail" --plugin "$dir/manual.so" -- "$python" -c "$inet"

plugin crash <<'C'
#include <signal.h>
#include "jail/jail-plugin.h"
static void after(void *state, const struct jail_call *call) { raise(SIGKILL); }
static const char *const calls[] = {"mkdir", "mkdirat", NULL};
const struct jail_plugin jail_plugin = {
	.size = sizeof(jail_plugin), .abi = JAIL_PLUGIN_ABI, .name = "crash", .calls = calls, .after = after,
};
C
ok "a plugin that crashes takes jail with it" exits 137 "$jail" --plugin "$dir/crash.so" -- \
	sh -c 'sleep 68.5 & mkdir d; exec sleep 68.5'
ok "and all that it ran" soon gone '^sleep 68.5'

# --- as an ordinary user --------------------------------------------------------------------------
ordinary=(setpriv --reuid 65534 --regid 65534 --clear-groups --)
if [[ $(id -u) == 0 ]] && "${ordinary[@]}" true 2>/dev/null; then
	ok "ordinary: refused" exits 97 "${ordinary[@]}" "$jail" --plugin "$dir/unix-only.so" -- "$python" -c "$inet"
	ok "ordinary: processes" says 0 "processes 2, left 0" "${ordinary[@]}" "${with[@]}" -- sh -c '(:) & wait'
	if "${ordinary[@]}" "$jail" -n user,pid -- true 2>/dev/null; then
		ok "ordinary: in namespaces" says 0 "processes 2, left 0" "${ordinary[@]}" "${with[@]}" -n all -- sh -c '(:) & wait'
		ok "ordinary: killed in namespaces" answers "exit 159" 66 "${ordinary[@]}" "$jail" --plugin "$dir/traced.so" -n all
	fi
fi

done_testing
