#!/usr/bin/env bash
# Guests that mean harm or say nothing: the agent's place in the image is taken by hostile.c. Whatever
# it does: a verdict, one clear line, bounded evidence and memory, nothing outside the cell's folder.
# BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

BUILD=$(realpath "$BUILD")
export LAB_HOME=$PWD
arch=amd64
[[ $(uname -m) != aarch64 ]] || arch=arm64
cache=$("$BUILD/bin/lab" cache --json | jq -r .path)
"$BUILD/bin/lab" kernel pull --arch "$arch" 6.1 >/dev/null
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# A lab that finds its guests' programs beside it, and a cache that forgets hostile images.
mkdir -p "$dir/bin" "$dir/guest/$arch" "$dir/cells" "$dir/cache"
cp "$BUILD/bin/lab" "$dir/bin/lab"
cp "$BUILD/guest/$arch/jail" "$dir/guest/$arch/jail"
for part in accel.json debs kernels; do
	[[ ! -e $cache/$part ]] || ln -s "$cache/$part" "$dir/cache/$part"
done
export LAB_CACHE=$dir/cache
home=$dir # where lab and its guests' programs are
cat >"$dir/hello.yml" <<'S'
run: echo hello
timeout: 1s
S

# hostile MODE [OPTION...]: a guest that does MODE is run; what lab said is in MODE.txt, its exit
# status in $status, its cell's folder in $cell; most: its worker's peak in KiB.
hostile() {
	local mode=$1 objects=$BUILD/guest/$arch/obj lab_pid worker='' peak=''
	shift
	gcc -std=gnu11 -D_GNU_SOURCE -O1 -I. -static "-DMODE=\"$mode\"" tests/vm/hostile.c \
		"$objects"/vm/agent/{channel,setup}.o "$objects"/vm/{proto,serial}.o \
		"$objects"/jail/base/{err,io,str}.o -o "$home/guest/$arch/agent" || return
	cell=$dir/cells/$mode/6.1-$arch/hello status=0 most=0
	"$home/bin/lab" run --offline --arch "$arch" --dump "$dump" --out "$dir/cells/$mode" "$@" "$dir/hello.yml" >"$dir/$mode.txt" 2>&1 &
	lab_pid=$!
	while kill -0 "$lab_pid" 2>/dev/null; do
		[[ -n $worker ]] || worker=$(pgrep -P "$lab_pid" -x lab) || true
		[[ -z $worker ]] || peak=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$worker/status" 2>/dev/null || true)
		[[ -z $peak ]] || most=$peak
		sleep 0.1
	done
	wait "$lab_pid" || status=$?
	cat "$dir/$mode.txt"
	echo "exit $status, worker's peak $most KiB"
	((most < limit * 1024))
}
dump=off limit=64 # MiB; vmcore.txt takes more
# lost MODE TEXT [OPTION...]: the cell is lost, for a reason that holds TEXT and is one line.
lost() {
	local mode=$1 text=$2 reason
	shift 2
	hostile "$mode" "$@" || return
	reason=$(jq -r '.reasons[]' "$cell/result.json")
	[[ $status == 3 && $reason == *"$text"* && $reason != *$'\n'* ]] &&
		jq -e '.verdict == "lost"' "$cell/result.json" && grep -q "^LOST hello on 6.1 $arch: " "$dir/$mode.txt" &&
		[[ -e $cell/console.log ]] && ! grep -q $'[\x1b\x07\r]' "$dir/$mode.txt" "$cell/result.json" &&
		[[ ! -e /tmp/escaped && -z $(find "$dir" -name escaped) ]]
}
bounded() {
	((${#cell} && $(stat -c %s "$cell/$1") < 9 << 20 && $(stat -c %b "$cell/$1") * 512 < 10 << 20))
}

# The last one's guest ticks and talks for ever: that is a hang, given up a minute after the time-out.
# It has all that time beside the others.
mkdir "$dir/beside"
cp -r "$dir/bin" "$dir/guest" "$dir/beside"
{
	home=$dir/beside
	hostile flood && echo "$status" >"$dir/flood.status"
} >"$dir/flood.said" 2>&1 &
flooding=$!

ok "a guest that says nothing: lost within --boot-timeout" \
	lost silent "no word from the guest's agent within 6 s" --boot-timeout 6s
ok "a guest that speaks before its greeting" lost rude "spoke before its greeting"
ok "a frame of 4 GiB" lost giant "broke the protocol"
ok "a frame of an unknown type" lost unknown "broke the protocol"
ok "a file's data without a file" lost data "a file's data without a file"
ok "a file name that leaves the folder" lost dotdot "leaves the folder"
ok "an absolute file name" lost absolute "leaves the folder"
ok "escape sequences are not passed on" lost escapes "the guest's agent: "
dies() {
	local dump=kdump limit=256
	hostile dies && [[ $status == 1 ]] && jq -e '.ending == "panic" and .verdict == "crash" and .dump.file == "vmcore" and
		(.crash.title | test("kernel panic: Attempted to kill init"))' "$cell/result.json" && [[ -s $cell/vmcore ]]
}
ok "a kernel that panics while it boots: a crash, and a dump" dies
console() {
	lost console "no word from the guest's agent" --boot-timeout 20s && bounded console.log
}
ok "an endless console: lost, console.log is bounded" console
flood() {
	cat "$dir/flood.said"
	cell=$dir/cells/flood/6.1-$arch/hello
	is 1 cat "$dir/flood.status" && bounded stdout &&
		jq -e '.verdict == "hang" and .streams.stdout.bytes > .streams.stdout.kept' "$cell/result.json"
}
wait "$flooding" || :
ok "endless output: ended, stdout and memory are bounded" flood
done_testing
