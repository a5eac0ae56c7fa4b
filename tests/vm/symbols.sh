#!/usr/bin/env bash
# Symbols rebuilt from a kernel's image alone: every one is where the running kernel says it is
# (/proc/kallsyms, minus the slide), and a backtrace through them goes from ksys_unshare to the way in
# of system calls. (types.sh holds them against vmlinux.)
# BUILD: the tree that was built. "all": every pin on both architectures (make check-all), or KERNEL:ARCH….
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
lab_setup
export LC_ALL=C
cache=${LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/jail-lab}
cd "$dir"

cat >symbols.yml <<'S'
summary: the kernel's own list of symbols, after a system call that gdb waits for
run: |
  jail --namespace user,mount,pid --caps all -- true
  echo 0 >/proc/sys/kernel/kptr_restrict
  cat /proc/kallsyms >symbols
timeout: 2m
artefacts: [symbols]
expect:
  - {exit: 0}
S
cat >hit.gdb <<'S'
continue
backtrace
delete
continue
S

# runs KERNEL ARCH: the guest's list, gdb's output, and our file, as "ADDRESS NAME" lines.
runs() {
	local out=$1-$2 slide
	timeout 300 "$lab" debug -q --batch --out "$out" --kernel "$1" --arch "$2" \
		--symbols image --break ksys_unshare -x hit.gdb symbols.yml >"$out.txt" 2>&1 || true
	cat "$out.txt"
	slide=$(sed -n 's/.* slide \(0x[0-9a-f]*\).*/\1/p' "$out.txt" | head -n 1)
	elf=$(echo "$cache/symbols/$(sha256sum <"$(kernel_path "$1" "$2")" | cut -c 1-64)"-*.elf)
	elf=${elf##* }
	nm "$elf" | awk '{ print $1, $3 }' | sort -u >"$out.ours"
	# amd64's per-CPU variables are linked at 0 and do not move
	python3 - "$slide" >"$out.guest" <(find "$out" -name symbols -type f -exec cat {} +) <<'P'
import sys
slide = int(sys.argv[1], 16)
seen = set()
for line in open(sys.argv[2]):
    address, _, name, *module = line.split()
    at = int(address, 16)
    if not module:
        seen.add("%016x %s" % (at - slide if at >= 1 << 63 else at, name))
print("\n".join(sorted(seen)))
P
	# the start of the image is named by us where the kernel does not
	grep -q ' _text$' "$out.guest" || sed -i '/ _text$/d' "$out.ours"
}

kernel_path() { "$lab" kernel path "$1" --arch "$2"; }

is_equal() {
	runs "$1" "$2"
	[[ $(wc -l <"$1-$2.ours") -gt 10000 ]] && diff "$1-$2.guest" "$1-$2.ours" | head -n 20 >"$1-$2.diff"
	cat "$1-$2.diff"
	[[ ! -s $1-$2.diff ]]
}

# the last frame is where system calls come in, and every one has a name
is_whole() {
	sed -n 's/^#[0-9]* *//p' "$1-$2.txt" | tee frames
	grep -q '^0x[0-9a-f]* in ksys_unshare\|^ksys_unshare' frames &&
		tail -n 1 frames | grep -Eq 'entry_SYSCALL_64|el0t?_(64_)?sync ' && ! grep -q '??' frames
}

if [[ ${1:-} == all ]]; then
	mapfile -t pairs < <("$lab" kernel list --json | jq -r '.[] | select(.suite) | "\(.name):\(.arch)"')
else
	pairs=("${@:-7.2:amd64}")
	[[ $# -gt 0 ]] || pairs+=(5.10:arm64)
fi
for pair in "${pairs[@]}"; do
	kernel=${pair%:*} arch=${pair#*:}
	ok "$kernel $arch: its symbols are where the guest has them" is_equal "$kernel" "$arch"
	ok "$kernel $arch: a backtrace goes to the entry of the call" is_whole "$kernel" "$arch"
done
done_testing
