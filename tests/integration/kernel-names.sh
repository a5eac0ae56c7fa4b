#!/usr/bin/env bash
# Which kernels there are and how a name becomes one: pins by source, flavours, what is built already,
# what may be built and what not. No machine is booted; what is built is a stand-in's source.
# BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
tests=$PWD/tests/integration
lab=$(realpath "${BUILD:-build}/bin/lab")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/home/kernel-config"
cp kernel-config/*.config "$dir/home/kernel-config/"
cd "$dir"
mirror=$dir/mirror
export LAB_HOME=$dir/home LAB_CACHE=$dir/cache LAB_MIRROR=file://$mirror LAB_KEYRING=$dir/good.gpg
export LAB_NO_CCACHE=1 LC_ALL=C
unset LAB_SNAPSHOT LAB_CACHE_FROM
# shellcheck source=tests/integration/standin.sh
. "$tests/standin.sh"
mkdir lists
cat >apt.conf <<CONF
Dir::Etc::Main "/dev/null"; Dir::Etc::Parts "/dev/null"; Dir::State::Lists "$dir/lists";
Dir::Etc::SourceList "$dir/sources.list"; Dir::Etc::SourceParts "/dev/null";
CONF
touch sources.list
export APT_CONFIG=$dir/apt.conf
native=$([[ $(uname -m) == aarch64 ]] && echo arm64 || echo amd64)
lock=$LAB_HOME/kernel-config/kernels.lock yml=$LAB_HOME/kernel-config/kernels.yml

# --- an archive with a kernel and the source of it, and a tarball
make_key good
standin_source tree 6.1.10
mkdir -p old/root/usr/src
standin_tarball tree old/root/usr/src/linux-source-6.1.tar.xz
STANDIN_SLEEP=0.4 standin_source newer 6.5.0
mkdir -p "$mirror/src"
standin_tarball newer "$mirror/src/linux-6.5.tar.xz"
sum=$(sha256sum "$mirror/src/linux-6.5.tar.xz" | cut -d' ' -f1)
for arch in amd64 arm64; do
	kernel_tree $arch 6.1.0-2-cloud-$arch 6.1.10 100 root
	deb old $arch linux-image-6.1.0-2-cloud-$arch 6.1.10-1 root
	kernel_tree $arch 6.30.1-cloud-$arch 6.30.1 100 root
	deb old $arch linux-image-6.30.1-cloud-$arch 6.30.1-1 root
done
mkdir root && deb old amd64 linux-source-6.1 6.1.9-1 root
cp -r old/root root && deb old amd64 linux-source-6.1 6.1.10-1 root
publish old good
cat >"$yml" <<YML
"6.1": {debian: {suite: old, flavour: cloud}, source: {debian: linux-source-6.1}, default: true}
"6.5": {source: {url: "file://$mirror/src/linux-6.5.tar.xz", sha256: $sum}, config: [guest]}
"6.30": {debian: {suite: old, flavour: cloud}}
YML

# --- pins by source
printed() { # printed LINE COMMAND...: it goes well, and a line of what it prints matches
	local line=$1
	shift
	"$@" >said && cat said && grep -qE "$line" said
}
ok "a source that is a package is pinned" printed '^6\.1 +source 6\.1\.10-1$' "$lab" kernel pin --all
ok "one that is a tarball is what kernels.yml says" grep -qE '^6\.5 +source file://.*/linux-6.5.tar.xz$' said
ok "the newest, beside the architectures" grep -A8 '^    source:' "$lock"
ok "with its file" grep -q 'linux-source-6.1_6.1.10-1_' "$lock"
cp "$lock" before
pin_again() { "$lab" kernel pin --all && cmp "$lock" before; }
ok "pinned again: not a byte changes" pin_again
cp "$yml" yml
sed -i 's/linux-source-6.1/linux-source-7/' "$yml"
ok "no such package" says 3 "pin 6.1: old holds no package linux-source-7" "$lab" kernel pin 6.1
ok "the lock stays" cmp "$lock" before
sed -i 's/, source: {debian: linux-source-7}//' "$yml"
ok "a source that kernels.yml has no more is dropped" printed '^6\.1 +source dropped' "$lab" kernel pin 6.30
ok "and nothing else" bash -c "! diff '$lock' before | grep '^<' && ! grep source: '$lock' && [[ \$(grep -c 'name: linux-image' '$lock') == 4 ]]"
cp yml "$yml"
ok "a source that is not pinned: list says so" printed '^6\.1 .*source not pinned: lab kernel pin 6\.1' "$lab" kernel list
ok "so does who wants it" says 2 "run 'lab kernel pin 6.1'" "$lab" kernel path 6.1+kasan
ok "Debian's kernel needs no source" "$lab" kernel path 6.1
cp before "$lock"

