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

# done_testing: the plan, last; the exit status agrees with it.
done_testing() {
	echo "1..$tap_n"
	[[ -z ${tap_failed:-} ]]
}
