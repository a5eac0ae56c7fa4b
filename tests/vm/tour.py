#!/usr/bin/env python3
"""tour.py DOCUMENT list | run SECTION: what a document shows of sessions, held against sessions.

A block that is fenced as `console` has '$ COMMAND' for the shell, '(gdb) COMMAND' for the gdb that
the last of these started, and below each what it printed. What differs from one machine or run to
the next (addresses, process ids, times, ...) is not compared; UPDATE_GOLDEN=1 writes the rest anew.
"""

import atexit
import difflib
import json
import os
import re
import subprocess
import sys
import time

FENCE = "```"
MARK = "@@ "
MACHINE = r"\b\d+-\d+\b"
BACKGROUND_S = 120


class Step:
    """A command, and the lines [start, end) of the document that say what it prints."""

    def __init__(self, command, start):
        self.in_gdb = command.startswith("(gdb) ")
        self.command = command.split(" ", 1)[1]
        self.start = self.end = start
        self.got = []


def sections(lines):
    """[(heading, steps)] of the sections that have steps."""
    found, now, inside = [], None, False
    for n, line in enumerate(lines):
        if not inside and line.startswith("## "):
            now = []
            found.append((line[3:], now))
        elif line.startswith(FENCE):
            inside = not inside and line == FENCE + "console"
        elif inside and re.match(r"(\$|\(gdb\)) ", line):
            now.append(Step(line, n + 1))
        elif inside:
            now[-1].end = n + 1
    return [(heading, steps) for heading, steps in found if steps]


# What differs between runs, and what is compared in its place.
VARIES = [(re.compile(pattern), to) for pattern, to in (
    (r"\+0x\w+(/0x\w+)? \[crashme\]", "+N [crashme]"),  # the host's compiler makes it
    (r"\b(crashme\.c):\d+", r"\1:N"),
    (r"\b0x[0-9a-f]{5,}", "0xN"),
    (r"\b[0-9a-f]{16}\b", "N"),
    (r"\b402653\d{4}\b", "INODE"),
    (r"\[ *\d+\.\d{6}\](\[ *[TC]\d+\])?", "[T]"),
    (r"\b\d{4}-\d\d-\d\d\b", "DATE"),
    (r"\b\d+(\.\d+)? MiB\b", "N MiB"),
    (r"\bdrgn \d[\d.]*", "drgn V"),
    (r"\b\d{8}-\d{6}(-\d+)?\b", "RUN"),
    (r"\b\d+(\.\d+)? ?s\b", "T s"),
    (r"\b\d{12,}\b", "N"),
    (r"^(amd64 .*)(TCG|KVM).*", r"\1ACCELERATOR"),
    (r"^(arm64 .*)(TCG|KVM) \(no KVM.*", r"\1ACCELERATOR"),
    (MACHINE, "NAME"),
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (r"^(\s*)\d+ +\d+ +\d+ +\d+ [A-Za-z] ", r"P P P P S "),  # lab-ps
    (r"\[\d+ ", "[P "),  # lab-syscalls
    (r"\b(of|pid) \d+\b", r"\1 P"),
    (r"\binstruction count = \d+", "instruction count = N"),
    (r" {2,}", " "),
)]


def same_of(lines):
    """Lines as they are compared."""
    kept = []
    for line in lines:
        for pattern, to in VARIES:
            line = pattern.sub(to, line)
        kept.append(line.rstrip())
    return kept


def shown(lines):
    """What the document has of an output: no lines of the kernel's source, which may be there or
    not, and none of what gdb says of itself."""
    drop = re.compile(r"\d+\t|\[Inferior 1 |Run till exit|lab: modules' symbols")
    kept = [line.rstrip().expandtabs() for line in lines if not drop.match(line)]
    while kept and not kept[0]:
        del kept[0]
    while kept and not kept[-1]:
        del kept[-1]
    return kept


def named(command, machine):
    """With our machine's name instead of the one in the document."""
    return re.sub(MACHINE, machine, command) if machine else command