# --- what is not built
run() { "$lab" run --offline "$@" hello.yml; }
printf 'run: echo hello\n' >hello.yml
cells() { # cells COMMAND...: the targets of the plan
	"$@" --dry-run | sed -n 's|.*"cell": "\(.*\)/hello.*|\1|p' | tr '\n' ' ' | sed 's/ $//'
}
ok "it is listed" printed '^6\.5 +6\.5 +arm64 +linux-6.5.tar.xz +- +not built$' "$lab" kernel list
ok "cannot be pulled" says 2 "kernel 6.5 is built, not pulled: run 'lab kernel build 6.5'" "$lab" kernel pull 6.5
ok "does not keep others from being pulled" "$lab" kernel pull --all
ok "is not built by looking for it" says 3 "kernel 6.5 for $native is not built: run 'lab kernel build 6.5'" "$lab" kernel path 6.5
ok "nor when that is forbidden" says 3 "is not built: run 'lab kernel build 6.5+debug+kasan'" run --no-build --kernel 6.5+kasan --flavour debug
ok "nor by a plan, which has it" is "6.5-amd64 6.5-arm64" cells run --kernel 6.5 --arch all
ok "a plan knows the version" bash -c "'$lab' run --dry-run --kernel 6.1+kasan hello.yml | grep -q '\"version\": \"6.1.10\"'"
ok "flavours are an axis" is "6.1-amd64 6.5-amd64 6.1+debug+kasan-amd64 6.5+debug+kasan-amd64" \
	cells run --kernel 6.1,6.5 --flavour default,kasan+debug --arch amd64
ok "one kernel by two names is one" is "6.5-amd64 6.5+minimal-amd64" \
	cells run --kernel 6.5,6.5+guest,6.5 --flavour default,guest,minimal --arch amd64
ok "a flavour of a flavour" is "6.1+debug+kasan-amd64" cells run --kernel 6.1+kasan --flavour debug --arch amd64
ok "a version has flavours too" is "6.1+kasan-amd64" cells run --kernel 6.1.10 --flavour kasan --arch amd64
ok "all is what needs no build" is "6.1-amd64 6.30-amd64" cells run --kernel all --arch amd64
ok "of a flavour too" says 3 "no kernel of flavour kasan is built" run --kernel all --flavour kasan
ok "Debian's kernel alone has no flavours" says 2 "6.30 has no source in kernels.yml" run --kernel 6.30+kasan
ok "nor has a file" says 2 "a file is what it is" run --kernel ./hello.yml --flavour kasan
ok "a fragment that there is not" says 2 "nosuch" run --kernel 6.5+nosuch
ok "a flavour that is none" says 2 "'default' stands alone" run --kernel 6.5 --flavour default+kasan
ok "an unknown pin with a flavour" says 2 "pinned are 6.1, 6.5, 6.30" run --kernel 9.9+kasan
ok "a version that another architecture has" says 2 "only for" bash -c "sed -i '/^    arm64:/,/^    source:/{/^    source:/!d}' '$lock'; '$lab' run --kernel 6.1.10 --arch arm64 hello.yml"
cp before "$lock"
ok "what is not built is not removed" says 2 "kernel 6.1+kasan is not built" "$lab" kernel rm 6.1+kasan
ok "a flavour is not pinned" says 2 "what is pinned is 6.1" "$lab" kernel pin 6.1+kasan

