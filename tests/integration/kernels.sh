#!/usr/bin/env bash
# lab kernel and lab image pin against an archive made here: trust, resuming, sharing, what is gone.
# BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
tests=$PWD/tests/integration
lab=$(realpath "${BUILD:-build}/bin/lab")
dir=$(mktemp -d)
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
unset LAB_SNAPSHOT http_proxy https_proxy all_proxy
# apt without this host's settings
mkdir lists
cat >apt.conf <<CONF
Dir::Etc::Main "/dev/null"; Dir::Etc::Parts "/dev/null"; Dir::State::Lists "$dir/lists";
Dir::Etc::SourceList "$dir/sources.list"; Dir::Etc::SourceParts "/dev/null";
CONF
touch sources.list
export APT_CONFIG=$dir/apt.conf
export LAB_HOME=$dir/home LAB_CACHE=$dir/cache LAB_MIRROR=file://$mirror LAB_KEYRING=$dir/good.gpg LC_ALL=C
lock=$LAB_HOME/kernel-config/kernels.lock

# --- the archive: one-package kernels in "old", a split one in "new", two packages for the guest
make_key good
make_key evil
one=6.1.0-2-cloud two=6.30.9-cloud
for arch in amd64 arm64; do
	kernel_tree $arch 6.1.0-1-cloud-$arch 6.1.9 100 root
	deb old $arch linux-image-6.1.0-1-cloud-$arch 6.1.9-1 root
	kernel_tree $arch $one-$arch 6.1.10 3000 root
	deb old $arch linux-image-$one-$arch 6.1.10-1 root 'Depends: kmod, linux-base (>= 4.3~)'
	kernel_tree $arch 6.12.1-cloud-$arch 6.12.1 100 root
	deb old $arch linux-image-6.12.1-cloud-$arch 6.12.1-1 root
	kernel_tree $arch 6.1.0-2-$arch 6.1.10 100 root # another flavour
	deb old $arch linux-image-6.1.0-2-$arch 6.1.10-1 root
	mkdir root && deb old $arch linux-image-$one-$arch-dbg 6.1.10-1 root

	mkdir -p root/usr/lib/modules/$two-$arch
	image $arch $two-$arch 6.30.9 64 root/usr/lib/modules/$two-$arch/vmlinuz
	[[ $arch != arm64 ]] || python3 - root/usr/lib/modules/$two-$arch/vmlinuz <<'PY'
import gzip, struct, sys
path = sys.argv[1]
payload = gzip.compress(open(path, "rb").read())
open(path, "wb").write(b"MZ\0\0zimg" + struct.pack("<II", 64, len(payload)) + b"\0" * 8 + b"gzip" + b"\0" * 36 + payload + b"end")
PY
	deb new $arch linux-binary-$two-$arch 6.30.9-1 root
	mkdir -p root/usr/lib/modules/$two-$arch/kernel
	echo module >root/usr/lib/modules/$two-$arch/kernel/a.ko.xz
	deb new $arch linux-modules-$two-$arch 6.30.9-1 root
	mkdir -p root/usr/lib/modules/$two-$arch/dtb
	(echo CONFIG_X=y && guest_needs) >root/usr/lib/modules/$two-$arch/config
	deb new $arch linux-base-$two-$arch 6.30.9-1 root
	mkdir root && deb new $arch linux-image-$two-$arch 6.30.9-1 root \
		"Depends: initramfs | dracut, linux-base-$two-$arch (= 6.30.9-1), linux-binary-$two-$arch (= 6.30.9-1), linux-modules-$two-$arch (= 6.30.9-1)"

	mkdir root && deb old $arch tool 1.0 root 'Depends: lib-virtual, absent | helper (>= 1), docs, needless' 'Pre-Depends: libc'
	mkdir root && deb old $arch libc 2.0 root
	mkdir root && deb old $arch helper 1 root 'Depends: tool'
	mkdir root && deb old $arch lib-real 1 root 'Provides: lib-virtual (= 1), other' 'Depends: libc'
	mkdir root && deb old $arch docs 1 root 'Depends: needless'
	mkdir root && deb old $arch needless 1 root
