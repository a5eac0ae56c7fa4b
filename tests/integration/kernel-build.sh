#!/usr/bin/env bash
# lab kernel build, with a stand-in for the kernel's source: from a file: mirror to the cache; what goes
# wrong on the way; and that it goes on where it was. BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
BUILD=${BUILD:-build}
home=$PWD
lab_setup
cleanup() {
	! mountpoint -q "$dir/small" || umount "$dir/small"
	rm -rf "$dir"
}
trap cleanup EXIT
# shellcheck source=tests/integration/standin.sh
. tests/integration/standin.sh
mkdir -p "$dir/home" "$dir/mirror"
cp -r kernel-config "$dir/home/"
export LAB_HOME=$dir/home LAB_CACHE=$dir/cache CCACHE_DIR=$dir/ccache LC_ALL=C
unset LAB_CACHE_FROM LAB_NO_CCACHE MAKEFLAGS
cd "$dir"
case $(uname -m) in
aarch64) native=arm64 other=amd64 cross=x86_64-linux-gnu-gcc boot=arm64/boot/Image ;;
*) native=amd64 other=arm64 cross=aarch64-linux-gnu-gcc boot=x86/boot/bzImage ;;
esac
pins=$LAB_HOME/kernel-config/kernels.yml
printf 'schema: 1\nkernels: {}\n' >"$LAB_HOME/kernel-config/kernels.lock"
pin() { # pin NAME FILE [SHA256]
	printf '"%s": {source: {url: "file://%s/mirror/%s", sha256: %s}, config: [guest]}\n' "$1" "$dir" "$2" \
		"${3:-$(sha256sum "mirror/$2" | cut -d' ' -f1)}"
}
standin_source tree 6.5
standin_tarball tree mirror/linux-6.5.tar.xz
STANDIN_SLEEP=0.3 standin_source slow 6.6
standin_tarball slow mirror/linux-6.6.tar.gz
standin_source broken 6.5.1
echo 'int x = nowhere;' >>broken/kernel/two.c
standin_tarball broken mirror/linux-6.5.1.tar.gz
{
	pin 6.5 linux-6.5.tar.xz
	pin 6.6 linux-6.6.tar.gz
	pin 6.5.1 linux-6.5.1.tar.gz
	pin 6.4 linux-6.5.tar.xz "$(printf '%064d' 1)"
	pin 6.3 linux-6.3.tar.xz "$(printf '%064d' 2)"
} | sed '1s/}$/, default: true}/' >"$pins"
build() { "$lab" kernel build "$@"; }
made() { grep -c '^  CC  ' "$LAB_CACHE/builds/$1.log" || true; } # objects of the last build
kernel_of() { echo "$LAB_CACHE/kernels/$1"-*; }

# --- from the mirror to the cache
first=$(build 6.5 2>said) || cat said
ok "a pin is built from its tarball" grep -q "^6.5 $native: Linux 6.5.0 of linux-6.5.tar.xz, built in" <<<"$first"
ok "what is done next is said" grep -q "next: lab run --kernel 6.5 " <<<"$first"
ok "while it was built, so was what it waits for" grep -qx "building kernel 6.5 $native, for the first time" said
one=$(kernel_of 6.5-$native)
ok "image, config, vmlinux, a module are in the cache" bash -c "
	[[ -s '$one/image' && -s '$one/vmlinux' && -s '$one/lib/modules/6.5.0/kernel/drivers/misc/mod.ko' ]] &&
	grep -q CONFIG_VIRTIO_PCI=y '$one/config' && (cd '$one' && sha256sum --quiet -c SHA256SUMS)"
ok "with what is known of it" jq -e '.name == "6.5" and .version == "6.5.0" and (.local | not) and .objects == 9 and
	(.compiler | startswith("gcc")) and .fragments == ["minimal", "guest"] and (.build_id | length) == 40' "$one/meta.json"
ok "the module has no DWARF" bash -c "! readelf -S '$one'/lib/modules/*/kernel/drivers/misc/mod.ko | grep -q debug_info"
ok "only log and history stay of the building" is "6.5-$native.history 6.5-$native.log" \
	bash -c "cd '$LAB_CACHE/builds' && echo *"
