#!/usr/bin/env bash
# policy-formats.sh - other programs' policies: run, converted, merged, compared. Passes as root and
# as an ordinary user.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh

jail=$(realpath "$BUILD/bin/jail")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
data=$PWD/tests/data/policy

# --- Backend.AI Jail's -------------------------------------------------------------------------
example() {
	local said
	cd "$data/backend-ai" || return
	said=$(SECRET=1 "$jail" --policy example_policy.yml --debug python3 t1.py 2>"$dir/debug") || {
		tail -20 "$dir/debug"
		return 1
	}
	echo "$said"
	[[ $said == *"abc [0, 1, 2, 3]"* && $said == *"--level=2 --name=t1 None"* &&
		$said == *"a child"* ]] &&
		grep -q 'python3 openat(AT_FDCWD, .* → allow  example_policy.yml:[0-9]*:[0-9]*: allow' \
			"$dir/debug" &&
		grep -q "^jail: example_policy.yml:8:13: OP_CHMOD cannot be held" "$dir/debug"
}
# shellcheck disable=SC2016 # python's
example_refuses() {
	local said
	cd "$data/backend-ai" || return
	said=$("$jail" --policy example_policy.yml python3 -c '
import os, sys
try:
    os.chroot("/")
except OSError as e:
    sys.exit(e.errno)' 2>&1)
	[[ $? == 1 && $said == *chroot* ]]
}
# OP_OPEN holds for openat too, and python3 still starts; elsewhere nothing can be opened
opens() {
	local said
	mkdir -p "$dir/inside" "$dir/else" && echo inside >"$dir/inside/file" && echo >"$dir/else/file"
	sed "s|OP_OPEN: .*|OP_OPEN: ['$dir/inside/*']|" "$data/backend-ai/example_policy.yml" \
		>"$dir/paths.yml"
	# one of the system's: OP_OPEN does not list others, such as pyenv's
	said=$("$jail" --policy "$dir/paths.yml" /usr/bin/python3 -c "
print(open('$dir/inside/file').read())
try:
    open('$dir/else/file')
except PermissionError:
    print('refused')" 2>"$dir/opens")
	cat "$dir/opens"
	echo "$said"
	[[ $said == inside*refused ]] &&
		grep -q "paths.yml:4:12: OP_OPEN was checked for open(2) only" "$dir/opens"
}
has_landlock() {
	printf 'version: 1\ndefault: allow\npaths: {read: [/], execute: [/]}\n' >"$dir/landlock.yml"
	"$jail" --policy "$dir/landlock.yml" true 2>/dev/null
}
can_sandbox() {
	"$jail" -n pid,mount -- true 2>/dev/null
}
if ! command -v python3 >/dev/null; then
	skip "Backend.AI's example" "no python3"
elif ! can_sandbox; then
	skip "Backend.AI's example" "no pid namespaces here"
else
	ok "a Backend.AI policy runs python3 with --debug" example
	ok "it refuses what it does not list" example_refuses
	if has_landlock && [[ -x /usr/bin/python3 ]]; then
		ok "OP_OPEN holds for openat" opens
	else
		skip "OP_OPEN holds for openat" "no Landlock, or no /usr/bin/python3"
	fi
fi

# --- convert -----------------------------------------------------------------------------------
# same A B: no difference in behaviour, on each architecture
same() {
	"$jail" policy diff --calls "$1" "$2"
}
through() {
	"$jail" policy convert "$1" -o "$dir/own.yml" 2>/dev/null &&
		"$jail" policy convert --to oci "$dir/own.yml" -o "$dir/back.json" 2>/dev/null &&
		same "$1" "$dir/own.yml" && same "$1" "$dir/back.json"
}
ok "a container profile through jail's format and back" through "$data/oci/engine.json"
ok "a runtime's config.json" through "$data/oci/config.json"
ok "a built-in profile as a container profile" through default
ok "what cannot be held is said" says 0 "not held: ioctl: allowed for some arguments" \
	"$jail" policy convert --to backend-ai "$data/oci/ordered.yml"
ok "--strict refuses it" says 1 "not held:" \
	"$jail" policy convert --strict --to backend-ai "$data/oci/ordered.yml"
ok "an unknown format" says 2 "--to yaml: jail, oci or backend-ai expected" \
	"$jail" policy convert --to yaml "$data/oci/engine.json"
ok "a mistake has its place" says 2 "bad.json:1:18: unknown action 'SCMP_ACT_ALOW' (did you mean" \
	bash -c "echo '{\"defaultAction\":\"SCMP_ACT_ALOW\"}' >$dir/bad.json; $jail policy convert $dir/bad.json"

# --- merge and diff ------------------------------------------------------------------------------
cat >"$dir/amd64.yml" <<'E'
version: 1
default: EPERM
allow:
  - open
  - {ioctl: {cmd: TCGETS}}
frequency: {open: 3, read: 7}
E
cat >"$dir/arm64.yml" <<'E'
version: 1
default: EPERM
allow: [openat, read, {ioctl: {cmd: TIOCGWINSZ}}]
frequency: {read: 5}
E
merged() {
	"$jail" policy merge -o "$dir/merged.yml" "$dir/amd64.yml" "$dir/arm64.yml" &&
		cat "$dir/merged.yml" &&
		grep -q "read: 12" "$dir/merged.yml" &&
		[[ $(grep -c '^  - ' "$dir/merged.yml") == 5 ]] &&
		"$jail" policy check --quiet "$dir/merged.yml"
}
ok "merge: what any allows, counts added" merged
says_difference() {
	local said
	said=$("$jail" policy diff --arch amd64 "$dir/arm64.yml" "$dir/merged.yml")
	[[ $? == 1 ]] && echo "$said" && [[ $said == *$'open\n  A: errno EPERM\n  B: allow\n'* &&
		$said == *"ioctl, such as ioctl(0, TCGETS"* && $said == *"differences: A is"* ]]
}
ok "diff: per call, by behaviour, exit 1" says_difference
ok "diff: no difference, exit 0" same "$dir/merged.yml" "$dir/merged.yml"
json() {
	local said
	said=$("$jail" policy diff --json "$dir/arm64.yml" "$dir/merged.yml")
	[[ $? == 1 ]] && echo "$said" && python3 -c '
import json, sys
d = json.loads(sys.argv[1])
sys.exit(d["count"] != len(d["differences"]) or d["differences"][0]["b"] == "")' "$said"
}
ok "diff --json" json
ok "merge: one file is not enough" says 2 "FILE… expected" "$jail" policy merge "$dir/amd64.yml"
ok "merge --strict: contradictions" says 1 "default: they differ" \
	"$jail" policy merge --strict "$dir/amd64.yml" "$data/oci/config.json"

done_testing
