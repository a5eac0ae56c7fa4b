#!/usr/bin/env bash
# Kernel sources on their way into the cache: over HTTP, cut, killed, shared, wrong, hostile, as a package of
# Debian's; and a disk that is full. Stand-ins are built from them. BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
BUILD=${BUILD:-build}
tests=$PWD/tests/integration
lab_setup
server=
cleanup() {
	[[ -z $server ]] || kill "$server" 2>/dev/null || true
	! mountpoint -q "$dir/small" || umount "$dir/small"
	rm -rf "$dir"
}
trap cleanup EXIT
# shellcheck source=tests/integration/standin.sh
. tests/integration/standin.sh
mkdir -p "$dir/home" "$dir/web"
cp -r kernel-config "$dir/home/"
export LAB_HOME=$dir/home LAB_CACHE=$dir/cache CCACHE_DIR=$dir/ccache LC_ALL=C
unset LAB_CACHE_FROM LAB_NO_CCACHE LAB_MIRROR LAB_SNAPSHOT MAKEFLAGS http_proxy https_proxy all_proxy
export APT_CONFIG=$dir/apt.conf # no mirror of this host's
printf 'Dir::Etc "%s"; Dir::State::Lists "%s";\n' "$dir" "$dir" >"$APT_CONFIG"
cd "$dir"
case $(uname -m) in
aarch64) native=arm64 ;;
*) native=amd64 ;;
esac

# --- a source of some size, served over HTTP
standin_source tree 6.5
mkdir -p tree/Documentation
head -c 3000000 /dev/urandom >tree/Documentation/noise
standin_tarball tree web/linux-6.5.tar.gz
cp web/linux-6.5.tar.gz good.tar.gz
sum=$(sha256sum good.tar.gz | cut -d' ' -f1)
size=$(stat -c %s good.tar.gz)
key=${sum:0:16}
python3 "$tests/range-server.py" "$dir/web" "$dir/log" "$dir/port" &
server=$!
soon test -e port
url=http://127.0.0.1:$(<port)/linux-6.5.tar.gz
pins=$LAB_HOME/kernel-config/kernels.yml
cat >"$pins" <<YML
"6.5": {source: {url: "$url", sha256: $sum}, default: true}
"6.1": {source: {debian: linux-source-6.1, suite: old}}
YML

build() { "$lab" kernel build "$@"; }
sources=$LAB_CACHE/sources
fresh() { # as on the first day; the server behaves
	rm -rf "$LAB_CACHE" web/.[a-z]*
	: >log
}
gets() { wc -l <log; }
half_there() { # half_there COMMAND...: a partial download of what the command prints
	fresh
	mkdir -p "$sources"
	"$@" >"$sources/$key.part"
}
only_tree() { # nothing but what is used stays
	ls -A "$sources"
	[[ $(ls -A "$sources") == "$key"$'\n'"$key.lock" ]] && diff -r --no-dereference tree "$sources/$key"
}
nothing() { # nothing that could be taken for a source
	! find "$sources" -mindepth 1 -maxdepth 1 ! -name '*.lock' | grep .
}

fresh
ok "over HTTP" build 6.5
ok "what the tarball has is there, and the tarball no more" only_tree
ok "it is fetched once" build 6.5 --flavour minimal --offline
half_there head -c 1000000 good.tar.gz
resumes() { build 6.5 2>said && grep -q 'bytes=1000000-$' log && only_tree && [[ $(gets) == 1 ]]; }
ok "a partial download is resumed" resumes
ok "its size is said" grep -q "^fetching linux-6.5.tar.gz ($(awk "BEGIN { printf \"%.1f\", $size / 1048576 }") MiB)$" said
half_there head -c 1000000 /dev/zero
ok "one that was something else is fetched again" bash -c "'$lab' kernel build 6.5 && [[ \$(wc -l <log) == 2 ]]"
half_there head -c 1000000 good.tar.gz
echo 1 >web/.norange
ok "a server without Range" build 6.5
ok "gave all of it" only_tree
half_there cat good.tar.gz
ok "a partial download that is whole needs no network" build 6.5 --offline
fresh
echo 1000000 >web/.cut
ok "a server that hangs up now and then" build 6.5

begin() { # begin SIGNAL: fetch slowly, and send it a signal in the middle
	fresh
	echo 0.1 >web/.slow
	"$lab" kernel build 6.5 >out 2>said &
	local pid=$!
	soon test -s "$sources/$key.part"
	kill "-$1" $pid
	status=0
	wait $pid 2>/dev/null || status=$?
	rm web/.slow
}
goes_on() { [[ -s $sources/$key.part ]] && build 6.5 && grep -q 'bytes=[1-9]' log && only_tree; }
begin INT
ok "Ctrl-C while it is fetched" [ "$status" = 130 ]
ok "is said in a line" grep -q "fetching linux-6.5.tar.gz was interrupted" said
ok "the same command goes on where it was" goes_on
begin KILL
ok "so it does after kill -9" goes_on
fresh
mkdir -p "$sources/$key.tmp/linux-6.5/half"
ok "what was half unpacked when it was killed is unpacked again" build 6.5
ok "from the start" only_tree

