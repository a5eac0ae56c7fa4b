#!/usr/bin/env python3
"""'lab shell' on a terminal: a pty of ours stands for the user's. Prints TAP; LAB is the program."""

import fcntl
import hashlib
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

LAB = os.environ["LAB"]
WAIT = 120
count = failed = 0


def check(name, passed, said=""):
    global count, failed
    count += 1
    print(f"{'ok' if passed else 'not ok'} {count} - {name}", flush=True)
    if not passed:
        failed = 1
        print("# " + repr(said), flush=True)


def as_a_shell_would(args):
    """Run lab in a process group of its own in the foreground, and end as it does."""
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.environ["TERM"] = "dumb"
        os.execv(LAB, ["lab", "shell", "--kernel", "6.1", *args])
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os._exit(code if code >= 0 else 128 - code)


class Shell:
    def __init__(self, *args):
        self.leader, self.fd = pty.fork()
        if self.leader == 0:
            as_a_shell_would(args)
        while not children(self.leader):
            time.sleep(0.01)
        (self.pid,) = children(self.leader)
        self.resize(31, 97)
        self.before, self.out = termios.tcgetattr(self.fd), b""

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # nobody has the other end any more
            data = b""
        self.out += data
        return bool(data)

    def wait(self, pattern):
        """Until it says that; returns what it said since the last time, '' when it never does."""
        until = time.monotonic() + WAIT
        while not (m := re.search(pattern, self.out)):
            if not self.read(1) or time.monotonic() > until:
                return b""
        said, self.out = self.out[: m.end()], self.out[m.end() :]
        return said

    def type(self, text):
        """As a person or a paste: goes on reading meanwhile."""
        while text:
            r, w, _ = select.select([self.fd], [self.fd], [], 1)
            if r and not self.read(0):
                return  # it has ended
            if w:
                text = text[os.write(self.fd, text[:1024]) :]

    def do(self, command, pattern):
        self.type(command + b"\r")
        said = self.wait(pattern)
        self.wait(rb"# ")
        return said

    def soon(self, condition):
        until = time.monotonic() + WAIT
        while not condition() and time.monotonic() < until:
            if not self.read(0.05):  # it has ended
                time.sleep(0.05)
        return condition()

    def cooked(self):
        return termios.tcgetattr(self.fd) == self.before

    def state(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as f:
            return f.read().rpartition(")")[2].split()[0]

    def end(self):
        while self.read(WAIT):
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.leader, 0)[1])


def machines():
    return json.loads(subprocess.run([LAB, "vm", "list", "--json"], capture_output=True, check=True).stdout)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(n) for n in f.read().split()]


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def session():
    s = Shell()
    check("a prompt", s.wait(rb"6\.1 amd64:/workspace/job# "), s.out)
    check("the terminal is raw", not s.cooked())
    check("it has a terminal of that size", s.do(b"stty size; tty", rb"31 97\r\n/dev/pts/\d"), s.out)
    s.resize(40, 120)
    said = s.do(b"while ! stty size | grep 40; do sleep .1; done", rb"40 120")
    check("a new size is handed on", said, s.out)
    (vm,) = [v for v in machines() if v["lab"] in children(s.pid)]
    check("'lab vm list' has it", vm["what"] == "shell" and vm["state"] == "running", vm)

    s.type(b"sleep 1000\r")
    time.sleep(1)
    s.type(b"\x03")
    check("Ctrl-C is the command's", s.wait(rb"\^C") and s.do(b"echo =$?=", rb"\n=130="), s.out)

    text = b"".join(b"%062d\n" % i for i in range(1 << 14)) + b"\xc3\xa9 \x1d.\x1d.\n"
    s.do(b"stty -echo", rb"\n")
    s.type(b"cat >f\r")
    s.type(text.replace(b"\n", b"\r"))
    s.type(b"\x04")
    s.wait(rb"# ")
    said = s.do(b"wc -c <f; md5sum <f", rb"[0-9a-f]{32}")
    check("a paste of 1 MiB arrives whole", hashlib.md5(text).hexdigest().encode() in said, said)

    os.kill(s.pid, signal.SIGTSTP)
    check("stopped, the terminal is as it was", s.soon(lambda: s.state() == "T" and s.cooked()), s.state())
    os.kill(s.pid, signal.SIGCONT)
    check("and raw again when it goes on", s.soon(lambda: not s.cooked()))
    said = s.do(b"echo he''re", rb"here")
    check("the guest is still there", said, s.out)
    s.type(b"\x04")
    code = s.end()
    check("Ctrl-D ends it", code == 0, code)
    check("the terminal is as it was, and no QEMU is left", s.cooked() and gone(vm["qemu"]))


def running(*command):
    s = Shell("--", *command)
    s.wait(rb"twice ends it")
    s.soon(lambda: not s.cooked())
    qemu = [v["qemu"] for v in machines() if v["lab"] in children(s.pid)][0]
    return s, qemu


def ended(name, s, qemu, want, word=b""):
    code = s.end()
    check(name, code == want and word in s.out and s.cooked() and gone(qemu), (code, s.out, s.cooked()))


def endings():
    s, qemu = running("sleep", "1000")
    s.type(b"\x1d\x1d")
    ended("Ctrl-] twice ends it", s, qemu, 130)

    s, qemu = running("sleep", "1000")
    os.kill(s.pid, signal.SIGTERM)
    ended("SIGTERM ends it", s, qemu, 130)

    s, qemu = running("sleep", "1000")
    name = [v["name"] for v in machines() if v["qemu"] == qemu][0]
    stop = subprocess.run([LAB, "vm", "stop", name], capture_output=True, check=False)
    check("'lab vm stop' returns when it is gone", stop.returncode == 0 and gone(qemu), stop)
    ended("and lab says so", s, qemu, 3, b"stopped by 'lab vm stop'")

    s, qemu = running("sleep", "1000")
    worker = [p for p in children(s.pid) if p != qemu][0]
    os.kill(worker, signal.SIGKILL)
    ended("a worker that is killed leaves no raw terminal", s, qemu, 137)

    s, qemu = running("sh", "-c", "sleep 2; echo c >/proc/sysrq-trigger")
    ended("a panic is told", s, qemu, 3, b"panic")


session()
endings()
print(f"1..{count}")
sys.exit(failed)
