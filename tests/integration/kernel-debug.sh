#!/usr/bin/env bash
# lab kernel pull --debug and lab kernel source against an archive made here: what is kept of a debug
# package, and what can go wrong on the way. BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
BUILD=${BUILD:-build}
tests=$PWD/tests/integration
top=$PWD
lab_setup
server=
cleanup() {
	[[ -z $server ]] || kill "$server" 2>/dev/null || true
	! mountpoint -q "$dir/small" || umount "$dir/small"
	rm -rf "$dir"
}
trap cleanup EXIT
cd "$dir"
mirror=$dir/mirror
# shellcheck source=tests/integration/make-archive.sh
. "$tests/make-archive.sh"
# shellcheck source=tests/integration/standin.sh
. "$tests/standin.sh"
unset LAB_SNAPSHOT http_proxy https_proxy all_proxy
export APT_CONFIG=$dir/apt.conf # no mirror of this host's
printf 'Dir::Etc "%s"; Dir::State::Lists "%s";\n' "$dir" "$dir" >"$APT_CONFIG"
export LAB_HOME=$dir/home LAB_CACHE=$dir/cache LAB_MIRROR=file://$mirror LAB_KEYRING=$dir/good.gpg LC_ALL=C
mkdir -p "$LAB_HOME/vm" "$LAB_HOME/lab"
cp -r "$top/kernel-config" "$LAB_HOME/" && rm "$LAB_HOME/kernel-config/kernels.lock"
cp -r "$top/lab/gdb" "$LAB_HOME/lab/"
printf 'early overlay absent\nlazy second\n' >"$LAB_HOME/vm/modules"

# --- the archive: 6.1 and 6.2 with debug packages, 6.3 without
elf_of() { # elf_of FILE ID: what is asked for in a vmlinux; noise, so that it takes a while to come
	printf 'struct list_head { struct list_head *next; } a; void ksys_unshare(void) {} void vectors(void) {}
void asm_exc_divide_error(void) {} void _start(void) {}\n' >vmlinux.c
	gcc -g -nostdlib -static "-Wl,--build-id=0x$2" vmlinux.c -o "$1"
	head -c 3000000 /dev/urandom >noise
	objcopy --add-section .noise=noise "$1"
}
module() { # module FILE DEPENDS
	mkdir -p "${1%/*}"
	printf 'const char m[] __attribute__((section(".modinfo"))) = "depends=%s";\n' "$2" >module.c
	gcc -g -c module.c -o "$1"
}
id=00112233445566778899aabbccddeeff00112233
make_key good
r=6.1.0-2-cloud
elf_of vmlinux $id
for arch in amd64 arm64; do
	for v in 1 2 3; do
		release=6.$v.0-2-cloud-$arch modules=lib/modules/6.$v.0-2-cloud-$arch/kernel
		kernel_tree $arch $release 6.$v.10 100 root
		for below in "root/$modules" "debug/usr/lib/debug/$modules"; do
			module "$below/fs/overlay.ko" base-of
			module "$below/lib/base-of.ko" ''
			module "$below/net/second.ko" ''
			module "$below/net/unwanted.ko" ''
		done
		deb old $arch linux-image-$release 6.$v.10-1 root
		mkdir -p debug/usr/lib/debug/boot
		echo 1 >debug/usr/lib/debug/boot/System.map-$release
		[[ $v == 2 ]] || cp vmlinux debug/usr/lib/debug/boot/vmlinux-$release
		ln -s ../../../boot/vmlinux-$release debug/usr/lib/debug/lib/modules/$release/vmlinux
		[[ $v == 3 ]] || deb old $arch linux-image-$release-dbg 6.$v.10-1 debug
		rm -rf debug
	done
done
standin_source linux-source-6.1 6.1
mkdir -p root/usr/src && tar -cJf root/usr/src/linux-source-6.1.tar.xz linux-source-6.1
deb old amd64 linux-source-6.1 6.1.10-1 root
publish old good
cat >"$LAB_HOME/kernel-config/kernels.yml" <<'YML'
"6.1": {debian: {suite: old, flavour: cloud}, default: true, source: {debian: linux-source-6.1, suite: old}}
"6.2": {debian: {suite: old, flavour: cloud}}
"6.3": {debian: {suite: old, flavour: cloud}}
YML
python3 "$tests/range-server.py" "$dir" "$dir/log" "$dir/port" &
server=$!
soon test -e port
url=http://127.0.0.1:$(<port)/mirror
"$lab" kernel pin --all >/dev/null
export LAB_MIRROR=$url
lock=$LAB_HOME/kernel-config/kernels.lock
deb_name=linux-image-$r-amd64-dbg_6.1.10-1_amd64.deb
pool=$mirror/pool/$deb_name
cp "$pool" deb.good
sum=$(sha256sum deb.good | cut -d' ' -f1)
partial=$LAB_CACHE/debs/$sum.part
where=$LAB_CACHE/kernels/6.1-6.1.10-1-amd64.debug