done
publish old good
publish new good 'Acquire-By-Hash: yes'
rm "$mirror"/dists/new/main/binary-*/Packages.xz # only by its hash
mkdir -p "$LAB_HOME/kernel-config" "$LAB_HOME/vm"
cat >"$LAB_HOME/kernel-config/kernels.yml" <<'YML'
"6.1":  {debian: {suite: old, flavour: cloud}, default: true}
"6.30": {debian: {suite: new, flavour: cloud}}
YML
printf 'suite: old\npackages: [tool]\nexclude: [docs, needless]\n' >"$LAB_HOME/vm/packages.yml"

url=
python3 "$tests/range-server.py" "$dir" "$dir/log" "$dir/port" &
server=$!
for ((i = 0; i < 100; i++)); do
	[[ -e port ]] && break
	sleep 0.1
done
url=http://127.0.0.1:$(<port)/mirror
deb_name=linux-image-$one-amd64_6.1.10-1_amd64.deb
deb_sum=$(sha256sum "$mirror/pool/$deb_name" | cut -d' ' -f1)

# --- pinning, and whom it trusts
ok "a kernel that is not pinned yet says so" says 3 "lab kernel pin 6.1" "$lab" kernel pull 6.1
ok "pin all" "$lab" kernel pin --all
ok "the newest package of series and flavour" grep -q "name: linux-image-$one-amd64$" "$lock"
ok "no other flavour or series" bash -c "! grep -qE 'linux-image-(6\.12|6\.1\.0-2-a|6\.1\.0-1)' '$lock'"
ok "the debug package by name" grep -q "name: linux-image-$one-arm64-dbg$" "$lock"
ok "of a split kernel its parts" bash -c "[[ \$(grep -c -- '- name: linux-.*-$two-arm64' '$lock') == 3 ]]"
ok "not its empty image" bash -c "! grep -q 'name: linux-image-$two' '$lock'"
cp "$lock" lock.before
pin_again() { "$lab" kernel pin 6.1 && cmp "$lock" lock.before; }
ok "pinned again: not a byte changes" pin_again
ok "unknown pin: the pins are listed" says 2 "pinned are 6.1, 6.30" "$lab" kernel pin 9.9
ok "unknown verb" says 2 "list, pin, pull" "$lab" kernel pul
ok "unknown architecture" says 2 "amd64 and arm64" "$lab" kernel pull --arch mips

untrusted() { # untrusted TEXT: pinning fails with it, and the lock stays
	says 3 "$1" "$lab" kernel pin 6.1 && cmp "$lock" lock.before
}
release=$mirror/dists/old/InRelease
cp "$release" release.good
publish old evil
ok "InRelease signed by a stranger" untrusted "no valid signature"
sed 's/^Date: .*/Date: Thu, 01 Jan 2026 00:00:00 UTC/' release.good >"$release"
ok "InRelease changed after it was signed" untrusted "no valid signature"
cp "$mirror/dists/old/Release" "$release"
ok "InRelease without a signature" untrusted "no valid signature"
publish old good 'Valid-Until: Thu, 01 Jan 2026 00:00:00 UTC'
ok "InRelease past its validity" untrusted "ended its validity"
accepted() { APT_CONFIG=$dir/apt-old.conf "$lab" kernel pin 6.1 && cmp "$lock" lock.before; }
(cat apt.conf && echo 'Acquire::Check-Valid-Until "false";') >apt-old.conf
ok "unless apt is told not to mind" accepted
cp "$mirror/dists/new/InRelease" "$release"
ok "InRelease of another suite, with a good signature" untrusted "that of another suite (new)"
cat release.good >two
gpg --homedir "$dir/evil.gpg-home" --batch --quiet --clearsign -o more <<<'Suite: old'
gpgconf --homedir "$dir/evil.gpg-home" --kill gpg-agent
cat more >>two
cp two "$release"
ok "a stranger's message after the signed one" untrusted "no valid signature"
cp release.good "$release"
index=$mirror/dists/old/main/binary-amd64/Packages.xz
cp "$index" index.good
(xz -dc index.good && echo) | sed 's/^Size: .*/Size: 1/' | xz >"$index"
rm -rf "$LAB_CACHE/apt"
ok "Packages of another size" untrusted "Packages.xz"
head -c "$(stat -c %s index.good)" /dev/zero >"$index"
ok "Packages of the same size" untrusted "the signed InRelease says"
cp index.good "$index"
ok "LAB_KEYRING that is not there" env LAB_KEYRING=/nowhere bash -c ". '$tests/../tap.sh'; says 3 'debian-archive-keyring' '$lab' kernel pin 6.1"
ok "no such suite on the mirror" env LAB_MIRROR="file://$dir/nothing" bash -c ". '$tests/../tap.sh'; says 3 'InRelease: not there' '$lab' kernel pin 6.1"

