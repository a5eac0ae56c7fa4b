#!/usr/bin/env bash
# lab crash: what is wrong is said, and in one line. No machine is started: kernels are a stand-in's
# files, dumps and runs are made. BUILD: the tree that was built.
# shellcheck disable=SC2086 # $native is one of two words
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
lab_setup
export LAB_CACHE=$dir/cache
tests=$PWD/tests/integration
native=$([[ $(uname -m) == aarch64 ]] && echo arm64 || echo amd64)
foreign=$([[ $native == amd64 ]] && echo arm64 || echo amd64)
# shellcheck source=tests/integration/make-archive.sh
. tests/integration/make-archive.sh
cd "$dir"
release=6.12.3-cloud-$native
for arch in amd64 arm64; do
	mkdir -p $arch
	kernel_tree $arch 6.12.3-cloud-$arch 6.12.3 100 $arch
done
image=$dir/$native/boot/vmlinuz-$release
vmcore() { python3 "$tests/make-vmcore.py" "$@"; }
vmcore whole "$native" "$release"
vmcore other "$native" 6.1.0-50-cloud-$native
vmcore foreign "$foreign" "$release"

# cell RUN NAME VERDICT ENDING DUMP: a cell as lab run leaves it
cell() {
	local at=lab-results/$1/k-$native/$2
	mkdir -p "$at"
	jq -n --arg name "$2" --arg dir "k-$native/$2" --arg arch $native --arg verdict "$3" \
		--arg ending "$4" --argjson dump "$5" '{schema: 1, scenario: $name, path: "a.yml",
		kernel: "k", version: "6.12.3", release: "r", arch: $arch, repeat: 1, dir: $dir,
		accelerator: "tcg", verdict: $verdict, ending: $ending, reasons: [], notes: [], dump: $dump}' \
		>"$at/result.json"
}
# run_file RUN CELL...
run_file() {
	local run=$1
	shift
	jq -n --arg arch $native --arg path "$image" '{schema: 1, state: "done",
		kernels: [{name: "k", version: "6.12.3", arch: $arch, path: $path}],
		cells: ["k-" + $arch + "/" + $ARGS.positional[]]}' --args "$@" >"lab-results/$run/run.json"
}

# --- usage
ok "no run at all" says 2 "no run at lab-results/latest" "$lab" crash
ok "a name, and no run" says 2 "no run below lab-results" "$lab" crash 6.1-amd64/crash/panic
ok "two dumps" says 2 "one dump at a time" "$lab" crash a b
ok "a tool of nobody's" says 2 "'ddd' is not crash, drgn or gdb" "$lab" crash --with ddd whole
ok "a script that is not there" says 2 "-x nowhere.gdb" "$lab" crash -x nowhere.gdb whole
touch a.gdb b.py
ok "scripts for two tools" says 2 "is for drgn, the others for gdb" "$lab" crash -x a.gdb -x b.py whole
ok "two things to do" says 2 "one of them" "$lab" crash --print --summary whole
ok "crash, and a gdb" says 2 "which one" "$lab" crash --with crash --gdb gdb whole
ok "symbols from elsewhere" says 2 "'net' is not" "$lab" crash --symbols net whole

# --- cells
mkdir -p lab-results/one lab-results/two
ln -s one lab-results/latest
cell one null-read crash panic '{"form": "elf", "bytes": 1}'
cell one passed pass exited null
cell one large crash panic '{"skipped": "it would be 3 GiB, and --max-dump-bytes is 2 GiB"}'
run_file one null-read passed large
cp whole lab-results/one/k-$native/null-read/vmcore
cell two a crash panic null
cell two b crash panic null
run_file two a b
ok "a run without a dump" says 2 "no cell of lab-results/two has a dump" "$lab" crash two
for i in a b; do cp whole lab-results/two/k-$native/$i/vmcore; done
ok "a run with several" says 2 "2 cells of lab-results/two have a dump" "$lab" crash two
ok "they are listed" says 2 "k-$native/b" "$lab" crash two
ok "a cell that is nearly one" says 2 "did you mean 'k-$native/null-read'" "$lab" crash k-$native/nul-read
ok "one of another run" says 2 "lab-results/two has no cell 'k-$native/c'" "$lab" crash two/k-$native/c
ok "a cell that passed" says 2 "has no dump: its verdict is" "$lab" crash k-$native/passed
ok "a dump that was too large" says 2 "has no dump: it would be 3 GiB" "$lab" crash k-$native/large
ok "a folder that is no cell's" says 2 "no cell's folder" "$lab" crash lab-results/one/k-$native
printf 'panicked \033[31m task\nline\n' >lab-results/one/k-$native/null-read/vmcore.txt
ok "--summary is printable" is $'panicked ?[31m task\nline' "$lab" crash --summary k-$native/null-read
ok "of the only dump, too" is $'panicked ?[31m task\nline' "$lab" crash --summary
echo '{' >lab-results/two/k-$native/a/result.json
ok "a damaged result" says 2 "result.json:" "$lab" crash lab-results/two/k-$native/a

# --- files
crash() { "$lab" crash --offline --kernel "$image" "$@"; }
ok "a file in no cell needs its kernel" says 2 "say its kernel with --kernel" "$lab" crash --offline whole
ok "an unknown kernel" says 2 "9.9" "$lab" crash --offline --kernel 9.9 whole
: >empty
head -c 8192 /dev/zero >zeroes
head -c 300 whole >short
for i in empty zeroes short "$image"; do
	ok "no dump: ${i##*/}" says 2 "${i##*/}" crash --with gdb "$i"
done
ok "of another kernel" says 2 "is of another kernel: 6.1.0-50-cloud-$native" crash other
ok "of another architecture" says 2 "is of an $foreign machine" crash foreign
ok "vmlinux of another build" says 2 "make-vmcore.py" crash --vmlinux "$tests/make-vmcore.py" --with gdb whole

# --- tools: stand-ins say what real ones would
mkdir none old new strange
for where in none old new strange; do
	for program in sh cat; do ln -s "$(command -v $program)" $where/$program; done
done
tool() { # tool FILE TEXT...
	local file=$1
	shift
	{
		echo '#!/bin/sh'
		printf 'echo "%s"\n' "$@"
	} >"$file"
	chmod +x "$file"
}
tool old/crash '' 'crash 8.0.2'
tool new/crash '' 'crash 8.0.6' '    build_target: S390X'
tool old/drgn 'drgn 0.0.13 (using Python 3.9)'
tool strange/crash 'hello'
with() { local path=$1; shift; env PATH="$dir/$path" "$lab" crash --offline --kernel "$image" "$@"; }
ok "crash is not installed" says 2 "Debian's package crash has it" with none --with crash whole
ok "drgn is not installed" says 2 "Debian's package python3-drgn has it" with none --with drgn whole
ok "no tool at all" says 2 "install the package gdb" with none whole
ok "a crash too old names the version needed" \
	says 2 "crash 8.0.2 reads $native kernels to 6.1, this is 6.12.3: needs 8.0.6 (trixie)" with old --with crash whole
ok "a drgn too old" says 2 "needs 0.0." with old --with drgn whole
ok "a crash for other machines" says 2 "reads no dumps of $native" with new --with crash whole
ok "a program that is no crash" says 2 "does not say its version" with strange --with crash whole
ok "a gdb that is not there" says 2 "no debugger 'nowhere'" with none --gdb nowhere whole
ok "nothing is left" fails test -e "$LAB_CACHE/dumps"
done_testing
