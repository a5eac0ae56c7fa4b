#!/usr/bin/env bash
# --kernel with a folder that somebody builds kernels in: what is found there, and what is refused.
# BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
lab_setup
# shellcheck source=tests/integration/standin.sh
. tests/integration/standin.sh
export LAB_CACHE=$dir/cache LC_ALL=C
unset GIT_DIR GIT_WORK_TREE
cd "$dir"

build() { # build SOURCE OUT ARCH [ARGUMENT...]: make; OUT may be SOURCE
	local source=$1 out=$2 arch=$3
	shift 3
	[[ $source == "$out" ]] || set -- O="$out" "$@"
	make -s -C "$source" ARCH="$arch" "$@" >/dev/null
}
configure() { # configure SOURCE OUT ARCH: as lab would
	build "$@" tinyconfig
	(cd "$1" && scripts/kconfig/merge_config.sh -m -O "$2" "$2/.config" "$LAB_HOME/kernel-config/minimal.config")
	build "$@" olddefconfig
}
path() { # path TREE WHAT [ARCH]
	"$lab" kernel path "$1" --what "$2" --arch "${3:-amd64}"
}
refused() { # refused TREE TEXT [ARCH]: a usage error, in a line with TEXT
	says 2 "$2" "$lab" kernel path "$1" --arch "${3:-amd64}"
}
copy() { # copy TREE: as ./t, with its times
	rm -rf t
	cp -a "$1" t
}

standin_source src 6.5.1
src=$dir/src o=$dir/o
configure "$src" "$o" x86
ok "configured, not built" refused o "configured but not built: no arch/x86/boot/bzImage; run make there"
build "$src" "$o" x86 vmlinux
ok "no image yet" refused o "configured but not built"
build "$src" "$o" x86 bzImage
ok "an image alone" is "$o/arch/x86/boot/bzImage" path ./o image
ok "has no modules" says 3 "has no modules" "$lab" kernel path ./o --what modules --arch amd64
build "$src" "$o" x86
ok "a tree of make's O=" is "$o/arch/x86/boot/bzImage" path ./o image
ok "its configuration" is "$o/.config" path ./o config
ok "its modules are read where they lie" is "$o" path ./o modules
ln -s o link
ok "a link to it" is "$o/arch/x86/boot/bzImage" path ./link/ image
ok "its image, named" is "$o/.config" path ./o/arch/x86/boot/bzImage config
ok "the modules of a named image" is "$o" path ./o/arch/x86/boot/bzImage modules
ok "for another architecture" refused o "configured for amd64 (.config), not for arm64: --arch amd64" arm64

standin_source in-place 6.5.1
ok "a source that nobody configured" refused in-place "a kernel's source without .config"
ok "and the way out" refused in-place "lab kernel build NAME --source"
configure "$dir/in-place" "$dir/in-place" x86
build "$dir/in-place" "$dir/in-place" x86
ok "a tree built in place" is "$dir/in-place/arch/x86/boot/bzImage" path ./in-place image
mkdir images
ok "a folder of something else" refused ./images "no kernel's build tree: no .config"
ln -s nowhere dangling
ok "a link to nowhere" refused ./dangling "No such file"
mkfifo pipe
ok "a pipe" refused ./pipe "./pipe: "