fresh
echo 0.03 >web/.slow
two_at_once() {
	local a b
	build 6.5 >a 2>a.said &
	a=$!
	soon test -e "$sources/$key.part"
	build 6.5 --flavour minimal >b 2>b.said &
	b=$!
	soon grep -qs waiting b.said && "$lab" cache prune >/dev/null && [[ -e $sources/$key.part ]]
	wait $a && wait $b && [[ $(gets) == 1 ]] && only_tree
}
ok "two kernels of one source at once: it is fetched once" two_at_once
ok "the other waits and says so" grep -qx "waiting for another lab: unpacking linux-6.5.tar.gz" b.said
sed 's/^STANDIN_SLEEP.*/STANDIN_SLEEP = 0.5/' -i "$sources/$key/Makefile"
used() {
	rm a.said # what the last one said is not to be taken for this one's
	build 6.5 --fresh >a 2>a.said &
	local a=$!
	soon grep -qs ^building a.said && "$lab" cache prune >/dev/null && [[ -e $sources/$key/Makefile ]] && wait $a
}
ok "a source that is being built is not pruned" used
pruned() { "$lab" cache prune && [[ ! -e $sources/$key ]] && nothing; }
ok "one that is not is" pruned

# --- not to be had, or wrong
fresh
echo 404 >web/.status
ok "not there" says 3 "linux-6.5.tar.gz cannot be had ($url: not there): 'lab kernel build 6.5 --source FILE'" "$lab" kernel build 6.5
echo 403 >web/.status
ok "not allowed" says 3 "the server answered 403" "$lab" kernel build 6.5
ok "offline" says 3 "cannot be had offline" "$lab" kernel build 6.5 --offline
mkdir mirror
ok "nor in a mirror: both places" says 3 "(file://$dir/mirror/linux-6.5.tar.gz: not there; $url: the server" "$lab" kernel build 6.5 --mirror mirror
ok "a mirror that is not there" says 3 "no-mirror: No such file" "$lab" kernel build 6.5 --mirror no-mirror
cp good.tar.gz mirror/linux-6.5.tar.gz
: >log
ok "a mirror that has it is asked first" build 6.5 --mirror mirror
ok "and is enough" test ! -s log
fresh
printf damaged | dd of=web/linux-6.5.tar.gz bs=1 seek=2000000 conv=notrunc status=none
bad=$(sha256sum web/linux-6.5.tar.gz | cut -d' ' -f1)
ok "a wrong checksum: where, and both digests" says 3 "$url: wrong checksum: expected SHA-256 $sum, got $bad" "$lab" kernel build 6.5
ok "is not kept" nothing
half_there head -c 1000000 good.tar.gz
ok "nor trusted because its first part was right" says 3 "wrong checksum" "$lab" kernel build 6.5 --mirror "${url%/*}"
ok "it was fetched again from the start" is "2 1" bash -c "echo \$(wc -l <log) \$(grep -c 'bytes=1000000-' log)"
ok "and is not kept" nothing
fresh
ok "by hand: a wrong one" says 2 "web/linux-6.5.tar.gz is not the pinned linux-6.5.tar.gz: expected SHA-256 $sum, got $bad" "$lab" kernel build 6.5 --source web/linux-6.5.tar.gz
ok "by hand: the right one, under any name" build 6.5 --source good.tar.gz
ok "which stays where it is" test -e good.tar.gz

# --- tarballs of one's own
mine() { says 2 "$1" "$lab" kernel build mine --source "$2" && nothing; }
fresh
head -c 2000000 good.tar.gz >cut.tar.gz
ok "truncated" mine "cut.tar.gz: truncated or damaged after 1 MiB" cut.tar.gz
cp tree/images/amd64 image.tar
ok "no archive" mine "image.tar: neither a tar archive nor a compressed one" image.tar
tar -C tree -cf part.tar kernel fs
ok "no kernel's source" mine "part.tar is no kernel source: it has no Makefile of one" part.tar
mkfifo pipe
ok "a pipe" mine "neither a folder nor a file" pipe
ok "nothing" mine "No such file" nowhere.tar
hostile() { # hostile TEXT TAR-OPTION...: a tarball of the stand-in with such a member more
	cp plain.tar hostile.tar
	tar -C extra -rf hostile.tar -P "${@:2}"
	mine "$1" hostile.tar && [[ ! -e /tmp/lab-source-evil && ! -e $sources/evil ]]
}
tar -C tree --transform 's,^\.,linux-6.5,' --exclude=./Documentation -cf plain.tar .
mkdir extra && touch extra/evil && ln -s /tmp extra/link && ln -s ../../evil extra/out && mkfifo extra/pipe
ok "a path that leaves it" hostile "leaves the tree" --transform 's,^evil,linux-6.5/../../evil,' evil
ok "an absolute one" hostile "leaves the tree" --transform 's,^evil,/tmp/lab-source-evil,' evil
ok "a link that leaves it" hostile "is a link that leaves the tree" --transform 's,^out,linux-6.5/out,S' out
ok "a file through a link" hostile "goes through a link" --transform 's,^link,linux-6.5/l,S;s,^evil,linux-6.5/l/lab-source-evil,' link evil
ok "a pipe in it" hostile "is a device, a pipe or a socket" --transform 's,^pipe,linux-6.5/pipe,' pipe
cp good.tar.gz mine.tgz
ok "a good one" build mine --source mine.tgz
ok "is marked as local" bash -c "jq -e '.local' '$LAB_CACHE'/kernels/mine-$native-*/meta.json"
if [[ $(id -u) != 0 ]]; then
	chmod 0 plain.tar
	ok "one that cannot be read" says 3 "Permission denied" "$lab" kernel build mine --source plain.tar
