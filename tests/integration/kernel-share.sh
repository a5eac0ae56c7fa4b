#!/usr/bin/env bash
# lab kernel export and import: a kernel goes out and comes back the same; what is damaged, cut or
# made to do harm does not come in, and nothing of it stays.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
tests=$PWD/tests/integration
lab=$(realpath "${BUILD:-build}/bin/lab")
export LAB_HOME=$PWD
dir=$(mktemp -d)
cleanup() {
	! mountpoint -q "$dir/small" || umount "$dir/small"
	rm -rf "$dir"
}
trap cleanup EXIT
cd "$dir"
# shellcheck source=tests/integration/make-archive.sh
. "$tests/make-archive.sh"
export LAB_CACHE=$dir/cache LC_ALL=C
image amd64 6.1.9 6.1.9 300 bzImage
image arm64 6.1.9 6.1.9 300 Image
made() { python3 "$tests/built-kernel.py" "$@"; }
fresh() { rm -rf "$LAB_CACHE" && mkdir -p "$LAB_CACHE/kernels"; }
# holds NAMES: these and nothing else is in the cache
holds() {
	[[ $(ls "$LAB_CACHE/kernels") == "$1" ]] || { ls -a "$LAB_CACHE/kernels" && return 1; }
}
import() { "$lab" kernel import "$@"; }

