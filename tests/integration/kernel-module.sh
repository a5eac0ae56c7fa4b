#!/usr/bin/env bash
# lab kernel module against an archive made here: pinning and unpacking headers, whose tools run by
# the libraries that come with them; building, in headers and in a build tree; what can go wrong on
# the way; the key modules of scenarios. BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh
tests=$PWD/tests/integration top=$PWD
lab_setup
cd "$dir"
mirror=$dir/mirror
# shellcheck source=tests/integration/make-archive.sh
. "$tests/make-archive.sh"
unset LAB_SNAPSHOT http_proxy https_proxy all_proxy LAB_NO_CCACHE
export APT_CONFIG=$dir/apt.conf # no mirror of this host's
printf 'Dir::Etc "%s"; Dir::State::Lists "%s";\n' "$dir" "$dir" >"$APT_CONFIG"
export LAB_HOME=$dir/home LAB_CACHE=$dir/cache LAB_MIRROR=file://$mirror LAB_KEYRING=$dir/good.gpg LC_ALL=C
mkdir -p "$LAB_HOME/vm" && cp -r "$top/kernel-config" "$LAB_HOME/" && rm "$LAB_HOME/kernel-config/kernels.lock"
case $(uname -m) in
aarch64 | arm64) host=arm64 triplet=aarch64-linux-gnu ld=ld-linux-aarch64.so.1 ;;
*) host=amd64 triplet=x86_64-linux-gnu ld=ld-linux-x86-64.so.2 ;;
esac

# --- the archive: 6.1 in two versions, 6.3 without headers
tool() { # tool FILE: a program that says so, and by which loader it runs
	mkdir -p "${1%/*}"
	cat >tool.c <<-'C'
		#include <stdio.h>
		#include <unistd.h>
		int main(int argc, char **argv)
		{
			char exe[4096] = "";
			(void)!readlink("/proc/self/exe", exe, sizeof(exe) - 1);
			return printf("tool %s of %s\n", argc > 1 ? argv[1] : "", exe) < 0;
		}
	C
	gcc tool.c -o "$1"
}
makefile() { # stands for kbuild's: a line as kbuild's, a tool, each obj-m
	cat <<-'MK'
		.RECIPEPREFIX := >
		include $(M)/Kbuild
		modules:
		>@$(O)/scripts/mod/modpost greets
		>@sleep $(or $(SLEEP),0)
		>@set -e; for m in $(obj-m:.o=); do echo "  CC [M]  $(M)/$$m.o"; $(CC) $(KCFLAGS) -g -c $(M)/$$m.c -o $(M)/$$m.ko; done
	MK
}
headers() { # headers ARCH ABI VERSION
	local release=6.1.0-$2-cloud-$1 own=root/usr/src/linux-headers-6.1.0-$2-cloud-$1
	mkdir -p "$own/include/config" "$own/include/generated"
	echo CONFIG_MODULES=y | tee "$own/.config" >"$own/include/config/auto.conf"
	echo 0x0 printk vmlinux EXPORT_SYMBOL >"$own/Module.symvers"
	echo include /usr/src/linux-headers-common/Makefile >"$own/Makefile"
	deb old "$1" "linux-headers-$release" "$3" root "Depends: linux-headers-6.1.0-$2-common (= $3), linux-kbuild-6.1 (>= $3), gcc-9"
	mkdir -p "root/usr/src/linux-headers-6.1.0-$2-common/arch/"{x86,sparc}
	makefile >"root/usr/src/linux-headers-6.1.0-$2-common/Makefile"
	touch "root/usr/src/linux-headers-6.1.0-$2-common/arch/"{x86,sparc}/Makefile
	deb old "$1" "linux-headers-6.1.0-$2-common" "$3" root
}
make_key good
for arch in amd64 arm64; do
	for abi in 2 3; do
		kernel_tree $arch 6.1.0-$abi-cloud-$arch 6.1.1$abi 100 root
		echo CONFIG_MODULES=y >>root/boot/config-6.1.0-$abi-cloud-$arch
		deb old $arch linux-image-6.1.0-$abi-cloud-$arch 6.1.1$abi-1 root
		headers $arch $abi 6.1.1$abi-1
		[[ $abi == 3 ]] || cp "$mirror/dists/old/main/binary-$arch/Packages" "$arch.first"
	done
	kernel_tree $arch 6.3.0-2-cloud-$arch 6.3.10 100 root
	echo CONFIG_MODULES=y >>root/boot/config-6.3.0-2-cloud-$arch
	deb old $arch linux-image-6.3.0-2-cloud-$arch 6.3.10-1 root
	tool root/usr/lib/linux-kbuild-6.1/scripts/basic/fixdep
	tool root/usr/lib/linux-kbuild-6.1/scripts/mod/modpost
	tool root/usr/lib/linux-kbuild-6.1/scripts/mod/modpost.real-msb-64
	deb old $arch linux-kbuild-6.1 6.1.13-1 root
	mkdir -p root/lib/$triplet
	cp -L "/lib/$triplet/$ld" "/lib/$triplet/libc.so.6" "root/lib/$triplet/"
	deb old $arch libc6 2.36-9 root
