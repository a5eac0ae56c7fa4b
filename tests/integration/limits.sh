#!/usr/bin/env bash
# What a policy says besides calls, on this host: limits, environment, paths, ports, capabilities,
# namespaces, network. As root and as an ordinary user; what needs controllers of cgroup version 2
# is in scenarios/jail/limits.yml. BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

jail_setup
mkdir open
chmod 1777 open
export LC_ALL=C

policy() { # policy NAME TEXT: allows every call, and says TEXT
	printf 'version: 1\ndefault: allow\n%s\n' "$2" >"$1.yml"
}
within() { # within SECONDS COMMAND...: it ends in time; its status is the command's
	timeout -k 1 "$@"
}

# --- limits of time -----------------------------------------------------------------------------------
policy wall 'limits: {wall-time: 300ms}'
ok "wall-time: TERM, and which limit" says 143 "jail: limit wall-time 300ms (wall.yml:3:21) reached: it was ended" \
	within 10 "$jail" -p wall.yml -- sleep 20
ok "wall-time: KILL after the grace" says 137 "did not end within 200 ms and was killed" \
	within 10 "$jail" --grace 200ms -p wall.yml -- sh -c 'trap "" TERM; while :; do sleep 0.1; done'
ok "wall-time: in namespaces too" says 143 "limit wall-time" within 10 "$jail" -n user,pid -p wall.yml -- sleep 20
# shellcheck disable=SC2016 # the inner shell's
ok "wall-time: what it left behind ends too" is "" sh -c '
	timeout 10 "$1" -p wall.yml -- sh -c "setsid sleep 68.5 & exec sleep 20" 2>/dev/null; pgrep -f "^sleep 68.5$" || true' sh "$jail"
ok "wall-time: nothing said when it was enough" is "" "$jail" -p wall.yml -- true
ok "wall-time: --quiet says nothing" says 143 "" within 10 "$jail" -q -p wall.yml -- sleep 20
# the command has ended, and jail sees it and the limit at once
# shellcheck disable=SC2016 # the inner shell's
ok "wall-time: reached after the end, it ends nobody else" is 0 within 10 setsid sh -c '
	"$1" -q -p wall.yml -- sleep 0.1 & jail=$!
	sleep 0.05; kill -STOP $jail; sleep 0.5; kill -CONT $jail
	wait $jail; echo $?' sh "$jail"
policy none 'limits: {wall-time: 300ms, file-size: 1K}'
printf 'version: 1\nextends: ./none.yml\nlimits: {wall-time: none}\n' >lifted.yml
if "$jail" -p lifted.yml -- true 2>/dev/null; then
	ok "a limit of none lifts the inherited one" within 10 "$jail" -p lifted.yml -- sleep 0.6
	ok "and the others stay, with their file's name" says 153 "file-size 1K (./none.yml:3:" \
		"$jail" -p lifted.yml -- sh -c 'head -c 4096 /dev/zero >big'
else
	skip "a limit of none" "$("$jail" -p lifted.yml -- true 2>&1 | head -c 150)"
fi
policy cpu 'limits: {cpu-time: 300ms}'
if "$jail" -p cpu.yml -- true 2>why; then
	ok "cpu-time: of all processes together" says 137 "jail: limit cpu-time 300ms (cpu.yml:3:20) reached: it was ended" \
		within 20 "$jail" -p cpu.yml -- sh -c 'while :; do :; done & while :; do :; done'
	ok "cpu-time: waiting costs none" within 20 "$jail" -p cpu.yml -- sleep 0.5
	ok "no group is left" is "" sh -c "grep -o '/[^ ]* cgroup2' /proc/mounts | while read -r at rest; do ls -d \$at/jail-*; done 2>/dev/null || true"
else
	ok "cpu-time: without a cgroup: what to do" says 125 "limit cpu-time 300ms (cpu.yml:3:20): " "$jail" -p cpu.yml -- true
fi
policy cpu-anyway $'best-effort: true\nlimits: {cpu-time: 300ms}'
ok "cpu-time: each process has its own bound, too" is 2 "$jail" -p cpu-anyway.yml -- sh -c 'ulimit -t'

