#!/usr/bin/env bash
# What vmcore.txt says of a guest that panicked, held against what the guest said of itself before. The
# task that panics is in a sandbox and in namespaces of its own; another one is stuck in state D.
# BUILD: the tree that was built. "all": every pin (make check-all), or KERNEL….
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
lab_setup

kernels=6.1,6.12
[[ ${1:-} != all ]] || kernels=$(debian_kernels)
[[ -z ${1:-} || $1 == all ]] || kernels=$(IFS=,; echo "$*")
cc() { # cc MACHINE COMPILER
	"$2" -O1 -static tests/vm/vmcore-stuck.c -o "$dir/stuck-$1"
}
case $(uname -m) in
aarch64) cc aarch64 gcc && cc x86_64 x86_64-linux-gnu-gcc ;;
*) cc x86_64 gcc && cc aarch64 aarch64-linux-gnu-gcc ;;
esac

cat >"$dir/vmcore.yml" <<'S'
trace: false
timeout: 2m
files: [stuck-x86_64, stuck-aarch64]
run: |
  ./stuck-$(uname -m) &
  until grep -q ' D ' /proc/$!/stat; do sleep 0.1; done
  echo "stuck $!"
  echo "release $(uname -r)"
  grep ' _stext$' /proc/kallsyms
  sed -n 's/^/module /p' /proc/modules
  echo '<7>this was never on the console' > /dev/kmsg
  echo 1 > /proc/sys/kernel/sysrq
  all="user pid mnt net ipc uts cgroup time"
  for ns in $all; do echo "init $ns $(readlink /proc/1/ns/$ns | tr -dc 0-9)"; done
  exec jail --policy permissive --namespace pid,mount,uts,net --caps all -- sh -c '
    echo "pid $$"
    for ns in '"$all"'; do echo "ns $ns $(readlink /proc/$$/ns/$ns | tr -dc 0-9)"; done
    sleep 2
    echo c > /proc/sysrq-trigger
    sleep 60'
expect:
  - {crash: "kernel panic: sysrq triggered crash"}
S
status=0
"$lab" run -q --kernel "$kernels" --arch amd64,arm64 --dump kdump --boot-timeout 5m --out "$dir/run" \
	"$dir/vmcore.yml" >"$dir/run.txt" 2>&1 || status=$?
ok "the guests panic as they are told to" is 0 echo "$status"
[[ $status == 0 ]] || sed 's/^/# /' "$dir/run.txt"

said() { awk -v key="$1" '$1 == key { print $2; exit }' stdout; }
head_says() { sed -n "s/^$1  *//p" vmcore.txt | head -n 1; }
part() { sed -n "/^$1/,/^\$/p" vmcore.txt; }

says_header() {
	head -n 30 vmcore.txt
	[[ $(head_says kernel) == "$(said release), $arch, build id "* ]] &&
		[[ $(head_says dump) == "kdump, "* && $(head_says CPUs) == 1 ]] &&
		[[ $(head_says crash) == "kernel panic: sysrq triggered crash (panic)" ]] &&
		[[ $(head_says panic) == "sysrq triggered crash" ]]
}
# 64-bit arithmetic wraps, here and there. Where code starts in the image: arm64's first page is a header
says_slide() {
	local stext slide from wanted
	stext=0x$(awk '$3 == "_stext" { print $1 }' stdout)
	slide=$(head_says slide)
	echo "_stext $stext, slide $slide"
	from=$((stext - ${slide%%,*}))
	[[ $slide == *" from $stext on" ]] || return
	wanted=$((0x1000000 + 0xffffffff80000000))
	[[ $arch != arm64 ]] || wanted=$((0x10000)) from=$((from & 0x1fffff))
	((from == wanted))
}
says_task() {
	part crash
	[[ $(head_says task) =~ ^"sh, pid "[0-9]+" ($(said pid) in its own namespace), uid 0, on CPU 0"$ ]] &&
		[[ $(head_says seccomp) == "filter (mode 2), 1 filter" ]]
}
says_namespaces() {
	local _ name inode n=0 others=0
	part crash
	while read -r _ name inode; do
		[[ $inode ]] || continue # a kernel without those
		n=$((n + 1))
		if grep -q "^init $name $inode\$" stdout; then
			part crash | grep -q "init's own: .*\b$name $inode\b" || return
		else
			others=$((others + 1))
			part crash | grep "\b$name $inode\b" | grep -qv "init's own" || return
		fi
	done < <(grep '^ns ' stdout)
	[[ $n -ge 7 && $others == 4 ]]
}
# from the panic to the entry, without a guess between
says_backtrace() {
	local frames
	part backtrace
	frames=$(part backtrace | awk '/^ #/ { sub(/\+.*/, "", $2); printf "%s ", $2 }')
	[[ $frames == *" panic sysrq_handle_crash __handle_sysrq"*" write_sysrq_trigger proc_reg_write vfs_write ksys_write "* ]] &&
		part backtrace | tail -n 2 | grep -q 'entered from user space' &&
		! part backtrace | grep '? '
}
says_stuck() {
	part 'tasks in state D'
	part 'tasks in state D' | grep -q "^ stuck, pid $(said stuck), uid 0, state D\$" &&
		part 'tasks in state D' | grep -Eq '^ #[0-9]+ +(kernel_clone|_do_fork)\+'
}
says_modules() {
	local name n=0
	part modules
	while read -r _ name _; do
		n=$((n + 1))
		part modules | grep -q "^ $name  *0xffff[0-9a-f]* " || return
	done < <(grep '^module ' stdout)
	((n > 0)) && [[ $(part modules | grep -c ' bytes of code') == "$n" ]]
}
says_log() {
	sed -n '/^log/,$p' vmcore.txt >log
	tail -n 30 log
	grep -q 'this was never on the console$' log && ! grep -q 'never on the console' console.log &&
		grep -q 'Linux version' log && grep -q 'Kernel panic - not syncing: sysrq' log
}
is_clean() { # no byte that a terminal would act on
	! LC_ALL=C grep -n '[^[:print:][:space:]]' vmcore.txt | LC_ALL=C grep -v $'\xe2\x80\xa6'
}

for cell in "$dir"/run/*/vmcore; do
	place=$(basename "$(dirname "$cell")") arch=${place##*-}
	cd "$cell"
	ok "$place: the kernel, the dump and the crash" says_header
	ok "$place: the slide" says_slide
	ok "$place: the task that panicked, and its seccomp mode" says_task
	ok "$place: its namespaces, and which of them are init's" says_namespaces
	ok "$place: its backtrace" says_backtrace
	ok "$place: a task in state D" says_stuck
	ok "$place: the modules" says_modules
	ok "$place: the log, also what was on no console" says_log
	ok "$place: nothing a terminal would act on" is_clean
done
cd "$dir"
ok "each cell had a dump" is $((2 * ($(tr -dc , <<<"$kernels" | wc -c) + 1))) sh -c 'ls run/*/vmcore/vmcore.txt | wc -l'
done_testing