# --- out
fresh
kernel=$(made folder bzImage "$LAB_CACHE/kernels" 6.1+guest amd64)
folder=${kernel##*/}
export_one() { "$lab" kernel export 6.1 --flavour guest --arch amd64 "$@"; }
ok "a kernel is exported" export_one one.tar.zst
ok "its name may have the flavour" "$lab" kernel export 6.1+guest --arch amd64 two.tar.zst
ok "same kernel, same bytes" cmp one.tar.zst two.tar.zst
ok "no folder of this machine is told" bash -c "zstd -dqo one.tar one.tar.zst && grep -qa lib/modules one.tar && ! grep -a secret one.tar"
ok "a file that is there is not replaced" says 2 "two.tar.zst is there already" export_one two.tar.zst
ln -s nowhere link.tar.zst
ok "nor is a link" says 2 "is there already" export_one link.tar.zst
mkdir share
ok "into a folder, with the name that is looked for" export_one share
ok "that is it" cmp one.tar.zst "share/$folder.tar.zst"
ok "as JSON" bash -c "'$lab' kernel export 6.1+guest --arch amd64 --json three.tar.zst | jq -e '.name == \"6.1+guest\" and .bytes > 300000'"
ok "a folder that is not there" says 2 "No such file" export_one none/one.tar.zst
ok "one that was not built" says 2 "nothing to export ('lab kernel build 6.1+guest --arch arm64')" "$lab" kernel export 6.1+guest --arch arm64 x.tar.zst
ok "Debian's kernels are pulled" says 2 "6.1 is Debian's kernel" "$lab" kernel export 6.1 x.tar.zst
ok "an architecture that there is not" says 2 "unknown architecture 'riscv64'" "$lab" kernel export 6.1+guest --arch riscv64 x.tar.zst
ok "an operand is missing" exits 2 "$lab" kernel export 6.1+guest
cp -r cache whole
echo >>"$kernel/config"
ok "a damaged one is not handed on" says 3 "config: changed" export_one x.tar.zst
ok "nothing else was written" is "link.tar.zst one.tar.zst three.tar.zst two.tar.zst" bash -c "echo *.tar.zst*"

# --- and in
fresh
ok "it is imported" import one.tar.zst
ok "whole, and nothing else" holds "$folder"
came_back() { diff -r -x meta.json "whole/kernels/$folder" "$kernel"; }
ok "the same files" came_back
ok "with what was known of it" bash -c "diff <(jq -S 'del(.source_dir)' 'whole/kernels/$folder/meta.json') <(jq -S . '$kernel/meta.json')"
ok "and out again: the same bytes" bash -c "'$lab' kernel export 6.1+guest --arch amd64 four.tar.zst && cmp one.tar.zst four.tar.zst"
ok "once more is fine" import one.tar.zst
ok "as JSON" bash -c "'$lab' kernel import --json one.tar.zst | jq -e '.version == \"6.1.9\" and .local == false'"
echo >>"$kernel/image"
ok "over a damaged one" import one.tar.zst
ok "it is whole again" came_back
made file bzImage other.tar.zst other
ok "another kernel of that name is not replaced" says 2 "'lab kernel rm 6.1+guest --arch amd64'" import other.tar.zst
ok "it is as it was" came_back
made file bzImage older.tar.zst "meta:inputs=\"$(printf 'a%.0s' {1..64})\""
made folder bzImage "$LAB_CACHE/kernels" 9.9+guest amd64 >/dev/null
ok "one of a pin that there is not here goes out, too" "$lab" kernel export 9.9+guest --arch amd64 nine.tar.zst
there=$(echo "$LAB_CACHE"/kernels/9.9*)
ok "and is found by that name" is "$there/image" "$lab" kernel path 9.9+guest --arch amd64
ok "checked" "$lab" kernel verify 9.9+guest
ok "explained" "$lab" kernel config 9.9+guest --arch amd64
ok "removed" bash -c "'$lab' kernel rm 9.9+guest && [[ ! -e '$there' ]]"
ok "one of other inputs: said" bash -c "'$lab' kernel import older.tar.zst | grep -q '^note: .* will not take this one'"
ok "stands beside it" holds "$folder
6.1+guest-amd64-aaaaaaaaaaaaaaaa"
fresh
two_at_once() {
	import one.tar.zst &
	import one.tar.zst && wait "$!"
}
ok "two at once" two_at_once
ok "one kernel" holds "$folder"
made folder Image "$LAB_CACHE/kernels" 6.1+guest arm64 >/dev/null
"$lab" kernel export 6.1+guest --arch arm64 arm.tar.zst >/dev/null
ok "both architectures stand side by side" import arm.tar.zst

# --- what does not come in
fresh
refused() { # refused TEXT FILE
	says 2 "$1" import "$2" && holds ""
}
size=$(stat -c %s one.tar.zst)
for at in 0 1 9 200 1000 $((size / 2)) $((size - 700)) $((size - 1)); do
	head -c "$at" one.tar.zst >cut.tar.zst
	ok "cut after $at bytes" refused cut.tar.zst cut.tar.zst
done
flip() { # flip AT: that byte is another one
	python3 - "$1" <<'PY'
import sys
data = bytearray(open("one.tar.zst", "rb").read())
data[int(sys.argv[1])] ^= 0x10
open("flipped.tar.zst", "wb").write(data)
PY
}
for at in 2 400 $((size / 3)) $((size / 2)) $((size - 2000)); do
	flip "$at"
	ok "with byte $at changed" refused flipped.tar.zst flipped.tar.zst
done
hostile() { # hostile DAMAGE TEXT
	made file bzImage bad.tar.zst "$1"
	refused "$2" bad.tar.zst
}
made file bzImage good.tar.zst none
ok "the same without damage comes in" import good.tar.zst
fresh
ok "a path that leaves it" hostile member:../evil "path of a member leaves it"
ok "in the middle" hostile member:gdb/../../evil "path of a member leaves it"
ok "from the root" hostile "member:/tmp/evil" "path of a member leaves it"
ok "folders without end" hostile "member:gdb/$(printf 'a/%.0s' {1..1500})x" "is too deep"
ok "a symbolic link" hostile member:gdb/x:2:/etc/passwd "gdb/x is not a plain file"
ok "a hard link" hostile member:gdb/x:1:image "gdb/x is not a plain file"
ok "a hard link to what is outside" hostile member:gdb/x:1:/etc/passwd "gdb/x is not a plain file"
ok "a device" hostile member:gdb/x:3 "gdb/x is not a plain file"
ok "a pipe" hostile member:gdb/x:6 "gdb/x is not a plain file"
ok "a folder" hostile member:gdb/x:5 "gdb/x/ is not a plain file"
ok "a file twice" hostile member:image "image is there twice"
ok "a file as a folder" hostile member:config/x "config/x is no part of a kernel"
ok "meta.json again" hostile member:meta.json "meta.json is no part of a kernel"
ok "what no kernel has" hostile member:bin/sh "bin/sh is no part of a kernel"
ok "modules of another release" hostile member:lib/modules/6.6/a.ko "is no part of a kernel"
ok "a file more than SHA256SUMS has" hostile added "gdb/more.py: changed, missing or added"
ok "one less" hostile missing "config: changed, missing or added"
ok "one that was changed" hostile changed "config: changed, missing or added"
ok "SHA256SUMS of another" hostile sums "its SHA256SUMS is not that of its meta.json"
ok "SHA256SUMS that is none" hostile bad-sums "changed, missing or added"
ok "no kernel" hostile text "neither a bzImage"
ok "members in another order" hostile order "not a file of 'lab kernel export'"
ok "an endless meta.json" hostile huge-meta "its meta.json is larger than"
ok "a name that is a path" hostile 'meta:name="../../evil"' "name must be a kernel's name"
ok "a name that is empty" hostile 'meta:name=""' "name must be"
ok "no key" hostile 'meta:inputs="short"' "inputs must be 64"
ok "another architecture than it says" hostile 'meta:arch="arm64"' "the kernel is for amd64"
ok "a digest of another image" hostile "meta:image_sha256=\"$(printf '0%.0s' {1..64})\"" "about another image or vmlinux"
ok "a build id of another vmlinux" hostile 'meta:build_id="00"' "about another image or vmlinux"
ok "control characters" hostile 'meta:compiler="\u001b[2J"' "compiler must be plain text"
ok "a key that we do not know" hostile 'meta:evil=1' "evil"
ok "a folder is no file" says 2 "not a file" import share
ok "nor is a pipe" bash -c "mkfifo pipe && . '$tests/../tap.sh' && says 2 'not a file' '$lab' kernel import pipe"
ok "a file that is not there" says 2 "No such file" import none.tar.zst
ok "a plain text" says 2 "not a whole file of 'lab kernel export'" import "$tests/kernel-share.sh"

# --- no room, no right to write
fresh
mkdir small
if [[ $(id -u) == 0 ]] && mount -t tmpfs -o size=200k none small 2>/dev/null; then
	rmdir "$LAB_CACHE/kernels"
	ln -s "$dir/small" "$LAB_CACHE/kernels"
	ok "a full disk" says 3 "No space left on device" import one.tar.zst
	ok "nothing stays" holds ""
	mount -o remount,size=32m small
	ok "once there is room" import one.tar.zst
	mount -o remount,ro small
	ok "a cache that is read only still gives" "$lab" kernel export 6.1+guest --arch amd64 five.tar.zst
	ok "it is the same" cmp one.tar.zst five.tar.zst
	ok "and takes nothing" says 3 "Read-only file system" import arm.tar.zst
	mount -o remount,rw,size=32m small
	rm -r small/* && mount -o remount,size=100k small
	ok "no room for an export" bash -c ". '$tests/../tap.sh'; LAB_CACHE=$dir/whole says 3 'No space left on device' '$lab' kernel export 6.1+guest --arch amd64 small/x.tar.zst"
	ok "half a file does not stay" is "" ls small
	umount small
else
	chmod 500 "$LAB_CACHE/kernels"
	ok "a cache that is read only takes nothing" says 3 "Permission denied" import one.tar.zst
	chmod 700 "$LAB_CACHE/kernels"
	skip "a full disk" "mounting a small tmpfs needs root"
fi

# --- pruned
fresh
made folder bzImage "$LAB_CACHE/kernels" mine amd64 local >/dev/null
made folder bzImage "$LAB_CACHE/kernels" 9.9+guest amd64 >/dev/null
made folder bzImage "$LAB_CACHE/kernels" 6.1+guest amd64 >/dev/null
mkdir -p "$LAB_CACHE"/{sources/0123456789abcdef,builds/{6.1+kasan-arm64-0123456789abcdef,mine-amd64-local}}
for file in sources/0123456789abcdef.lock sources/fedcba9876543210.tar builds/6.1+kasan-arm64.{log,history,lock} builds/mine-amd64.log; do
	echo x >"$LAB_CACHE/$file"
done
in_cache() { (cd "$LAB_CACHE" && find sources builds -mindepth 1 ! -name '*.lock' | sort | xargs); }
prune_while_building() {
	flock -s "$LAB_CACHE/sources/0123456789abcdef.lock" \
		flock "$LAB_CACHE/builds/6.1+kasan-arm64.lock" "$lab" cache prune
}
ok "a young cache stays as it is" bash -c "'$lab' cache prune --older 1h --json | jq -e '.freed_bytes == 0'"
ok "while a kernel is built" prune_while_building
ok "its source and its objects stay" is "builds/6.1+kasan-arm64-0123456789abcdef builds/6.1+kasan-arm64.history builds/6.1+kasan-arm64.log sources/0123456789abcdef" in_cache
ok "so do kernels of no pin; what would be built in another way goes" holds "9.9+guest-amd64-${folder##*-}
mine-amd64-local"
ok "pruned when nobody is at work" "$lab" cache prune
ok "how long it took is remembered" is builds/6.1+kasan-arm64.history in_cache
ok "the cache tells of sources and builds" bash -c "'$lab' cache --json | jq -e '.sources > 0 and .builds > 0'"

fresh
made folder bzImage "$LAB_CACHE/kernels" 6.1+guest amd64 >/dev/null
mkdir home
cp -r "$LAB_HOME/kernel-config" home
rm home/kernel-config/guest.config && mkfifo home/kernel-config/guest.config
meanwhile() { # prune looks what would be built now, and waits for the text of a fragment
	local pid
	LAB_HOME=$dir/home "$lab" cache prune >/dev/null &
	pid=$!
	exec 8>home/kernel-config/guest.config # once it reads
	made folder bzImage "$LAB_CACHE/kernels" 6.1+debug amd64 >/dev/null
	exec 8>&-
	while kill -0 "$pid" 2>/dev/null; do # for the other compiler it reads again
		timeout 0.2 bash -c 'echo >home/kernel-config/guest.config' || true
	done
	wait "$pid"
}
ok "what is put there while others are pruned" meanwhile
ok "stays" holds "6.1+debug-amd64-${folder##*-}"

# --- ended in the middle
rm -rf "$LAB_CACHE" && fresh
image amd64 6.1.9 6.1.9 60000 large
made folder large "$LAB_CACHE/kernels" 6.1+guest amd64 >/dev/null
"$lab" kernel export 6.1+guest --arch amd64 large.tar.zst >/dev/null
fresh
ended() { # ended SIGNAL CODE
	local pid status=0
	"$lab" kernel import large.tar.zst &
	pid=$!
	for _ in {1..1000}; do
		! compgen -G "$LAB_CACHE/kernels/tmp-*" >/dev/null || break
		sleep 0.005
	done
	kill -s "$1" $pid
	wait $pid || status=$?
	echo "exit $status"
	[[ $status == "$2" ]]
}
ok "Ctrl-C" ended INT 130
ok "leaves nothing" holds ""
ok "kill -9" ended KILL 137
ok "leaves nothing that is taken for a kernel" exits 2 "$lab" kernel export 6.1+guest --arch amd64 x.tar.zst
ok "and nothing that is in the way" import large.tar.zst

done_testing
