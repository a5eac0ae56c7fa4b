#!/usr/bin/env bash
# What a program was seen to do becomes the policy under which it runs; a policy that is too old is
# mended with the lines that jail says. As root and as an ordinary user. BUILD: the tree that was
# built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 777 "$dir"
cp "$BUILD/bin/jail" "$dir/jail"
jail=$dir/jail
cd "$dir"
# the program itself and not a shell script that looks for it
python=$(python3 -c 'import sys; print(sys.executable)')

# clean TIMES COMMAND...: runs under p.yml as it does without, and nothing was refused.
clean() {
	local times=$1 want got
	shift
	want=$("$@")
	for ((i = 0; i < times; i++)); do
		got=$("$jail" --policy ./p.yml -- "$@" 2>err) || { echo "exit $?"; cat err; return 1; }
		[[ $got == "$want" ]] || { echo "printed: $got"; cat err; return 1; }
		[[ ! -s err ]] || { cat err; return 1; }
	done
}

# learns NAME COMMAND...: one run is enough for the next ones.
learns() {
	local name=$1
	shift
	rm -f p.yml
	ok "learn $name" "$jail" --learn ./p.yml -- "$@"
	ok "$name runs under what was learned" clean 3 "$@"
	ok "what was learned of $name has no mistakes" "$jail" policy check -q p.yml
}

if ! "$jail" --learn ./probe.yml -- true 2>err; then
	skip "learning" "$(head -n 1 err)"
	done_testing
	exit
fi

# --- one run ----------------------------------------------------------------------------------------
learns true true
learns 'a pipeline' sh -c 'seq 1 200 | sort -r | head -n 3 | tr 0-9 a-j'
learns python3 "$python" -c 'print(1)'
cat >threads.py <<'EOF'
import subprocess, threading, os, tempfile
def work(i):
    out.append(subprocess.run(["sh", "-c", f"echo {i}"], capture_output=True, text=True).stdout)
    bytearray(1 << (16 + i % 6))
out = []
threads = [threading.Thread(target=work, args=(i,)) for i in range(12)]
for t in threads: t.start()
for t in threads: t.join()
with tempfile.TemporaryDirectory() as d:
    with open(os.path.join(d, "x"), "w") as f: f.write("x")
    print(os.listdir(d), len(out))
EOF
learns 'threads and children' "$python" threads.py
if command -v perl >/dev/null; then
	learns perl perl -e 'my %h = (a => 1); print join(",", %h), `echo hi`'
else
	skip 'learn perl' 'no perl'
fi
if command -v node >/dev/null; then
	# shellcheck disable=SC2016 # node's own template
	learns node node -e 'setTimeout(() => console.log(require("fs").readdirSync("/usr").length > 0), 5)'
else
	skip 'learn node' 'no node'
fi

if ((EUID == 0)); then
	ok "learn as an ordinary user" setpriv --reuid=65534 --regid=65534 --clear-groups \
		"$jail" --learn ./user.yml -- sh -c 'echo x | cat'
	ok "and run" setpriv --reuid=65534 --regid=65534 --clear-groups \
		"$jail" --policy ./user.yml -- sh -c 'echo x | cat'
fi

# --- several runs -----------------------------------------------------------------------------------
rm -f p.yml
"$jail" --learn ./p.yml -- "$python" -c 'print(1)' >out 2>err
ok "what was not learned is refused" fails "$jail" -q --policy ./p.yml -- "$python" -c '
import socket; socket.socket(socket.AF_INET)'
"$jail" --learn ./p.yml -- "$python" -c 'import socket; socket.socket(socket.AF_INET); print(2)' >out 2>err
ok "a second run merges" clean 2 "$python" -c '
import socket; socket.socket(socket.AF_INET); print(2)'
ok "and the first one still runs" clean 2 "$python" -c 'print(1)'
ok "other arguments are refused all the same" fails "$jail" -q --policy ./p.yml -- "$python" -c '
import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)'
"$jail" --learn ./a.yml -- true 2>err
"$jail" --learn ./b.yml -- sh -c 'echo x | cat' >out 2>err
ok "policies of two runs make one" "$jail" policy learn -o p.yml a.yml b.yml
ok "one of them from stdin" sh -c "'$jail' policy learn a.yml - <b.yml | cmp - p.yml"
ok "a file that has a profile's name" sh -c "cp a.yml strict && '$jail' policy learn strict b.yml | cmp - p.yml"
ok "a record without calls is said" sh -c ": >none && '$jail' policy learn none 2>&1 | grep -qF 'none: no system call in it'"
ok "under which both run" clean 1 true
ok "the second too" clean 1 sh -c 'echo x | cat'
# --- beyond another policy --------------------------------------------------------------------------
mkdir -p sub
"$jail" --learn ./a.yml -- true 2>err
"$jail" --learn ./sub/p.yml --extends ./a.yml -- sh -c 'echo x | cat' >out 2>err
ok "--extends: only the difference" fails grep -q '^  - openat' sub/p.yml
ok "the base is found from the file's folder" "$jail" --policy sub/p.yml -- sh -c 'echo x | cat'
"$jail" --learn ./sub/p.yml -- perl -e '`true`' 2>err
ok "which a merge keeps" grep -qF "extends: [$dir/a.yml]" sub/p.yml
ok "with only the difference again" fails grep -q '^  - openat' sub/p.yml
cp a.yml sub/base.yml
rm sub/p.yml
"$jail" --learn sub/p.yml --extends sub/base.yml -- sh -c 'echo x | cat' >out 2>err
ok "a base beside it is named so" grep -qxF 'extends: [./base.yml]' sub/p.yml
"$jail" --learn sub/p.yml --extends default -- sh -c 'echo x | cat' >out 2>err
ok "a further one comes before it" grep -qxF 'extends: [default, ./base.yml]' sub/p.yml
"$jail" --learn sub/q.yml --extends default -- "$python" threads.py >out 2>err
ok "a profile that allows all: no rule is left" fails grep -q '^  - ' sub/q.yml
ok "a policy without rules of its own runs" "$jail" --policy sub/q.yml -- "$python" threads.py
printf 'read\nptrace 3\n' >list
"$jail" policy learn -o sub/r.yml --extends sub/base.yml list
ok "policy learn names it the same way" grep -qxF 'extends: [./base.yml]' sub/r.yml

