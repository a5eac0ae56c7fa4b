#!/usr/bin/env bash
# jail policy check, explain, test, compile, list, show: no privileges, no kernel but for one filter
# that is loaded for real. Golden outputs are in tests/data/policy/; UPDATE_GOLDEN=1 rewrites them.
# BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

home=$PWD
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
jail=$(realpath "$BUILD/bin/jail")
export LC_ALL=C.UTF-8

prints() { # prints TEXT COMMAND...: stdout holds it
	local want=$1 got
	shift
	got=$("$@") || true
	printf 'printed: %s\n' "$got"
	[[ $got == *"$want"* ]]
}
golden() { # golden FILE COMMAND...: what it prints on both streams is what the file holds
	local file=$1 got
	shift
	got=$("$@" 2>&1) || true
	if [[ -n ${UPDATE_GOLDEN:-} ]]; then
		printf '%s\n' "$got" >"$file"
	fi
	diff -u "$file" <(printf '%s\n' "$got")
}
is_json() { # is_json EXPRESSION COMMAND...: of the object d
	local expression=$1
	shift
	"$@" >"$dir/json" || true
	python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(d); sys.exit(not eval(sys.argv[2]))' \
		"$dir/json" "$expression"
}

# --- the command --------------------------------------------------------------------------------
ok "no verb" says 2 "no verb given" "$jail" policy
ok "a verb misspelt" says 2 "did you mean 'check'" "$jail" policy chekc
ok "--help names every verb" prints "compile " "$jail" policy --help
for verb in check explain test compile list show; do
	ok "$verb --help" prints "Usage: jail policy $verb" "$jail" policy "$verb" --help
done
ok "no file" says 2 "FILE… expected" "$jail" policy check
ok "one operand too many" says 2 "'x' is one too many" "$jail" policy compile default x
ok "an architecture that is none" says 2 "amd64 or arm64 expected" "$jail" policy check --arch mips default
ok "a kernel that is none" says 2 "--kernel: 'new' is not a kernel" "$jail" policy check --kernel new default
ok "stdout that is full" says 125 "No space left" sh -c "'$jail' policy list >/dev/full"

# --- check --------------------------------------------------------------------------------------
cd tests/data/policy/check
for file in *.yml *.json; do
	ok "check ${file%.*}" golden "${file%.*}.txt" "$jail" policy check "$file"
done
ok "warnings are no failure" exits 0 "$jail" policy check danger-each.yml
ok "--strict: they are" exits 1 "$jail" policy check --strict danger-each.yml
ok "--strict: notes are none" exits 0 "$jail" policy check --strict no-effect.yml
ok "--quiet: no notes" prints "1 policy: 0 errors, 0 warnings" "$jail" policy check -q no-effect.yml
ok "one architecture" prints "1 policy: 0 errors, 0 warnings, 0 notes" "$jail" policy check --arch amd64 no-effect.yml
ok "one kernel" prints "only since kernel 6.5: cachestat" "$jail" policy check --kernel 6.1 no-effect.yml
ok "--json" is_json 'd["warnings"] == 1 and d["findings"][0]["line"] == 5 and d["findings"][0]["call"] == "mount"' \
	"$jail" policy check --json danger-caps.yml
{
	printf 'version: 1\ndefault: EPERM\nallow:\n'
	seq -f '  - {ioctl: {cmd: %g}}' 5000
} >"$dir/large.yml"
ok "a filter that no kernel takes" prints "large.yml: the filter would have more than 4096" "$jail" policy check "$dir/large.yml"
ok "… which call it is" prints "ioctl has 5000 rules" "$jail" policy check "$dir/large.yml"
cd "$home"
printf 'version: 1\ndefault: EPERM\nallow: [raed]\n' >"$dir/one.yml"
printf 'version: 1\ndefalt: EPERM\n' >"$dir/two.yml"
printf '{"defaultActoin": "SCMP_ACT_ALLOW", "syscalls": []}\n' >"$dir/actoin.json"
ok "a misspelt container profile" prints "'defaultAction' is missing" "$jail" policy check "$dir/actoin.json"
# shellcheck disable=SC2028 # YAML's escape
echo 'extends: "./\e[31mred.yml"' >"$dir/escape.yml"
sed -i '1iversion: 1' "$dir/escape.yml"
ok "a policy's escapes do not reach a terminal" says 2 "/?[31mred.yml: no such file" "$jail" -p "$dir/escape.yml" true
ok "mistakes of every file" prints "one.yml:3:9: unknown system call 'raed' (did you mean 'read'?)" \
	"$jail" policy check "$dir/one.yml" "$dir/none.yml" "$dir/two.yml"