done
publish old good
cat >"$LAB_HOME/kernel-config/kernels.yml" <<'YML'
"6.1": {debian: {suite: old, flavour: cloud}, default: true}
"6.3": {debian: {suite: old, flavour: cloud}}
YML
lock=$LAB_HOME/kernel-config/kernels.lock

pins() {
	"$lab" kernel pin --all || return
	grep -c '  headers:' "$lock" | grep -x 2 || return
	grep -A14 "name: linux-headers-6.1.0-3-cloud-$host" "$lock" | grep -c 'name: \(linux-headers-6.1.0-3-common\|linux-kbuild-6.1\|libc6\)' | grep -x 2
}
ok "pin writes the headers of each architecture" pins
# an older lock, of a kernel that is not the newest any more, and without headers
sed -e "/^      headers:/,/^    arm64:\|^  \"6.3\"/{/^    arm64:\|^  \"6.3\"/!d}" -e 's/6\.1\.0-3-/6.1.0-2-/g; s/6\.1\.13/6.1.12/g' "$lock" >old.lock
for arch in amd64 arm64; do
	file=pool/linux-image-6.1.0-2-cloud-${arch}_6.1.12-1_$arch.deb
	awk -v f="$file" -v size="$(stat -c %s "$mirror/$file")" -v sum="$(sha256sum "$mirror/$file" | cut -d' ' -f1)" '
		/path: / { hit = index($0, f) } hit && /size: / { sub(/[0-9]+$/, size) }
		hit && /sha256: / { sub(/".*"/, "\"" sum "\"") } { print }' old.lock >new.lock
	mv new.lock old.lock
done
cp old.lock "$lock"
pins_headers() {
	"$lab" kernel pin --headers --all >got || return
	cat got
	grep -q '^6.1 *headers amd64 6.1.12-1$' got && grep -q '^6.3 *headers arm64 the archive has none$' got &&
		[[ $(grep -c 'linux-image-6.1.0-2' "$lock") -gt 0 && $(grep -c '6.1.0-3' "$lock") == 0 && $(grep -c '  headers:' "$lock") == 2 ]]
}
ok "pin --headers moves no kernel" pins_headers