# --- kernels.yml and kernels.lock do not agree
yml=$LAB_HOME/kernel-config/kernels.yml
listed() { # listed LINE: list says so, and goes well
	"$lab" kernel list | tee said && grep -qE "$1" said
}
rm "$lock"
ok "no lock: list says what to do" listed '^6\.1 .*arm64 .*lab kernel pin 6\.1'
ok "no lock: so does a run" says 2 "run 'lab kernel pin 6.1'" "$lab" kernel path 6.1
: >"$lock"
ok "an empty lock: where, what" says 2 "kernels.lock:" "$lab" kernel list
sed 's/"6.30"/"6.31"/' lock.before >"$lock"
ok "a pin that kernels.yml lacks" listed '^6\.31 .*amd64 .*not in kernels.yml'
ok "one that the lock lacks" listed '^6\.30 .*amd64 .*not pinned: lab kernel pin 6\.30'
ok "a lock's pin that kernels.yml lacks cannot be pulled" says 2 "in kernels.lock but not in kernels.yml" "$lab" kernel pull 6.31
ok "pinning drops it" bash -c "'$lab' kernel pin 6.1 >said && grep -q '^6.31 .*amd64 .*dropped' said && ! grep -q 6.31 '$lock'"
sed '/^    arm64:/,/^  "6.30/{/^  "6.30/!d}' lock.before >"$lock"
ok "an architecture the lock lacks" listed '^6\.1 .*arm64 .*not pinned'
ok "cannot be pulled" says 3 "6.1 is not pinned for arm64" "$lab" kernel pull 6.1 --arch arm64
mv "$yml" yml
ok "no kernels.yml" says 2 "kernels.yml: No such file" "$lab" kernel list
mv yml "$yml"
cp lock.before "$lock"
ok "no folder for the cache" env -u LAB_CACHE -u XDG_CACHE_HOME -u HOME bash -c ". '$tests/../tap.sh'; says 2 'set LAB_CACHE' '$lab' kernel path 6.1 --arch amd64"

# --- packages of the guest
ok "image pin" "$lab" image pin
closure() { # closure ARCH: the names in the lock, in order
	local names
	names=$(sed -n "/^$1:/,/^[b-z]/s/^  \([a-z-]*\):$/\1/p" "$LAB_HOME/vm/packages.lock" | sort -u | tr '\n' ' ')
	echo "$names"
	[[ $names == "helper lib-real libc tool " ]]
}
ok "all it needs: alternatives, virtual packages, Pre-Depends, nothing excluded" closure arm64
ok "tool's own needs" grep -q 'depends: \[helper, lib-real, libc\]' "$LAB_HOME/vm/packages.lock"
printf 'suite: old\npackages: [nothing]\n' >"$LAB_HOME/vm/packages.yml"
ok "a package the suite does not have" says 3 "no package 'nothing'" "$lab" image pin

# --- pulling
export LAB_MIRROR=$url
gets() { # gets FILE: how often the server was asked for it
	grep -c "GET .*/$1 " "$dir/log" || true
}
fresh() { # nothing in the cache, the server as it should be
	rm -rf "$LAB_CACHE/debs" "$LAB_CACHE/kernels" "$dir"/.slow "$dir"/.norange "$dir"/.status "$dir"/.cut
	: >"$dir/log"
}
pull() { "$lab" kernel pull 6.1 --arch amd64; }
cached_is_right() {
	[[ $(sha256sum "$LAB_CACHE/debs/$deb_sum.deb" | cut -d' ' -f1) == "$deb_sum" ]] &&
		[[ ! -e $LAB_CACHE/debs/$deb_sum.part && ! -e $LAB_CACHE/debs/$deb_sum.lock ]]
}
nothing_wrong_cached() { [[ ! -e $LAB_CACHE/debs/$deb_sum.deb && -z $(ls "$LAB_CACHE/kernels" 2>/dev/null) ]]; }