ok "the log begins with what was run" bash -c "head -1 '$LAB_CACHE/builds/6.5-$native.log' | grep -q '^make -C .*ARCH='"
before=$(stat -c %Y%i "$one/image")
ok "again: it is there" bash -c "'$lab' kernel build 6.5 | grep -q 'was there' && [[ \$(stat -c %Y%i '$one/image') == $before ]]"
fresh() { build 6.5 --fresh >/dev/null 2>said && grep -q "last time\|first time" said && [[ $(made "6.5-$native") == 7 ]]; }
echo "265 9" >"$LAB_CACHE/builds/6.5-$native.history"
ok "--fresh builds all of it" fresh
ok "and says how long it took last time" grep -qx "building kernel 6.5 $native, took 4 min 25 s last time" said
json() { build 6.5 --json | jq -e '.[0] | .was_there and .image_bytes > 60000 and .notes == []'; }
ok "--json" json
same_bytes() {
	LAB_CACHE=$dir/elsewhere/cache LAB_NO_CCACHE=1 build 6.5 >/dev/null 2>&1 && cmp "$one/image" elsewhere/cache/kernels/*/image &&
		cmp "$one/vmlinux" elsewhere/cache/kernels/*/vmlinux
}
ok "in another folder: the same bytes" same_bytes
flavour() { build 6.5 --flavour debug,kasan | grep -q '^6.5+debug+kasan ' && [[ -s $(kernel_of 6.5+debug+kasan)/gdb/vmlinux-gdb.py ]]; }
ok "a flavour is another kernel, debug has gdb's scripts" flavour
whole_module() { readelf -S "$(kernel_of 6.5+debug+kasan)"/gdb/modules/lib/modules/*/kernel/drivers/misc/mod.ko | grep -q debug_info; }
ok "and modules with DWARF beside the guest's" whole_module
if command -v "$cross" >/dev/null; then
	both() { build 6.5 --arch all | grep -c '^6.5 ' && readelf -h "$(kernel_of 6.5-$other)/vmlinux" | grep -q "$(
		[[ $other == arm64 ]] && echo AArch64 || echo X86-64
	)"; }
	ok "both architectures" both
else
	skip "both architectures" "no $cross"
fi
if command -v clang ld.lld llvm-ar >/dev/null; then
	llvm() { build 6.5 --llvm >/dev/null && jq -e '.compiler | contains("clang")' "$(kernel_of 6.5-$native)/meta.json"; }
	ok "with clang it is another kernel" llvm
	build 6.5 >/dev/null 2>&1
else
	skip "with clang it is another kernel" "no clang, lld and LLVM"
fi

# --- sources
ok "a wrong checksum: both digests" says 3 "expected SHA-256 $(printf '%064d' 1), got $(sha256sum mirror/linux-6.5.tar.xz | cut -d' ' -f1)" "$lab" kernel build 6.4
ok "nothing of it is kept" bash -c "! ls '$LAB_CACHE/sources' | grep ^0000 | grep -v lock && ! ls '$LAB_CACHE/kernels' | grep -q ^6.4"
ok "a mirror that lacks it: what to do" says 3 "--source" "$lab" kernel build 6.3
ok "--source with another tarball than the pin's" says 2 "is not the pinned linux-6.5.tar.xz" "$lab" kernel build 6.5 --source mirror/linux-6.6.tar.gz
ok "--mirror" bash -c "mkdir m && mv mirror/linux-6.5.tar.xz m && LAB_CACHE=\$PWD/c2 '$lab' kernel build 6.5 --mirror m | grep -q '^6.5 '"
by_hand() { LAB_CACHE=$dir/c3 build 6.5 --source m/linux-6.5.tar.xz >/dev/null && jq -e '.local | not' c3/kernels/*/meta.json; }
ok "--source with the pin's tarball" by_hand
mv m/linux-6.5.tar.xz mirror
ok "a tree of another version" says 2 "is Linux 6.6.0, not 6.5" "$lab" kernel build 6.5 --source slow
ok "a name without a source" says 2 "unknown" "$lab" kernel build mine
ok "an unknown fragment" says 2 "nosuch" "$lab" kernel build 6.5 --flavour nosuch
ok "an unknown architecture" says 2 "amd64 and arm64" "$lab" kernel build 6.5 --arch mips
ok "a path as the name" says 2 "--source ./tree" "$lab" kernel build ./tree
ok "no name" says 2 "the name of one kernel" "$lab" kernel build
ok "a cache where kbuild cannot work" says 2 "has a ' ' in it" env LAB_CACHE="$dir/a b" "$lab" kernel build 6.5
printf '# because\nCONFIG_STANDIN_X=y\n' >x.config
ok "an option that does not stick" says 2 "STANDIN_X" "$lab" kernel build 6.5 --flavour ./x.config
changing() { # the key is that of the old text, and another lab builds so named a kernel
	printf '# a\nCONFIG_STANDIN_Y=y\n' >y.config
	exec 9>"$LAB_CACHE/builds/6.5+y-$native.lock"
	flock 9
	build 6.5 --flavour ./y.config >out 2>said 9>&- &
	local pid=$! status=0
	soon grep -q "waiting for another lab" said
	printf '# b\nCONFIG_STANDIN_Y=n\n' >y.config
	exec 9>&-
	wait $pid || status=$?
	[[ $status == 3 ]] && grep -q "fragments were edited meanwhile: run this again" said
}
ok "a fragment that is edited while another lab is waited for" changing