# --- what others wrote down -------------------------------------------------------------------------
if command -v strace >/dev/null && strace -f -o log true 2>err; then
	strace -f -o log sh -c 'seq 1 20 | sort -r' >out
	ok "a log of strace is enough" "$jail" policy learn -o p.yml log
	ok "to run under it" clean 2 sh -c 'seq 1 20 | sort -r'
	strace -f -c -o table sh -c 'seq 1 20 | sort -r' >out
	ok "its table is enough too" "$jail" policy learn -o p.yml table
	ok "to run under that" clean 2 sh -c 'seq 1 20 | sort -r'
else
	skip "strace's logs" "strace is not there, or may not trace"
fi
printf "read\nopne\n" >list
ok "a misspelt name in a list" says 2 "list:2:1: unknown system call 'opne' (did you mean 'open'?)" \
	"$jail" policy learn list
ok "a file that is no policy is left alone" fails "$jail" --learn ./list -- true
ok "as it was" grep -qx opne list

# --- the stale policy -------------------------------------------------------------------------------
# paste: does what the last lines of `err` say, to the letter.
paste() {
	local line at file
	line=$(grep -n '^if that was not meant' err | cut -d: -f1)
	at=$(sed -n "${line}p" err)
	sed "1,${line}d" err >lines
	case $at in
	*', before line '*', in its list `allow`:')
		file=${at#*add to } file=${file%%, before line *}
		at=${at##*, before line } at=${at%%,*}
		sed -i "$((at - 1))r lines" "$file" ;;
	*', in line '*', behind the [ in column '*)
		file=${at#*add to } file=${file%%, in line *}
		line=${at##*, in line } line=${line%%,*}
		at=${at##* column } at=${at%:}
		sed -i "${line}s/^.\{$at\}/&$(sed 's/[&/\\]/\\&/g' lines)/" "$file" ;;
	*', write these lines to '*)
		file=${at#*write these lines to } file=${file%% and use it instead*}
		cp lines "$file" ;;
	*)
		file=${at#*add to } file=${file%:}
		cat lines >>"$file" ;;
	esac
	policy=$file
}

# mended NAME: the stale policy fails and names what is missing; a few rounds of pasting make it run.
mended() {
	local name=$1 round code=0
	policy=$2
	"$jail" --policy "./$policy" -- "$python" -c 'print("abc")' >out 2>err || code=$?
	ok "$name: the command fails" test "$code" -ne 0
	ok "$name: the missing calls are named" grep -Eq '^ +[0-9]+  (getdents64|pread64|lseek|fcntl)' err
	ok "$name: where they are refused too" grep -q 'stale.*default' err
	for round in 1 2 3 4 5 6; do
		paste
		code=0
		"$jail" --policy "./$policy" -- "$python" -c 'print("abc")' >out 2>err || code=$?
		grep -q '^if that was not meant' err || break
	done
	cat err
	ok "$name: with the lines that were said it runs ($round)" test "$code: $(cat out)" = "0: abc"
}

rm -f p.yml
"$jail" --learn ./p.yml -- "$python" -c 'print("abc")' >out 2>err
grep -vE '^ *(- )?(getdents64|getdents|lseek|fcntl|pread64|ioctl)\b' p.yml >stale.yml
{
	echo 'version: 1'
	echo 'default: {errno: ENOSYS}'
	printf 'allow: ['
	sed -n '/^allow:/,/^[a-z]/p' stale.yml | sed -nE 's/^ *- ([^#]*[^# ]).*/\1/p' |
		sed -E 's/.*: .*/{&}/; s/$/, /' | tr -d '\n'
	echo ']'
} >stale-flow.yml
mended "a stale policy" stale.yml
mended "a stale policy in brackets" stale-flow.yml
cat >stale-oci.json <<'EOF'
{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"action": "SCMP_ACT_ALLOW", "names": ["read",
"write", "close", "mmap", "munmap", "mprotect", "brk", "openat", "newfstatat", "fstat", "exit_group",
"arch_prctl", "set_tid_address", "execve", "access", "faccessat", "rt_sigaction"]}]}
EOF
"$jail" --policy ./stale-oci.json -- "$python" -c 'print("abc")' >out 2>err || true
ok "another format: a file that extends it" grep -q '^extends: ./stale-oci.json$' err

done_testing