pull() { "$lab" kernel pull --debug 6.1 --arch amd64; }
fresh() { # the kernel is there, its symbols are not; the server behaves
	rm -rf "$where"* "$LAB_CACHE/debs" .[a-z]*
	cp deb.good "$pool"
	: >log
}
gets() { grep -c "$deb_name" log || true; }
nothing() { # nothing that could be taken for symbols, or in the way of the next one
	ls "$LAB_CACHE/kernels" "$LAB_CACHE/debs"
	[[ ! -e $where && ! -e $where.tmp ]] && [[ ! -e $LAB_CACHE/debs/$sum.deb ]]
}
whole() {
	(cd "$where" && sha256sum -c --quiet SHA256SUMS && find . -type f | sort | tr '\n' ' ') >got || return 1
	cat got
	[[ $(<got) == "./SHA256SUMS ./meta.json ./modules/kernel/fs/overlay.ko ./modules/kernel/lib/base-of.ko ./modules/kernel/net/second.ko ./vmlinux " ]] &&
		cmp "$where/vmlinux" vmlinux && [[ ! -e $LAB_CACHE/debs/$sum.deb ]]
}

# --- what is kept, and who knows of it
"$lab" kernel pull 6.1 --arch amd64 >/dev/null
ok "without its debug package a kernel has no vmlinux" says 3 "6.1 has no vmlinux" "$lab" kernel path 6.1 --arch amd64 --what vmlinux
says_ready() { pull 2>said | tee got && [[ $(<got) == *"amd64  was there"*"amd64  symbols ready" ]] && [[ $(grep -c '^unpacking symbols of kernel 6.1 amd64$' said) == 1 ]]; }
ok "pull --debug" says_ready
ok "keeps vmlinux and the modules that guests load, and no package" whole
: >log
again() { pull | tee got && grep -q "symbols were there" got && [[ ! -s log ]]; }
ok "again: nothing is fetched" again
ok "the kernel has a vmlinux now" is "$where/vmlinux" "$lab" kernel path 6.1 --arch amd64 --what vmlinux --offline
ok "list shows it" bash -c "'$lab' kernel list 6.1 | grep -q 'amd64 .*yes, with symbols'"
ok "of this architecture alone" bash -c "'$lab' kernel list 6.1 | grep 'arm64' | grep -qv symbols"
ok "so does list --json" bash -c "'$lab' kernel list 6.1 --arch amd64 --json | jq -e '.[0] | .debug_cached and .debug_bytes == $(stat -c %s deb.good)'"
if command -v gdb >/dev/null; then
	ok "gdb has indexed it" test -s "$LAB_CACHE/gdb-index/$id.gdb-index"
	ok "without gdb that is said" bash -c "
		mkdir -p few && for p in apt-config apt-get; do ln -sf \$(command -v \$p) few/; done
		rm -rf '$LAB_CACHE/gdb-index'; PATH=$dir/few '$lab' kernel pull --debug 6.1 --arch amd64 2>&1 | grep 'note: not indexed for gdb yet: .*install the package gdb'"
else
	skip "gdb has indexed it" "no gdb here"
fi
ok "cache says how much it is" bash -c "'$lab' cache --json | jq -e '.\"gdb-index\" >= 0 and .kernels > 3000000'"
mkdir -p "$LAB_CACHE/kernels/6.1-6.1.9-1-amd64.debug"
ok "prune" bash -c "'$lab' cache prune && [[ -e '$where/vmlinux' ]]"
ok "removes what is not pinned any more" test ! -e "$LAB_CACHE/kernels/6.1-6.1.9-1-amd64.debug"
ok "verify" "$lab" kernel verify 6.1
damage() { printf damaged | dd of="$1" bs=1 seek=100000 conv=notrunc status=none; }
damage "$where/vmlinux"
verify_fails() { ! "$lab" kernel verify 6.1 >got 2>said && grep -q DAMAGED got && grep -q "debug/vmlinux: changed" said; }
ok "verify finds what was changed" verify_fails
ok "rm removes kernel and symbols" bash -c "'$lab' kernel rm 6.1 --arch amd64 && ! ls '$LAB_CACHE/kernels' | grep -v prune | grep amd64"
ok "pull --debug brings both" pull
ok "as they were" whole
rm "$where/vmlinux"
ok "a folder without its vmlinux is made again" pull
ok "whole" whole

# --- what cannot be had
for arch in amd64 arm64; do "$lab" kernel pull 6.2,6.3 --arch $arch >/dev/null; done
ok "a package without a vmlinux" says 3 "there is no vmlinux-6.2.0-2-cloud-amd64 in linux-image-6.2.0-2-cloud-amd64-dbg" "$lab" kernel pull --debug 6.2 --arch amd64
ok "leaves nothing" bash -c "! ls '$LAB_CACHE/kernels' | grep '6.2.*debug\$'"
ok "a kernel that has none" says 3 "6.3 for amd64 has no debug package" "$lab" kernel pull --debug 6.3 --arch amd64
sed -i '/"6.2"/d' "$LAB_HOME/kernel-config/kernels.yml"
"$lab" kernel pull --all >/dev/null
all() { "$lab" kernel pull --debug --all >got && cat got && [[ $(grep -c "no debug package" got) == 2 && $(grep -c "symbols" got) == 4 ]]; }
ok "with --all it is passed over" all
fresh
damage "$pool"
ok "wrong checksum" says 3 "wrong checksum: expected SHA-256 $sum" pull
ok "what was wrong is not kept" nothing
fresh
head -c 700000 deb.good >"$pool"
ok "a truncated package" says 3 "truncated: 700000 bytes" pull
ok "is not kept" nothing
fresh
rm "$pool"
ok "gone from the mirror" says 3 "symbols of kernel 6.1 for amd64: linux-image-$r-amd64-dbg 6.1.10-1 of old is gone; tried $url" pull
ok "and from the snapshot" env LAB_SNAPSHOT="file://$dir/snapshot" bash -c ". '$top/tests/tap.sh'; says 3 'is gone; tried $url and file://' '$lab' kernel pull --debug 6.1 --arch amd64"

