#!/usr/bin/env python3
"""Ctrl-C in gdb on a replay, at its prompt and while it goes back: a pty stands for the user's terminal.

replay-tty.py LAB CELL: 0 when gdb stopped and the machine went on."""

import os
import pty
import re
import select
import sys
import time

PROMPT, WAIT = rb"\(gdb\) ", 120


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, argv):
        os.environ["TERM"] = "dumb"
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(argv[0], argv)
        self.new = b""

    def until(self, pattern):
        """What came up to pattern, which has to come."""
        end = time.monotonic() + WAIT
        while not (found := re.search(pattern, self.new)):
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            try:
                self.new += os.read(self.fd, 1 << 16) if ready else b""
            except OSError:
                ready = []
            if not ready:
                sys.exit("no %r in %r" % (pattern, self.new))
        text, self.new = self.new[:found.end()], self.new[found.end():]
        print(text.decode(errors="replace"), flush=True)
        return text

    def type(self, keys, pattern=PROMPT):
        """Send keys: what comes up to pattern."""
        os.write(self.fd, keys)
        return self.until(pattern)


def position(gdb):
    """At which instruction the guest stands."""
    return int(re.search(rb"count = (\d+)", gdb.type(b"monitor info replay\n"))[1])


def main():
    """See the module."""
    gdb = Terminal([sys.argv[1], "replay", "-q", "--offline", "--symbols", "image", sys.argv[2]])
    gdb.until(PROMPT)
    gdb.type(b"set confirm off\n")
    gdb.type(b"\3")
    gdb.type(b"hbreak start_kernel\n")
    gdb.type(b"reverse-continue\n", rb"Continuing\.")
    time.sleep(1)
    assert b"SIGINT" in gdb.type(b"\3")
    here = position(gdb)
    gdb.type(b"reverse-stepi\n")
    assert position(gdb) == here - 1
    os.write(gdb.fd, b"quit\n")
    assert os.waitstatus_to_exitcode(os.waitpid(gdb.pid, 0)[1]) == 0


main()
