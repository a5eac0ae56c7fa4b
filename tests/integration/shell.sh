#!/usr/bin/env bash
# 'lab shell' and 'lab vm' without machines: what they say to bad input.
# BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

lab_setup
cd "$dir"
# nobody else's machines, and sockets' paths stay short
XDG_RUNTIME_DIR=$(mktemp -d /tmp/lab-t-XXXXXX)
export XDG_RUNTIME_DIR
trap 'rm -rf "$dir" "$XDG_RUNTIME_DIR"' EXIT

ok "shell --help" bash -c "'$lab' shell --help | grep -q '^Usage: lab shell'"
ok "vm --help" bash -c "'$lab' vm --help | grep -q '^Usage: lab vm'"
ok "shell: an option misspelt" says 2 "did you mean --memory" "$lab" shell --memry 1G
ok "shell: too little memory" says 2 "from 96M to 4096M" "$lab" shell --memory 10M
ok "shell: an accelerator that is none" says 2 "not auto, tcg or kvm" "$lab" shell --accel fast
ok "shell: several kernels" says 2 "one kernel" "$lab" shell --kernel 6.1,6.12
ok "shell: several architectures" says 2 "one architecture" "$lab" shell --arch all
ok "shell: a kernel that is none" says 2 "6.1" "$lab" shell --kernel 6.99
ok "shell: a libvirt elsewhere" says 2 "--connect" "$lab" shell --connect qemu+ssh://host/system
ok "vm: no verb" says 2 "list, stop or dump" "$lab" vm
ok "vm: a verb that is none" says 2 "unknown verb 'kill'" "$lab" vm kill
ok "vm stop: no name" says 2 "name some" "$lab" vm stop
ok "vm stop: --all and names" says 2 "exclude each other" "$lab" vm stop --all x
ok "vm list takes no names" says 2 "not for it" "$lab" vm list x
ok "vm stop --json" says 2 "for list" "$lab" vm stop --json x
ok "vm stop: nobody of that name" says 2 "no machine 'nosuch'" "$lab" vm stop nosuch
ok "vm dump: no name" says 2 "name one machine" "$lab" vm dump
ok "vm dump: both forms" says 2 "exclude each other" "$lab" vm dump --elf --kdump x
ok "vm dump: nobody of that name" says 2 "no machine 'nosuch'" "$lab" vm dump nosuch
ok "vm stop does not write a file" says 2 "are for dump" "$lab" vm stop -o f x

# What labs that were killed left, and files that are none: passed over.
root=$XDG_RUNTIME_DIR/lab-0
mkdir -m 700 "$root"
entry() { # entry NAME WHAT: a machine, as a lab enters it
	jq -n --arg name "$1" --arg what "$2" --arg dir "$dir" '{$name, kernel: "6.1", arch: "arm64", $what,
		dir: ($dir + "/out/6.1-arm64/" + $what), gdb: "/nowhere.gdb", control: "/nowhere.ctl",
		lab: 99999999, qemu: 99999999, started: 5, nokaslr: false}' >"$root/$1.vm"
}
listed() { # listed NAME...: of the machines in $root just these are listed
	"$lab" vm list --json | jq -r '.[] | select(.gdb == "/nowhere.gdb") | .name' | sort >names
	cat names
	[[ $(tr '\n' ' ' <names) == "${*:+$* }" ]]
}
touch "$root/lock"
entry 77-0 it-shell
ok "a lab that was killed: its machines are not listed" listed
exec 9>"$root/lock"
flock 9
entry 77-1 it-one
entry 77-2 it-two
entry 77-3 $'a\e[31mb'
entry 77-4 it-two
echo '{"name": "77-5"}' >"$root/77-5.vm"
ln -s 77-1.vm "$root/77-6.vm"
mkfifo "$root/77-7.vm"
head -c 200000 /dev/zero >"$root/77-8.vm"
ok "of what is in a living lab's folder only what makes sense is" listed 77-0 77-1 77-2 77-4
ok "a machine whose lab does not answer is listed as such" bash -c "'$lab' vm list | grep -q '^77-1 .* it-one .*no answer'"
ok "stop: what several run" says 2 "more than one machine: 77-2 (it-two on 6.1 arm64), 77-4" "$lab" vm stop it-two
ok "stop: a name that is none lists those that are" says 2 "there are: " "$lab" vm stop 78-0
ok "stop: one that has ended by itself" bash -c "[[ \$('$lab' vm stop 6.1-arm64/it-one) == '77-1 has ended' ]]"
done_testing
