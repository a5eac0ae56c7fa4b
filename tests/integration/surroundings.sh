#!/usr/bin/env bash
# jail where things are missing, full, closed or hidden: its logs, its files, its descriptors, its
# /proc. It says so, never hangs and never takes one file for another. BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

jail_setup
python=/usr/bin/python3
ordinary=(setpriv --reuid 65534 --regid 65534 --clear-groups --)

printf 'version: 1\ndefault: allow\ndeny: [mkdir, mkdirat]\n' >eperm.yml
if ! "$jail" --watch -p eperm.yml -- true 2>why; then
	skip "surroundings" "$(head -c 150 why)"
	done_testing
	exit
fi

# --- logs -------------------------------------------------------------------------------------------
ok "--log on a full disk: the command runs, and jail says so" says 3 "--log /dev/full: No space left on device" \
	"$jail" --log /dev/full -- sh -c 'exit 3'
mkfifo pipe
ok "--log to a fifo that nobody reads: refused, not waited for" says 125 "--log pipe: nobody reads this fifo" timeout 10 "$jail" --log pipe -- true
ok "--status-fd whose reader has gone before the start" exits 3 "$python" -c '
import os, signal, subprocess, sys
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
r, w = os.pipe()
os.close(r)
sys.exit(subprocess.run([sys.argv[1], "--status-fd", str(w), "--", "sh", "-c", "exit 3"], pass_fds=[w],
                        restore_signals=False).returncode)' "$jail"
# it reads a while; then there is room for a part of the last line, and nobody who makes more
cat >reader.py <<'Y'
import fcntl, os, subprocess, sys, time
calls = """mkdir("d") rmdir("d") symlink("a","b") chmod("n",0) chown("n",0,0) mkfifo("f") link("n","m") truncate("n",0)
rename("n","m") unlink("n") sync() umask(0) getsid(0) getpgid(0) getpriority(0,0) setpriority(0,0,0) times()""".split()
names = "mkdir rmdir symlink chmod chown fchmodat fchownat mkdirat unlinkat symlinkat mknod mknodat link linkat truncate rename renameat unlink sync umask getsid getpgid getpriority setpriority times"
os.mkdir("b" * 200)
name = "b" * 200 + "/" + "a" * 240 + ".yml"
with open(name, "w") as policy:
    policy.write("version: 1\ndefault: allow\ndeny: [" + ", ".join(names.split()) + "]\n")
r, w = os.pipe()
fcntl.fcntl(w, fcntl.F_SETPIPE_SZ, 8192)
program = "import os, time\n" + "".join(f"try: os.{call}\nexcept OSError: pass\n" for call in calls) + "time.sleep(1)\nos._exit(3)"
jail = subprocess.Popen([sys.argv[1], "--status-fd", str(w), "-p", name, "--", sys.executable, "-c", program],
                        pass_fds=[w], stderr=subprocess.DEVNULL)
os.close(w)
seen = b""
while seen.count(b'"refused"') < 12:
    seen += os.read(r, 1)
time.sleep(0.5)  # the last of them too
os.set_blocking(r, False)
try:
    while os.read(r, 65536):
        pass
except BlockingIOError:
    pass
sys.exit(jail.wait())
Y
ok "--status-fd whose reader stops reading: jail ends" exits 3 timeout 20 "$python" reader.py "$jail"

# --- descriptors --------------------------------------------------------------------------------------
ok "no stderr: what is said does not go into the log" sh -c "'$jail' --log own.json -p eperm.yml -- mkdir d 2>&-; jq -e . own.json >/dev/null"
ok "none of the three: closed for the command too" exits 0 sh -c "exec \"\$@\" <&- >&- 2>&-" sh "$jail" -p eperm.yml -- "$python" -c '
import errno, os
for fd in range(3):
    try: os.fstat(fd)
    except OSError as e:
        if e.errno == errno.EBADF: continue
    os._exit(1)
os._exit(0)'
ok "few descriptors: refused as ever, or it says what is missing" sh -c '
	for n in 4 5 6 7 8 9 10; do
		(ulimit -n $n; exec timeout 10 "$1" -p eperm.yml -- mkdir d) >few 2>&1
		grep -q -e "Operation not permitted" -e "Too many open files" few || { echo "$n:"; cat few; exit 1; }
	done' sh "$jail"

# --- learning -------------------------------------------------------------------------------------------
ok "--learn in a folder that is not there: said before the command runs" fails grep -q ran <("$jail" --learn nowhere/x.yml -- echo ran 2>&1)
ok "--learn in a folder that is not there: which" says 2 "--learn nowhere/x.yml: No such file" "$jail" --learn nowhere/x.yml -- true
if [[ $(id -u) == 0 ]]; then
	ok "--learn in a folder of somebody else's" says 2 "--learn x.yml: Permission denied" "${ordinary[@]}" "$jail" --learn x.yml -- true
fi
ok "--learn: runs at once lose nothing" sh -c '
	for i in 1 2 3 4 5 6 7 8; do "$1" --learn all.yml -- mkdir l$i 2>/dev/null & done
	wait
	grep -q "mkdir: 8$" all.yml && ! ls all.yml.* 2>/dev/null' sh "$jail"

# --- --noop ----------------------------------------------------------------------------------------------
cp "$(readlink -f /bin/true)" foreign && printf '\xff\x7f' | dd of=foreign bs=1 seek=18 conv=notrunc status=none
ok "--noop: of another architecture, as without it" says 126 "another architecture" "$jail" --noop -- ./foreign
printf '#!/no/such/interpreter\n' >script && chmod +x script
ok "--noop: without its interpreter, as without it" says 126 "interpreter" "$jail" --noop -- ./script

# --- /proc -----------------------------------------------------------------------------------------------
cat >hidden.py <<'Y'
import ctypes, os, time
r, w = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # not dumpable: only root sees it below such a /proc
        os.write(w, b"x")
        time.sleep(62.25)
    os._exit(0)
os.read(r, 1)
time.sleep(0.2)
os._exit(5)
Y
if [[ $(id -u) == 0 ]] && unshare -m mount -t proc -o hidepid=2 proc /proc 2>/dev/null; then
	# shellcheck disable=SC2016
	ok "hidden processes that fork away twice are ended" exits 5 unshare -m sh -c '
		mount -t proc -o hidepid=2 proc /proc && exec timeout 20 "$@"' sh "${ordinary[@]}" "$jail" -p eperm.yml -- "$python" hidden.py
	ok "nothing is left of them" fails pgrep -f 'python3 hidden[.]py'
else
	skip "hidden processes" "no /proc with hidepid can be mounted here"
fi

done_testing
