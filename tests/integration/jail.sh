#!/usr/bin/env bash
# The real jail on this host, as root and as an ordinary user. What this host forbids is skipped.
# BUILD: the tree that was built.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/tap.sh
. tests/tap.sh

jail_setup
trap 'umount -l "$dir/tree/sub" 2>/dev/null || true; rm -rf "$dir"' EXIT

# --- what needs no privileges -----------------------------------------------------------------------
ok "--help names every option" bash -c "'$jail' --help | grep -q -- '--namespace LIST'"
ok "no command" says 2 "no command given" "$jail"
ok "an option misspelt" says 2 "did you mean --namespace" "$jail" --namespce pid -- true
ok "a namespace misspelt" says 2 "did you mean 'mount'" "$jail" -n monut -- true
ok "a capability that is none" says 2 "unknown capability 'fly'" "$jail" --caps fly -- true
ok "a map that is none" says 2 "INSIDE:OUTSIDE:COUNT expected" "$jail" --uid-map 0:5 -- true
ok "maps that overlap" says 2 "overlaps 0:0:5" "$jail" --uid-map 0:0:5 --uid-map 3:9:1 -- true
ok "--no-init without a pid namespace" says 2 "only with a pid namespace" "$jail" --no-init -- true
ok "a path both read-only and writable" says 2 "both to --ro and --rw" "$jail" --ro /usr --rw /usr/ -- true
ok "'..' in a path" says 2 "give the real path" "$jail" --ro /usr/../etc -- true
ok "an empty policy's name" says 2 "--policy: an empty path" "$jail" --policy= -- true
ok "an empty list of capabilities" says 2 "--caps: all, none, or names" "$jail" --caps= -- true
ok "--json alone" says 2 "only with --dry-run" "$jail" --json -- true
ok "options after the command are the command's" is "--ro /x" "$jail" -- echo --ro /x
ok "the exit code is the command's" exits 7 "$jail" -- sh -c 'exit 7'
# shellcheck disable=SC2016 # the inner shell's $$
ok "128+n for a signal" exits 137 "$jail" -- sh -c 'kill -KILL $$'
ok "127: not found" says 127 "run no-such-command: command not found" "$jail" -- no-such-command
ok "127: no such path" says 127 "run /no/such: No such file" "$jail" -- /no/such
ok "126: not executable" says 126 "run /etc/passwd: Permission denied" "$jail" -- /etc/passwd
ok "126: a folder" says 126 "run /etc: Is a directory" "$jail" -- /etc
printf '#!/no/interpreter\n' >script && chmod +x script
ok "126: no interpreter" says 126 "interpreter or loader is not there" "$jail" -- ./script
ok "no_new_privs is set" is "NoNewPrivs:	1" "$jail" -- grep NoNewPrivs /proc/self/status
ok "no capability is left" is "CapEff:	0000000000000000" "$jail" -- grep CapEff /proc/self/status
# shellcheck disable=SC2016 # the inner shell's arguments
ok "other descriptors are closed" sh -c '
	exec 7</etc/passwd; "$1" -- sh -c "test -e /proc/self/fd/0 && test ! -e /proc/self/fd/7"' sh "$jail"
ok "the plan as text" bash -c "'$jail' --dry-run -n all --ro /usr -- true | grep -q 'bind /usr read-only'"
ok "the plan as JSON" is "exec" sh -c "'$jail' --dry-run --json -n all --ro '/a\"b' -- true | jq -r '.steps[-1].step'"
ok "a dry run does nothing" is "" sh -c "'$jail' --dry-run -- touch ran >/dev/null; ls ran 2>/dev/null || true"

