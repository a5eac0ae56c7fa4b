#!/usr/bin/env bash
# Kernels given as files: a package under another name, and an image without its modules.
# BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
lab_setup
cd "$dir"
printf 'run: uname -r\nexpect:\n  - {exit: 0, stdout: cloud}\n' >t.yml
runs() { # runs ARCH FILE: the scenario passes on that kernel
	"$lab" run --kernel "$2" --arch "$1" t.yml && grep -qx "$3-cloud-$1" "lab-results/latest/"*"/t/stdout"
}

for arch in amd64 arm64; do
	"$lab" kernel pull 6.1,6.12 --arch $arch >/dev/null
	cp "$("$lab" kernel path 6.12 --arch $arch)" image-$arch
	ok "an image without modules, that has what it needs built in, on $arch" runs $arch ./image-$arch "6.12.*"
done
sum=$(sed -n '/^  "6.1":/,/^  "6.12"/p' "$LAB_HOME/kernel-config/kernels.lock" | sed -n '/amd64:/,/sha256/s/.*sha256: "\(.*\)"/\1/p')
cache=$("$lab" cache --json | jq -r .path)
if [[ -e $cache/debs/$sum.deb ]]; then
	cp "$cache/debs/$sum.deb" mine.deb
	ok "a package" runs amd64 mine.deb "6.1.*"
else
	skip "a package" "it is not in the cache any more"
fi
mkdir known
cp "$("$lab" kernel path 6.1 --arch amd64)" known/bzImage
cp "$("$lab" kernel path 6.1 --arch amd64 --what config)" known/config
ok "an image whose modules are missing is refused before it boots" says 2 "no modules were found: VIRTIO_PCI, VIRTIO_CONSOLE" \
	"$lab" run --kernel ./known/bzImage --arch amd64 t.yml
rm known/config
echo nothing >known/text
ok "a file that is no kernel" says 2 "neither a bzImage" "$lab" run --kernel ./known/text --arch amd64 t.yml
ok "lost, when that was not known" says 3 "no modules are known for this kernel" \
	"$lab" run --kernel ./known/bzImage --arch amd64 t.yml
ok "and how to run it again names the file" grep -q 'again: lab run --kernel ./known/bzImage' <("$lab" show latest)
done_testing
