#!/usr/bin/env bash
# lab run --connect: machines by a libvirt daemon, started here for the test alone, in folders of its
# own: qemu:///session of an ordinary user, and, where we are root, qemu:///system in a mount name
# space. BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

lab=$(realpath "$BUILD/bin/lab")
export LAB_HOME=$PWD
hello=$PWD/scenarios/hello.yml

refuse() { says 2 "$2" "$lab" run --connect "$1" "$hello"; }
ok "another driver is refused" refuse test:///default "name qemu:///session"
ok "a remote host is refused" refuse qemu+ssh://host/system "run lab there"
ok "so is one by TLS" refuse qemu://host/system "run lab there"
ok "what is no address is refused" refuse "no address" "name qemu:///session"

libvirtd=$(PATH=$PATH:/usr/sbin command -v libvirtd || true)
if [[ -z $libvirtd ]]; then
	skip "machines by a daemon" "libvirtd is not installed (on Debian: libvirt-daemon)"
	done_testing
	exit
fi

# Short: sockets' paths are bounded.
dir=$(mktemp -d /tmp/lc-XXXX)
daemons=()
end_daemons() {
	local pid
	[[ ! -e $dir/r/libvirt/virtlogd.pid ]] || daemons+=("$(cat "$dir/r/libvirt/virtlogd.pid")")
	for pid in ${daemons[@]+"${daemons[@]}"}; do
		kill -CONT "$pid" 2>/dev/null || true
		kill "$pid" 2>/dev/null || true
	done
	daemons=()
}
trap 'end_daemons; rm -rf "$dir"' EXIT
mkdir -m 700 "$dir"/{home,r,c,k,out}
cat >"$dir/slow.yml" <<'S'
run: echo begun; sleep 60
S
cp "$hello" scenarios/crash/panic.yml "$dir"
cache=$("$lab" cache --json | jq -r .path)
"$lab" kernel pull --arch all 6.1 >/dev/null
for arch in amd64 arm64; do # its packages: the runs below are offline
	"$lab" image build --kernel 6.1 --arch "$arch" >/dev/null