# --- policies -------------------------------------------------------------------------------------
policy() { # policy NAME DEFAULT [ALLOW]: a file; ALLOW defaults to every call but mkdir and seccomp
	local calls=${3:-$(sed -n 's/^{"\([^"]*\)".*/\1/p' "$home/jail/policy/syscall-table.inc" |
		grep -vxE 'mkdir|mkdirat|seccomp' | paste -sd, | sed 's/,/, /g')}
	printf 'version: 1\ndefault: %s\nallow:\n  [%s]\n' "$2" "$calls" >"$1"
}
policy errno.yml '{errno: ENOTTY}'
policy kill.yml kill
policy log.yml log
policy invalid.yml '{errno: EINVAL}'
policy nothing.yml kill execve
policy silent.yml EPERM execve
ok "errno: the call fails so" bash -c "LC_ALL=C '$jail' -p errno.yml -- mkdir d 2>&1 | grep -q 'Inappropriate ioctl'"
ok "errno: what is allowed works" is hi "$jail" -p errno.yml -- echo hi
ok "kill: 128+SIGSYS and one line why" says 159 "mkdir was killed by the policy kill.yml" "$jail" -p kill.yml -- mkdir d
ok "log: the call works" exits 0 "$jail" -p log.yml -- mkdir d
ok "no call at all: dead, said so" says 159 "killed by the policy" "$jail" -p nothing.yml -- true
ok "a failed exec is told under any policy" says 126 "interpreter or loader" "$jail" -p nothing.yml -- ./script
ok "a failed exec is told when exit is refused" says 126 "interpreter or loader" "$jail" -p silent.yml -- ./script
printf 'version: 1\ndefault: kill\nallow: [read, opne]\n' >bad.yml
ok "an unknown call: where, and what was meant" says 2 "bad.yml:3:15: unknown system call 'opne' (did you mean 'open'?)" \
	"$jail" -p bad.yml -- true
ok "no such policy" says 2 "nowhere.yml" "$jail" -p nowhere.yml -- true
ok "a policy that is a folder" says 2 "/etc" "$jail" -p /etc -- true
ok "a kernel that refuses filters: what to do" says 125 \
	"jail: seccomp(2) is refused (EINVAL) by a filter that is loaded already" \
	"$jail" -p invalid.yml -- "$jail" -p errno.yml -- true

# --- namespaces: as whoever runs this, and as an ordinary user ----------------------------------------
ordinary=(setpriv --reuid 65534 --regid 65534 --clear-groups --)
if [[ $(id -u) != 0 ]]; then
	whos=(self)
elif "${ordinary[@]}" true 2>/dev/null; then
	whos=(self ordinary)
else
	whos=(self)
	skip "as an ordinary user" "setpriv cannot change ids here"
fi

