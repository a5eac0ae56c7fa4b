#!/usr/bin/env bash
# The lab command without machines: its help, its plan, and what it says to bad input.
# BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

lab=$(realpath "$BUILD/bin/lab")
home=$PWD
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export LAB_HOME=$home

one_line() { # one_line COMMAND...: a mistake is one line, and perhaps where to find help
	local said
	said=$("$@" 2>&1 >/dev/null) && return 1
	echo "$said"
	[[ $(grep -vc '^Try ' <<<"$said") == 1 ]]
}
bad() { # bad FILE-TEXT EXPECTED-MESSAGE: a scenario file that is refused before anything starts
	printf '%b' "$1" >bad.yml
	says 2 "$2" "$lab" run --offline --out never bad.yml && one_line "$lab" run --offline --out never bad.yml &&
		[[ ! -e never ]]
}

ok "--help names every command" bash -c "'$lab' --help | grep -q '  doctor '"
for command in run list show kernel image cache doctor; do
	ok "$command --help" bash -c "'$lab' $command --help | grep -q '^Usage: lab $command'"
done
ok "no command" says 2 "Usage" "$lab"
ok "a command misspelt" says 2 "did you mean 'run'" "$lab" rnu
ok "an option misspelt" says 2 "did you mean --kernel" "$lab" run --kernal 6.1 x.yml
ok "a value that is no time" says 2 "not a time" "$lab" run --timeout soon x.yml
ok "repeat out of range" says 2 "between 1 and" "$lab" run --repeat 0 x.yml
ok "an accelerator that is none" says 2 "not auto, tcg or kvm" "$lab" run --accel fast x.yml
ok "a form of dump that is none" says 2 "none of kdump, elf, off" "$lab" run --dump core x.yml
ok "a fate that is none" says 2 "none of pass, fail, crash, hang" "$lab" run --dump-on crash,oops x.yml
printf -- '- {title: x, reason: r, until: 2999-01-01}\n' >k.yml
ok "known crashes without a link" says 2 "k.yml:1:3: a known crash needs 'link'" "$lab" run --known k.yml --dry-run "$home/scenarios/hello.yml"
known() { # known TITLE UNTIL: what is said of a file of known crashes beside the scenario
	mkdir -p with && printf 'run: x\n' >with/hello.yml &&
		printf -- '- {title: %s, reason: r, link: "https://x", until: %s}\n' "$1" "$2" >with/known-crashes.yml &&
		"$lab" run --offline --dry-run with 3>&1 >/dev/null 2>&3
}
ok "a known crash beside its scenarios is none of them" test -z "$(known 'WARNING in f' 2999-12-31)"
ok "one whose day has passed is told" grep -q "with/known-crashes.yml:1: 'WARNING in f' was known until 2020-01-31" <(known 'WARNING in f' 2020-01-31)
ok "known crashes that are not there" says 2 "nowhere.yml" "$lab" run --known nowhere.yml "$home/scenarios/hello.yml"
ok "dumps of no size" says 2 "max-dump-bytes" "$lab" run --max-dump-bytes much x.yml

doctor() { # doctor PATH CHECK STATUS
	PATH=$1 "$lab" doctor --json >doctor.json || true
	jq -e --arg c "$2" --arg s "$3" '.checks[] | select(.check == $c and .status == $s)' doctor.json
}
ok "doctor: the compiler of this machine" doctor "$PATH" "kernels $(dpkg --print-architecture)" ok
ok "without one kernels cannot be built, and that is all" doctor "$dir" "kernels arm64" warn
ok "what to install is said" bash -c "jq -e '.checks[] | select(.check == \"pahole\").todo | contains(\"install\")' doctor.json"

printf 'run: echo hello\n' >hello.yml
ok "an unknown kernel: the pins are listed" says 2 "6.1" "$lab" run --offline --kernel 9.9 hello.yml
ok "for an image too" says 2 "pinned are" "$lab" image build --kernel 9.9
ok "an unknown architecture: what there is" says 2 "amd64, arm64" "$lab" run --offline --arch mips hello.yml
ok "no scenario given" says 2 "no scenario given" "$lab" run
ok "a path that is not there" says 2 "nowhere" "$lab" run --offline nowhere
mkdir empty
ok "a folder without scenarios" says 2 "empty" "$lab" run --offline empty