# --- tools
mkdir bin
for tool in sh make flex bison bc perl; do
	ln -s "$(command -v $tool)" bin/
done
ok "no compiler: what to install" says 3 "gcc" env PATH="$dir/bin" "$lab" kernel build 6.5 --fresh
for tool in gcc as ld; do
	ln -s "$(command -v $tool)" bin/
done
before_fetching() {
	says 3 "needs lz4" env PATH="$dir/bin" LAB_CACHE="$dir/empty" "$lab" kernel build 6.5 &&
		! find "$dir/empty" -path '*/sources/*' | grep -q .
}
ok "that is said before anything is fetched" before_fetching
ok "a tool that is missing" says 3 "needs lz4 (on Debian: apt-get install lz4)" env PATH="$dir/bin" "$lab" kernel build 6.5 --fresh
ok "lab run says the same" says 3 "needs lz4" env PATH="$dir/bin" "$lab" run --kernel 6.6 "$home/scenarios/hello.yml"
ok "no compiler for the other architecture" says 3 "gcc-" env PATH="$dir/bin" "$lab" kernel build 6.5 --arch $other --fresh

# --- failing, and going on
ok "a file that does not compile: the error, and the log" says 3 "kernel/two.c:3:9: error:" "$lab" kernel build 6.5.1
ok "with its place" says 3 "all it said is in $LAB_CACHE/builds/6.5.1-$native.log" "$lab" kernel build 6.5.1
running() { [[ $(made "6.6-$native" 2>/dev/null) -ge $1 ]]; } # that many objects are begun
start() { # start SIGNAL: begin to build 6.6, and send it a signal in the middle
	rm -f "$LAB_CACHE/builds/6.6-$native.log"
	"$lab" kernel build 6.6 --jobs 1 >out 2>said &
	local pid=$!
	soon running 3
	kill "-$1" $pid
	status=0
	wait $pid 2>/dev/null || status=$?
}
start INT
ok "Ctrl-C ends it" [ "$status" = 130 ]
ok "and says how to go on" grep -q "the same command goes on where it was" said
ok "nothing runs on" gone "$LAB_CACHE/builds/6.6-"
start KILL
ok "kill -9: what it started ends too" soon gone "$LAB_CACHE/builds/6.6-"
goes_on() {
	build 6.6 >/dev/null 2>said && [[ $(made "6.6-$native") -lt 7 && $(made "6.6-$native") -gt 0 ]] &&
		jq -e '.objects >= 5' "$(kernel_of 6.6)/meta.json"
}
ok "the same command goes on where it was" goes_on
two_at_once() {
	local a b
	build 6.6 --fresh >a 2>a.said &
	a=$!
	soon test -e "$LAB_CACHE/builds/6.6-$native.lock"
	build 6.6 >b 2>b.said &
	b=$!
	wait $a && wait $b && grep -q "built in" a && grep -q "was there\|built in" b
}
rm -rf "$(kernel_of 6.6)"
ok "two at once" two_at_once
ok "one waits and says so" grep -qx "waiting for another lab: building kernel 6.6 $native" b.said
on_terminal() { # of 80 columns: what it printed, a line for each state of the display
	echo "265 9" >"$LAB_CACHE/builds/6.6-$native.history"
	script -qec "stty cols 80; TERM=xterm '$lab' kernel build 6.6 --fresh" /dev/null </dev/null | tr '\r' '\n' | sed 's/\x1b\[[AK]//g' >shown
	grep -qx "building kernel 6.6 $native, took 4 min 25 s last time" shown && grep -qx "  \[[#.]*\] [0-9]* of 9 objects, 0:[0-9]*" shown
}
ok "on a terminal both lines are whole" on_terminal