# shellcheck disable=SC2016 # $$ and the like belong to the inner shells
namespaces() { # namespaces WHO: the tests that anybody can make; "${as[@]}" runs jail as WHO
	local who=$1 kind link
	local as=("$jail")
	[[ $who == self ]] || as=("${ordinary[@]}" "$jail")
	if ! "${as[@]}" -n user -- true 2>why; then
		skip "$who: namespaces" "$(head -c 150 why)"
		return
	fi
	if ! "${as[@]}" -n user,pid,mount -- true 2>why; then
		skip "$who: pid namespaces with /proc" "$(head -c 150 why)"
		return
	fi
	for kind in user mount pid ipc uts net cgroup time; do
		link=$kind
		[[ $kind != mount ]] || link=mnt
		if ! "${as[@]}" -n "user,$kind" -- true 2>why && grep -q 'this kernel has none' why; then
			skip "$who: a $kind namespace" "$(head -c 150 why)"
		else
			ok "$who: a $kind namespace of its own" fails is "$(readlink "/proc/self/ns/$link")" \
				"${as[@]}" -n "user,$kind" -- readlink "/proc/self/ns/$link"
		fi
	done
	ok "$who: root inside is the caller" is "0 0" "${as[@]}" -n user -- sh -c 'echo $(id -u) $(id -g)'
	ok "$who: its uid_map" is "0 $("${as[@]}" -- id -u) 1" "${as[@]}" -n user -- sh -c 'echo $(cat /proc/self/uid_map)'
	ok "$who: another id inside" is "1000 77" "${as[@]}" --uid-map "1000:$("${as[@]}" -- id -u):1" \
		--gid-map "77:$("${as[@]}" -- id -g):1" -- sh -c 'echo $(id -u) $(id -g)'
	ok "$who: no capability in a user namespace" is "CapBnd: 0000000000000000" \
		"${as[@]}" -n user -- sh -c 'echo $(grep CapBnd /proc/self/status)'
	ok "$who: --caps keeps one" is "CapEff: 0000000000001000" \
		"${as[@]}" -n user --caps net_admin -- sh -c 'echo $(grep CapEff /proc/self/status)'
	ok "$who: --caps for one who is not root" is "CapEff: 0000000000001000" \
		"${as[@]}" --uid-map "1000:$("${as[@]}" -- id -u):1" --caps CAP_NET_ADMIN -- \
		sh -c 'echo $(grep CapEff /proc/self/status)'
	ok "$who: --caps all can mount, and nobody outside sees it" sh -c '
		"$@" -n user,mount --caps all -- sh -c "mount -t tmpfs x /mnt && touch /mnt/jail-test" &&
		test ! -e /mnt/jail-test' sh "${as[@]}"
	ok "$who: without --caps it cannot mount" fails "${as[@]}" -n user,mount -- mount -t tmpfs x /mnt
	ok "$who: PID 1 is jail's, the command is next" is 2 "${as[@]}" -n user,pid,mount -- sh -c 'echo $$'
	ok "$who: --no-init: the command is PID 1" is 1 "${as[@]}" -n user,pid,mount --no-init -- sh -c 'echo $$'
	ok "$who: /proc is that of the namespace" is "1 2" "${as[@]}" -n user,pid,mount -- \
		sh -c 'cd /proc; echo [0-9]*'
	ok "$who: PID 1 reaps orphans" is "" "${as[@]}" -n user,pid,mount -- \
		sh -c '(true & true) ; (sh -c "sleep 0.05 &"); sleep 0.3; grep -l "State:.Z" /proc/[0-9]*/status || true'
	ok "$who: the exit code passes PID 1" exits 7 "${as[@]}" -n user,pid -- sh -c 'exit 7'
	ok "$who: a signal passes PID 1" exits 139 "${as[@]}" -n user,pid -- sh -c 'kill -SEGV $$'
	ok "$who: what was left behind dies with PID 1" is "" sh -c '
		"$@" -n user,pid -- sh -c "sleep 67.25 & exit 0"; sleep 0.1; pgrep -f "^sleep 67.25$" || true' sh "${as[@]}"
	ok "$who: loopback is up" is lo "${as[@]}" -n user,net,mount -- \
		sh -c 'grep -q "^ *lo:" /proc/net/dev && test "$(cat /sys/class/net/lo/flags)" = 0x9 && ls /sys/class/net'
	ok "$who: a host name" is inside "${as[@]}" -n user --hostname inside -- uname -n
	ok "$who: a clock offset" is yes "${as[@]}" -n user --boottime 1000000 -- \
		sh -c 'read -r up rest </proc/uptime; test "${up%.*}" -ge 1000000 && echo yes'
	ok "$who: a clock offset for a PID 1 of one's own" is "1 yes" "${as[@]}" -n user,pid,mount --no-init --boottime 1000000 -- \
		sh -c 'read -r up rest </proc/uptime; test "${up%.*}" -ge 1000000 && echo $$ yes'
	ok "$who: a clock below zero" says 125 "a clock would be below zero" "${as[@]}" -n user --boottime -99999999 -- true
	ok "$who: too many namespaces: which sysctl" says 125 "create a uts namespace: forbidden here: raise sysctl user.max_uts_namespaces" \
		"${as[@]}" -n user,mount,pid --caps all -- sh -c 'echo 0 >/proc/sys/user/max_uts_namespaces; exec "$1" -n uts -- true' sh "$jail"
	ok "$who: all of them with a policy" is hi "${as[@]}" -n all -p errno.yml -- echo hi
}
for who in "${whos[@]}"; do
	namespaces "$who"
done