ok "unknown key, with its place and a suggestion" bad 'run: x\nsumary: y\n' "bad.yml:2:1: unknown key 'sumary'"
ok "wrong type" bad 'run: {a: b}\n' "bad.yml:1:6:"
ok "a tab" bad 'run: x\nexpect:\n\t- exit: 0\n' "bad.yml:3:1:"
ok "a version range that is none" bad 'run: x\nrequires: {kernel: new}\n' "bad.yml:2:20:"
ok "a file that is not there" bad 'run: x\nfiles: [helper.py]\n' "helper.py"
ok "a path that leaves the folder" bad 'run: x\nfiles: [../secret]\n' "bad.yml:2:9:"
ok "a key given twice" bad 'run: x\nrun: y\n' "given twice"
ok "a regular expression that is none" bad 'run: x\nexpect: [{stdout: "/(/"}]\n' "bad.yml:2:"
ok "an anchor" bad 'run: &a x\n' "anchors"
ok "an empty file" bad '' "run"
head -c 10000000 /dev/zero | tr '\0' 'x' >big.yml
ok "a file of 10 MB" says 2 "big.yml:1:1: larger than 1024 KiB" "$lab" run --offline big.yml
mkdir several
printf 'rnu: x\n' >several/a.yml
printf 'run: [\n' >several/b.yml
all_mistakes() {
	says 2 "several/a.yml:1:1" "$lab" run several && says 2 "several/b.yml:2:1" "$lab" run several
}
ok "the mistakes of all files at once" all_mistakes

mkdir -p used
echo '{}' >used/run.json
kept() {
	[[ $(<used/run.json) == '{}' ]]
}
ok "show: no run there" says 2 "no run at" "$lab" show latest
ok "show: a damaged run" says 2 "not a run" "$lab" show used
ok "show: not JSON" bash -c "mkdir -p d; echo '{' >d/run.json; '$lab' show d 2>&1 | grep -q 'd/run.json:'"
ok "show leaves it alone" kept

export LAB_CACHE=$dir/cache
pinned=6.1-$(sed -n '/^  "6.1":/,/sha256/s/.*version: "\(.*\)"/\1/p' "$LAB_HOME/kernel-config/kernels.lock")-amd64
mkdir -p "$LAB_CACHE"/{images,debs,kernels/6.1-old-amd64,"kernels/$pinned"}
head -c 100000 /dev/zero >"$LAB_CACHE/images/x"
head -c 100000 /dev/zero >"$LAB_CACHE/kernels/$pinned/image"
pruned() {
	"$lab" cache prune && [[ ! -e $LAB_CACHE/images/x && $(ls "$LAB_CACHE/kernels") == "$pinned" ]]
}
ok "cache: sizes" bash -c "'$lab' cache --json | grep -q '\"images\": 1[0-9]*'"
ok "cache prune --older keeps what is new" bash -c "'$lab' cache prune --older 1h && test -e cache/images/x"
ok "cache prune removes images and old kernels, keeps pinned ones" pruned
ok "cache: another word" says 2 "there is 'prune'" "$lab" cache wipe
cold_plan() {
	"$lab" run --dry-run --kernel all --arch all hello.yml >plan.json &&
		jq -e '(.cells | length) == 10 and .cells[0].cell == "5.10-amd64/hello" and
			(.cells[0].version | startswith("5.10.")) and .cells[0].skip == null' plan.json &&
		[[ ! -e $LAB_CACHE/debs ]]
}
rm -rf "$LAB_CACHE/debs"
ok "--dry-run with a cold cache: the plan, and nothing is fetched" cold_plan
unpinned() {
	printf 'run: x\npackages: [nosuch]\n' >unpinned.yml
	says 2 "unpinned.yml: packages" "$lab" run --dry-run unpinned.yml
}
ok "a package that is not pinned is told before anything starts" unpinned
ok "a cold cache, offline" says 3 "offline" "$lab" run --offline --kernel 6.1 hello.yml

ok "the shipped scenarios are all right" bash -c "'$lab' list '$home/scenarios' | grep -q '^hello '"
ok "list --json" bash -c "'$lab' list --json '$home/scenarios' | grep -q '\"name\": \"hello\"'"
ok "list --filter" bash -c "test \$('$lab' list --filter hello '$home/scenarios' | wc -l) = 1"
done_testing
