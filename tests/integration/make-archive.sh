# make-archive.sh - sourced: a small Debian archive of made-up packages, signed by a key of its own.
# shellcheck shell=bash disable=SC2154
# Uses $dir; sets $mirror (a folder), $keyring.

# make_key NAME: a throw-away key in $dir/NAME.gpg-home; its public part in $dir/NAME.gpg
make_key() {
	mkdir -m 700 "$dir/$1.gpg-home"
	gpg --homedir "$dir/$1.gpg-home" --batch --quiet --passphrase '' --quick-gen-key "$1@example" ed25519 sign never 2>/dev/null
	gpg --homedir "$dir/$1.gpg-home" --batch --export >"$dir/$1.gpg"
	gpgconf --homedir "$dir/$1.gpg-home" --kill gpg-agent
}

# deb SUITE ARCH NAME VERSION ROOT [FIELD: VALUE]...: build a package of the tree ROOT into the pool
deb() {
	local suite=$1 arch=$2 name=$3 version=$4 root=$5 file field
	shift 5
	mkdir -p "$root/DEBIAN" "$mirror/pool" "$mirror/dists/$suite/main/binary-$arch"
	{
		printf 'Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: nobody <n@example>\n' "$name" "$version" "$arch"
		for field in "$@"; do
			echo "$field"
		done
		printf 'Description: made up\n'
	} >"$root/DEBIAN/control"
	file=pool/${name}_${version}_$arch.deb
	dpkg-deb --root-owner-group -Zgzip --build "$root" "$mirror/$file" >/dev/null
	{
		cat "$root/DEBIAN/control"
		printf 'Filename: %s\nSize: %s\nSHA256: %s\n\n' "$file" "$(stat -c %s "$mirror/$file")" \
			"$(sha256sum "$mirror/$file" | cut -d' ' -f1)"
	} >>"$mirror/dists/$suite/main/binary-$arch/Packages"
	rm -rf "$root"
}

# publish SUITE KEY [FIELD: VALUE]...: compress the indexes and sign InRelease
publish() {
	local suite=$1 key=$2 index field
	shift 2
	(
		cd "$mirror/dists/$suite" || exit
		for index in main/binary-*/Packages; do
			xz -kf "$index"
			mkdir -p "${index%/*}/by-hash/SHA256"
			cp "$index.xz" "${index%/*}/by-hash/SHA256/$(sha256sum "$index.xz" | cut -d' ' -f1)"
		done
		{
			printf 'Origin: Debian\nSuite: %s\nDate: %s\n' "$suite" "$(LC_ALL=C date -u '+%a, %d %b %Y %H:%M:%S UTC')"
			for field in "$@"; do
				echo "$field"
			done
			echo 'SHA256:'
			for index in main/binary-*/Packages*; do
				printf ' %s %s %s\n' "$(sha256sum "$index" | cut -d' ' -f1)" "$(stat -c %s "$index")" "$index"
			done
		} >Release
		gpg --homedir "$dir/$key.gpg-home" --batch --yes --quiet --clearsign -o InRelease Release 2>/dev/null
		gpgconf --homedir "$dir/$key.gpg-home" --kill gpg-agent
	)
}

# image ARCH RELEASE VERSION KIB FILE: the start of a kernel image, with its banner, and noise
image() {
	python3 - "$@" <<'PY'
import random, struct, sys
arch, release, version, kib, path = sys.argv[1:]
banner = f"{release} (made up) #1 SMP Debian {version}-1 (2026-01-01)".encode() + b"\0"
body = bytearray(random.Random(release).randbytes(int(kib) * 1024))
if arch == "amd64":
    body[0x202:0x206] = b"HdrS"
    body[0x20e:0x210] = struct.pack("<H", 0x400)
    body[0x211] = 1
    body[0x600:0x600 + len(banner)] = banner
else:
    body[0:4] = b"MZ@\xfa"
    body[56:60] = b"ARM\x64"
    text = b"Linux version " + banner
    body[0x1000:0x1000 + len(text)] = text
open(path, "wb").write(body)
PY
}

# guest_needs: what lab wants in the configuration of a kernel given as a file
guest_needs() {
	printf 'CONFIG_%s=y\n' BLK_DEV_INITRD BINFMT_ELF DEVTMPFS PROC_FS SYSFS SIGNALFD PCI_HOST_GENERIC VIRTIO_PCI VIRTIO_CONSOLE
}

# kernel_tree ARCH RELEASE VERSION KIB ROOT: as one package has it up to 6.18
kernel_tree() {
	mkdir -p "$5/boot" "$5/lib/modules/$2/kernel/fs"
	image "$1" "$2" "$3" "$4" "$5/boot/vmlinuz-$2"
	(echo CONFIG_OVERLAY_FS=m && guest_needs | sed '/VIRTIO/s/=y/=m/') >"$5/boot/config-$2"
	echo "module of $2" >"$5/lib/modules/$2/kernel/fs/overlay.ko"
	echo kernel/fs/ext4/ext4.ko >"$5/lib/modules/$2/modules.builtin"
}
