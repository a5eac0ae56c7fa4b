#!/usr/bin/env python3
"""gdb-helpers.py WHAT GDB GUEST: what gdb's command printed agrees with what the guest said."""

import re
import sys


def parts(path):
    """{name: lines} of a file that '== NAME' divides."""
    found, now = {}, []
    for line in open(path, encoding="utf-8", errors="replace"):
        line = line.rstrip("\n")
        if line.startswith("== "):
            now = found.setdefault(line[3:], [])
        else:
            now.append(line)
    return found


def same(what, got, want):
    if got != want:
        sys.exit("%s: gdb %r, the guest %r" % (what, got, want))


def inodes(guest):
    """{kind: inode}; kernels without time namespaces have no such link."""
    return {m[1]: m[2] for m in (re.match(r"(\w+):\[(\d+)\]", line) for line in guest["ns"]) if m}


def status(guest):
    return {k: v.split() for k, _, v in (line.partition(":") for line in guest["cred"])}


def check_ps(gdb, guest):
    head, rows = gdb["ps"][0].split(), [line.split(None, 13) for line in gdb["ps"][1:]]
    # its pid in the guest's first namespace is not what it knows itself by: it is in one of its own
    mine = [dict(zip(head, row)) for row in rows if row[-1] == "sh" and inodes(guest)["pid"] in row]
    same("rows", len(mine), 1)
    for kind, inode in inodes(guest).items():
        same(kind, mine[0][kind.upper()], inode)
    for name in ("init", "jail"):
        if not any(row[-1] == name for row in rows):
            sys.exit("no task '%s'" % name)


def check_ns(gdb, guest):
    text = "\n".join(gdb["ns"])
    for kind, inode in inodes(guest).items():
        if not re.search(r"^  %s +%s  " % (kind, inode), text, re.M):
            sys.exit("%s: not %s" % (kind, inode))
    pids = re.search(r"^pid (.*)$", text, re.M)[1]
    ours = [pair.split(" in ") for pair in pids.split(", ")]
    same("levels", len(ours), 2)
    same("innermost pid namespace", ours[-1][1], inodes(guest)["pid"])
    row = [line.split() for line in gdb["ps"] if line.split()[0] == ours[0][0]][0]
    same("who called sync", (row[-1], inodes(guest)["pid"] in row), ("sync", True))
    users = re.findall(r"^user (\d+) level (\d+) owner (\d+); uids (.*?); gids", text, re.M)
    same("user namespaces", [u[1] for u in users], ["1", "0"])
    same("user", users[0][0], inodes(guest)["user"])
    first, lower, count = [line for line in guest["cred"] if line.startswith("uid_map")][0].split()[1:]
    same("uid_map", users[0][3], "%s=%s+%s" % (first, lower, count))


def check_cred(gdb, guest):
    text, want = "\n".join(gdb["cred"]), status(guest)
    for kind in ("uid", "gid"):
        got = re.search(r"^  %s real=(\d+) effective=(\d+) saved=(\d+) filesystem=(\d+)" % kind, text, re.M)
        same(kind, list(got.groups()), want[kind.capitalize()])
    for ours, theirs in (("inheritable", "CapInh"), ("permitted", "CapPrm"), ("effective", "CapEff"),
                         ("bset", "CapBnd"), ("ambient", "CapAmb")):
        same(ours, re.search(r"cap_%s +(\w+)" % ours, text)[1], want[theirs][0])
    for name in ("chown", "sys_admin", "net_raw"):
        if not re.search(r"cap_effective .*\b%s\b" % name, text):
            sys.exit("no " + name)
    same("no_new_privs", re.search(r"no_new_privs (\d)", text)[1], want["NoNewPrivs"][0])


def mount_lines(lines):
    """{id: the rest}, without what gdb's command leaves out or adds."""
    found = {}
    for line in lines:
        left, dash, right = line.partition(" - ")
        if not dash:
            continue
        words = [w for w in left.split() if w != "locked"]
        kind, source, more = right.split(" ", 2)
        if kind.startswith("cgroup"):
            words[3] = "?"  # as seen from the cgroup namespace
        found[words[0]] = words[1:] + [kind, source, more.split(",")[0]]
    return found


