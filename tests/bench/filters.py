"""What jail's filters cost: a call under them, a start, learning. Used by run.

The profile that crun loads is that of the container engines, the source of jail's own `default`,
made into a container's configuration as the engines do it: for no capability, with the other ABIs
of the machine that its archMap names. Both filters are taken from a process that runs under them
and measured in turn, by one program, in one run.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

COST_LIMIT = 0.5   # of what crun's filter adds to the worst call
START_LIMIT = 1.1  # of bwrap with the same namespaces and filter
LEARN_LIMIT = 0.5  # of strace -f -c
PROFILE = "usr/share/containers/seccomp.json"
PACKAGE = "golang-github-containers-common"

# What is measured, as filter-cost takes it, by number on amd64 and arm64. The last three compare
# arguments: 0xffffffff is the last value of personality that the profile knows, TCGETS no ioctl
# that it refuses, and with a domain that no kernel has socket ends early.
CALLS = {
    "getppid": ("110", "173"),
    "read": ("0,zero,buf,1", "63,zero,buf,1"),
    "personality": ("135,0xffffffff", "92,0xffffffff"),
    "ioctl": ("16,zero,0x5401", "29,zero,0x5401"),
    "socket": ("41,1000,3,9", "198,1000,3,9"),
}
ARCHES = {"x86_64": ("amd64", "SCMP_ARCH_X86_64", 0), "aarch64": ("arm64", "SCMP_ARCH_AARCH64", 1)}


def taken_by(argv, **more):
    start = time.monotonic()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, **more)
    wall = time.monotonic() - start
    if done.returncode:
        raise RuntimeError(f"{argv[0]}: exit {done.returncode}: {done.stderr.decode().strip()[:200]}")
    return wall


def in_turn(programs, rounds):
    """Medians of whole processes; {name: function that runs once and returns seconds}."""
    times = {name: [] for name in programs}
    for _ in range(rounds):
        for name, once in programs.items():
            times[name].append(once())
    return {name: statistics.median(taken) for name, taken in times.items()}


# --- filters as they are loaded ----------------------------------------------------------------

def find_waiting(token):
    """The process `filter-cost wait TOKEN`, once a filter is loaded; not a parent that names it."""
    for _ in range(200):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    argv = f.read().split(b"\0")[:-1]
                with open(f"/proc/{pid}/status") as f:
                    loaded = "\nSeccomp:\t2" in f.read()
            except OSError:
                continue
            if loaded and len(argv) == 3 and argv[0].endswith(b"filter-cost") and argv[2] == token.encode():
                return pid
        time.sleep(0.02)
    raise RuntimeError("the process that was to wait under a filter does not come")


def dump_filter(cost, token, path):
    with open(path, "wb") as f:
        done = subprocess.run([cost, "dump", find_waiting(token)], stdout=f, stderr=subprocess.PIPE)
    if done.returncode:
        raise RuntimeError(done.stderr.decode().strip())
    return path


def jails_filter(jail, cost, tmp):
    run = subprocess.Popen([jail, "--policy", "default", "--", cost, "wait", "by-jail"],
                           stdin=subprocess.DEVNULL)
    try:
        return dump_filter(cost, "by-jail", os.path.join(tmp, "jail.bpf"))
    finally:
        run.terminate()
        run.wait()


def engines_profile(tmp):
    """The profile's file: of the package when it is installed, else out of it."""
    if os.path.exists("/" + PROFILE):
        return "/" + PROFILE
    done = subprocess.run(["apt-get", "download", "-qq", PACKAGE], cwd=tmp, capture_output=True, text=True)
    debs = [name for name in os.listdir(tmp) if name.startswith(PACKAGE)]
    if done.returncode or not debs:
        raise RuntimeError(f"the package {PACKAGE} is not installed and cannot be fetched")
    subprocess.run(["dpkg-deb", "-x", os.path.join(tmp, debs[0]), os.path.join(tmp, "profile")], check=True)
    return os.path.join(tmp, "profile", PROFILE)


