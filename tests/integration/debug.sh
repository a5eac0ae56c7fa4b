#!/usr/bin/env bash
# lab debug and lab gdb: what is wrong is said before anything boots. No machine is started; the kernel
# is a stand-in's file. BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
lab_setup
export LAB_CACHE=$dir/cache
native=$([[ $(uname -m) == aarch64 ]] && echo arm64 || echo amd64)
foreign=$([[ $native == amd64 ]] && echo arm64 || echo amd64)
# shellcheck source=tests/integration/make-archive.sh
. tests/integration/make-archive.sh
cd "$dir"
mkdir -p scenarios/more
echo 'run: "true"' >scenarios/a.yml
printf 'requires: {kernel: ">=9.0"}\nrun: "true"\n' >scenarios/new.yml
printf 'arch: [%s]\nrun: "true"\n' "$foreign" >scenarios/other.yml
cp scenarios/a.yml scenarios/more/
echo 'info registers' >script
for arch in amd64 arm64; do
	mkdir -p $arch
	kernel_tree $arch 6.1.0-2-cloud-$arch 6.1.10 100 $arch
done
image=$native/boot/vmlinuz-6.1.0-2-cloud-$native
other=$foreign/boot/vmlinuz-6.1.0-2-cloud-$foreign

debug() { "$lab" debug -q --offline --kernel "$image" "$@"; }

# --- usage
ok "no scenario" says 2 "no scenario given" "$lab" debug
ok "a scenario that is not there" says 2 "nowhere.yml" "$lab" debug nowhere.yml
ok "several scenarios" says 2 "lab debug takes one" "$lab" debug scenarios
ok "several kernels" says 2 "one kernel" "$lab" debug --kernel 6.1,6.12 scenarios/a.yml
ok "all kernels" says 2 "one kernel" "$lab" debug --kernel all scenarios/a.yml
ok "several architectures" says 2 "one architecture" "$lab" debug --arch amd64,arm64 scenarios/a.yml
ok "an unknown architecture" says 2 "riscv64" "$lab" debug --arch riscv64 scenarios/a.yml
ok "an unknown kernel" says 2 "9.9" "$lab" debug --kernel 9.9 scenarios/a.yml
ok "--batch without a script" says 2 "no -x SCRIPT" "$lab" debug --batch scenarios/a.yml
ok "a script that is not there" says 2 "missing.gdb" "$lab" debug -x missing.gdb scenarios/a.yml
for command in gdb replay; do
	ok "$command: a script that is not there" says 2 "-x nowhere" "$lab" $command -x nowhere .
	ok "$command: two gdbs" says 2 "which one?" "$lab" $command --gdb gdb --pwndbg .
	ok "$command: symbols from elsewhere" says 2 "is not auto" "$lab" $command --symbols net .
done
ok "--listen with a script" says 2 "starts no gdb" "$lab" debug --listen :0 --batch -x script scenarios/a.yml
ok "--listen with a break point" says 2 "starts no gdb" "$lab" debug --listen :0 --break f scenarios/a.yml
ok "--listen without a path" says 2 "no path" "$lab" debug --listen unix: scenarios/a.yml
ok "--gdb and --pwndbg" says 2 "which one" "$lab" debug --gdb gdb --pwndbg scenarios/a.yml
ok "--symbols of nowhere" says 2 "'net' is not" "$lab" debug --symbols net scenarios/a.yml
ok "--accel of nobody" says 2 "'xen' is not" "$lab" debug --accel xen scenarios/a.yml
ok "a remote libvirt" says 2 "--connect" "$lab" debug -c qemu+ssh://host/system scenarios/a.yml

# --- a scenario that this cell cannot run
ok "a scenario for newer kernels says why" says 2 "does not run on" debug scenarios/new.yml
ok "one for the other architecture too" says 2 "does not run on" debug scenarios/other.yml

