#!/usr/bin/env bash
# make install into an empty folder: what lands there, and that it runs without the checkout.
# BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=tests/tap.sh
. tests/tap.sh

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
prefix=$dir/opt/jl
unset LAB_HOME

modes() { # programs can be executed, the rest can be read, whatever the umask was
	[[ -z $(find "$prefix/bin" -type f ! -perm -555) && -z $(find "$prefix" ! -type l ! -perm -444) ]]
}
static() { # static ARCH PROGRAM MACHINE: for that machine, and needs no loader
	local elf
	elf=$(readelf -hlW "$prefix/share/jail-lab/guest/$1/$2")
	[[ $elf == *"$3"* && $elf != *INTERP* ]]
}
install() {
	make --no-print-directory O="$BUILD" DESTDIR="$dir" PREFIX=/opt/jl install
}
kernels() {
	"$prefix/bin/lab" kernel list | grep '6\.1' >/dev/null
}
fragments() { # lab reads them where they were installed
	"$prefix/bin/lab" kernel config --offline 6.5 2>&1 | grep -F "guest ($prefix/share/jail-lab/kernel-config/guest.config)"
}
pages() {
	for page in "$OLDPWD"/docs/*.[1-9]; do
		[[ -s $prefix/share/man/man${page##*.}/${page##*/} ]] || return
	done
}
scenarios() {
	"$prefix/bin/lab" list "$prefix/share/jail-lab/scenarios" | grep hello >/dev/null
}
module() { # its source was installed
	"$prefix/bin/lab" run --dry-run "$prefix/share/jail-lab/scenarios/crash" >/dev/null &&
		"$prefix/bin/lab" kernel module "$prefix/share/jail-lab/vm/crashme"
}
debugs() { # with the commands for gdb that were installed
	echo lab-ps >ps.gdb
	"$prefix/bin/lab" debug -q --batch --symbols image -x ps.gdb --out debug \
		"$prefix/share/jail-lab/scenarios/hello.yml" >debug.txt 2>&1 || :
	cat debug.txt
	grep -q ' init$' debug.txt
}
no_checkout() { # nothing in it points back at where it was built
	! grep -rlF "$PWD/" "$prefix/share" "$prefix/bin/jail"
}
again() {
	: >"$prefix/share/jail-lab/scenarios/stale.yml"
	install
	[[ ! -e $prefix/share/jail-lab/scenarios/stale.yml ]]
}

umask 077
ok "make install" install
ok "modes" modes
ok "agent for amd64" static amd64 agent X86-64
ok "jail for amd64" static amd64 jail X86-64
ok "agent for arm64" static arm64 agent AArch64
ok "jail for arm64" static arm64 jail AArch64
cd "$dir"
ok "lab runs" "$prefix/bin/lab" --version
ok "jail runs" "$prefix/bin/jail" --help
ok "lab finds its kernels" kernels
ok "lab finds the fragments of kernels" fragments
ok "every man page" pages
ok "lab reads its scenarios" scenarios
ok "lab builds its own module" module
ok "lab debug has its commands in gdb" debugs
cd "$OLDPWD"
ok "nothing points back at the checkout" no_checkout
ok "a second install replaces the first" again
done_testing