# --- half built
copy o
touch t/.config
ok "configured anew, not made" refused ./t ".config was changed after the last make; run make there"
ok "unless the image is named" is "$dir/t/arch/x86/boot/bzImage" path ./t/arch/x86/boot/bzImage image
copy o
touch t/vmlinux
ok "vmlinux linked, no new image" refused ./t "vmlinux is newer than arch/x86/boot/bzImage"
copy o
touch t/kernel/built-in.a
ok "objects that are not linked" refused ./t "kernel/built-in.a is newer than vmlinux"
copy o
echo 6.5.2 >t/include/config/kernel.release
ok "an image of another release" refused ./t "6.5.1, the rest of its tree of 6.5.2"
copy o
echo fs/more.o >>t/modules.order
ok "modules that are not there yet" refused ./t "modules.order lists fs/more.ko, which is not there"
echo ../../etc/passwd.ko >t/modules.order
ok "a list of modules that leaves the tree" refused ./t "modules.order:1: not the path of a module"
copy o
printf 'short' >t/arch/x86/boot/bzImage
ok "an image that is none" refused ./t "neither a bzImage"
copy o
mkdir -p t/arch/arm64/boot && sed -i 's,Linux/x86,Linux/arm64,; s/^# CONFIG_PCI_HOST_GENERIC.*/CONFIG_PCI_HOST_GENERIC=y/' t/.config
touch -r o/.config t/.config
cp -p t/arch/x86/boot/bzImage t/arch/arm64/boot/Image
ok "an image of another architecture than .config" refused ./t "is a kernel for amd64, not for arm64" arm64
mv t/arch/arm64/boot/Image t/arch/arm64/boot/Image.gz
ok "a packed image alone" refused ./t "Image.gz, which QEMU does not unpack" arm64
sed -i 's,Linux/arm64,Linux/riscv,' t/.config
ok "configured for something else" refused ./t "neither amd64 nor arm64"

# --- hostile
copy o
printf '../../x\n' >t/include/config/kernel.release
ok "a release that is none" refused ./t "include/config/kernel.release names no release"
for file in .config modules.order include/config/kernel.release vmlinux arch/x86/boot/bzImage; do
	copy o
	rm -f "t/$file"
	mkfifo "t/$file"
	[[ $file != vmlinux && $file != arch/* ]] || touch -r "o/$file" "t/$file"
	touch -r o/.config t/.config
	ends() { # ends: whatever it says, it does not wait for who writes to the pipe
		local status=0
		timeout -k 1 5 "$lab" kernel path ./t --what image --arch amd64 >/dev/null 2>said || status=$?
		((status < 124)) || return 1
	}
	ok "a pipe as $file" ends
done

# --- what a guest needs
edit() { # edit SCRIPT: ./t is o with its configuration changed by sed
	copy o
	sed -i "$1" t/.config
	touch -r o/.config t/.config
}
edit '/VIRTIO_CONSOLE/d; s/^CONFIG_DEVTMPFS=y/# CONFIG_DEVTMPFS is not set/; s/^\(CONFIG_PROC_FS=\)y/\1n/'
ok "what a guest needs and is not there: all of it" \
	refused ./t "lacks what a guest needs: CONFIG_DEVTMPFS=y CONFIG_PROC_FS=y CONFIG_VIRTIO_CONSOLE=y"
edit "s/^\(CONFIG_VIRTIO.*=\)y/\1m/"
ok "or as a module" path ./t image
rm t/modules.order
ok "but there are no modules" refused ./t "VIRTIO_PCI, VIRTIO_CONSOLE. Run 'make modules' in its tree"
edit '$a CONFIG_X'
ok "a .config that is none: where" refused ./t ".config:"
if [[ $(id -u) != 0 ]]; then
	copy o
	chmod 0 t/.config
	ok "a .config that cannot be read" refused ./t "Permission denied"
	chmod 600 t/.config
	chmod 0 t
	ok "a tree that cannot be read" refused ./t "Permission denied"
	chmod 700 t
else
	skip "a tree that cannot be read" "root reads all"
fi

# --- another machine's architecture
if command -v aarch64-linux-gnu-gcc >/dev/null; then
	configure "$src" "$dir/oa" arm64
	build "$src" "$dir/oa" arm64 CROSS_COMPILE=aarch64-linux-gnu-
	ok "a tree for arm64" is "$dir/oa/arch/arm64/boot/Image" path ./oa image arm64
else
	skip "a tree for arm64" "no compiler for it"
fi
done_testing