# --- limits of output -----------------------------------------------------------------------------------
policy output 'limits: {output: 10000}'
# shellcheck disable=SC2016
{
	ok "output: a flood ends" is 10000 sh -c 'timeout 10 "$1" -p output.yml -- yes 2>/dev/null | wc -c' sh "$jail"
	ok "output: both streams count" is 10000 sh -c 'timeout 10 "$1" -p output.yml -- \
		sh -c "head -c 5000 /dev/zero; while echo x; do :; done >&2" 2>err >out
		grep -v "^jail:" err | cat out - | wc -c' sh "$jail"
	ok "output: and which limit" says 1 "limit output 10000 (output.yml:3:18) reached: it was ended" \
		sh -c 'timeout 10 "$1" -p output.yml -- yes >/dev/null; exit 1' sh "$jail"
	ok "output: the limit itself is allowed" is 10000 sh -c '"$1" -p output.yml -- head -c 10000 /dev/zero | wc -c' sh "$jail"
	ok "output: one file for both keeps the order" is "1 2 3 4 5 6" \
		sh -c 'echo $("$1" -p output.yml -- sh -c "echo 1; echo 2 >&2; echo 3; echo 4 >&2; echo 5; echo 6 >&2" 2>&1)' sh "$jail"
	ok "output: all of it arrives before jail ends" is 9999 \
		sh -c '"$1" -p output.yml -- head -c 9999 /dev/zero | { sleep 0.3; wc -c; }' sh "$jail"
	policy much 'limits: {output: 10M}'
	ok "output: all of it arrives where writing does not block" is 1000000 sh -c '
		{ python3 -c "import os, sys; os.set_blocking(1, False); os.execv(sys.argv[1], sys.argv[1:])" \
			"$1" -p much.yml -- head -c 1000000 /dev/zero; } | { sleep 0.3; wc -c; }' sh "$jail"
	ok "output: a reader that goes is told to the command" is 10 \
		sh -c 'timeout 10 "$1" -p output.yml -- yes | head -c 10 | wc -c' sh "$jail"
	ok "output: a reader that never reads does not keep jail from ending" sh -c '
		mkfifo never; exec 3<>never
		timeout -k 1 10 "$1" -p output.yml -- true >never || exit 1
		printf "version: 1\ndefault: allow\nlimits: {output: 1G, wall-time: 500ms}\n" >stuck.yml
		timeout -s TERM -k 5 3 "$1" --grace 100ms -p stuck.yml -- yes >never 2>/dev/null
		test $? -eq 124' sh "$jail"
	ok "output: the command's own stdin stays" is hello sh -c 'echo hello | "$1" -p output.yml -- cat' sh "$jail"
	ok "output: who copies is out of reach" is "jail closed" "$jail" -p output.yml -- sh -c '
		for p in /proc/[0-9]*; do
			read -r pid name state parent rest 2>/dev/null <$p/stat && [ "$parent" = $PPID ] && [ "$pid" != $$ ] || continue
			readlink $p/fd/1 >/dev/null 2>&1 && echo "$(cat $p/comm) open" || echo "$(cat $p/comm) closed"
		done'
}

# --- limits of a process ----------------------------------------------------------------------------------
policy process 'limits: {open-files: 20, file-size: 64K}'
ok "open-files: soft and hard" is "20 20" "$jail" -p process.yml -- sh -c 'echo $(ulimit -Sn) $(ulimit -Hn)'
ok "file-size: SIGXFSZ, and which limit" says 153 "limit file-size 64K (process.yml:3:37) reached: it ended by SIGXFSZ" \
	"$jail" -p process.yml -- dd if=/dev/zero of=big bs=1024 count=100
ok "file-size: what fits is written" is 65536 stat -c %s big
ok "a lower limit of the caller's stays" is 18 sh -c "ulimit -n 18; '$jail' -p process.yml -- sh -c 'ulimit -n'"
policy few 'limits: {open-files: 3}'
ok "open-files: too few to start" says 2 "limit open-files 3 (few.yml:3:22): at least 16" "$jail" -p few.yml -- true
policy counts 'limits: {exec: 1}'
ok "exec: which limit" says 126 "limit exec 1 (counts.yml:3:16) reached" "$jail" -p counts.yml -- sh -c '/bin/true; /bin/true'
policy forks 'limits: {fork: 2}'
ok "fork: which limit" says 2 "limit fork 2 (forks.yml:3:16) reached" \
	"$jail" -p forks.yml -- sh -c '/bin/true; /bin/true; /bin/true; /bin/true'