if [[ " ${whos[*]} " == *" ordinary "* ]]; then
	ok "ordinary: a user namespace comes along" is 0 "${ordinary[@]}" "$jail" -n uts -- id -u
	ok "ordinary: ids of others" says 125 "an ordinary user can map one id, the own one: INSIDE:65534:1" \
		"${ordinary[@]}" "$jail" --uid-map 0:1000:1 -- true
	ok "ordinary: a capability that is not there" says 125 "cap_chown is not held here" \
		"${ordinary[@]}" "$jail" --caps chown -- true
	ok "root: PID 1 holds nothing open" is "" "$jail" -n user,pid --caps all --ro / -- ls /proc/1/fd
	# shellcheck disable=SC2016 # the inner shell's
	if "$jail" --ro /usr -- true 2>/dev/null; then # opening changes nothing
		ok "root: what steers the machine is read-only" says 1 "Read-only file system" \
			"$jail" --ro /usr -- sh -c 'true 3>>/proc/sys/kernel/core_pattern; exit 1'
		ok "root: also below a /proc of its own" says 1 "Read-only file system" \
			"$jail" --ro / -n pid -- sh -c 'true 3>>/proc/sys/kernel/core_pattern; exit 1'
		ok "root: in a user namespace that has the same root too" says 1 "Read-only file system" \
			"$jail" -n user --ro /usr -- sh -c 'true 3>>/proc/sys/kernel/core_pattern; exit 1'
		ok "root: unless an option names it" exits 0 \
			"$jail" --ro / --rw /proc/sys -- sh -c 'exec 3>>/proc/sys/kernel/core_pattern'
	fi
	ok "root: many ids" is "0 0 100000 65536" "$jail" --uid-map 0:100000:65536 --gid-map 0:100000:65536 -- \
		sh -c 'echo $(id -u) $(cat /proc/self/uid_map)'
fi

# --- mounts -----------------------------------------------------------------------------------------
# shellcheck disable=SC2016 # the inner shells' variables
mounts() {
	mkdir -p tree/sub keep
	local below=tree
	if mount -t tmpfs sub tree/sub 2>/dev/null; then
		below=tree/sub
	else
		skip "read-only holds for mounts below" "cannot mount here"
	fi
	echo text >tree/file
	chmod 777 tree tree/sub keep
	[[ $(id -u) != 0 ]] || chown 65534 tree/file
	ok "a new root holds what was named" is "bin dev lib proc sbin tmp usr" "$jail" --ro /usr -- \
		sh -c 'cd /; echo * | sed "s/ lib[^ ]*/&/g; s/lib lib[^ ]*\( lib[^ ]*\)*/lib/"'
	ok "a new root is read-only itself" fails "$jail" --ro /usr -- touch /x
	ok "--ro cannot be written to" fails "$jail" --ro /usr --ro "$dir/tree" -- touch "$dir/tree/x"
	ok "--ro holds for mounts below" fails "$jail" --ro /usr --ro "$dir/tree" -- touch "$dir/$below/x"
	ok "--rw can be written to" exits 0 "$jail" --ro /usr --rw "$dir/keep" -- touch "$dir/keep/x"
	ok "--rw inside of --ro" exits 0 "$jail" --ro / --rw "$dir/keep" -- touch "$dir/keep/y"
	ok "what was written is there" test -e keep/x -a -e keep/y
	ok "a single file" is text "$jail" --ro /usr --ro "$dir/tree/file" -- cat "$dir/tree/file"
	ok "/tmp is new, /dev/null works" is "" "$jail" --ro / -- sh -c 'ls /tmp; echo x >/dev/null; touch /tmp/x /dev/shm/x'
	ok "/dev holds no disk" fails "$jail" --ro / -- sh -c 'ls /dev/vd* /dev/sd* /dev/nvme* /dev/mem 2>/dev/null | grep .'
	ok "/proc of the pid namespace in a new root" is "1 2" "$jail" -n pid --ro /usr -- sh -c 'cd /proc; echo [0-9]*'
	ok "the folder stays when it is there" is "$dir/keep" sh -c 'cd keep && "$1" --ro / --rw "$2/keep" -- pwd' sh "$jail" "$dir"
	ok "else it is /" is / sh -c 'cd keep && "$1" --ro /usr -- pwd' sh "$jail"
	ok "--cwd" is /usr/bin "$jail" --ro /usr --cwd /usr/bin -- pwd
	ok "--cwd from the present folder" is "$dir/keep" "$jail" --ro / --rw "$dir" --cwd keep -- pwd
	ok "--cwd that is not there" says 125 "change to the folder /nowhere: No such file" "$jail" --ro /usr --cwd /nowhere -- true
	ok "a path that is not there" says 125 "jail: bind /no/such read-only: No such file" "$jail" --ro /no/such -- true
	ok "a root that is not there" says 125 "jail: take /no/such as the root: No such file" "$jail" --root /no/such -- true
	mkdir -p root/bin root/proc root/etc
	cp "$(command -v busybox)" root/bin/ 2>/dev/null || {
		skip "--root" "no static busybox here"
		return
	}
	ok "--root" is "bin etc proc" "$jail" --root root -n pid -- /bin/busybox sh -c 'cd /; echo *'
	ok "--root: /proc in a pid namespace" is "1 2" "$jail" --root root -n pid -- /bin/busybox sh -c 'cd /proc; echo [0-9]*'
	ok "--root: nothing is made in it" says 125 "bind /usr/bin read-only: no such mount point in the new root" \
		"$jail" --root root --ro /usr/bin -- /bin/busybox true
	mkdir -p root/etc/bin
	ln -s /etc root/usr
	ok "--root: a link in it stays in it" exits 0 "$jail" --root root --ro /usr/bin -- \
		/bin/busybox test -e /etc/bin/env -a ! -e /etc/passwd
}
if "$jail" -n mount -- true 2>why; then
	mounts
