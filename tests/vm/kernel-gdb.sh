#!/usr/bin/env bash
# gdb and the kernel's own scripts on a running kernel of the debug flavour: tasks, log, and the symbols
# of a module. GDB_KERNEL: which one; it has to be built already (`make check-kernels` does).
# BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
lab_setup
kernel=${GDB_KERNEL:-6.12+debug+kasan}
if ! image=$("$lab" kernel path "$kernel" --arch amd64 --offline 2>"$dir/why"); then
	skip "gdb on $kernel" "not built here ($(head -n 1 "$dir/why"))"
	done_testing
	exit
fi
built=$(dirname "$image")
module=$(find "$built/lib/modules" -name test_module.ko) # as guests have it: without DWARF
initramfs=$("$lab" image build --kernel "$kernel" --arch amd64)
cd "$dir"
mkdir extra
cp "$module" extra/
cat >extra/gdb-init <<'S'
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
insmod /test_module.ko && echo module is in >/dev/console
sleep 10
rmmod test_module && echo module is out >/dev/console
echo o >/proc/sysrq-trigger
sleep 60
S
chmod +x extra/gdb-init
(cd extra && printf '%s\n' gdb-init test_module.ko | cpio -o -H newc --quiet) >extra.cpio
cat "$initramfs" extra.cpio >image.cpio

# fixed addresses: the slide is not gdb's to find
qemu-system-x86_64 -M q35 -accel tcg -m 512 -nodefaults -no-reboot -display none -serial file:console \
	-kernel "$image" -initrd image.cpio -append 'console=ttyS0 nokaslr rdinit=/gdb-init panic=-1' \
	-gdb unix:gdb.socket,server=on,wait=off &
qemu=$!
trap 'kill $qemu 2>/dev/null || :; rm -rf "$dir"' EXIT
for ((i = 0; i < 1500; i++)); do
	[[ ! -S gdb.socket ]] || ! grep -qs 'module is in' console || break
	kill -0 $qemu 2>/dev/null || break
	sleep 0.2
done
timeout 240 gdb -nx -batch -ex 'set pagination off' -ex 'set architecture i386:x86-64' \
	-ex "add-auto-load-safe-path $built" -ex "source $built/gdb/vmlinux-gdb.py" -ex 'target remote gdb.socket' \
	-ex 'echo ==version\n' -ex lx-version -ex 'echo ==ps\n' -ex lx-ps -ex 'echo ==dmesg\n' -ex lx-dmesg \
	-ex 'echo ==symbols\n' -ex "lx-symbols $built/gdb/modules" -ex 'echo ==lsmod\n' -ex lx-lsmod \
	-ex 'echo ==address\n' -ex 'info address test_module_exit' \
	-ex 'echo ==break\n' -ex 'break test_module_exit' -ex continue -ex backtrace \
	-ex 'echo ==go\n' -ex delete -ex detach "$built/vmlinux" >gdb.txt 2>&1 || true
for ((i = 0; i < 300; i++)); do
	! grep -qs 'module is out' console || break
	kill -0 $qemu 2>/dev/null || break
	sleep 0.2
done
part() { # part NAME TEXT: what gdb said after NAME has it
	sed -n "/^==$1\$/,/^==/p" gdb.txt | grep -E -- "$2" || {
		cat gdb.txt
		tail -n 5 console
		return 1
	}
}
ok "the module is loaded" grep 'module is in' console
ok "lx-version says what was built" part version "^Linux version $(ls "$built/lib/modules") "
ok "lx-ps has the first task" part ps ' 1 +gdb-init'
ok "lx-dmesg has the module's words" part dmesg 'test_module: Hello, world'
ok "lx-symbols finds the module's file" part symbols 'loading @0xffffffff[0-9a-f]+: .*/test_module.ko'
ok "lx-lsmod lists it" part lsmod 'test_module'
ok "a function of the module has an address" part address 'Symbol "test_module_exit" is .*0xffffffff'
ok "a break point in it is hit" part break 'Breakpoint 1(\.[0-9])?, test_module_exit'
ok "with source line, and who called" part break '#1 .* in .*delete_module'
ok "and the guest goes on to its end" grep 'module is out' console
done_testing
