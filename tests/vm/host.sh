#!/usr/bin/env bash
# What this host lacks is said once, in one line, before anything is started: exit 3, and no run's
# folder. BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

lab=$(realpath "$BUILD/bin/lab")
export LAB_HOME=$PWD
cache=$("$lab" cache --json | jq -r .path)
"$lab" kernel pull --arch all 6.1 >/dev/null
arch=amd64 foreign=arm64 qemu=qemu-system-x86_64
[[ $(uname -m) != aarch64 ]] || arch=arm64 foreign=amd64 qemu=qemu-system-aarch64
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/empty" "$dir/broken" "$dir/bin"
cp "$lab" "$dir/bin/lab"
printf '#!/bin/sh\nexit 1\n' >"$dir/broken/$qemu"
chmod 755 "$dir" "$dir/broken/$qemu"
for name in one two; do
	echo 'run: echo hello' >"$dir/$name.yml"
done

# lacks TEXT COMMAND...: said in one line by a run of two scenarios, which leaves nothing behind.
lacks() {
	local text=$1 status=0 said
	shift
	said=$(cd "$dir" && "$@" -q --offline --out out one.yml two.yml 2>&1) || status=$?
	echo "exit $status: $said"
	[[ $status == 3 && $said == *"$text"* && $said != *$'\n'* && ! -e $dir/out ]]
}
ok "no QEMU: what to install" lacks "no $qemu for $arch guests in PATH" env PATH="$dir/empty" "$lab" run
ok "a QEMU that does not run" lacks "$dir/broken/$qemu --version" env PATH="$dir/broken:$PATH" "$lab" run
ok "no QEMU driver of libvirt's: what to install" lacks "libvirt-daemon-driver-qemu" env LIBVIRT_DRIVER_DIR="$dir/empty" "$lab" run
ok "--accel kvm for a foreign architecture" lacks "no KVM for $foreign guests" "$lab" run --accel kvm --arch "$foreign"
ok "no programs for guests" lacks "the guest program 'agent' for $arch is not built" "$dir/bin/lab" run
ok "no daemon" lacks "qemu:///session: " env LIBVIRT_AUTOSTART=0 XDG_RUNTIME_DIR="$dir/empty" "$lab" run --connect qemu:///session

if [[ $EUID != 0 ]] || ! unshare --mount true 2>/dev/null; then
	skip "folders that cannot be written to" "only root can make them"
	done_testing
	exit
fi
nobody=(setpriv --reuid nobody --regid nogroup --clear-groups env)
ok "a home that cannot be written to: LAB_CACHE helps" lacks "LAB_CACHE" "${nobody[@]}" -u LAB_CACHE -u XDG_CACHE_HOME HOME=/nonexistent "$lab" run
# in_full FOLDER COMMAND...: with a file system in the folder's place that has no room at all
in_full() {
	# shellcheck disable=SC2016
	unshare --mount bash -euc 'mount -t tmpfs -o nr_inodes=1,mode=700 tmpfs "$1"; shift; exec "$@"' in_full "$@"
}
read_only() {
	# shellcheck disable=SC2016
	unshare --mount bash -euc 'mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; shift; exec "$@"' read_only "$cache" "$@"
}
ok "a cache that cannot be written to: LAB_CACHE helps" lacks "LAB_CACHE" read_only env XDG_RUNTIME_DIR= "$lab" run
mkdir "$dir/run"
chmod 700 "$dir/run"
ok "no room for sockets" lacks "No space left on device" in_full "$dir/run" env XDG_RUNTIME_DIR="$dir/run" "$lab" run
done_testing