ok "… the last one's too" prints "two.yml:2:1: " "$jail" policy check "$dir/one.yml" "$dir/none.yml" "$dir/two.yml"
ok "--json: mistakes have a place" is_json 'd["findings"][0]["line"] == 3 and d["findings"][0]["column"] == 9 and d["findings"][0]["file"].endswith("one.yml")' \
	"$jail" policy check --json "$dir/one.yml"
ok "… and the count" prints "3 policies: 3 errors" "$jail" policy check "$dir/one.yml" "$dir/none.yml" "$dir/two.yml"
ok "… and the exit status" exits 2 "$jail" policy check "$dir/one.yml" default
ok "--age: older than a kernel" prints "6.18 has " "$jail" policy check --age 6.18 default
ok "--age: not older" exits 1 sh -c "'$jail' policy check --age 5.10 default | grep '\[age\]'"

# no rule of a built-in profile is dead; `default` keeps upstream's list of what it refuses anyway
for profile in default strict permissive compute; do
	ok "the profile $profile has no dead rule" sh -c \
		"! '$jail' policy check --quiet $profile | grep '\[dead\]'"
done

# --- explain ------------------------------------------------------------------------------------
cd tests/data/policy/test
explain() { # explain NAME ARGUMENT...
	local name=$1
	shift
	ok "explain $*" golden "explain-$name.txt" "$jail" policy explain --arch amd64 --kernel 6.1 "$@"
}
explain vsock worker.yml socket AF_VSOCK SOCK_STREAM 0
explain depends worker.yml socket
explain base worker.yml read
explain default worker.yml mount
explain unknown worker.yml file_getattr
explain caps worker.yml ptrace PTRACE_ATTACH
explain with-caps --caps SYS_PTRACE worker.yml ptrace PTRACE_ATTACH
explain kernel --arch arm64 worker.yml bpf
explain equivalent --arch arm64 worker.yml open
explain equivalent-fork --arch arm64 worker.yml fork
explain nothing --arch arm64 worker.yml iopl
explain flags worker.yml clone 'CLONE_NEWUSER|SIGCHLD'
explain some-given default socket AF_UNIX
explain number worker.yml 41 AF_VSOCK
explain negative worker.yml kill -- -1 SIGKILL
explain own-name --arch arm64 default openat
ok "a number without a call" says 2 "no system call 600 of" "$jail" policy explain worker.yml 600
ok "a group" says 2 "'jail policy show' lists" "$jail" policy explain worker.yml @io_uring
ok "a negative number" says 2 "behind '--'" "$jail" policy explain worker.yml kill -1
ok "explain --json" is_json 'd["action"] == "errno EAFNOSUPPORT" and d["by"].startswith("worker.yml:19:6")' \
	"$jail" policy explain --json worker.yml socket AF_VSOCK
ok "… when all that may match say the same" is_json 'd["action"] == "allow" and len(d["rules"]) == 2' \
	"$jail" policy explain --json default socket AF_UNIX
ok "a call misspelt" says 2 "did you mean 'socket'" "$jail" policy explain worker.yml sokcet
ok "a constant misspelt" says 2 "argument 1: unknown constant 'AF_UNX' (did you mean 'AF_UNIX'?)" \
	"$jail" policy explain worker.yml socket AF_UNX

# --- test ---------------------------------------------------------------------------------------
ok "a table of every kind of row" exits 0 "$jail" policy test worker.yml worker.txt
ok "rows that fail" golden failing.tap "$jail" policy test worker.yml failing.txt
ok "… and the exit status" exits 1 "$jail" policy test worker.yml failing.txt
ok "two tables, numbered through" prints "1..57" "$jail" policy test worker.yml worker.txt failing.txt
for profile in default strict permissive compute; do
	ok "what $profile is documented to do" exits 0 "$jail" policy test "$profile" "$profile.txt"