# --- building on first use
sed "s/$sum/${sum//[0-9]/0}/" yml >"$yml"
ok "a wrong checksum" says 3 "linux-6.5.tar.xz" run --kernel 6.5
cp yml "$yml"
interrupted() { # an interrupt ends it soon, with 130; nothing is taken for whole
	local pid status=0
	"$lab" run --kernel 6.5 hello.yml 2>said &
	pid=$!
	for _ in {1..200}; do
		! grep -q '^building kernel 6.5' said || break
		sleep 0.05
	done
	kill -INT $pid
	wait $pid || status=$?
	cat said
	[[ $status == 130 && $(wc -l <said) -ge 2 ]] && ! "$lab" kernel path 6.5
}
ok "Ctrl-C while it is built" interrupted
ok "one line says what is done" grep -qE "^building kernel 6.5 $native, for the first time" said
build() { "$lab" kernel build "$@"; }
ok "it is built" build 6.5
image=$("$lab" kernel path 6.5)
ok "and found" test -s "$image"
ok "by its other name too" is "$image" "$lab" kernel path 6.5+guest
ok "offline" is "$image" "$lab" kernel path 6.5 --offline
ok "with its vmlinux" bash -c "[[ \$(head -c4 \"\$('$lab' kernel path 6.5 --what vmlinux)\" | tail -c3) == ELF ]]"
ok "Debian's has none here" says 3 "6.1 has no vmlinux" "$lab" kernel path 6.1 --what vmlinux
ok "it is listed as built" printed "^6\.5 +6\.5\.0 +$native +linux-6.5.tar.xz +- +built in " "$lab" kernel list 6.5
ok "for programs" bash -c "'$lab' kernel list 6.5 --arch $native --json | jq -e '.[0] | .built and .cached and (.local | not) and (.build_id | length == 40) and .fragments == [\"minimal\", \"guest\"]'"
ok "now it is one of all" is "6.1-$native 6.5-$native 6.30-$native" cells run --kernel all
ok "unless an architecture lacks it" is "6.1-amd64 6.1-arm64 6.30-amd64 6.30-arm64" cells run --kernel all --arch all
ok "a flavour" build 6.1 --flavour debug,guest
ok "is listed after its pin" printed "^6\.1\+debug +6\.1\.10 +$native +linux-source-6.1 6.1.10-1 +- +built in" "$lab" kernel list 6.1
ok "Debian's kernel stays what 6.1 is" bash -c "'$lab' kernel path 6.1 | grep -q /6.1-6.1.10-1-"
ok "all in a flavour" is "6.1+debug-$native" cells run --kernel all --flavour debug
ok "they are whole" printed '^6\.5 .* ok$' "$lab" kernel verify
ok "the last time is told" bash -c "'$lab' kernel rm 6.5 && '$lab' kernel list 6.5 | grep -qE ' not built \([0-9]+ s last time\)$'"
ok "removed once" is "0 kernels removed from the cache" "$lab" kernel rm 6.5
ok "refusing says how long it took" says 3 " s last time)" run --no-build --kernel 6.5

# --- what is built is not what kernels.yml and the fragments say now
debug=$("$lab" kernel path 6.1+debug)
printf '\n# because\nCONFIG_STANDIN_Y=y\n' >>"$LAB_HOME/kernel-config/debug.config"
ok "a fragment has changed" says 3 "is not built of the source and fragments that there are now" "$lab" kernel path 6.1+debug
ok "list says so" printed 'of other fragments or another source than now$' "$lab" kernel list 6.1+debug
ok "it is built anew" build 6.1+debug
ok "and takes the place of the other" bash -c "[[ \$('$lab' kernel path 6.1+debug) != '$debug' && ! -e '$debug' ]]"
truncate -s 100 "$("$lab" kernel path 6.1+debug --what vmlinux)"
ok "a damaged one" says 3 "vmlinux" "$lab" kernel verify 6.1+debug
ok "is told how to be had anew" bash -c "'$lab' kernel verify 6.1+debug 2>&1 | grep -q \"lab kernel rm 6.1+debug --arch $native' and 'lab kernel build\""

# --- a fragment of one's own
printf '# why\nCONFIG_STANDIN_Y=y\n' >own.config
ok "by its path" build 6.1 --flavour ./own.config
own=$("$lab" kernel path 6.1+./own.config)
ok "it is in the configuration" grep -qx CONFIG_STANDIN_Y=y "${own%/*}/config"
ok "the kernel has its file's name" is "$own" "$lab" kernel path 6.1+own
printf '# CONFIG_STANDIN_Y is not set\n' >own.config
ok "another text is another kernel" says 3 "is not built of the source and fragments" "$lab" kernel path 6.1+./own.config

# --- names of one's own
ok "of a tree of one's own" build mine --source newer
ok "a run finds it" is "mine-$native" cells run --kernel mine
ok "and its flavours are its own" says 2 "unknown kernel 'mine+kasan'" run --kernel mine --flavour kasan
ok "it is local" printed "^mine +6\.5\.0 +$native .* built in .*, local$" "$lab" kernel list mine
ok "it is no pin" says 2 "unknown kernel 'mine'" "$lab" kernel pin mine
ok "removed by name" is "1 kernel removed from the cache" "$lab" kernel rm mine

# --- from a place that a team shares
mkdir share
build 6.5 >/dev/null 2>&1
ok "a kernel for others" "$lab" kernel export 6.5 share
"$lab" kernel rm 6.5 >/dev/null
ok "is taken from there, not built" env LAB_CACHE_FROM=share "$lab" kernel path 6.5
"$lab" kernel rm 6.5 >/dev/null
truncate -s 1000 share/*
ok "a broken one is not passed over in silence" says 3 "share/6.5-$native-" run --no-build --cache-from share --kernel 6.5
ok "one that is not there is built" says 3 "is not built" run --no-build --cache-from share --kernel 6.1+kasan

done_testing