def runtime_profile(path, arch, scmp_arch, with_other_abis):
    """linux.seccomp of a container without capabilities."""
    with open(path) as f:
        profile = json.load(f)
    arches = [scmp_arch]
    if with_other_abis:
        for entry in profile.get("archMap", []):
            if entry["architecture"] == scmp_arch:
                arches += entry.get("subArchitectures") or []
    names = {arch} | ({"x86", "x32"} if arch == "amd64" and with_other_abis else set())
    ret = {"defaultAction": profile["defaultAction"], "architectures": arches, "syscalls": []}
    if "defaultErrnoRet" in profile:
        ret["defaultErrnoRet"] = profile["defaultErrnoRet"]
    for rule in profile["syscalls"]:
        includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
        if includes.get("caps") or (includes.get("arches") and not names & set(includes["arches"])) \
                or names & set(excludes.get("arches") or []):
            continue
        ret["syscalls"].append({k: rule[k] for k in ("names", "action", "args", "errnoRet") if rule.get(k) is not None})
    return ret


def cruns_filter(cost, tmp, name, seccomp):
    """Run the program in a container that holds nothing else. crun refuses a host with cgroups of
    both versions, so it sees one of the second only."""
    bundle = os.path.join(tmp, name)
    os.makedirs(os.path.join(bundle, "rootfs"))
    shutil.copy(cost, os.path.join(bundle, "rootfs", "filter-cost"))
    subprocess.run(["crun", "spec"], cwd=bundle, check=True)
    path = os.path.join(bundle, "config.json")
    with open(path) as f:
        config = json.load(f)
    config["process"].update(terminal=False, args=["/filter-cost", "wait", name])
    config["linux"].pop("resources", None)
    config["linux"]["seccomp"] = seccomp
    with open(path, "w") as f:
        json.dump(config, f)
    crun = ["crun", "--root", os.path.join(tmp, "crun")]
    start = "mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\""
    with open(os.path.join(bundle, "said"), "w+") as said:  # no pipe: what is started keeps it open
        done = subprocess.run(["unshare", "-m", "sh", "-c", start, "sh", *crun, "--cgroup-manager=disabled",
                               "run", "-d", "--bundle", bundle, name], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=said)
        said.seek(0)
        if done.returncode:
            raise RuntimeError(f"crun: {said.read().strip()[:200]}")
    try:
        return dump_filter(cost, name, os.path.join(tmp, name + ".bpf"))
    finally:
        subprocess.run([*crun, "delete", "-f", name], capture_output=True)


# --- a call ------------------------------------------------------------------------------------

def steps(cost, path, call):
    done = subprocess.run([cost, "steps", path, *call.split(",")], capture_output=True, text=True, check=True)
    ran, value, size = done.stdout.split()
    return int(ran), int(value, 16), int(size)


def last_allowed(cost, *paths):
    return max(nr for nr in range(480)
               if all(steps(cost, path, str(nr))[1] == 0x7fff0000 for path in paths))


def bench_calls(jail, cost, rounds, tmp, judge):
    print("\nWhat a filter adds to a system call (best of many short batches, all in turn)\n")
    if os.geteuid():
        print("  skipped: only root may take a filter out of a process, and run crun so")
        return
    if not shutil.which("crun"):
        print("  skipped: no crun here (the package crun)")
        return
    arch, scmp_arch, column = ARCHES[os.uname().machine]
    profile = engines_profile(tmp)
    ours = jails_filter(jail, cost, tmp)
    theirs = cruns_filter(cost, tmp, "by-crun", runtime_profile(profile, arch, scmp_arch, True))
    alone = cruns_filter(cost, tmp, "by-crun-1", runtime_profile(profile, arch, scmp_arch, False))
    calls = {name: numbers[column] for name, numbers in CALLS.items()}
    calls["last allowed"] = str(last_allowed(cost, ours, theirs))
    argv = [cost, "measure", str(6 * rounds), ours, theirs, alone, "--"]
    argv += [f"{name.replace(' ', '-')}={call}" for name, call in calls.items()]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    print("                   no filter   jail's default       crun's, all ABIs     crun's, one ABI")
    worst, worst_ratio = None, 0
    for line, (name, call) in zip(done.stdout.splitlines(), calls.items()):
        none, *times = map(float, line.split()[1:])
        added = [t - none for t in times]
        ran = [steps(cost, path, call)[0] for path in (ours, theirs, alone)]
        print(f"  {name:<14} {none:8.1f} ns" + "".join(f"  +{a:5.1f} ns ({n:3} steps)" for a, n in zip(added, ran)))
        if worst is None or added[1] > worst[1]:
            worst, worst_ratio = (name, added[1]), added[0] / added[1]
    sizes = [steps(cost, path, "0")[2] for path in (ours, theirs, alone)]
    print(f"  instructions             {sizes[0]:9}            {sizes[1]:9}            {sizes[2]:9}")
    verdict = judge(worst_ratio, COST_LIMIT, "a filter's cost")
    print(f"\n  the worst call, {worst[0]}: {worst_ratio:.2f} of what crun's adds, limit {COST_LIMIT}  {verdict}\n"
          "  Since Linux 5.11 a call that is allowed whatever its arguments runs no filter: what is left is the\n"
          "  way into the kernel, the same for all. personality, socket and jail's ioctl (TIOCSTI is refused) compare arguments.")


