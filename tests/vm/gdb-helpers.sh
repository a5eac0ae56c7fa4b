#!/usr/bin/env bash
# The commands that lab brings into gdb, held against what the guest itself says: a payload in two
# jails prints its /proc files and its kernel's log, and calls sync(2), where gdb stops it.
# With arguments: KERNEL/ARCH[/SYMBOLS]... instead of the two of make check, or all.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
# shellcheck source=tests/tap.sh
. tests/tap.sh
lab_setup
tests=$PWD/tests

cat >"$dir/outer.policy.yml" <<'EOF'
version: 1
default: allow
deny:
  - swapon: ENOSYS
EOF
cat >"$dir/inner.policy.yml" <<'EOF'
version: 1
default: allow
deny:
  - acct
  - socket: {domain: AF_INET}
EOF
cat >"$dir/inner.sh" <<'EOF'
mkdir m && mount -t tmpfs -o size=64k mine m && mkdir m/sub && mount --bind m/sub /mnt
read -r pid rest </proc/self/stat
echo "== ps"
echo "$pid"
echo "== ns"
for kind in user mnt pid net uts ipc cgroup time; do
	readlink "/proc/$pid/ns/$kind"
done
echo "== cred"
cat "/proc/$pid/status"
sed 's/^/uid_map /' "/proc/$pid/uid_map"
echo "== mounts"
cat "/proc/$pid/mountinfo"
sync
cat /nothing/here
exec sync
EOF
cat >"$dir/helpers.yml" <<'EOF'
summary: a payload in two jails says what it is
files: [inner.sh, inner.policy.yml, outer.policy.yml]
trace: false
run: |
  modprobe overlay 2>/dev/null
  echo "== modules"
  cat /proc/modules
  echo "== dmesg"
  dmesg
  exec jail -q --caps all --policy outer.policy.yml -- \
    jail -q --policy inner.policy.yml --namespace user,mount,uts,pid --caps sys_admin,chown,net_raw -- sh inner.sh
EOF
cat >"$dir/look.gdb" <<'EOF'
continue
python
import gdb
for name in "ps ns cred mounts seccomp modules dmesg".split():
    print("==", name)
    try:
        gdb.execute("lab-" + name)
    except gdb.error as why:
        print(why)
end
echo == bounds\n
python
for command in ("lab-ps -x", "lab-ns 99999", "lab-cred no", "lab-dmesg x", "lab-syscalls",
		"lab-core /nowhere", "lab-break ksys_sync:", "lab-break no_such_function",
		"lab-break ksys_sync:no_such_name"):
    try:
        gdb.execute(command)
        print("no error:", command)
    except gdb.error as why:
        print("%s: %s" % (command, why))
end
echo == hostile\n
python
import sys, time
memory, tasks = sys.modules["lab.memory"], sys.modules["lab.tasks"]
first = int(next(tasks.threads())["tasks"].address)
node = memory.word(first)
comm = node - memory.offset("struct task_struct", "tasks") + memory.offset("struct task_struct", "comm")
for place, value in ((node, node), (node, 0), (first, 0xdeadbeef0000), (first, (1 << 64) - 8),
                     (comm, 0x6d31335b1b0a9bc2)):
    kept = memory.read(place, 8)
    gdb.selected_inferior().write_memory(place, value.to_bytes(8, "little"))
    began = time.monotonic()
    try:
        said = gdb.execute("lab-ps -a", to_string=True)
    except gdb.error as why:
        said = str(why) + "\n"
    gdb.selected_inferior().write_memory(place, kept)
    if not said.replace("\n", "").isprintable() or time.monotonic() - began > 60:
        print("escapes, or slow")
    print([line for line in said.split("\n") if line][-1])
end
echo == help\n
help lab
echo == calls\n
lab-syscalls on
continue
lab-syscalls off
echo == end\n
lab-ps
detach
EOF

# look KERNEL ARCH SYMBOLS: a session; what gdb and the guest say
look() {
	out=$dir/$1-$2
	"$lab" debug --kernel "$1" --arch "$2" --symbols "$3" --quiet --batch --timeout 10m \
		--break ksys_sync -x "$dir/look.gdb" --out "$out" "$dir/helpers.yml" >"$dir/gdb" 2>&1 ||
		{ tail -20 "$dir/gdb"; return 1; }
	find "$out" -name stdout -exec cp {} "$dir/guest" \;
	[[ -s $dir/guest ]] || { cat "$dir/gdb"; return 1; }
}

held() { python3 "$tests/vm/gdb-helpers.py" "$1" "$dir/gdb" "$dir/guest"; }

cells=("$@")
case ${cells[*]} in
'') cells=(6.1/amd64/auto 7.2/arm64/image) ;;
all) cells=({5.10,6.1,6.12,6.18,7.2}/{amd64,arm64}/image) ;;
esac
for cell in "${cells[@]}"; do
	IFS=/ read -r kernel arch symbols <<<"$cell/auto"
	symbols=${symbols%%/*}
	name="$kernel $arch"
	if [[ $arch == arm64 ]] && ! command -v gdb-multiarch >/dev/null; then
		skip "$name: gdb's commands" "no gdb-multiarch"
		continue
	fi
	rm -f "$dir/guest"
	ok "$name: a session ($symbols)" look "$kernel" "$arch" "$symbols"
	[[ -s $dir/guest ]] || continue
	[[ -z ${KEEP-} ]] || cp "$dir/gdb" "$dir/guest" "$KEEP"
	for what in ps ns cred mounts seccomp modules dmesg calls bounds hostile help; do
		ok "$name: $what" held "$what"
	done
done
done_testing