fi

ok "a tree where kbuild cannot work" bash -c ". '$tests/../tap.sh'; cp -r tree 'a tree' && says 2 \"has a ' ' in it\" '$lab' kernel build mine --source 'a tree'"

# --- Debian's packages
mkdir -p root/DEBIAN root/usr/src root/usr/share/doc
standin_source debian 6.1.99
tar -C debian --transform 's,^\.,linux-source-6.1,' -cJf root/usr/src/linux-source-6.1.tar.xz .
echo patch | xz >root/usr/src/linux-patch-6.1-rt.patch.xz
printf 'Package: linux-source-6.1\nVersion: 6.1.99-1\nArchitecture: all\nMaintainer: n <n@example>\nDescription: x\n' >root/DEBIAN/control
mkdir -p mirror/pool
deb=mirror/pool/linux-source-6.1_6.1.99-1_all.deb
dpkg-deb --root-owner-group -Zgzip --build root "$deb" >/dev/null
deb_sum=$(sha256sum "$deb" | cut -d' ' -f1)
cat >"$LAB_HOME/kernel-config/kernels.lock" <<LOCK
schema: 1
kernels:
  "6.1":
    source:
      suite: old
      snapshot: 20260101T000000Z
      version: "6.1.99"
      package:
        name: linux-source-6.1
        version: "6.1.99-1"
        path: pool/linux-source-6.1_6.1.99-1_all.deb
        size: $(stat -c %s "$deb")
        sha256: "$deb_sum"
LOCK
fresh
ok "no mirror of Debian's is known" says 3 "linux-source-6.1_6.1.99-1_all.deb cannot be had" "$lab" kernel build 6.1+guest
ok "a package that lies in --mirror" build 6.1+guest --mirror mirror/pool --offline
ok "is unpacked" diff -r --no-dereference debian "$sources/${deb_sum:0:16}"
fresh
ok "from the archive" env LAB_MIRROR="file://$dir/mirror" "$lab" kernel build 6.1+guest
ok "by hand" bash -c "rm -r '$LAB_CACHE' && '$lab' kernel build 6.1+guest --source '$deb' && jq -e '.local | not' '$LAB_CACHE'/kernels/6.1*/meta.json"
ok "another package" says 2 "is not the pinned linux-source-6.1_6.1.99-1_all.deb" "$lab" kernel build 6.1+guest --source good.tar.gz
ok "a package under a name of one's own" build mine --source "$deb"
rm root/usr/src/linux-source*
dpkg-deb --root-owner-group -Zgzip --build root none.deb >/dev/null
ok "one without a source" says 2 "no kernel source in this package" "$lab" kernel build mine --source none.deb

# --- no space
fresh
mkdir -p small "$LAB_CACHE"
cp good.tar.gz web/linux-6.5.tar.gz
if [[ $(id -u) == 0 ]] && mount -t tmpfs -o size=1m none small 2>/dev/null; then
	ln -s "$dir/small" "$sources"
	ok "no room to fetch it" says 3 "no space left for linux-6.5.tar.gz: it needs" "$lab" kernel build 6.5
	ok "how much more it needs" bash -c "'$lab' kernel build 6.5 2>&1 | grep -q 'it needs [23] MiB more'"
	ok "what came is kept" test -s "small/$key.part"
	mount -o remount,size=5m small
	: >log
	ok "no room to unpack it: how much is free" says 3 "MiB are free in $sources; free some ('lab cache prune')" "$lab" kernel build 6.5
	ok "it was resumed" grep -q 'bytes=[1-9]' log
	ok "half a source does not stay, the tarball does" is "$key.lock $key.tar" bash -c 'cd small && echo *'
	mount -o remount,size=16m small
	: >log
	ok "once there is room it goes on" build 6.5
	ok "with what it had" test ! -s log
	umount small
else
	skip "a full disk" "mounting a small tmpfs needs root"
fi

done_testing
