#!/usr/bin/env bash
# lab kernel config, with a stand-in for the kernel's source: what is asked for, what is there, why not,
# two compared; and what lab kernel build says of an option that did not stick. BUILD: the tree that was
# built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
BUILD=${BUILD:-build}
lab_setup
# shellcheck source=tests/integration/standin.sh
. tests/integration/standin.sh
mkdir -p "$dir/home" "$dir/mirror"
cp -r kernel-config "$dir/home/"
export LAB_HOME=$dir/home LAB_CACHE=$dir/cache CCACHE_DIR=$dir/ccache LC_ALL=C
unset MAKEFLAGS
cd "$dir"
case $(uname -m) in
aarch64) native=arm64 other=amd64 srcarch=arm64 cross=x86_64-linux-gnu-gcc ;;
*) native=amd64 other=arm64 srcarch=x86 cross=aarch64-linux-gnu-gcc ;;
esac
printf 'schema: 1\nkernels: {}\n' >"$LAB_HOME/kernel-config/kernels.lock"
standin_source tree 6.5
standin_tarball tree mirror/linux-6.5.tar.xz
cat >"$LAB_HOME/kernel-config/kernels.yml" <<YAML
"6.5": {source: {url: "file://$dir/mirror/linux-6.5.tar.xz", sha256: $(sha256sum mirror/linux-6.5.tar.xz | cut -d' ' -f1)}, default: true}
"6.4": {source: {url: "http://127.0.0.1:1/linux-6.4.tar.xz", sha256: $(printf '%064d' 1)}}
YAML
config() { "$lab" kernel config "$@"; }
clean() { ! compgen -G "$LAB_CACHE/builds/tmp-*"; }

# --- one that is not built
config 6.5 >all 2>said || cat said
ok "a pin that is not built: what it would be" grep -q "^6.5 $native, Linux 6.5.0: not built: configured to see$" all
ok "an option, with its value and reason" grep -qE "^  VIRTIO_CONSOLE +y +the agent's channel to lab$" all
ok "one that is to be off" grep -qE "^  LOCALVERSION_AUTO +n " all
ok "each below the fragment that asks for it" bash -c "sed -n '/^minimal (/,/^guest (/p' all | grep -q ' VIRTIO_PCI '"
ok "in all" grep -qE "^[0-9]+ options of 2 fragments, 0 not as they were asked for$" all
if command -v "$cross" >/dev/null; then
	ok "for the other architecture its own" bash -c "'$lab' kernel config 6.5 --arch $other |
		grep -q '^6.5 $other, Linux 6.5.0: not built: configured to see$'"
else
	skip "for the other architecture its own" "no $cross"
