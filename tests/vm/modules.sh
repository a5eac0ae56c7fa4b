#!/usr/bin/env bash
# Modules for a pinned kernel, for real: built against Debian's headers, for both architectures, and
# loaded in guests, plain and under jail. BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
lab_setup
cd "$dir"
mkdir -p scenarios/small
echo 'obj-m := small.o' >scenarios/small/Kbuild
cat >scenarios/small/small.c <<'C'
#include <linux/module.h>

static int answer = 42;
module_param(answer, int, 0444);
MODULE_DESCRIPTION("A number");
MODULE_LICENSE("GPL");
C
cat >scenarios/named.yml <<'S'
modules: [crashme, small/]
run: |
  insmod crashme.ko && insmod small.ko answer=43 && cat /sys/module/small/parameters/answer
  lsmod | grep -o '^crashme ' && grep -x warn /proc/crashme && rmmod small
expect:
  - {exit: 0, stdout: ["/^43$/", "crashme", "warn"]}
S
cat >scenarios/jailed.yml <<'S'
modules: small/
jail: {caps: sys_module}
trace: false
run: insmod small.ko && cat /sys/module/small/parameters/answer
expect:
  - {exit: 0, stdout: "/^42$/"}
S
module() { # module ARCH MACHINE: for that machine, with the kernel's release
	"$lab" kernel module scenarios/small --arch "$1" -o small.ko || return
	readelf -h small.ko | grep "$2" || return
	strings small.ko | grep "^vermagic=$(basename "$("$lab" kernel path 6.1 --arch "$1" --what modules)") "
}
ok "a module for amd64" module amd64 X86-64
ok "a module for arm64" module arm64 AArch64
ok "crashme compiles without a warning, amd64" bash -c "ko=\$('$lab' kernel module '$LAB_HOME/vm/crashme' --arch amd64) && ! grep 'warning: [^t]' \"\$(dirname \"\$ko\").log\""
ok "crashme has what unwinding needs" bash -c "readelf -SW \"\$('$lab' kernel module '$LAB_HOME/vm/crashme' --arch amd64)\" | grep -c ' \.orc_unwind'"
ok "loaded in guests, also under jail" "$lab" run -q --kernel 6.1 --arch amd64,arm64 --out run scenarios
ok "again offline: nothing is built" bash -c "'$lab' kernel module scenarios/small --arch arm64 --offline 2>&1 | grep -c . | grep -x 1"
done_testing