# --- limits that need a controller -------------------------------------------------------------------------
for limit in 'memory: 64M' 'processes: 8' 'cpus: 0.5'; do
	name=${limit%%:*}
	policy "c-$name" "limits: {$limit}"
	if "$jail" -p "c-$name.yml" -- true 2>why; then
		skip "$name: refused without its controller" "it can be had here: scenarios/jail/limits.yml"
		continue
	fi
	case $name in processes) controller=pids ;; cpus) controller=cpu ;; *) controller=memory ;; esac
	if grep -q 'no cgroup can be made' why; then controller=cgroup; fi
	ok "$name: refused, and what to do" says 125 "best-effort: true" "$jail" -p "c-$name.yml" -- true
	ok "$name: which controller" says 125 "$controller" "$jail" -p "c-$name.yml" -- true
	policy "b-$name" $'best-effort: true\n'"limits: {$limit}"
	ok "$name: with best-effort it is named" says 0 "jail: limit ${limit/:/} (b-$name.yml:4:" "$jail" -p "b-$name.yml" -- true
done

# --- environment --------------------------------------------------------------------------------------------
policy env $'env: {preserve: [PATH, "LC_*"], set: {A: "b=c=d", E: ""}, unset: [LC_TIME]}'
ok "env: preserve, set, unset" is "A=b=c=d E= LC_ALL=C LC_X=1" env SECRET=1 LC_X=1 LC_TIME=C sh -c \
	"echo \$('$jail' -p env.yml -- env | grep -v ^PATH | sort)"
policy path "env: {set: {PATH: $dir/open}}"
printf '#!/bin/sh\necho own\n' >open/tool
chmod 755 open/tool
ok "env: the command is searched in the PATH that comes of it" is own "$jail" -p path.yml -- tool
ok "env: and not in the caller's" says 127 "run env: command not found" "$jail" -p path.yml -- env
policy empty 'env: {preserve: []}'
ok "env: an empty one" is "" "$jail" -p empty.yml -- env

