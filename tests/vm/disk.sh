#!/usr/bin/env bash
# A set of packages that comes on a disk: made the same each time, one root in the guest.
# BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

lab_setup
cd "$dir"
packages=python3-minimal,e2fsprogs,util-linux,mount,fuse-overlayfs

made_again() { # made_again ARCH: initramfs and disk, twice
	local files sums
	mapfile -t files < <("$lab" image build --arch "$1" -p "$packages")
	printf '%s\n' "${files[@]}"
	[[ ${#files[@]} == 2 && ${files[0]} == *.cpio && ${files[1]} == *.squashfs ]] || return 1
	sums=$(sha256sum "${files[@]}")
	rm "${files[@]}"
	[[ $("$lab" image build --arch "$1" -p "$packages" --offline) == "${files[0]}"$'\n'"${files[1]}" ]] &&
		sha256sum -c <<<"$sums"
}
one_for_all_kernels() {
	[[ $("$lab" image build --kernel 6.1 -p "$packages" | tail -1) == \
		$("$lab" image build --kernel 5.10 -p "$packages" | tail -1) ]]
}
without_squashfs_tools() {
	local disk
	disk=$("$lab" image build -p "$packages" | tail -1)
	rm "$disk"
	says 3 "install squashfs-tools" env PATH="$dir" "$lab" image build -p "$packages" --offline &&
		[[ ! -e $disk ]] && env PATH="$dir" "$lab" image build --offline
}
for arch in amd64 arm64; do
	ok "initramfs and disk for $arch: the same bytes when made again" made_again "$arch"
done
ok "one disk for all kernels" one_for_all_kernels
ok "without squashfs-tools: one line, and what needs no disk works" without_squashfs_tools

mkdir scenarios
# by path: busybox's shell prefers its own mount
cat >scenarios/root.yml <<S
packages: [${packages//,/, }]
run: |
  set -e
  grep -q '^/dev/vda .* squashfs ro' /proc/self/mounts
  python3 -c 'import math, sys; print("python", sys.version_info[0], math.floor(math.pi))'
  /sbin/mke2fs -V; /bin/mount --version; readlink /usr/bin/[[
  cat /etc/hostname; ls /etc/mke2fs.conf
  echo new >/usr/bin/new; rm /usr/bin/python3; [ ! -e /usr/bin/python3 ]
  jail --namespace user,mount,pid -- sh -c 'python3.11 -c "print(1 + 1)"; cat /usr/bin/new; id -u'
  stat -c '%a %U' / /usr /etc
expect:
  - stdout: ["python 3 3", "mount from util-linux", busybox, lab, /etc/mke2fs.conf, "2\nnew\n0\n",
             "755 root\n755 root\n755 root\n"]
    stderr: ["mke2fs 1."]
S
cat >scenarios/overlay.yml <<S
packages: [${packages//,/, }]
requires: {kernel: ">=5.11"}
run: |
  set -e
  unshare -Urm sh -c '
    mkdir l u w m; echo low >l/f
    mount -t overlay overlay -o lowerdir=l,upperdir=u,workdir=w m; echo up >m/f; cat u/f l/f
    umount m; mount -t overlay overlay -o lowerdir=/usr:l,upperdir=u,workdir=w m; ls m/bin/python3'
expect: [{exit: 0, stdout: "up\nlow\nm/bin/python3"}]
S
for arch in amd64 arm64; do
	ok "the packages and the initramfs are one root on $arch" \
		"$lab" run -q --arch "$arch" --out "$arch" scenarios
done
cat >small.yml <<S
packages: [python3-minimal]
memory: 96M
run: python3 --version
S
too_small() {
	local status=0
	"$lab" run -q --out small small.yml >small.txt 2>&1 || status=$?
	cat small.txt
	[[ $status == 3 ]] && grep -q 'needs [0-9]* MiB of memory, the machine has 96: set memory:' small.txt
}
ok "what does not fit the memory is said before the boot" too_small
done_testing
