# tap.sh - sourced by the shell tests: TAP from functions that succeed or fail.
# shellcheck shell=bash

tap_n=0

# ok NAME COMMAND...: one test, passed when the command succeeds; what a failing one said is shown.
ok() {
	local name=$1 said
	shift
	if said=$("$@" 2>&1); then
		echo "ok $((++tap_n)) - $name"
	else
		echo "not ok $((++tap_n)) - $name"
		printf '# %s\n' "${said//$'\n'/$'\n# '}"
		tap_failed=1
	fi
}

# skip NAME REASON: a test that cannot be made here.
skip() {
	echo "ok $((++tap_n)) - $1 # SKIP $2"
}

# says CODE TEXT COMMAND...: the command exits with CODE, and its one line on stderr holds TEXT.
says() {
	local code=$1 text=$2 status=0 said
	shift 2
	said=$("$@" 2>&1 >/dev/null) || status=$?
	echo "exit $status: $said"
	[[ $status == "$code" && $said == *"$text"* ]]
}

# lab_setup: for tests of lab, from the top folder: $lab, the project's files, and a folder $dir that
# goes when the test ends. BUILD is the tree that was built.
lab_setup() {
	# shellcheck disable=SC2034 # used by who sources this
	lab=$(realpath "$BUILD/bin/lab")
	export LAB_HOME=$PWD
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
}

# debian_kernels: the pins that are Debian's, joined by commas. "all" may be more: what is built here.
debian_kernels() { "$lab" kernel list --json | jq -r '[.[] | select(.suite).name] | unique | join(",")'; }

# jail_setup: for tests of jail, from the top folder: $jail, a copy that an ordinary user reaches too, in
# $dir, which becomes the present folder and goes when the test ends. $home is the top folder.
jail_setup() {
	# shellcheck disable=SC2034 # used by who sources this
	home=$PWD
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	chmod 755 "$dir"
	cp "$BUILD/bin/jail" "$dir/jail"
	# shellcheck disable=SC2034 # used by who sources this
	jail=$dir/jail
	cd "$dir" || exit
	export LC_ALL=C.UTF-8
}

# is TEXT COMMAND...: the command succeeds and prints this and nothing else.
is() {
	local want=$1 got
	shift
	got=$("$@") || return 1
	echo "printed: $got"
	[[ $got == "$want" ]]
}

# exits CODE COMMAND...
exits() {
	local want=$1 got=0
	shift
	"$@" || got=$?
	echo "exit $got"
	[[ $got == "$want" ]]
}

fails() { ! "$@"; }

# gone PATTERN: no process of this command line is left.
gone() { ! pgrep -f "$1" >/dev/null; }

# ended PID: the process has; so has a zombie that its new parent is slow to reap.
ended() { ! grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status"; }

# soon COMMAND...: it succeeds before long, also on a busy machine. Less than the minute for which what
# is to be ended sleeps.
soon() {
	for _ in {1..1000}; do
		! "$@" || return 0
		sleep 0.05
	done
	return 1
}

# done_testing: the plan, last; the exit status agrees with it.
done_testing() {
	echo "1..$tap_n"
	[[ -z ${tap_failed:-} ]]
}
