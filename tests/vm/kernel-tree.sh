#!/usr/bin/env bash
# A build tree as --kernel, booted: with its modules, where kbuild leaves them. The kernel is Debian's
# 6.1, which has even its way to the host as a module, laid out as make would.
# BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
lab_setup
cd "$dir"
unset GIT_DIR GIT_WORK_TREE
cat >t.yml <<'S'
run: |
  mkdir a b c d && mount -t overlay -o lowerdir=a,upperdir=b,workdir=c none d && grep -c '^overlay ' /proc/modules
expect:
  - {exit: 0, stdout: "/^1$/"}
S

# tree ARCH IMAGE ENDING PREFIX: ./ARCH, whose modules.order has lines PREFIX...ENDING
tree() {
	local image config modules release t=$1 file
	image=$("$lab" kernel path 6.1 --arch "$1")
	config=$("$lab" kernel path 6.1 --arch "$1" --what config)
	modules=$("$lab" kernel path 6.1 --arch "$1" --what modules)
	release=${modules##*/}
	rm -rf "$t"
	mkdir -p "$t/include/config" "$t/$(dirname "$2")"
	echo "$release" >"$t/include/config/kernel.release"
	cp "$config" "$t/.config"
	cp "$config" "$t/include/config/auto.conf"
	for file in drivers/virtio drivers/char/virtio_console.ko fs/overlayfs; do
		mkdir -p "$t/$(dirname $file)"
		cp -r "$modules/kernel/$file" "$t/$file"
	done
	(cd "$t" && find . -name '*.ko') | sed "s,^\./,$4,; s,ko\$,$3," | sort >"$t/modules.order"
	cp "$image" "$t/$2"
}
passes() { "$lab" run -q --kernel "$2" --arch "$1" --out "run-$1" t.yml; }

# 6.1 lists fs/x.ko, 6.12 fs/x.o, 5.10 kernel/fs/x.ko
tree amd64 arch/x86/boot/bzImage o ""
mkdir source && echo kernel >source/file && ln -s ../source amd64/source
git() { command git -C source -c user.name=n -c user.email=n@example "$@" >/dev/null; }
git init -q
git add file
git commit -qm first
git tag v6.1-mine
echo changed >>source/file
ok "a build tree with its modules, amd64" passes amd64 ./amd64
ok "what git says of its source is recorded" grep -q '"v6.1-mine-dirty' run-amd64/run.json
ok "the source is left as it was" bash -c "! ls source/.git/*.lock"
rm -rf run-amd64
tree amd64 arch/x86/boot/bzImage ko kernel/
ok "its image, given alone, with another kind of list" passes amd64 ./amd64/arch/x86/boot/bzImage
tree arm64 arch/arm64/boot/Image ko ""
ok "a build tree with its modules, arm64" passes arm64 ./arm64
done_testing
