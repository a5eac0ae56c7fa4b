#!/usr/bin/env bash
# A policy learned on one kernel, on both architectures, and merged: the program runs under it on
# every kernel and both architectures. BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

lab_setup
jail=$(realpath "$BUILD/bin/jail")
cp scenarios/jail/work.py "$dir"
cd "$dir"
cat >learn.yml <<'E'
packages: [python3-minimal]
files: [work.py]
env: {PYTHONDONTWRITEBYTECODE: "1"}
trace: false # python3 must not be seen from outside
timeout: 120s
run: jail --learn learned.yml -- python3 work.py learned
artefacts: [learned.yml]
expect:
  - {stdout: "random 8"}
E
cat >use.yml <<'E'
packages: [python3-minimal]
files: [work.py]
jail: {policy: merged.policy.yml}
env: {PYTHONDONTWRITEBYTECODE: "1"}
trace: false
timeout: 120s
run: [python3, work.py, merged]
expect:
  - {stdout: "merged: compute 332833500, read True, files text, threads 6, processes 42, loopback connected, random 8"}
E

learned() { # learned ARCH
	cp "learned/6.1-$1/learn/artefacts/learned.yml" "$1.yml"
	"$jail" policy check "$1.yml"
}
merged() {
	"$jail" policy merge -o merged.policy.yml amd64.yml arm64.yml && "$jail" policy check merged.policy.yml
}
all_pass() {
	local names
	IFS=, read -ra names <<<"$(debian_kernels)"
	"$lab" run -o used --kernel "$(debian_kernels)" --arch amd64,arm64 use.yml &&
		[[ $(jq -s '[.[] | select(.verdict == "pass")] | length' used/*/use/result.json) == $((${#names[@]} * 2)) ]]
}

ok "learned on 6.1, amd64 and arm64" "$lab" run -o learned --kernel 6.1 --arch amd64,arm64 learn.yml
for arch in amd64 arm64; do
	ok "$arch: what it left is a policy without mistakes" learned "$arch"
done
ok "merged into one" merged
ok "under it the program runs on every kernel and both architectures" all_pass
done_testing
