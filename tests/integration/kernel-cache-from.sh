#!/usr/bin/env bash
# --cache-from: a kernel built by one is taken by others from a folder or a server, and built where
# it is not there; what is damaged there is never passed over in silence. With a stand-in for the
# kernel's source. BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
tests=$PWD/tests/integration
BUILD=${BUILD:-build}
lab_setup
server=
cleanup() {
	[[ -z $server ]] || kill "$server" 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT
# shellcheck source=tests/integration/standin.sh
. tests/integration/standin.sh
mkdir -p "$dir"/{home,mirror,share}
cp -r kernel-config "$dir/home/"
export LAB_HOME=$dir/home LAB_CACHE=$dir/cache CCACHE_DIR=$dir/ccache LC_ALL=C
unset LAB_CACHE_FROM MAKEFLAGS http_proxy https_proxy all_proxy
cd "$dir"
native=$(dpkg --print-architecture)
printf 'schema: 1\nkernels: {}\n' >"$LAB_HOME/kernel-config/kernels.lock"
standin_source tree 6.5
standin_tarball tree mirror/linux-6.5.tar.xz
printf '"6.5": {source: {url: "file://%s/mirror/linux-6.5.tar.xz", sha256: %s}, config: [guest], default: true}\n' \
	"$dir" "$(sha256sum mirror/linux-6.5.tar.xz | cut -d' ' -f1)" >"$LAB_HOME/kernel-config/kernels.yml"
build() { "$lab" kernel build 6.5+debug --json "$@" 2>said; }
forget() { rm -rf "$LAB_CACHE/kernels" "$LAB_CACHE"/builds/*.log; }
built() { [[ -e $LAB_CACHE/builds/6.5+debug-$native.log ]]; }
kernels() { ls "$LAB_CACHE/kernels"; }

# --- a kernel that was built goes out and comes back
ok "it is built" build
folder=$(kernels)
file=share/$folder.tar.zst
ok "it is exported to the shared folder" "$lab" kernel export 6.5+debug share
cp -r cache/kernels/"$folder" before
forget
ok "and imported" is "6.5+debug $native: 6.5.0, of linux-6.5.tar.xz" "$lab" kernel import "$file"
ok "the same" diff -r -x meta.json before "$LAB_CACHE/kernels/$folder"
ok "it is the one that would be built" bash -c "'$lab' kernel build 6.5+debug | grep -q 'was there'"
ok "prune keeps it" bash -c "'$lab' cache prune && test -d '$LAB_CACHE/kernels/$folder'"

# --- a folder
forget
ok "taken from a shared folder" build --cache-from "$dir/share"
ok "the same again" diff -r -x meta.json before "$LAB_CACHE/kernels/$folder"
ok "and not built" fails built
forget
fetched() { build --cache-from "file://$dir/share" | jq -e '.[0] | .was_fetched and (.was_there | not)'; }
ok "from a file: URL, which is said" fetched
ok "without building" fails built
forget
mkdir empty
ok "a folder without it: it is built" build --cache-from empty
ok "indeed" built
forget
ok "no such folder" says 3 "--cache-from none: no such folder" "$lab" kernel build 6.5+debug --cache-from none
ok "then nothing is built" fails built
cp "$file" good.tar.zst
head -c 3000 good.tar.zst >"$file"
ok "a damaged one is named, with what to do" says 3 "$folder.tar.zst: not a whole file" "$lab" kernel build 6.5+debug --cache-from share
ok "and the place, and the way out" says 3 "remove it there, or leave out --cache-from" "$lab" kernel build 6.5+debug --cache-from share
ok "nothing is taken in" is "" kernels
ok "nor built" fails built
echo "# one line more" >>"$LAB_HOME/kernel-config/debug.config"
cp good.tar.zst "$file"
ok "with other fragments it is another kernel: built" build --cache-from share
ok "indeed built" built
other=$(kernels)
ok "under another key" fails test "$other" == "$folder"
cp good.tar.zst "share/$other.tar.zst"
forget
ok "one under a wrong name is not taken" says 3 "it holds $folder, not $other" "$lab" kernel build 6.5+debug --cache-from share
"$lab" kernel import good.tar.zst >/dev/null 2>&1
ok "an imported one that nobody would build goes with prune" bash -c "'$lab' cache prune && ! test -e '$LAB_CACHE/kernels/$folder'"
sed -i '$d' "$LAB_HOME/kernel-config/debug.config"
rm "share/$other.tar.zst"

# --- a server
python3 "$tests/range-server.py" "$dir" "$dir/log" "$dir/port" &
server=$!
for ((i = 0; i < 100; i++)); do
	[[ -e port ]] && break
	sleep 0.1
done
url=http://127.0.0.1:$(<port)
forget
ok "taken from a server" build --cache-from "$url/share"
ok "the same too" diff -r -x meta.json before "$LAB_CACHE/kernels/$folder"
ok "not built" fails built
ok "a plus in its name is escaped" grep -q "GET /share/6.5%2Bdebug-$native-[0-9a-f]*.tar.zst" log
forget
ok "a server without it: it is built" build --cache-from "$url/empty/"
ok "so it was" built
forget
head -c 3000 good.tar.zst >"$file"
ok "a damaged one on a server" says 3 "$url/share/6.5%2Bdebug" "$lab" kernel build 6.5+debug --cache-from "$url/share"
echo 500 >.status
ok "a server that has nothing to say" says 3 "500" "$lab" kernel build 6.5+debug --cache-from "$url/share"
ok "nothing stays of all that" is "" kernels

done_testing
