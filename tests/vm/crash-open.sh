#!/usr/bin/env bash
# lab crash: dumps of guests that panicked in a module of ours, opened by each tool that reads them.
# With arguments: KERNEL/ARCH... instead of the two of make check.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
# shellcheck source=tests/tap.sh
. tests/tap.sh
lab_setup
dumps=${LAB_CACHE:-$HOME/.cache/jail-lab}/dumps
mkdir -p "$dumps"
cd "$dir" || exit
(($#)) || set -- 6.1/amd64 6.12/arm64
cat >oops.yml <<'EOT'
trace: false
modules: [crashme]
run: |
  insmod crashme.ko
  echo 1 >/proc/sys/kernel/panic_on_oops
  echo null-read >/proc/crashme
  sleep 60
EOT
printf 'bt\nlab-bt 1\nlab-bt 2\nlab-modules\nlab-dmesg 200\n' >bt.gdb
printf 'print(bt())\nprint(bt(1))\nprint(prog["panic_cpu"].counter.value_())\nraise SystemExit(7)\n' >bt.py
printf 'bt\nlog\n' >bt.crash

# has TEXT COMMAND...: the command succeeds and says this
has() {
	local text=$1 said
	shift
	said=$("$@" 2>&1) || { echo "failed: $said" | tail -40; return 1; }
	[[ $said == *"$text"* ]] || { tail -40 <<<"$said"; return 1; }
}
# frames FILE TEXT...: one after the other, in this order
frames() {
	local at
	at=$(<"$1") || return 1
	shift
	for text; do
		[[ $at == *"$text"* ]] || { echo "no $text in: $at"; return 1; }
		at=${at#*"$text"}
	done
}
# from_image DUMP: gdb with the image's own symbols; kthreadd's stack ends where every kernel thread begins
from_image() {
	"$lab" crash --with gdb --symbols image --offline -x bt.gdb "$1" >image.out 2>&1 &&
		frames image.out "crashme_null_read (" "2 kthreadd, " " in ret_from_fork" &&
		! grep ' 0x0\{16\} in ' image.out
}

for at; do
	kernel=${at%/*} arch=${at#*/} cell=$kernel-${at#*/}/oops
	form=kdump
	[[ $arch == amd64 ]] || form=elf
	"$lab" run -q --kernel "$kernel" --arch "$arch" --dump $form --out "run-$kernel-$arch" oops.yml >/dev/null 2>&1
	dump=run-$kernel-$arch/$cell
	ok "$at: there is a $form dump" test -s "$dump/vmcore"
	ok "$at: nobody else reads it" is 600 stat -c %a "$dump/vmcore"

	"$lab" crash --with gdb -x bt.gdb "$dump" >gdb.out 2>gdb.err
	ok "$at: gdb runs a script" is 0 echo $?
	ok "$at: and shows the way from the module's function to its panic" \
		frames gdb.out "in panic (" "in crashme_null_read (" "in crashme_write (" "vfs_write (" "1 init, " "schedule (" "crashme " "NULL pointer"
	ok "$at: with its line" grep -q 'crashme/crashme\.c:' gdb.out
	ok "$at: from the image alone, too, and stacks have no frame above their last" from_image "$dump"
	echo 'no_such_command' >bad.gdb
	ok "$at: a script that fails ends it" exits 1 "$lab" crash --with gdb --offline -x bad.gdb "$dump"

	"$lab" crash --offline --with drgn -x bt.py "$dump" >drgn.out 2>drgn.err
	ok "$at: drgn's exit code is passed on" is 7 echo $?
	# drgn 0.0.22 knows no modules of kernels from 6.4 on
	ok "$at: drgn shows a way to the panic" frames drgn.out "panic (" "schedule ("
	ok "$at: the command line is printed" has "--no-default-symbols" "$lab" crash --offline --print -x bt.py "$dump"
	if [[ $at == 6.1/amd64 ]]; then
		"$lab" crash --offline -x bt.crash "$dump" >crash.out 2>crash.err
		ok "$at: crash is what is chosen, and runs a script" grep -q 'with crash 8' crash.err
		ok "$at: crash shows it" frames crash.out "crashme_null_read" "crashme_write"
	else
		ok "$at: crash is refused" says 2 "crash" "$lab" crash --offline --with crash "$dump"
	fi
done

ok "nothing is left of what was made for the tools" is "" find "$dumps" -name '*.elf'
done_testing