def check_mounts(gdb, guest):
    got, want = mount_lines(gdb["mounts"]), mount_lines(guest["mounts"])
    for key, value in want.items():
        same("mount " + key, got.get(key), value)
    if not any(v[3].endswith("/m") for v in got.values()) or len(want) < 3:
        sys.exit("the payload's own mount is missing")
    if not any(" locked " in line for line in gdb["mounts"]):
        sys.exit("nothing is locked, in a user namespace of its own")


def check_seccomp(gdb, guest):
    text, want = "\n".join(gdb["seccomp"]), status(guest)
    mode, count = re.search(r"mode (\d) \(filter\), filters (\d+)", text).groups()
    same("mode", mode, want["Seccomp"][0])
    same("filters", count, want.get("Seccomp_filters", ["2"])[0])
    filters = re.split(r"^filter \d+ at .*$", text, flags=re.M)[1:]
    same("filters", len(filters), 2)
    for n, (name, action) in enumerate((("swapon", "ERRNO 38 ENOSYS"), ("acct", "ERRNO 1 EPERM"))):
        if "(%s)" % name not in filters[n] or "return " + action not in filters[n]:
            sys.exit("filter %d does not speak of %s" % (n + 1, name))
    for part in filters:
        if "return ALLOW" not in part or "A = arch" not in part:
            sys.exit("not a whole filter")


def check_modules(gdb, guest):
    rows = {r[0]: r for r in (line.split() for line in gdb["modules"])}
    for line in guest["modules"]:
        name, size, _, _, _, where = line.split()[:6]
        same(name, (rows[name][1], rows[name][4]), (size, where))
    if not guest["modules"]:
        sys.exit("no modules")


def check_dmesg(gdb, guest):
    ours = set(line.rstrip() for line in gdb["dmesg"])
    lines = [line.rstrip() for line in guest["dmesg"] if line.startswith("[")]
    missing = [line for line in lines if line.replace("\t", " " * 8) not in ours]
    if len(lines) < 100 or missing:
        sys.exit("%d lines, missing: %s" % (len(lines), missing[:5]))


def check_calls(gdb, guest):
    text = "\n".join(gdb["calls"])
    if not re.search(r"^\[(\d+) cat\] openat\((0x\w+, ){5}0x\w+\)\n\[\1 cat\] openat = -1 ENOENT$", text,
                     re.M):
        sys.exit("cat's openat is not there")
    if not re.search(r"^\[\d+ cat\] exit_group\(.*\) = \?$", text, re.M):
        sys.exit("cat does not exit")
    if not re.search(r"^\[\d+ sync\] sync\(", text, re.M):
        sys.exit("sync does not call sync")
    if re.search(r"^\[1 init\]", text, re.M):
        sys.exit("init is no payload")


def check_bounds(gdb, guest):
    text = "\n".join(gdb["bounds"])
    if "no error:" in text or "Traceback" in text:
        sys.exit(text)
    for said in ("usage: lab-ps [-a]", "there is no task 99999", "not a process id",
                 "usage: lab-syscalls on|off", "is not FUNC or FUNC:CONDITION",
                 "no_such_function", "no_such_name"):
        if said not in text:
            sys.exit("not said: " + said)


def check_hostile(gdb, guest):
    said = gdb["hostile"]
    same("answers", len(said), 5)
    for line, want in zip(said, ("goes in a circle after", "ends in nothing after",
                                 "cannot be read", "cannot be read", "")):
        if want not in line or "Traceback" in line:
            sys.exit("not '%s': %s" % (want, line))


def check_help(gdb, guest):
    text = "\n".join(gdb["help"])
    for name in "attach break core cred dmesg kernel modules mounts ns ps seccomp syscalls".split():
        if not re.search(r"^lab-%s " % name, text, re.M):
            sys.exit("lab-%s is not listed" % name)


globals()["check_" + sys.argv[1]](parts(sys.argv[2]), parts(sys.argv[3]))