fresh
ok "offline with an empty cache" says 3 "lab kernel pull 6.1" "$lab" kernel path 6.1 --arch amd64 --offline
ok "pull everything" "$lab" kernel pull --all
where=$LAB_CACHE/kernels/6.1-6.1.10-1-amd64
unpacked() {
	(cd "$where" && sha256sum --quiet -c SHA256SUMS) && [[ $("$lab" kernel path 6.1 --arch amd64) == "$where/image" ]] &&
		grep -q CONFIG_OVERLAY_FS=m "$("$lab" kernel path 6.1 --arch amd64 --what config)" &&
		[[ -e $("$lab" kernel path 6.1 --arch amd64 --what modules)/kernel/fs/overlay.ko ]] && cached_is_right
}
ok "image, config, modules" unpacked
split() {
	local image
	image=$("$lab" kernel path 6.30 --arch "$1") && grep -q CONFIG_X "$("$lab" kernel path 6.30 --arch "$1" --what config)" &&
		[[ -e ${image%/*}/lib/modules/$two-$1/kernel/a.ko.xz ]]
}
ok "a split kernel" split amd64
raw() { split arm64 && [[ $(tail -c +57 "$("$lab" kernel path 6.30 --arch arm64)" | head -c 4) == "ARMd" ]]; }
ok "an arm64 image in an EFI program is taken out of it" raw
ok "list says what is cached" bash -c "[[ \$('$lab' kernel list --json | jq 'map(select(.cached)) | length') == 4 ]]"
: >log
quiet_offline() { # no network, no programs to ask
	PATH=/nowhere LAB_MIRROR=http://127.0.0.1:1 "$lab" kernel path "$1" --arch amd64 --offline && [[ ! -s log ]]
}
ok "a warm cache needs no network and no apt" quiet_offline 6.1
ok "by its version" quiet_offline 6.1.10
ok "path wants one architecture" says 2 "one kernel and one --arch" "$lab" kernel path 6.1 --arch all
touch -d 2020-01-01 "$where/image"
ok "a cache that was copied, with other times" quiet_offline 6.1
if [[ $(id -u) == 0 ]] && mount --bind "$LAB_CACHE" "$LAB_CACHE" 2>/dev/null; then
	mount -o remount,bind,ro "$LAB_CACHE"
	ok "a cache that is read-only" quiet_offline 6.1
	ok "and lacks something: one line" says 3 "Read-only file system" "$lab" kernel rm 6.1
	umount "$LAB_CACHE"
else
	skip "a cache that is read-only" "mounting needs root"
fi
ok "verify" "$lab" kernel verify
printf x | dd of="$where/lib/modules/$one-amd64/kernel/fs/overlay.ko" conv=notrunc status=none
ok "verify finds a byte that changed" bash -c "! '$lab' kernel verify 6.1 >said 2>&1 && grep -q overlay.ko said && grep -q DAMAGED said"
printf damaged | dd of="$LAB_CACHE/debs/$deb_sum.deb" bs=1 seek=9999 conv=notrunc status=none
rm -rf "$where"
"$lab" kernel pull 6.30 --arch amd64 >/dev/null
two_meta=$LAB_CACHE/kernels/6.30-6.30.9-1-amd64/meta.json
sed -i 's/"packages": "0/"packages": "1/; t; s/"packages": "./"packages": "0/' "$two_meta"
ok "verify finds a folder made of other packages" bash -c "! '$lab' kernel verify 6.30 >said 2>&1 && grep -q 'other packages' said"
ok "a package damaged in the cache is not used" says 3 "not in the cache" "$lab" kernel path 6.1 --arch amd64 --offline
ok "but fetched again" bash -c "'$lab' kernel pull 6.1 --arch amd64 && [[ \$(sha256sum <'$LAB_CACHE/debs/$deb_sum.deb') == $deb_sum* ]]"
stuck=lib/modules/$one-amd64/kernel/fs # what cannot be removed; half of a kernel must not be taken for one
if [[ $(id -u) != 0 ]] && chmod 555 "$where/$stuck" || mount -t tmpfs none "$where/$stuck" 2>/dev/null; then
	ok "rm that fails says why" says 3 "kernel: remove fs: " "$lab" kernel rm 6.1 --arch amd64
	ok "and leaves no kernel that is half there" test ! -e "$where"
	umount "$LAB_CACHE"/kernels/tmp-*/"$stuck" 2>/dev/null || chmod 755 "$LAB_CACHE"/kernels/tmp-*/"$stuck"
	touch -d 2020-01-01 "$LAB_CACHE"/kernels/tmp-*
	ok "what is left of it goes by prune" bash -c "'$lab' cache prune && ! ls '$LAB_CACHE/kernels' | grep tmp-"
	"$lab" kernel pull 6.1 >/dev/null
else
	skip "rm that fails" "root without mounts"
fi
ok "rm" bash -c "'$lab' kernel rm 6.1 --arch amd64 | grep -q '^1 kernel removed'"
ok "it is gone, the other architecture is not" bash -c "[[ ! -e '$where' && -e '${where/amd64/arm64}' && ! -e '$LAB_CACHE/debs/$deb_sum.deb' ]]"
ok "an architecture that is not pinned" bash -c "
	. '$tests/../tap.sh'; cp '$lock' keep; sed '/^    arm64:/,/^  \"6.30/{/^  \"6.30/!d}' keep >'$lock'
	says 2 'only for amd64' '$lab' kernel path 6.1 --arch arm64; r=\$?; cp keep '$lock'; exit \$r"

# --- what can go wrong on the way
pool=$mirror/pool/$deb_name
cp "$pool" deb.good
size=$(stat -c %s deb.good)
fresh
printf damaged | dd of="$pool" bs=1 seek=100000 conv=notrunc status=none
ok "wrong checksum" says 3 "wrong checksum: expected SHA-256 $deb_sum" "$lab" kernel pull 6.1 --arch amd64
ok "what was wrong is not cached" bash -c "[[ -z \$(ls '$LAB_CACHE/debs' | grep -v lock) && ! -e '$LAB_CACHE/kernels/6.1-6.1.10-1-amd64' ]]"
cp deb.good "$pool"
ok "once the mirror is right, so is the pull" pull

fresh
head -c 700000 deb.good >"$pool"
ok "a truncated package" says 3 "truncated: 700000 bytes of $size" "$lab" kernel pull 6.1 --arch amd64
ok "is not used" nothing_wrong_cached
cp deb.good "$pool"
(cat deb.good && echo more) >"$pool"
fresh
ok "a package that is too long" says 3 "larger than the $size bytes" "$lab" kernel pull 6.1 --arch amd64
ok "is not used either" nothing_wrong_cached
cp deb.good "$pool"

half_there() { # half_there COMMAND...: a partial download of what the command prints
	fresh
	mkdir -p "$LAB_CACHE/debs"
	"$@" >"$LAB_CACHE/debs/$deb_sum.part"
}
half_there head -c 1000000 deb.good
resumes() { pull && cached_is_right && grep -q "GET .*$deb_name bytes=1000000-" log && [[ $(gets "$deb_name") == 1 ]]; }
ok "a partial download is resumed" resumes
half_there head -c 1000000 /dev/zero
ok "one that was something else is fetched again" bash -c "'$lab' kernel pull 6.1 --arch amd64 && [[ \$(grep -c $deb_name log) == 2 ]]"
half_there head -c 1000000 deb.good
touch .norange && echo 1 >.norange
ok "a server without Range" pull
half_there cat deb.good
ok "a partial download that is whole needs no network" bash -c "'$lab' kernel pull 6.1 --arch amd64 && [[ ! -s log ]]"

fresh
echo 0.05 >.slow
"$lab" kernel pull 6.1 --arch amd64 >/dev/null 2>&1 &
first=$!
sleep 0.7
{
	kill -9 $first
	wait $first
} 2>/dev/null || true
rm .slow
killed() { [[ -s $LAB_CACHE/debs/$deb_sum.part ]] && pull && cached_is_right && grep -q "bytes=[1-9]" log; }
ok "after kill -9 the next pull goes on where it was" killed

fresh
echo 0.02 >.slow
two_at_once() {
	local a b
	"$lab" kernel pull 6.1 --arch amd64 >a 2>&1 &
	a=$!
	"$lab" kernel pull 6.1 --arch amd64 >b 2>&1 &
	b=$!
	wait $a && wait $b && grep -q ready a b && [[ $(gets "$deb_name") == 1 ]] && cached_is_right &&
		[[ $(cat a b | grep -c "^waiting for another lab: fetching linux-image-$one-amd64 amd64$") == 1 ]] &&
		[[ $(cat a b | grep -c '^unpacking kernel 6.1 amd64$') == 1 ]]
}
ok "two pulls at once: one downloads, both get it, the other says why it waits" two_at_once
fresh
echo 0.05 >.slow
pull >/dev/null 2>&1 &
first=$!
for ((i = 0; i < 50; i++)); do
	[[ -s $LAB_CACHE/debs/$deb_sum.part ]] && break
	sleep 0.1
done
mkdir -p "$LAB_CACHE/kernels/6.1-6.1.1-1-amd64" "$LAB_CACHE/kernels/6.1-6.1.10-1-arm64" "$LAB_CACHE/kernels/6.1-6.1.0-1-amd64.tmp"
touch "$LAB_CACHE/debs/1234.part"
ok "what is just being fetched is not removed" says 3 "another lab is fetching it" "$lab" kernel rm 6.1 --arch amd64
ok "prune of what is old removes nothing" bash -c "'$lab' cache prune --older 1h --json | jq -e '.freed_bytes == 0' && [[ -e '$LAB_CACHE/debs/1234.part' ]]"
pruned() {
	"$lab" cache prune && ls "$LAB_CACHE"/* && [[ ! -e $LAB_CACHE/debs/1234.part && -e $LAB_CACHE/debs/$deb_sum.part ]] &&
		[[ $(ls "$LAB_CACHE/kernels") == 6.1-6.1.10-1-arm64 ]]
}
ok "prune: leftovers and kernels no longer pinned, not what others use" pruned
status=0
wait "$first" || status=$?
went_on() { [[ $status == 0 ]] && cached_is_right; }
ok "who was fetching got it" went_on
ok "cache: a wrong word" says 2 "unknown argument 'prun'" "$lab" cache prun
fresh
echo 300000 >.cut
ok "a server that hangs up now and then" pull
fresh
echo 300000 >.cut && touch .norange && echo 1 >.norange
ok "one that never gets to the end comes to one" says 3 "no whole file after" timeout 60 "$lab" kernel pull 6.1 --arch amd64
fresh
echo 503 >.status
ok "a server in trouble" says 3 "the server answered 503" "$lab" kernel pull 6.1 --arch amd64
fresh
ok "no server" env LAB_MIRROR=http://127.0.0.1:1 bash -c ". '$tests/../tap.sh'; says 3 'connect' '$lab' kernel pull 6.1 --arch amd64"

# --- gone from the mirror
stamp=$(sed -n 's/.*snapshot: //p' "$lock" | head -1)
mkdir -p "snapshot/archive/debian/$stamp/pool"
rm "$pool"
fresh
gone() { says 3 "$1" "$lab" kernel pull 6.1 --arch amd64; }
ok "gone, and no snapshot known: what to set" gone "LAB_SNAPSHOT"
ok "and how to pin its successor" gone "kernel 6.1 for amd64: linux-image-$one-amd64 6.1.10-1 of old is gone; tried $url"
ok "in the same line" gone "lab kernel pin 6.1"
export LAB_SNAPSHOT=file://$dir/snapshot
ok "gone from both: both places are named" gone "$url and file://$dir/snapshot/archive/debian/$stamp (not there)"
cp deb.good "snapshot/archive/debian/$stamp/pool/$deb_name"
ok "the snapshot has it" pull
fresh
export LAB_SNAPSHOT=file://$dir/snapshot/archive/debian/@SNAPSHOTID@/
ok "a snapshot given as apt's template" pull
unset LAB_SNAPSHOT
fresh
(cat apt.conf && echo "Acquire::Snapshots::URI::Origin::Debian \"file://$dir/snapshot/archive/debian/@SNAPSHOTID@\";") >apt-new.conf
ok "a snapshot that apt knows" env APT_CONFIG="$dir/apt-new.conf" "$lab" kernel pull 6.1 --arch amd64
cp deb.good "$pool"

# --- the mirror that apt uses
fresh
unset LAB_MIRROR
ok "no Debian archive in apt's sources: what to set" says 3 "set LAB_MIRROR" "$lab" kernel pin 6.1
cat >sources.list <<LIST
deb $url-security bookworm-security main
deb $url bookworm main contrib
LIST
ok "the Debian archive among apt's sources" pull
ok "was asked" grep -q "GET /mirror/pool/$deb_name" log
echo "Acquire::http::Proxy \"http://127.0.0.1:1\";" | cat apt.conf - >apt-proxy.conf
fresh
ok "apt's proxy is used" env APT_CONFIG="$dir/apt-proxy.conf" bash -c ". '$tests/../tap.sh'; says 3 'connect' '$lab' kernel pull 6.1 --arch amd64"
export LAB_MIRROR=$url

# --- no space
fresh
mkdir -p small "$LAB_CACHE"
if [[ $(id -u) == 0 ]] && mount -t tmpfs -o size=1m none small 2>/dev/null; then
	ln -s "$dir/small" "$LAB_CACHE/debs"
	ok "a full disk: one line" says 3 "no space left for linux-image-$one-amd64 amd64" "$lab" kernel pull 6.1 --arch amd64
	ok "nothing wrong stays" nothing_wrong_cached
	mount -o remount,size=32m small
	ok "once there is room it goes on" pull
	rm "$LAB_CACHE/debs"
	rm -rf small/* "$LAB_CACHE/kernels"
	mount -o remount,size=1m small
	ln -s "$dir/small" "$LAB_CACHE/kernels"
	ok "no room to unpack" says 3 "No space left on device" "$lab" kernel pull 6.1 --arch amd64
	ok "half a kernel does not stay" bash -c "! ls small | grep -v lock"
	rm "$LAB_CACHE/kernels"
	umount small
else
	skip "a full disk" "mounting a small tmpfs needs root"
fi

# --- kernels given as files
fresh
cp deb.good "my kernel.deb"
ok "a .deb" bash -c "'$lab' kernel path './my kernel.deb' --arch amd64 --what modules | grep -q 'lib/modules/$one-amd64$'"
mkdir -p .config && image amd64 6.5.0-mine 6.5.0 64 bzImage
ok "an image" bash -c "[[ \$('$lab' kernel path ./bzImage --arch amd64) == '$dir/bzImage' ]]"
ok "an image for another architecture" says 2 "is a kernel for amd64, not for arm64" "$lab" kernel path ./bzImage --arch arm64
ok "a file that is no kernel" says 2 "neither a bzImage" "$lab" kernel path "$lock" --arch amd64
ok "a file that is not there" says 2 "No such file" "$lab" kernel path ./nothing --arch amd64
mkdir big && dpkg-deb -R deb.good big && truncate -s 300M "big/lib/modules/$one-amd64/kernel/large.ko"
dpkg-deb --root-owner-group -Zgzip -z1 --build big big.deb >/dev/null
printf 'run: true\n' >true.yml
interrupted() { # in the middle of unpacking: soon, and nothing of it stays
	local status=0
	"$lab" run --offline --kernel ./big.deb --arch amd64 true.yml 2>said &
	soon grep -q ^unpacking said
	kill -INT $!
	wait $! || status=$?
	cat said
	[[ $status == 130 && -z $(find "$LAB_CACHE/kernels" -maxdepth 1 -name 'big*' -type d) ]]
}
ok "Ctrl-C while a .deb is unpacked" interrupted
ok "a .deb without a kernel" says 2 "no kernel in this package" "$lab" kernel path "$mirror/pool/tool_1.0_amd64.deb" --arch amd64
cp bzImage fake.deb
ok "something called .deb" says 3 "fake.deb" "$lab" kernel path ./fake.deb --arch amd64
hostile() { # hostile NAME TYPE LINK: a .deb with one such member more, before an image
	python3 - "$dir/hostile.deb" "$@" <<'PY'
import io, sys, tarfile
path, name, kind, link = sys.argv[1:5]
data = io.BytesIO()
with tarfile.open(fileobj=data, mode="w:gz") as tar:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind.encode(), link
    tar.addfile(member)
    image = open("bzImage", "rb").read()
    member = tarfile.TarInfo("./boot/vmlinuz-1")
    member.size = len(image)
    tar.addfile(member, io.BytesIO(image))
with open(path, "wb") as deb:
    deb.write(b"!<arch>\n")
    for name, content in ("debian-binary", b"2.0\n"), ("data.tar.gz", data.getvalue()):
        deb.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{644:<8}{len(content):<10}`\n".encode())
        deb.write(content + b"\n" * (len(content) % 2))
PY
	says 3 "$4" "$lab" kernel path ./hostile.deb --arch amd64
}
ok "a .deb whose member leaves it" hostile ../evil 0 '' "path leaves the package"
ok "in the middle" hostile ./boot/../../evil 0 '' "path leaves the package"
ok "by a hard link" hostile ./boot/config-1 1 ../../etc/passwd "path leaves the package"
ok "with a device" hostile ./boot/config-1 3 '' "is a device"
hostile ./boot/config-1 2 /etc/passwd - >/dev/null || true
ok "a link where the configuration should be is none" says 3 "has no config" "$lab" kernel path ./hostile.deb --arch amd64 --what config
mkdir parts && cp "$mirror/pool/linux-binary-$two-amd64_6.30.9-1_amd64.deb" parts/mine.deb
part() { "$lab" kernel path parts/mine.deb --arch amd64 --what "$1"; }
ok "one part of a split kernel" part image
ok "has neither configuration nor modules" bash -c "! '$lab' kernel path parts/mine.deb --arch amd64 --what modules"
cp "$mirror/pool"/linux-{modules,base}-"$two"-amd64_6.30.9-1_amd64.deb parts
with_parts() { [[ -e $(part modules)/kernel/a.ko.xz ]] && grep -q CONFIG_X "$(part config)"; }
ok "unless they lie beside it" with_parts
ok "the empty package of a split kernel" says 2 "linux-binary-RELEASE" "$lab" kernel path "$mirror/pool/linux-image-${two}-amd64_6.30.9-1_amd64.deb" --arch amd64
head -c 70000 deb.good >cut.deb
ok "a .deb that was cut" says 3 "not a whole Debian package" "$lab" kernel path ./cut.deb --arch amd64
mkdir -p tree/arch/x86/boot && cp bzImage tree/arch/x86/boot/ && guest_needs >tree/.config
ok "a build tree" bash -c "[[ \$('$lab' kernel path ./tree --arch amd64 --what config) == '$dir/tree/.config' ]]"
sed -i s/VIRTIO_CONSOLE=y/VIRTIO_CONSOLE=m/ tree/.config
ok "one whose modules are missing" says 2 "no modules were found: VIRTIO_CONSOLE" "$lab" kernel path ./tree --arch amd64
echo '# nothing' >tree/.config
ok "one that cannot be a guest" says 2 "lacks what a guest needs: CONFIG_BLK_DEV_INITRD=y" "$lab" kernel path ./tree --arch amd64
ok "a build tree without a kernel for it" says 2 "arch/arm64/boot/Image" "$lab" kernel path ./tree --arch arm64
sed -i 's/sha256: "./sha256: "G/' "$lock"
ok "a lock that was damaged: where" says 2 "kernels.lock:" "$lab" kernel list

done_testing
