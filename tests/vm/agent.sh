#!/usr/bin/env bash
# The agent in real guests under plain QEMU (agent.py has the tests), of both architectures at once.
# BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."

export LAB_HOME=$PWD
lab=$BUILD/bin/lab
guests=()
declare -A qemu=([amd64]=qemu-system-x86_64 [arm64]=qemu-system-aarch64)
for arch in amd64 arm64; do
	if ! command -v "${qemu[$arch]}" >/dev/null; then
		echo "1..1"
		echo "ok 1 - the agent on $arch # SKIP ${qemu[$arch]} is not installed"
		continue
	fi
	kernel=$("$lab" kernel path --arch "$arch" 6.1)
	initrd=$("$lab" image build --kernel 6.1 --arch "$arch")
	guests+=("$arch" "$kernel" "$initrd")
done
[[ ${#guests[@]} == 0 ]] || exec tests/vm/agent.py "${guests[@]}"