done
as_user=(env)
# What root's cache has of these kernels is lent to an ordinary user by hard links, or copied.
if [[ $EUID == 0 ]]; then
	as_user=(setpriv --reuid nobody --regid nogroup --clear-groups env)
	mkdir -p "$dir/cache/kernels"
	for path in "$cache"/kernels/6.1-* "$cache/debs"; do
		to=$dir/cache/${path#"$cache/"}
		cp -al "$path" "$to" 2>/dev/null || cp -a "$path" "$to"
	done
	find "$dir" -type d -exec chown nobody:nogroup {} +
	cache=$dir/cache
	chmod 755 "$dir"
fi
as_user+=("HOME=$dir/home" "XDG_RUNTIME_DIR=$dir/r" "XDG_CONFIG_HOME=$dir/c" "XDG_CACHE_HOME=$dir/k" "LAB_CACHE=$cache" LIBVIRT_AUTOSTART=0)
cd "$dir/out"

# user OUT URI ARG...: lab run as the user.
user() {
	local out=$1 uri=$2
	shift 2
	"${as_user[@]}" "$lab" run -q --accel tcg --offline --out "$out" ${uri:+--connect "$uri"} "$@"
}
ordinary() {
	user plain '' --arch all "$dir/hello.yml"
}
if [[ $EUID == 0 ]]; then
	ok "an ordinary user, with libvirt's embedded driver: both architectures" ordinary
else
	skip "an ordinary user" "not root: every other test is one"
fi

nobody_home() { says 3 "qemu:///session: " user none qemu:///session "$dir/hello.yml"; }
start_session() {
	"${as_user[@]}" "$libvirtd" --timeout 0 >"$dir/daemon.log" 2>&1 &
	daemons=($!)
	for _ in {1..600}; do
		[[ ! -S $dir/r/libvirt/libvirt-sock ]] || return 0
		sleep 0.1
	done
	cat "$dir/daemon.log"
	return 1
}
start_session
both() {
	user both qemu:///session --arch all "$dir/hello.yml" && jq -e '.machines | contains("qemu:///session")' both/run.json &&
		[[ -z $(ls "$dir"/r/lab-*/lab-* 2>/dev/null) ]]
}
ok "qemu:///session: a scenario on both architectures" both
panic() {
	user panic qemu:///session --arch all "$dir/panic.yml" && grep -q 'Kernel panic' panic/6.1-amd64/panic/console.log &&
		grep -q 'Kernel panic' panic/6.1-arm64/panic/console.log
}
ok "a panic is seen, and the console kept" panic

# begin OUT: lab in the background until the payload has begun; qemu is the machine's pid
begin() {
	# no function: the job is to be lab itself, or rather its guardian
	"${as_user[@]}" "$lab" run -q --accel tcg --offline --out "$1" --connect qemu:///session "$dir/slow.yml" >"$1.txt" 2>&1 &
	job=$!
	for _ in {1..1800}; do
		if grep -qs begun "$1"/*/slow/stdout; then
			qemu=$(pgrep -f -- "^[^ ]*qemu-system-[^ ]* -name guest=lab-.*$dir")
			return
		fi
		sleep 0.1
	done
	cat "$1.txt"
	return 1
}
killed() {
	local worker
	begin killed
	worker=$(pgrep -P "$job" -x lab)
	kill -9 "$job" "$worker"
	wait "$job" || true
	soon ended "$qemu" && grep -q begun killed/*/slow/stdout
}
ok "lab killed with -9: the daemon ends the machine" killed
interrupted() {
	local status=0
	begin interrupted
	kill -INT "$job"
	wait "$job" || status=$?
	echo "exit $status"
	[[ $status == 130 ]] && soon ended "$qemu"
}
ok "interrupted: exit 130, no machine left" interrupted
gone() {
	local status=0
	begin gone
	kill -9 "$qemu"
	wait "$job" || status=$?
	cat gone.txt
	[[ $status == 3 ]] && jq -e '.ending == "gone"' gone/*/slow/result.json
}
ok "QEMU killed: gone, exit 3" gone
stopped() {
	kill -STOP "${daemons[0]}"
	says 3 "qemu:///session does not answer" user stopped qemu:///session "$dir/hello.yml"
}
ok "a daemon that does not answer: said after half a minute" stopped
end_daemons
ok "no daemon: said at once" nobody_home

# A daemon of root's, with what it writes to in memory; only arm64, as libvirt asks QEMU anew what it
# can do before each machine where /dev/kvm is there and does not work.
system_daemon() {
	local d made=$dir/system
	mkdir "$made" && mount -t tmpfs tmpfs "$made" && cp -a /etc "$made/etc" && mkdir -p "$made/etc/libvirt" || return
	grep -q ^libvirt-qemu: /etc/passwd || {
		echo "libvirt-qemu:x:64055:64055::/nonexistent:/bin/false" >>"$made/etc/passwd"
		echo "libvirt-qemu:x:64055:" >>"$made/etc/group"
	}
	printf '%s\n' 'stdio_handler = "file"' 'security_driver = "none"' 'namespaces = []' 'cgroup_controllers = []' >"$made/etc/libvirt/qemu.conf"
	printf '%s\n' 'auth_unix_rw = "none"' 'auth_unix_ro = "none"' >"$made/etc/libvirt/libvirtd.conf"
	mount --bind "$made/etc" /etc && mount -t tmpfs -o mode=755 tmpfs /run || return
	for d in lib cache log; do
		mkdir -p "$made/$d/upper" "$made/$d/work"
		mount -t overlay -o "lowerdir=/var/$d,upperdir=$made/$d/upper,workdir=$made/$d/work" overlay "/var/$d" || return
	done
	mkdir -p /var/log/libvirt
	"$libvirtd" >"$dir/system.log" 2>&1 &
	d=$!
	for _ in {1..600}; do
		[[ ! -S /run/libvirt/libvirt-sock ]] || break
		sleep 0.1
	done
	"$lab" run -q --accel tcg --offline --arch arm64 --connect qemu:///system --out "$dir/out/system" "$dir/hello.yml" &
	job=$!
	owners=()
	while kill -0 "$job" 2>/dev/null; do
		owners+=("$(pgrep -f -- "^[^ ]*qemu-system-[^ ]* -name guest=lab-$(pgrep -P "$job" -x lab)-" | xargs -r ps -o user= -p || true)")
		sleep 0.2
	done
	kill "$d"
	wait "$d"
	echo "QEMU ran as:" ${owners[@]+"${owners[@]}"}
	jq -e '.verdict == "pass"' "$dir/out/system/6.1-arm64/hello/result.json" && [[ " ${owners[*]} " == *" root "* ]]
}
in_private() { # as a process of its own: name spaces end with it
	unshare --mount bash -euo pipefail -c "$(declare -f system_daemon); $(declare -p lab libvirtd dir); system_daemon"
}
if [[ $EUID == 0 ]] && unshare --mount true 2>/dev/null; then
	ok "qemu:///system: a scenario, by a QEMU that runs as lab's user" in_private
else
	skip "qemu:///system" "only root can start such a daemon"
fi
done_testing