# --- the vmlinux of another build: an image that says which it is
foreign_build() {
	local image=$LAB_CACHE/kernels/6.1-6.1.10-1-arm64/image
	fresh
	"$lab" kernel pull 6.1 --arch arm64 >/dev/null || return 1
	rm -rf "$LAB_CACHE"/kernels/*arm64.debug
	cp -p "$image" image.good
	printf '\4\0\0\0\24\0\0\0\3\0\0\0GNU\0%020d' 7 | dd of="$image" bs=1 seek=65536 conv=notrunc status=none
	touch -r image.good "$image"
	says 3 "of another build (build id $id) than the kernel (3030303030" "$lab" kernel pull --debug 6.1 --arch arm64 &&
		[[ ! -e $LAB_CACHE/kernels/6.1-6.1.10-1-arm64.debug ]]
}
ok "a vmlinux of another build than the kernel" foreign_build

# --- interrupted, killed, two at once
begin() { # begin SIGNAL: fetch slowly, and send it a signal in the middle
	fresh
	echo 0.1 >.slow
	pull >out 2>said &
	local pid=$!
	soon test -s "$partial"
	kill "-$1" "$(pgrep -P $pid || echo $pid)"
	status=0
	wait $pid 2>/dev/null || status=$?
	rm .slow
}
goes_on() { [[ -s $partial ]] && pull && grep -q "$deb_name bytes=[1-9]" log && whole; }
begin INT
ok "Ctrl-C while it is fetched" [ "$status" = 130 ]
one_line() { grep -v '^fetching' said >got && cat got && [[ $(wc -l <got) == 1 ]]; }
ok "says so in a line" one_line
ok "the same command goes on where it was" goes_on
begin KILL
ok "so it does after kill -9" goes_on
fresh
mkdir -p "$where.tmp/modules" && touch "$where.tmp/vmlinux"
ok "what was half unpacked when it was killed is unpacked again" pull
ok "from the start" whole
fresh
echo 0.03 >.slow
two_at_once() {
	pull >a 2>&1 &
	local a=$!
	soon test -s "$partial"
	pull >b 2>&1 || return 1
	wait $a && cat a b && [[ $(gets) == 1 ]] && grep -q "^waiting for another lab: fetching symbols of kernel 6.1 amd64" b && whole
}
ok "two at once: one fetches, the other says why it waits" two_at_once
rm -f .slow

# --- no space
if [[ $(id -u) == 0 ]] && mkdir small && mount -t tmpfs -o size=2m none small 2>/dev/null; then
	fresh
	mv "$LAB_CACHE/kernels" kernels.all
	mkdir small/kernels && cp -a kernels.all/6.1-6.1.10-1-amd64 small/kernels/ && ln -s "$dir/small/kernels" "$LAB_CACHE/kernels"
	ok "a full disk: one line with a way out" says 3 "no space left to unpack linux-image-$r-amd64-dbg: symbols take" pull
	ok "nothing half there stays" test ! -e "$where.tmp"
	mount -o remount,size=32m small
	: >log
	ok "once there is room it goes on" pull
	ok "without fetching again" [ "$(gets)" = 0 ]
	rm "$LAB_CACHE/kernels" && mv kernels.all "$LAB_CACHE/kernels"
	umount small
else
	skip "a full disk" "mounting a small tmpfs needs root"
fi

# --- the source
source=$LAB_CACHE/sources/$(sed -n '/linux-source-6.1/,/sha256/s/.*sha256: "\(.\{16\}\).*/\1/p' "$lock")
ok "source, when nothing may be fetched" says 3 "linux-source-6.1" "$lab" kernel source 6.1 --offline
ok "source prints its folder" is "$source" "$lab" kernel source 6.1
ok "it is there" grep -q '^VERSION = 6' "$source/Makefile"
: >log
ok "once it is there nothing is fetched" is "$source" "$lab" kernel source 6.1 --offline
ok "of a flavour it is the same" is "$source" "$lab" kernel source 6.1+debug --offline
ok "a pin without a source" says 2 "6.3" "$lab" kernel source 6.3
ok "no such kernel" says 2 "pinned are 6.1, 6.3" "$lab" kernel source 9.9
ok "no name" exits 2 "$lab" kernel source

done_testing
