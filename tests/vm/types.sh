#!/usr/bin/env bash
# Types from the image alone (BTF, as DWARF): gdb shows a function's arguments and result, and several
# hundred types lie in memory as those of the debug package's vmlinux do, where that is here.
# BUILD: the tree that was built. "all": every pin on both architectures (make check-all), or KERNEL:ARCH….
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
lab_setup
cache=${LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/jail-lab}
top=$PWD
cd "$dir"

cat >hit.gdb <<'S'
continue
backtrace 1
stepi
info args
finish
S

# what unshare(CLONE_NEWUTS) is called with, there and no longer, and what it returns
shows_values() {
	local out=$1-$2
	timeout 300 "$lab" debug -q --batch --out "$out" --kernel "$1" --arch "$2" \
		--symbols image --break 'ksys_unshare:unshare_flags & 0x4000000' -x hit.gdb \
		"$top/scenarios/ns/uts.yml" >"$out.txt" 2>&1 || true
	cat "$out.txt"
	grep -q '^#0 .*ksys_unshare (unshare_flags=67108864)' "$out.txt" &&
		grep -q '^unshare_flags = <optimized out>' "$out.txt" &&
		grep -q '^Value returned is .* = 0' "$out.txt"
}

# layouts ELF: as the names of the first such file have it
layouts() { NAMES=$names LAYOUTS=$2 gdb-multiarch -nx -q -batch -x "$top/tests/vm/gdb-types.py" "$1"; }

# our_elf KERNEL ARCH: what was made of its image
our_elf() {
	local elf
	elf=$(echo "$cache/symbols/$(sha256sum <"$("$lab" kernel path "$1" --arch "$2")" | cut -c 1-64)"-*.elf)
	echo "${elf##* }"
}

names() { nm "$1" | awk 'NF == 3 { print $1, $3 }' | LC_ALL=C sort -u; }
have_names() { # vmlinux has each of ours, at its address
	names "$(our_elf "$1" "$2")" >ours
	names "$3" >vmlinux
	LC_ALL=C comm -23 ours vmlinux | head -n 20 | tee missing
	[[ $(wc -l <ours) -gt 10000 && ! -s missing ]]
}

# Types of the same name that are not the same (in drivers) may be taken for each other: three at most.
are_equal() {
	local names=$PWD/$1-$2.names
	layouts "$(our_elf "$1" "$2")" ours.json
	layouts "$3" vmlinux.json
	python3 - <<'P'
import json
ours, theirs = (json.load(open(name + ".json")) for name in ("ours", "vmlinux"))
names = [name for name in ours if theirs[name]]
wrong = [name for name in names if ours[name] != theirs[name]]
for name in wrong:
    print(name, ours[name], theirs[name], sep="\n  ")
print(len(names), "types,", len(wrong), "differ")
known = [name for name in list(ours)[:15] if not theirs[name] or name in wrong]
raise SystemExit(len(names) < 300 or len(wrong) > 3 or bool(known))
P
}

if [[ ${1:-} == all ]]; then
	mapfile -t pairs < <("$lab" kernel list --json | jq -r '.[] | select(.suite) | "\(.name):\(.arch)"')
else
	pairs=("${@:-6.1:amd64}")
	[[ $# -gt 0 ]] || pairs+=(6.1:arm64)
fi
for pair in "${pairs[@]}"; do
	kernel=${pair%:*} arch=${pair#*:}
	ok "$kernel $arch: arguments and results" shows_values "$kernel" "$arch"
	if vmlinux=$("$lab" kernel path "$kernel" --arch "$arch" --what vmlinux --offline 2>why); then
		ok "$kernel $arch: names as in vmlinux" have_names "$kernel" "$arch" "$vmlinux"
		ok "$kernel $arch: types as in vmlinux" are_equal "$kernel" "$arch" "$vmlinux"
	else
		skip "$kernel $arch: names and types as in vmlinux" "$(head -n 1 why)"
	fi
done
done_testing