else
	skip "mounts" "$(head -c 150 why)"
fi

# --- what the command may not take hold of --------------------------------------------------------------
# closed OPTION...: every process that jail leaves beside the command forbids ptrace before it
# creates the next one: how a race ends cannot be tested, its absence can.
closed() {
	local said
	# LeakSanitizer cannot work in what is traced already
	said=$(ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 strace -f -e trace=prctl,fork,vfork,clone,clone3,execve -e signal=none "$jail" "$@" -- true 2>&1) || return 1
	awk '{ sub(/^\[pid +[0-9]+\] +/, "") }
		/prctl\(PR_SET_DUMPABLE, SUID_DUMP_DISABLE/ { shut = 1 }
		/prctl\(PR_SET_DUMPABLE, SUID_DUMP_USER/ { shut = 0 }
		/^(v?fork|clone3?)\(/ { print shut ? "shut" : "open" }' <<<"$said"
}
if strace -f true 2>/dev/null; then
	ok "jail is out of reach when it starts the command" is shut closed
	ok "so is what is between" is $'shut\nshut' closed -n user,time
	ok "so is PID 1" is $'shut\nshut\nshut' closed -n user,pid
else
	skip "jail is out of the command's reach" "no strace, or it may not trace"
fi

# --- signals and ends ---------------------------------------------------------------------------------
# shellcheck disable=SC2016
answers() { # answers SIGNAL OPTION...: the command gets the signal that jail got, and jail waits for it
	local sig=$1 pid status=0
	shift
	rm -f ready
	"$jail" "$@" -- sh -c "trap 'exit 42' $sig; touch ready; while :; do sleep 0.02; done" &
	pid=$!
	for _ in {1..200}; do
		[[ ! -e ready ]] || break
		sleep 0.02
	done
	kill -s "$sig" "$pid"
	wait "$pid" || status=$?
	echo "exit $status"
	[[ $status == 42 ]]
}
for sig in TERM HUP USR1; do
	ok "$sig reaches the command" answers $sig
	ok "$sig reaches the command through PID 1" answers $sig -n user,pid
	ok "$sig reaches a PID 1 that handles it" answers $sig -n user,pid --no-init
done
dies() { # dies OPTION...: the command ends when jail is killed
	local pid
	rm -f pidfile
	"$jail" "$@" -- sh -c 'exec sleep 61.75' &
	pid=$!
	for _ in {1..200}; do
		pgrep -f '^sleep 61.75$' >pidfile && break
		sleep 0.02
	done
	[[ -s pidfile ]] || return 1
	kill -KILL "$pid"
	wait "$pid" || true
	for _ in {1..100}; do
		pgrep -f '^sleep 61.75$' >/dev/null || return 0
		sleep 0.02
	done
	return 1
}
ok "kill -9 of jail ends the command" dies
ok "kill -9 of jail ends the command in namespaces" dies -n all
ok "kill -9 of jail ends a command that is PID 1" dies -n all --no-init

done_testing
