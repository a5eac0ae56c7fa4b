#!/usr/bin/env bash
# lab replay with somebody else's folder: nothing beside it is opened, and nothing written. No machine is
# started: the QEMU is a stand-in that says what it was told. BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
lab_setup
export LAB_CACHE=$dir/cache
cd "$dir"
mkdir -m 700 x
export XDG_RUNTIME_DIR=$dir/x

# A stand-in: its version, and its arguments to its output, which is qemu.log.
mkdir bin
cat >bin/qemu-system-x86_64 <<'Q'
#!/bin/sh
case $1 in --version) echo "QEMU emulator version 7.2.0" ;; *) echo "$@"; : >serial-again.log ;; esac
Q
chmod +x bin/qemu-system-x86_64
export PATH=$dir/bin:$PATH

sum() { sha256sum <"$1" | cut -d' ' -f1; }
disk() { # disk FEATURES BACKING: the start of a qcow2
	printf 'QFI\373\0\0\0\3\0\0\0\0\0\0\0%b\0\0\0\0\0\0\0\20\0\0\0\0\100\0\0\0\0\0\0\0' "$2"
	head -c 32 /dev/zero
	printf '\0\0\0\0\0\0\0%b' "$1"
	head -c 4016 /dev/zero
}
recording() { # a whole one in cell/
	rm -rf cell kernel
	mkdir cell
	echo kernel >kernel
	echo initrd >cell/initrd
	echo log >cell/log
	echo console >cell/serial.log
	disk '\0' '\0' >cell/snapshots.qcow2
	jq -n --arg image "$dir/kernel" --arg k "$(sum kernel)" --arg i "$(sum cell/initrd)" '{
		schema: 1, arch: "amd64", qemu: "7.2.0", machine: "pc-q35-7.2", cpu: "max", cmdline: "quiet",
		date: "2026-01-01T00:00:00", memory_mib: 512, shift: 3, kernel: "6.1", image: $image,
		image_sha256: $k, initrd_sha256: $i, icount: 1000, serial_bytes: 8, serial_sha256: "00",
		ending: "exited"}' >cell/recording.json
}
refused() { # refused TEXT COMMAND...: the folder changed so
	recording
	"${@:2}" && says 2 "$1" timeout 20 "$lab" replay -q --check cell && [[ ! -e cell/qemu.log ]]
}
echo mine >mine
link() { ln -sf "$dir/mine" "cell/$1"; }
pipe() { rm -f "$1" && mkfifo "$1"; }
feature() { disk "$1" "$2" >cell/snapshots.qcow2; }

for file in log initrd serial.log snapshots.qcow2; do
	ok "$file is a link: refused" refused "$file is no plain file" link $file
	ok "$file is a pipe: refused" refused "$file is no plain file" pipe cell/$file
done
ok "the kernel is a pipe: refused" refused "kernel is no plain file" pipe kernel
ok "the disk has a backing file: refused" refused "no disk of lab's" feature '\0' '\100'
ok "the disk has its data elsewhere: refused" refused "no disk of lab's" feature '\4' '\0'
ok "the disk is of another format: refused" refused "no disk of lab's" cp mine cell/snapshots.qcow2
ok "others may write to the folder: refused" refused "by other users" chmod 777 cell

outputs() {
	recording
	link qemu.log
	link serial-again.log
	timeout 60 "$lab" replay -q --check cell >said 2>&1 || true
	cat said
	grep -q 'rr=replay' cell/qemu.log || return 1
	[[ $(<mine) == mine && ! -L cell/qemu.log ]]
}
soon_ended() {
	recording
	says 3 "QEMU has ended" timeout 10 "$lab" replay -q --check cell
}
ok "a QEMU that ends at once: one line, soon" soon_ended
ok "what it writes goes through no link" outputs
done_testing