# --- one module
mkdir hello && cd hello
echo 'obj-m := hello.o' >Kbuild
echo 'const char *what = __FILE__;' >hello.c
echo junk >hello.o
cd ..
module() { "$lab" kernel module hello --arch "$host" "$@"; }
builds() {
	module >path || return
	cat path
	[[ $(<path) == "$LAB_CACHE"/modules/hello-6.1-"$host"-*/hello.ko ]] && readelf -h "$(<path)" >/dev/null && ! grep -q "$dir" "$(<path)"
}
ok "a module, its folder by its name" builds
where=$LAB_CACHE/kernels/6.1-6.1.12-1-$host.headers
ok "kbuild's tools run by the loader that comes with them" grep -x "tool greets of $where/lib/$ld" "$(dirname "$(<path)").log"
ok "other architectures' headers and tools are left out" fails compgen -G "$where/*/{arch/sparc,scripts/mod/*msb*}"
mv mirror gone
ok "again: nothing is fetched" is "$(<path)" module --offline
ok "for the other architecture offline" says 3 "lab kernel pull" "$lab" kernel module hello --arch "$([[ $host == amd64 ]] && echo arm64 || echo amd64)" --offline
mv gone mirror
touch hello/hello.c hello/.hidden hello/other.o
ok "what is no source changes nothing" is "$(<path)" module --offline
ok "pull --headers" bash -c "'$lab' kernel pull --headers 6.1 | grep -c 'headers ready' | grep -x 2"
ok "pull --headers of what has none" says 3 "archive had no headers of kernel 6.3" "$lab" kernel pull --headers 6.3
other=$([[ $host == amd64 ]] && echo arm64 || echo amd64)
foreign() { "$lab" kernel module hello --arch "$other" --offline -o "$dir/out.ko" && readelf -h out.ko | grep -qi "$([[ $other == arm64 ]] && echo aarch64 || echo x86-64)"; }
ok "for the other architecture, as a file" foreign
mkdir into
ok "into a folder" is "into/hello.ko" module -o into
echo 'int more;' >>hello/hello.c
another() { [[ $(module) != "$(<path)" ]]; }
ok "an edited source is another module" another