# --- paths and ports ------------------------------------------------------------------------------------------
echo secret >secret
policy paths "paths: {read: [/usr, /bin, /lib, /lib64, /etc, /dev/null, open], execute: [/usr, /bin, /lib, /lib64], write: [/dev/null, open]}"
landlock() { # landlock WHO PREFIX...: the tests; "${as[@]}" runs jail as WHO
	local who=$1
	shift
	local as=("$@" "$jail")
	ok "$who: paths: what may be read" "${as[@]}" -p paths.yml -- cat /etc/passwd
	ok "$who: paths: what may not" says 1 "secret: Permission denied" "${as[@]}" -p paths.yml -- cat secret
	ok "$who: paths: what may be written, from where it starts" is hi \
		"${as[@]}" -p paths.yml -- sh -c 'echo hi >open/new; cat open/new; rm open/new'
	ok "$who: paths: what may only be read" says 2 "Permission denied" "${as[@]}" -p paths.yml -- sh -c 'echo >>/etc/passwd'
	ok "$who: paths: truncating is writing" says 1 "Permission denied" "${as[@]}" -p paths.yml -- \
		perl -e 'truncate("secret", 0) or die "$!\n"; ' -e 'END { $? = 1 if $? }'
	ok "$who: paths: moves between folders that may be written" "${as[@]}" -p paths.yml -- \
		sh -c 'mkdir open/a; echo x >open/b; mv open/b open/a/; rm -r open/a'
	ok "$who: paths: what may not be executed" says 126 "Permission denied" "${as[@]}" -p paths.yml -- sh -c 'open/tool'
	ok "$who: paths: a command that may not: why" says 126 "is it in 'execute' of the policy's paths" \
		"${as[@]}" -p paths.yml -- open/tool
	ok "$who: paths: with mounts of its own" says 1 "secret: Permission denied" \
		"${as[@]}" -n user --ro / --rw "$dir" -p paths.yml -- cat "$dir/secret"
}
policy missing $'paths:\n  read: [/usr, /bin, /lib, /lib64, /no/such]\n  execute: [/usr, /bin, /lib, /lib64]'
policy missing-anyway $'best-effort: true\npaths:\n  read: [/usr, /bin, /lib, /lib64, /no/such]\n  execute: [/usr, /bin, /lib, /lib64]'
ordinary=(setpriv --reuid 65534 --regid 65534 --clear-groups --)
"${ordinary[@]}" true 2>/dev/null || ordinary=()
if "$jail" -p paths.yml -- true 2>why; then
	landlock self
	if [[ ${#ordinary[@]} -gt 0 ]]; then landlock ordinary "${ordinary[@]}"; fi
	ok "paths: one that is not there: where it is written" says 125 "missing.yml:4:36: let it read /no/such: No such file" \
		"$jail" -p missing.yml -- true
	printf 'version: 1\nextends: ./missing.yml\n' >inherits.yml
	ok "paths: the file that lists it" says 125 "./missing.yml:4:36: let it read /no/such" "$jail" -p inherits.yml -- true
	ok "paths: with best-effort it is left out" is "" "$jail" -p missing-anyway.yml -- true
else
	ok "paths: refused: what the kernel lacks" says 125 "paths.yml:3:" "$jail" -p paths.yml -- true
	skip "paths" "$(head -c 150 why)"
fi
policy ports 'ports: {connect: 9}'
policy no-ports 'ports: {}'
connect=(perl -MIO::Socket::INET -e
	'IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => shift) or print "$!\n"')
if "$jail" -p ports.yml -- true 2>why; then
	ok "ports: one that may be connected to" is "Connection refused" "$jail" -p ports.yml -- "${connect[@]}" 9
	ok "ports: others" is "Permission denied" "$jail" -p ports.yml -- "${connect[@]}" 11
	ok "ports: none at all" is "Permission denied" "$jail" -p no-ports.yml -- "${connect[@]}" 9
	ok "ports: none to bind" is "Permission denied" "$jail" -p ports.yml -- perl -MIO::Socket::INET -e \
		'IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 0, Listen => 1) or print "$!\n"'
else
	ok "ports: refused: what the kernel lacks" says 125 "ports.yml:3:" "$jail" -p ports.yml -- true
	skip "ports" "$(head -c 150 why)"
fi
if [[ ${#ordinary[@]} -gt 0 ]]; then
	ok "no limit holds with --watch" is "$(ulimit -n)" "$jail" --watch -p process.yml -- sh -c 'ulimit -n'
fi

# --- capabilities, namespaces, network ---------------------------------------------------------------------------
policy caps 'capabilities: [NET_BIND_SERVICE]'
policy ns 'namespaces: [user, pid, mount]'
policy no-ns 'namespaces: none'
policy net 'network: none'
policy lo 'network: loopback'
policy both $'network: host\nnamespaces: [net]'
ok "capabilities: shown" is 1 sh -c "'$jail' -p caps.yml --dry-run -- true | grep -c 'keep only the capabilities NET_BIND_SERVICE'"
ok "capabilities: the option wins" is 1 sh -c "'$jail' -p caps.yml --caps none --dry-run -- true | grep -c 'drop every'"
ok "network: host contradicts a net namespace" says 2 "both.yml:3:10: network: host, but namespaces has net" "$jail" -p both.yml -- true
ok "--network misspelt" says 2 "host, loopback or none expected" "$jail" --network hosts -- true
ok "a dry run shows limits and names of variables" is '300 ["LC_ALL"]' sh -c \
	"env -i LC_ALL=x '$jail' -p wall.yml --dry-run --json -- true | jq -r '\"\\(.limits.\"wall-time\") \\(.environment)\"'"
ok "a dry run shows the network" is "none loopback host" sh -c \
	"for p in net lo wall; do '$jail' -p \$p.yml --dry-run --json -- true | jq -r .network; done | xargs"
ok "a dry run shows paths" is "let it write open" sh -c \
	"'$jail' -p paths.yml --dry-run --json -- true | jq -r '[.steps[] | select(.target == \"open\")][-1].what' | sed 's/^[^ ]*: //'"
namespaces() { # namespaces WHO PREFIX...
	local who=$1 id
	shift
	local as=("$@" "$jail")
	id=$("$@" id -u)
	if ! "${as[@]}" -n user,pid,mount,net -- true 2>why; then
		skip "$who: namespaces" "$(head -c 150 why)"
		return
	fi
	ok "$who: a policy's user namespace keeps the ids" is "$id 2" "${as[@]}" -p ns.yml -- sh -c 'echo $(id -u) $$'
	ok "$who: --namespace user makes it root" is 0 "${as[@]}" -n user -p ns.yml -- id -u
	ok "$who: network none: lo is down" is "Network is unreachable" "${as[@]}" -p net.yml -- "${connect[@]}" 9
	ok "$who: network loopback: lo is up" is "Connection refused" "${as[@]}" -p lo.yml -- "${connect[@]}" 9
	ok "$who: --network wins" is "Network is unreachable" "${as[@]}" --network none -p lo.yml -- "${connect[@]}" 9
	ok "$who: --network without a policy" is "Network is unreachable" "${as[@]}" --network none -- "${connect[@]}" 9
	ok "$who: capabilities in a user namespace" is "CapEff: 0000000000000400" \
		"${as[@]}" -n user -p caps.yml -- sh -c 'echo $(grep CapEff /proc/self/status)'
}
namespaces self env
if [[ ${#ordinary[@]} -gt 0 ]]; then namespaces ordinary "${ordinary[@]}"; fi

done_testing