# --- which gdb: stand-ins say what a real one would
mkdir none x86 multi pythonless
fake() { # fake FILE ARCHITECTURE PYTHON
	cat >"$1" <<FAKE
#!/bin/sh
echo 'The target architecture is set to "$2".'
$3
FAKE
	chmod +x "$1"
}
fake x86/gdb i386:x86-64 'echo python works'
fake multi/gdb-multiarch aarch64 'echo python works'
fake pythonless/gdb i386:x86-64 'echo no Python >&2'
[[ $native == amd64 ]] || fake pythonless/gdb aarch64 'echo no Python >&2'
for program in sh env cat; do
	for where in none x86 multi pythonless; do ln -s "$(command -v $program)" $where/$program; done
done
if [[ $native == amd64 ]]; then
	ok "no gdb at all names the package" \
		says 2 "install the package gdb" env PATH="$dir/none" "$lab" debug -q --offline --kernel "$image" scenarios/a.yml
	ok "a gdb without arm64 names gdb-multiarch" says 2 "install the package gdb-multiarch" \
		env PATH="$dir/x86" "$lab" debug -q --offline --arch arm64 --kernel "$other" scenarios/a.yml
	ok "a gdb without Python" says 2 "built without Python" \
		env PATH="$dir/pythonless" "$lab" debug -q --offline --kernel "$image" scenarios/a.yml
	ok "--gdb without the architecture" says 2 "knows no arm64 guests" \
		"$lab" debug -q --offline --arch arm64 --kernel "$other" --gdb x86/gdb scenarios/a.yml
fi
ok "--gdb that is not there" says 2 "no debugger 'nogdb' in PATH" debug --gdb nogdb scenarios/a.yml
ok "--gdb that is no gdb" says 2 "does not behave as a gdb" debug --gdb /bin/true scenarios/a.yml
ok "--pwndbg where it is not installed" says 2 "pwndbg is not installed" \
	env HOME="$dir" PATH="$dir/none" "$lab" debug -q --offline --kernel "$image" --pwndbg scenarios/a.yml

# --- break points and addresses that are none
ok "--break without a condition after its colon" says 2 "no condition" debug --break start_kernel: scenarios/a.yml
ok "--listen nowhere" says 2 "no place to listen" debug --listen nowhere scenarios/a.yml

# --- symbols
ok "--vmlinux that is not there" says 2 "no-vmlinux" debug --vmlinux no-vmlinux scenarios/a.yml

# --- inside gdb
commands() { gdb -nx -q -batch -ex "source $LAB_HOME/lab/gdb/lab.py" "$@" 2>&1; }
no_program() { # what is loaded would run on this host
	local word
	for word in run r start starti; do
		commands -ex "$word" /bin/true >no-program.txt || true
		cat no-program.txt
		grep -q "a guest is not started from here" no-program.txt && ! grep -q "exited" no-program.txt || return 1
	done
}
ok "run starts nothing on the host" no_program

# --- lab gdb
export XDG_RUNTIME_DIR=$dir/run
mkdir -m 700 run
if [[ $("$lab" vm list --json | jq length) == 0 ]]; then
	ok "no machine runs" says 2 "no machine runs" "$lab" gdb
else
	skip "no machine runs" "somebody else's does"
fi
ok "nor one of that name" says 2 "6.1-amd64/a" "$lab" gdb 6.1-amd64/a
ok "one at a time" says 2 "one machine" "$lab" gdb a b
ok "--batch without a script" says 2 "no -x SCRIPT" "$lab" gdb --batch a

# --- a relay's socket has its name before anybody listens

cat >late.py <<'P'
import os
import socket
import threading

from lab import attach

place = os.path.abspath("late.gdb")
relay = socket.socket(socket.AF_UNIX)
relay.bind(place)
threading.Timer(0.5, relay.listen).start()
socket.socket(socket.AF_UNIX).connect(attach.wait_for(place))
print("met")
P
for gdb in gdb gdb-multiarch; do
	command -v $gdb >/dev/null || continue
	ok "$gdb waits until somebody listens" is met $gdb -nx -q -batch -x "$LAB_HOME/lab/gdb/lab.py" -x late.py
	rm late.gdb
done
done_testing
