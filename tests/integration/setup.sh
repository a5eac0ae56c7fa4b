#!/usr/bin/env bash
# scripts/setup on made-up hosts: what it takes for missing, and what it does about it. dpkg, apt and
# sudo are replaced by scripts that answer from files and write down how they were called.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

setup=$PWD/scripts/setup
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/apt" "$dir/plain"
for tool in bash env cat; do
	ln -s "$(command -v $tool)" "$dir/plain/$tool"
done
fake() { # fake FOLDER NAME TEXT
	printf '#!/usr/bin/env bash\n%s\n' "$3" >"$dir/$1/$2"
	chmod +x "$dir/$1/$2"
}
fake plain uname "echo x86_64"
fake apt dpkg "echo amd64"
fake apt dpkg-query "cat '$dir/installed'"
fake apt apt-cache "[[ \$2 != pkg-config ]]"
fake apt apt-get "echo apt-get \$* >>'$dir/calls'"
fake apt sudo "echo sudo >>'$dir/calls'; exec \"\$@\""

everything() { # all installed, as dpkg-query says it; the first of each choice
	PATH=$dir/plain bash "$setup" --check --list | while IFS='|' read -r name _; do
		echo "ii  $name amd64"
	done
}
on_debian() { # on_debian ARGUMENT...: what apt was asked for
	: >"$dir/calls"
	PATH=$dir/apt:$dir/plain bash "$setup" "$@" >/dev/null && cat "$dir/calls"
}
installs() { # installs NAMES ARGUMENT...: apt is updated, then asked for exactly these
	local said
	said=$(on_debian "${@:2}")
	echo "$said"
	[[ $said == *" update"*$'\n'*"install -y --no-install-recommends $1" ]]
}
nothing() { # nothing ARGUMENT...: apt is left alone
	[[ -z $(on_debian "$@") ]]
}
changed() { # changed SED-SCRIPT COMMAND...: with another list of what is installed
	everything | sed "$1" >"$dir/installed"
	"${@:2}"
}

ok "nothing to do" changed '' nothing --check
ok "one is missing" changed '/libyaml-dev/d' installs libyaml-dev
ok "removed, its configuration left" changed 's/^ii  gpgv/rc  gpgv/' installs gpgv
ok "there for another architecture only" changed 's/libcap-dev amd64/libcap-dev arm64/' installs libcap-dev
ok "for all architectures" changed 's/ca-certificates amd64/ca-certificates all/' nothing
ok "held" changed 's/^ii  gcc /hi  gcc /' nothing
ok "one of two will do" changed 's/pkg-config/pkgconf/' nothing
ok "the one of two that exists" changed '/pkg-config/d' installs pkgconf
ok "what tests need is not for running" changed '/cmocka/d; /shellcheck/d' nothing
ok "what tests need" changed '/cmocka/d; /shellcheck/d' installs "libcmocka-dev shellcheck" --check
: >"$dir/installed"
ok "an empty machine" on_debian --check

no_apt() { # lists what is missing, by command and by pkg-config's name, and fails
	local said status=0
	said=$(PATH=$dir/plain bash "$setup" 2>&1) || status=$?
	echo "$said"
	[[ $status == 1 && $said == *"aarch64-linux-gnu-gcc"*"yaml-0.1 (pkg-config)"*"libyaml-dev"* ]]
}
other_host() { # nothing is missing by name: no complaint
	for tool in gcc make aarch64-linux-gnu-gcc qemu-system-x86_64 qemu-system-aarch64 sqfstar gpgv pkg-config; do
		fake plain "$tool" true
	done
	PATH=$dir/plain bash "$setup" 2>"$dir/said" && grep -qx "setup: no apt here; building kernels needs also: $1" "$dir/said"
}
kernels_too() { # not even that
	for tool in flex bison bc lz4 perl pahole; do
		fake plain "$tool" true
	done
	PATH=$dir/plain bash "$setup" 2>"$dir/said" && [[ ! -s $dir/said ]]
}
tests_too() { # tests build kernels
	rm "$dir/plain/pahole"
	says 1 "    pahole" env PATH="$dir/plain" bash "$setup" --check
}
arm64_host() {
	fake plain uname "echo aarch64"
	PATH=$dir/plain bash "$setup" --list | grep -x gcc-x86-64-linux-gnu >/dev/null
}
ok "no apt: what to install" no_apt
ok "no apt, all there but what builds kernels: that is said" other_host "flex bison bc lz4 perl pahole"
ok "no apt, all there" kernels_too
ok "no apt, what tests need is not" tests_too
ok "an arm64 host compiles for amd64" arm64_host
ok "an unknown argument" says 2 "unknown argument '--chekc'" "$setup" --chekc

as_user() { # without sudo: the command to type, and nothing tried
	changed '/gpgv/d' true
	rm "$dir/apt/sudo"
	chmod 755 "$dir"
	cp "$setup" "$dir/setup"
	says 1 "as root please: apt-get install gpgv" env PATH="$dir/apt:$dir/plain" "${user[@]}" bash "$dir/setup"
}
sudo_user() {
	changed '/gpgv/d' true
	cp "$setup" "$dir/setup"
	chmod 755 "$dir"
	: >"$dir/calls"
	chmod 666 "$dir/calls"
	env PATH="$dir/apt:$dir/plain" "${user[@]}" bash "$dir/setup"
	[[ $(cat "$dir/calls") == "sudo"$'\n'*update$'\n'"sudo"$'\n'*"recommends gpgv" ]]
}
user=()
((EUID)) || user=("$(command -v setpriv)" --reuid 65534 --regid 65534 --clear-groups)
ok "an ordinary user, with sudo" sudo_user
ok "an ordinary user, without" as_user
done_testing