# --- a tree of one's own
ok "a tree" bash -c "'$lab' kernel build mine --source tree | grep -q '^mine $native: Linux 6.5.0 of $dir/tree 6.5.0'"
ok "is marked as local" jq -e '.local and (has("inputs") | not)' "$(kernel_of mine)/meta.json"
ok "nothing is written to it" bash -c "! find tree -newer mirror/linux-6.5.tar.xz -type f | grep ."
obj=$(echo "$LAB_CACHE"/builds/mine-$native-*)
cp "$(kernel_of mine)/image" image.before
edited() { # edited OBJECTS: after an edit so many are made again, and the kernel is another one
	build mine --source tree >/dev/null 2>said && [[ $(made "mine-$native") == "$1" ]] && ! cmp -s "$(kernel_of mine)/image" image.before
}
echo 'int edited;' >>tree/fs/four.c
ok "edit one file: one object is made" edited 1
ok "which is said" grep -qx "building what changed of kernel mine $native" said
cp "$(kernel_of mine)/image" image.right
truncate -s 100 "$obj/kernel/one.o" "$obj/arch/$boot"
touch "$obj/.lab-running" # as after a loss of power: make would take these for whole
repaired() { build mine --source tree >/dev/null 2>&1 && cmp "$(kernel_of mine)/image" image.right && [[ ! -e $obj/.lab-running ]]; }
ok "what may be half written after everything was killed is made anew" repaired
echo 'int broken = x;' >>tree/fs/four.c
ok "a mistake in it" says 3 "fs/four.c:4:14: error:" "$lab" kernel build mine --source tree
ok "leaves the kernel that is there" cmp "$(kernel_of mine)/image" image.right
sed -i '$d' tree/fs/four.c
ok "and is mended" repaired
touch tree/.config
ok "a tree that was built in place" says 2 "mrproper" "$lab" kernel build mine --source tree
rm tree/.config

# --- modules for what was built
mkdir hello
echo 'obj-m := hello.o' >hello/Kbuild
echo 'const char *what = __FILE__;' >hello/hello.c
module() { "$lab" kernel module hello --offline --kernel "$@"; }
log_of() { echo "$(dirname "$(<"$1")").log"; } # of the building of what FILE names
five=$(kernel_of 6.5-$native)
for_pin() {
	module 6.5 >path 2>said && readelf -h "$(<path)" | grep -q REL && grep -qx "preparing kernel 6.5 $native for modules" said &&
		grep -qx 6.5.0 "$(log_of path)" && ! grep KBUILD_MODPOST_WARN "$(log_of path)"
}
ok "a module for a kernel that was built" for_pin
again() { module 6.5 2>said | cmp - path && [[ ! -s said ]]; }
ok "is there" again
another() {
	echo 'int more;' >>hello/hello.c
	module 6.5 >path 2>said && [[ -s $(<path) ]] && ! grep preparing said
}
ok "another one for it: what was prepared stays" another
rm -r "$five/Module.symvers" "$LAB_CACHE"/modules/kit-6.5-*
older() { module 6.5 >older && ! cmp -s older path && grep -q KBUILD_MODPOST_WARN=1 "$(log_of older)"; }
ok "for one whose Module.symvers was not kept" older
echo CONFIG_MODVERSIONS=y >>"$five/config"
ok "unless that is needed" says 2 "kept when it was built: 'lab kernel build --fresh' keeps it" module 6.5
sed -i '$d' "$five/config"
kept() { build 6.5 --fresh && module 6.5 >older && cmp older path; }
ok "which does" kept
touch now
for_mine() { module mine >path && [[ -s $(<path) && -z $(find tree -newer now -type f) ]]; }
ok "for one of a tree, to which nothing is written" for_mine
echo 'int again;' >>tree/fs/four.c
for_edited() { build mine --source tree && module mine >older 2>said && ! cmp -s older path && grep preparing said; }
ok "for what the tree is later" for_edited
mv tree away
ok "a tree that is gone" says 2 "kernel mine was built of a source that is not here ($dir/tree " module mine
mv away tree

# --- no space
mkdir small
if [[ $(id -u) == 0 ]] && mount -t tmpfs -o size=60k none small 2>/dev/null; then
	rm -rf "$LAB_CACHE/builds" "$(kernel_of 6.5-$native)"
	ln -s "$dir/small" "$LAB_CACHE/builds"
	ok "a full disk: which one, and how to go on" says 3 "no space left in $LAB_CACHE/builds/6.5-" "$lab" kernel build 6.5
	mount -o remount,size=8m small
	ok "once there is room it goes on" build 6.5
	ok "and is what it always was" bash -c "cmp '$(kernel_of 6.5-$native)/image' elsewhere/cache/kernels/*/image"
	umount small
else
	skip "a full disk" "mounting a small tmpfs needs root"
fi

done_testing