fi
ok "where it was tried out is gone" clean
ok "what others see in JSON" bash -c "'$lab' kernel config 6.5 --json | jq -e '.known and .kernel == \"6.5\" and
	(.options | map(select(.name == \"VIRTIO_PCI\" and .value == \"y\" and .holds and .fragment == \"minimal\")) | length) == 1'"
ok "some options alone" is "  VIRTIO_PCI  y  virtio on PCI
  SIT         n
    no such option in 6.5" config 6.5 VIRTIO_PCI CONFIG_SIT
ok "offline without its source: what the fragments say" bash -c "'$lab' kernel config 6.4 --offline |
	grep -q '^6.4 $native, Linux 6.4: not built, and its source is not here'"
ok "not offline: why it cannot be had" says 3 "127.0.0.1:1" config 6.4
ok "of a tree" bash -c "'$lab' kernel config mine --source tree | head -1 | grep -q '^mine.* $native, Linux 6.5.0: not built'"

# --- what does not stick
cat >mine.config <<'CONFIG'
# the reason of one
CONFIG_STANDIN_X=y
# [>=6.4] what is gone
CONFIG_SLOB=y
# [<6.4] not for this one
CONFIG_NEVER=y
# a slip
CONFIG_VIRTIO_CONSLE=y
CONFIG
config 6.5 --flavour ./mine.config >mine 2>&1 || cat mine
ok "a dependency that is missing is named" grep -A1 "^! STANDIN_X  *y, is n  *the reason of one$" mine
ok "and why" grep -q "^    depends on STANDIN_Y, which is n$" mine
ok "an option that was removed, with its release" grep -q "^    no such option in 6.5 (it was removed in 6.4; now: SLUB with SLUB_TINY)$" mine
ok "one that is misspelled" grep -q "^    no such option in 6.5 (did you mean VIRTIO_CONSOLE?)$" mine
ok "what is for other versions is not asked for" fails grep NEVER mine
ok "in all" grep -q "options of 3 fragments, 3 not as they were asked for$" mine
ok "in JSON" bash -c "'$lab' kernel config 6.5 --flavour ./mine.config --json STANDIN_X | jq -e '.options[0] | (.holds | not) and
	.wanted == \"y\" and .value == \"n\" and .line == 2 and (.why | startswith(\"depends on STANDIN_Y\"))'"
ok "the build of it says the first, and how many" says 2 \
	"mine.config:2: CONFIG_STANDIN_X=y did not stick (it is n): depends on STANDIN_Y, which is n; and 2 more" \
	"$lab" kernel build 6.5 --flavour ./mine.config
printf '# why\n# CONFIG_VIRTIO_PCI is not set\n' >against.config
ok "fragments that conflict: both places" says 2 "against.config:2: wants VIRTIO_PCI=n, but $LAB_HOME/kernel-config/minimal.config:" \
	config 6.5 --flavour ./against.config
printf '# why\nCONFIG_VIRTIO_PCI = y\n' >bad.config
ok "a line that is none: where" says 2 "bad.config:2:18: expected '='" config 6.5 --flavour ./bad.config
ok "a fragment that there is not" says 2 "no fragment 'debg' in kernel-config/ (did you mean 'debug'?)" config 6.5+debg
ok "one of the user's own that there is not" says 2 "none.config: No such file" config 6.5 --flavour ./none.config
ok "all of that left nothing" clean

# --- one that is built
"$lab" kernel build 6.5 >/dev/null 2>said || cat said
ok "one that is built: of what" bash -c "'$lab' kernel config 6.5 | head -1 | grep -q '^6.5 $native, Linux 6.5.0: built of linux-6.5.tar.xz with gcc'"
built=$(echo "$LAB_CACHE"/kernels/6.5-"$native"-*/config)
sed -i 's/^CONFIG_VIRTIO_PCI=y/CONFIG_VIRTIO_PCI=m/; /^CONFIG_OVERLAY_FS=/d' "$built"
ok "its real configuration counts" bash -c "'$lab' kernel config 6.5 OVERLAY_FS VIRTIO_PCI | grep -q '^! OVERLAY_FS  y, is n'"
ok "a module instead: marked, without more words" bash -c "[[ \$('$lab' kernel config 6.5 VIRTIO_PCI) == '! VIRTIO_PCI  y, is m  virtio on PCI' ]]"

# --- two compared
title="# Linux/$srcarch 6.5.0 Kernel Configuration"
printf '%s\n' "$title" CONFIG_A=y CONFIG_LONGER_NAME=m CONFIG_SAME=y CONFIG_TEXT='"x"' >a.config
printf '%s\n' "$title" CONFIG_B=12 CONFIG_SAME=y CONFIG_TEXT='"y"' >b.config
compared="OPTION       a.config  b.config
A            y         n
B            n         12
LONGER_NAME  m         n
TEXT         \"x\"       \"y\"
4 options differ"
status=0
config a.config --diff b.config >differ || status=$?
ok "what differs, aligned" bash -c "[[ \$(cat differ) == '$compared' ]]"
ok "is exit 1" [ "$status" = 1 ]
ok "what is the same: exit 0" is "0 options differ" config a.config --diff ./a.config
ok "a kernel and a file" bash -c "! '$lab' kernel config 6.5 --diff a.config >d && grep -qE '^VIRTIO_PCI +m +n$' d"
ok "one that is built, and what it would be with more" bash -c "! '$lab' kernel config 6.5 --diff 6.5+lkdtm >d 2>&1 && grep -qE '^LKDTM +n +y$' d"
ok "in JSON" bash -c "'$lab' kernel config a.config --diff b.config --json | jq -e '.options[1] == {name: \"B\", a: \"n\", b: \"12\"}'"

# --- files and trees of the user's
ok "a tree that is not configured" says 2 "tree is not configured: there is no .config in it" config ./tree
make -s -C tree O="$dir/obj" ARCH="$srcarch" tinyconfig
ok "one that is, with its source beside" bash -c "'$lab' kernel config ./obj STANDIN_X | grep -A1 '^  STANDIN_X  n' | grep -q 'depends on STANDIN_Y'"
ok "a .config for another architecture" says 2 "is a configuration for $native, not for $other" config a.config --arch "$other"
echo CONFIG_A=y >c.config
ok "one that does not say of what" says 2 "does not say of which kernel it is" config ./c.config
echo hello >d.config
ok "what is no configuration: where" says 2 "d.config:1: not a line of a kernel's configuration" config ./d.config
ok "a file that is not there" says 2 "none: No such file" config ./none

# --- mistakes
ok "no kernel" says 2 "say which kernel" config
ok "an unknown one" says 2 "unknown kernel 'nonsense'" config nonsense
ok "an unknown architecture" says 2 "unknown architecture 'riscv'" config 6.5 --arch riscv
ok "what cannot be an option" says 2 "'A=y' is no option of a kernel" config 6.5 A=y
ok "--diff with options" says 2 "--diff takes two kernels" config 6.5 A --diff 6.5
sed -i 's/^tinyconfig: outputmakefile$/&\n\t@sleep 20/' tree/Makefile
interrupted() {
	local pid status=0
	"$lab" kernel config mine --source tree >/dev/null 2>&1 &
	pid=$!
	soon compgen -G "$LAB_CACHE/builds/tmp-config-*"
	kill -INT $pid
	wait $pid || status=$?
	[[ $status == 130 ]] && clean
}
# a background job of this shell ignores SIGINT unless jobs are controlled
set -m
ok "interrupted: 130, and nothing is left" interrupted
set +m

done_testing