# --- a start, and learning ---------------------------------------------------------------------

def bench_start(jail, rounds, tmp, judge):
    print("\nStart to exit of /bin/true in new mount, ipc and pid namespaces, under the filter of `default`\n")
    if not shutil.which("bwrap"):
        print("  skipped: no bwrap here (the package bubblewrap)")
        return
    bpf = os.path.join(tmp, "default.bpf")
    # bwrap has no way of its own for its execve: the profile allows it
    subprocess.run([jail, "policy", "compile", "default", "--format", "bpf", "-o", bpf], check=True)
    bwrap = ["bwrap", "--unshare-pid", "--unshare-ipc", "--bind", "/", "/", "--proc", "/proc", "--dev-bind",
             "/dev", "/dev", "--cap-drop", "ALL", "--seccomp", "3", "--", "/bin/true"]

    def run_bwrap():
        fd = os.open(bpf, os.O_RDONLY)
        try:
            return taken_by(["sh", "-c", f'exec "$@" 3<&{fd}', "sh", *bwrap], pass_fds=(fd,))
        finally:
            os.close(fd)

    def run_jail(*options):
        return taken_by(["sh", "-c", 'exec "$@" 3</dev/null', "sh", jail, "--policy", "default", *options,
                         "--", "/bin/true"])

    try:
        times = in_turn({"jail": run_jail, "jail --quiet": lambda: run_jail("--quiet"), "bwrap": run_bwrap},
                        20 * rounds)
    except RuntimeError as e:
        print(f"  skipped: {e}")
        return
    for name, taken in times.items():
        ratio = taken / times["bwrap"]
        verdict = judge(ratio, START_LIMIT, f"start, {name}") if name != "bwrap" else ""
        print(f"  {name:<14} {taken * 1000:6.2f} ms  {ratio:5.2f} × bwrap  {verdict}")


def bench_learn(jail, rounds, tmp, judge):
    print("\nLearning from python3 -c 'print(1)'\n")
    if not shutil.which("strace"):
        print("  skipped: no strace here")
        return
    policy = os.path.join(tmp, "learned.yml")
    # Debian's: a bigger one elsewhere in PATH would hide the cost of being watched
    command = ["/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable, "-c", "print(1)"]

    def learn():
        if os.path.exists(policy):
            os.unlink(policy)
        return taken_by([jail, "--learn", policy, "--", *command])

    times = in_turn({
        "alone": lambda: taken_by(command),
        "jail --learn": learn,
        "strace -f -c": lambda: taken_by(["strace", "-f", "-c", "-o", os.devnull, *command]),
    }, 5 * rounds)
    ratio = times["jail --learn"] / times["strace -f -c"]
    for name, taken in times.items():
        print(f"  {name:<14} {taken * 1000:7.1f} ms")
    print(f"  {ratio:.2f} of strace's, limit {LEARN_LIMIT}  {judge(ratio, LEARN_LIMIT, 'learning')}")


def bench(out, rounds, tmp, judge):
    jail = os.path.abspath(os.path.join(out, "bin", "jail"))
    cost = os.path.abspath(os.path.join(out, "tests", "filter-cost"))
    bench_calls(jail, cost, rounds, tmp, judge)
    bench_start(jail, rounds, tmp, judge)
    bench_learn(jail, rounds, tmp, judge)