# --- what is wrong with it
echo 'int f(void) { return gone; }' >>hello/hello.c
broken() { says 2 "module hello for kernel 6.1 $host: make failed: hello.c:3:" module && said=$(module 2>&1 || :) && [[ -s ${said##* } ]]; }
ok "an error: its place, and the log" broken
ok "leaves nothing to be taken for a module" fails compgen -G "$LAB_CACHE/modules/*.tmp"
sed -i '$d' hello/hello.c
mkdir empty none
echo '# nothing' >none/Kbuild
ok "no Kbuild" says 2 "there is no Kbuild or Makefile in it" "$lab" kernel module empty
mkdir lacks
# shellcheck disable=SC2016 # make's variable
echo 'modules: $(M)/lacks.o' >lacks/Kbuild
ok "no source" says 2 "make failed: No rule to make target 'lacks.o': its source is not there; all it said" "$lab" kernel module lacks
ok "no obj-m" says 2 "names no module (obj-m)" "$lab" kernel module none
ok "no folder" says 2 "nix: No such file or directory: name the folder of a module" "$lab" kernel module nix
ok "a file" says 2 "hello/hello.c is no folder: name the one that holds it" "$lab" kernel module hello/hello.c
ok "a kernel that is none" says 2 "unknown kernel '9.9'" module --kernel 9.9
ok "a kernel without headers" says 2 "the archive had no headers of kernel 6.3 6.3.10-1 for $host" module --kernel 6.3
ok "no folder given" says 2 "module takes the folder" "$lab" kernel module
ln -s /etc/hostname hello/link.c
mkfifo hello/pipe
ok "pipes are passed over" module
rm hello/link.c hello/pipe

# --- two at once; one that is killed
run_two() {
	echo "int at_once;" >>hello/hello.c
	sed -i 's/^obj-m/SLEEP := 1\nobj-m/' hello/Kbuild
	module >one 2>said.one &
	module >two 2>said.two || return
	wait $! || return
	cat one two said.*
	cmp one two && cat said.* | grep -c '^waiting for another lab: building module hello' | grep -x 1
}
ok "two at once: one builds, the other waits" run_two
killed() {
	sed -i 's/^SLEEP.*/SLEEP := 60/' hello/Kbuild
	"$lab" kernel module hello --arch "$host" >/dev/null 2>&1 &
	local pid=$!
	soon pgrep -f "^make .*M=$LAB_CACHE/modules/hello" || return
	kill -9 $pid
	wait $pid 2>/dev/null || :
	soon gone "M=$LAB_CACHE/modules/hello" || return
	sed -i 's/^SLEEP.*/SLEEP := 0/' hello/Kbuild
	module
}
ok "killed: make ends, and the next one builds" killed

# --- the cache
damaged() {
	echo '#' >>"$where/common/Makefile"
	! "$lab" kernel verify 6.1 --arch "$host" >got && grep DAMAGED got
}
ok "verify" "$lab" kernel verify 6.1
ok "verify finds what was changed" damaged
pruned() { "$lab" cache prune && [[ -d $where ]] && ! compgen -G "$LAB_CACHE/modules/hello*"; }
ok "prune keeps the headers, and no modules" pruned
ok "rm takes the headers, too" bash -c "'$lab' kernel rm 6.1 --arch $host && [[ ! -e '$where' ]]"
wrong() {
	for f in mirror/pool/linux-kbuild-6.1_*_"$host".deb; do
		cp "$f" kept
		printf damaged | dd of="$f" bs=1 seek=200 conv=notrunc status=none
		rm -rf "$LAB_CACHE/debs"
		says 3 "wrong checksum" module || return
		cp kept "$f"
	done
	[[ ! -e $where ]]
}
"$lab" kernel pull 6.1 --arch "$host" >/dev/null 2>&1
ok "a package that was changed" wrong
gone_file() {
	mv mirror/pool/linux-headers-6.1.0-2-common_* . && rm -rf "$LAB_CACHE/debs"
	says 2 "linux-headers-6.1.0-2-common 6.1.12-1 of old is gone" module
}
ok "a package that is gone" gone_file
mv linux-headers-6.1.0-2-common_* mirror/pool/

# --- a build tree
tree() {
	local image=arch/x86/boot/bzImage
	[[ $host == amd64 ]] || image=arch/arm64/boot/Image
	mkdir -p tree/{scripts/mod,include/config,include/generated} "tree/${image%/*}"
	(guest_needs && echo CONFIG_MODULES=y && echo "CONFIG_$([[ $host == amd64 ]] && echo X86_64 || echo ARM64)=y") | tee tree/.config >tree/include/config/auto.conf
	echo 6.1.50-mine | tee tree/include/config/kernel.release >tree/include/generated/utsrelease.h
	makefile >tree/Makefile
	tool tree/scripts/mod/modpost
	image "$host" 6.1.50-mine 6.1.50 64 tree/$image
	[[ $host == arm64 ]] || cp tree/$image tree/vmlinux && touch tree/vmlinux
	: >tree/modules.order
	touch tree/$image
}
tree
ok "a tree whose modules were not made" says 2 "it has no Module.symvers" module --kernel ./tree
touch tree/Module.symvers
in_tree() { module --kernel ./tree | tee got && [[ $(<got) == *hello-*.ko ]] && [[ -z $(find tree -newer tree/Module.symvers -type f) ]]; }
ok "in a build tree, to which nothing is written" in_tree
reconfigured() {
	module --kernel ./tree >first && echo changed >>tree/.config || return
	module --kernel tree/arch/*/boot/*mage >second && cat first second && ! cmp first second
}
ok "of another configuration it is another module" reconfigured

# --- scenarios
mkdir -p s/driver "$LAB_HOME/vm/hello"
cp hello/Kbuild hello/hello.c s/driver/ && cp hello/Kbuild hello/hello.c "$LAB_HOME/vm/hello/"
echo '{run: insmod hello.ko, modules: [hello, driver/]}' >s/t.yml
ok "--dry-run names modules" bash -c "'$lab' run --dry-run --arch $host s/t.yml | jq -e '.cells[0].modules == [\"hello\", \"driver/\"]'"
echo '{run: a, modules: [hello, gone/]}' >s/t.yml
ok "a module that is not there" says 2 "s/t.yml:1:27: module gone/: there is no Kbuild or Makefile in s/gone" "$lab" run --arch "$host" s/t.yml
done_testing