done
for file in bad/*.txt; do
	ok "a bad table: ${file#bad/}" golden "${file%.txt}.message" "$jail" policy test worker.yml "$file"
done
ok "a table that is not there" says 2 "no-such.txt: No such file" "$jail" policy test worker.yml no-such.txt
head -c 600 /dev/zero | tr '\0' x >"$dir/long.txt"
ok "a line that is too long" says 2 "more than 500 bytes" "$jail" policy test worker.yml "$dir/long.txt"
printf 'any re\0ad -> allow\n' >"$dir/zero.txt"
ok "a zero byte" says 2 "zero byte" "$jail" policy test worker.yml "$dir/zero.txt"
# the manual's own example
sed -n '/^# ARCH  CALL/,/^\.Ed/p' "$home/docs/jail-policy.1" | grep -v '^\.Ed' >"$dir/manual.txt"
ok "the manual's table" exits 0 "$jail" policy test worker.yml "$dir/manual.txt"
sed -n '/^socket(AF_VSOCK/,/^\.Ed/p' "$home/docs/jail-policy.1" | grep -v '^\.Ed' >"$dir/manual-explain.txt"
ok "the manual's explanation" diff -u explain-vsock.txt "$dir/manual-explain.txt"
cd "$home"

# --- compile ------------------------------------------------------------------------------------
ok "text, for both architectures" prints ", arm64, Linux 6.1: " "$jail" policy compile --kernel 6.1 default
ok "… with the cost" prints " instructions; a call runs " "$jail" policy compile default
ok "… for one" exits 1 sh -c "'$jail' policy compile --arch amd64 default | grep 'arm64, Linux'"
ok "C" prints "{0x20, 0, 0, 0x00000004}," "$jail" policy compile --format c default
ok "bytes into a file" exits 0 "$jail" policy compile --format bpf -o "$dir/default.bpf" default
instructions=$("$jail" policy compile --format c default | grep -c '^{')
ok "… as many as there are instructions" exits 0 test "$(stat -c %s "$dir/default.bpf")" = $((8 * instructions))
ok "a format that is none" says 2 "pseudo, bpf or c expected" "$jail" policy compile --format elf default
if command -v script >/dev/null; then
	ok "no bytes to a terminal" prints "not to a terminal" \
		script -qec "'$jail' policy compile --format bpf default" /dev/null
else
	skip "no bytes to a terminal" "no script(1)"
fi
# shellcheck disable=SC2016 # the inner shell's
ok "what is no file is written to, not replaced" is "5 fifo link" sh -c '
	mkfifo "$2/fifo" && : >"$2/to" && ln -s to "$2/link"
	timeout 10 cat "$2/fifo" >"$2/read" & reader=$!
	timeout 10 "$1" policy convert -o "$2/fifo" strict && timeout 10 "$1" policy convert -o "$2/link" strict || exit
	wait $reader; cmp "$2/read" "$2/to" && head -c 5 "$2/to" | wc -c | tr "\n" " "
	[ -p "$2/fifo" ] && [ -L "$2/link" ] && echo fifo link' sh "$jail" "$dir"
ok "a file that cannot be written" says 125 "/no/such" "$jail" policy compile -o /no/such/file default
if command -v bwrap >/dev/null && bwrap --ro-bind / / true 2>/dev/null; then
	ok "bwrap runs a program under it" bwrap --ro-bind / / --seccomp 9 true 9<"$dir/default.bpf"
	printf 'version: 1\nextends: default\ndeny: [{uname: EXDEV}]\n' >"$dir/deny.yml"
	"$jail" policy compile --format bpf -o "$dir/deny.bpf" "$dir/deny.yml"
	under() { ! LC_ALL=C bwrap --ro-bind / / --seccomp 9 uname 9<"$dir/deny.bpf" 2>"$dir/said" && grep -q 'cross-device' "$dir/said"; }
	ok "… and what it refuses is refused" under
else
	skip "bwrap under a compiled filter" "bwrap is not there, or may make no namespaces"
fi

# --- list, show ---------------------------------------------------------------------------------
for profile in default strict permissive compute; do
	ok "list has $profile" prints "$profile " "$jail" policy list
	"$jail" policy show "$profile" >"$dir/$profile.yml"
	ok "what show prints of $profile is a policy" prints ": 0 errors" "$jail" policy check -q "$dir/$profile.yml"
done
ok "list has the source" prints "golang-github-containers-common" "$jail" policy list
ok "list --json" is_json '{"default", "strict"} <= {p["name"] for p in d}' "$jail" policy list --json
ok "list --groups --json" is_json '"io_uring_setup" in [g for g in d if g["name"] == "@io_uring"][0]["calls"]' \
	"$jail" policy list --groups --json
ok "show a group" prints "io_uring_enter" "$jail" policy show @io_uring
ok "a profile misspelt" says 2 "did you mean 'strict'" "$jail" policy show stirct

done_testing