def run_gdb(step, command, inner):
    """A session: the command and gdb's commands of inner."""
    with open("script.gdb", "w", encoding="utf-8") as f:
        for n, one in enumerate(inner):
            f.write("echo \\n%s%d\\n\npython gdb.flush()\n%s\n" % (MARK, n, one.command))
    head, _, rest = command.partition(" ")
    name, _, rest = rest.partition(" ")
    how = {"gdb": "--batch", "crash": ""}.get(name, "--batch -q")
    done = subprocess.run(["bash", "-c", "%s %s %s -x script.gdb %s" % (head, name, how, rest)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          encoding="utf-8", errors="replace", check=False)
    parts = re.split("^%s\\d+\n" % MARK, done.stdout, flags=re.M)
    if done.returncode or len(parts) != len(inner) + 1:
        sys.exit("%s: exit %d\n%s" % (step.command, done.returncode, done.stdout))
    # where the guest stood when gdb came is anybody's guess
    step.got = shown(line for line in parts[0].split("\n") if not re.match("0x|[a-z_0-9]+ [(]", line))
    for one, text in zip(inner, parts[1:]):
        one.got = shown(text.split("\n"))


def parent(pid):
    """Of a process; None: it has ended."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as f:
            return int(f.read().rpartition(")")[2].split()[1])
    except OSError:
        return None


def run_background(command):
    """Until its machine runs and has said something: its name. There may be other labs' machines."""
    with open("background", "wb") as out:
        lab = subprocess.Popen(["bash", "-c", "exec " + command.rstrip("& ")], stdin=subprocess.DEVNULL,
                               stdout=out, stderr=out)
    atexit.register(lab.terminate)
    until = time.monotonic() + BACKGROUND_S
    while time.monotonic() < until and lab.poll() is None:
        time.sleep(0.2)
        listed = subprocess.run(["lab", "vm", "list", "--json"], stdout=subprocess.PIPE, check=True)
        for one in json.loads(listed.stdout):
            if lab.pid in (one["lab"], parent(one["lab"])) and os.path.getsize("background"):
                return one["name"]
    sys.exit("%s: no machine\n%s" % (command, open("background", encoding="utf-8").read()))


def run_shell(command, machine):
    """One of the shell's, and of the machines that it lists ours alone."""
    quiet = re.sub(r"^lab (run|record) ", r"lab \1 -q ", command)
    done = subprocess.run(["bash", "-c", quiet], stdin=subprocess.DEVNULL, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
    lines = done.stdout.split("\n")
    if command == "lab vm list":
        lines = [line for line in lines if line.startswith(("NAME", machine + " "))]
    return lines


def run(steps):
    """Each step has what it printed afterwards; our machine has the name that it has in the document."""
    machine, named_there = "", ""
    for n, step in enumerate(steps):
        if step.in_gdb:
            continue
        there = re.search(MACHINE, step.command)
        named_there = there.group() if there and machine else named_there
        inner = []
        for one in steps[n + 1:]:
            if not one.in_gdb:
                break
            inner.append(one)
        if inner:
            run_gdb(step, named(step.command, machine), inner)
        elif step.command.endswith("&"):
            machine = run_background(step.command)
            with open("background", encoding="utf-8") as f:
                step.got = shown(f.read().split("\n"))
        else:
            step.got = shown(run_shell(named(step.command, machine), machine))
    for step in steps if machine else []:
        step.got = [line.replace(machine.ljust(10), named_there.ljust(10)).replace(machine, named_there)
                    for line in step.got]


def main():
    """See the top."""
    document, what = sys.argv[1:3]
    with open(document, encoding="utf-8") as f:
        lines = f.read().split("\n")
    found = sections(lines)
    if what == "list":
        for heading, steps in found:
            commands = " ".join(step.command for step in steps if not step.in_gdb)
            archs = [arch for arch in ("amd64", "arm64") if arch in commands]
            print(heading, " ".join(archs or ["amd64"]), sep="\t")
        return
    steps = dict(found)[sys.argv[3]]
    run(steps)
    differ = [step for step in steps if same_of(shown(lines[step.start:step.end])) != same_of(step.got)]
    for step in differ:
        wanted = shown(lines[step.start:step.end])
        print("%s:%d: %s" % (document, step.start, step.command))
        print("\n".join(difflib.unified_diff(same_of(wanted), same_of(step.got), "documented", "printed",
                                             lineterm="")))
    if differ and os.environ.get("UPDATE_GOLDEN"):
        # all of the section: what is shown of a session is of one
        for step in reversed(steps):
            gap = [""] if lines[step.end - 1] == "" else []  # before the next command
            lines[step.start:step.end] = step.got + gap
        with open(document, "w", encoding="utf-8") as f:
            f.write("\n".join(lines))
    elif differ:
        sys.exit("UPDATE_GOLDEN=1 BUILD=build tests/vm/tour.sh writes what is printed into %s" % document)


main()
