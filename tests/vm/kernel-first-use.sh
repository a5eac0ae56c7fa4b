#!/usr/bin/env bash
# lab run --kernel 6.5 builds it on first use, and boots it; what the run keeps of it. The source is a
# stand-in whose image is Debian's 6.12, which needs no modules. BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
lab_setup
image=$("$lab" kernel path 6.12 --arch amd64)
mkdir -p "$dir/home/kernel-config" "$dir/mirror"
cp kernel-config/*.config kernel-config/kernels.lock "$dir/home/kernel-config/"
cp -r vm "$dir/home/"
tests=$PWD/tests/integration
cd "$dir"
export LAB_HOME=$dir/home LAB_NO_CCACHE=1 LC_ALL=C
# shellcheck source=tests/integration/standin.sh
. "$tests/standin.sh"
STANDIN_IMAGE_amd64=$image standin_source source 6.5.0
standin_tarball source mirror/linux-6.5.tar.xz
cat >home/kernel-config/kernels.yml <<YML
"6.1": {debian: {suite: bookworm, flavour: cloud}, default: true}
"6.5": {source: {url: "https://host.invalid/v6.x/linux-6.5.tar.xz", sha256: $(sha256sum mirror/linux-6.5.tar.xz | cut -d' ' -f1)}}
YML
# what is fetched and booted comes from the cache that there is, what is built goes into one of its own
cache=$("$lab" cache --json | jq -r .path)
mkdir cache
ln -s "$cache/debs" cache/debs
cp "$cache/accel.json" cache/ 2>/dev/null || true
export LAB_CACHE=$dir/cache
printf 'run: uname -m; echo hello\nrequires: {config: [OVERLAY_FS]}\nexpect: [{exit: 0, stdout: hello}]\n' >t.yml

first() { # built with one line that says so, and run
	"$lab" run --mirror mirror --arch amd64 --kernel 6.5 --flavour default,debug t.yml 2>said >table || { cat said table && return 1; }
	cat said table
	[[ $(grep -c '^building kernel' said) == 2 ]] && grep -qx 'building kernel 6.5+debug amd64, for the first time' said
}
ok "lab run builds what is not built, and boots it" first
ok "both flavours passed" grep -q '^2 passed, 0 failed' table
ok "each has its folder of evidence" grep -qx hello "lab-results/latest/6.5+debug-amd64/t/stdout"
ok "run.json has what it was made of" jq -e '.kernels[1] | .name == "6.5+debug" and (.local | not) and
	(.build_id | length == 40) and (.origin | startswith("linux-6.5.tar.xz, "))' lab-results/latest/run.json
ok "so has the report" grep -qE '^6\.5\+debug amd64: 6\.5\.0, linux-6\.5\.tar\.xz, ' table
again() { # a second time nothing is fetched or built
	"$lab" run --offline --no-build --arch amd64 --kernel 6.5+debug t.yml 2>said >table && fails grep building said
}
ok "a second time nothing is built" again
done_testing
