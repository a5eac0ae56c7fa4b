"""lab-attach: to a machine's relay, with what is loaded put where the guest has it."""

import os
import socket
import stat
import sys
import time

import gdb

from lab import breaks, elf, modules
from lab.memory import (Trouble, address, convenience, hidden, in_user_space, kernel_view,
                        printable, read)

POLL_S = 0.005


def _batch():
    """Whether this gdb ends by itself: after a failed command it would go on unseen."""
    try:
        with open("/proc/self/cmdline", "rb") as f:
            words = f.read().split(b"\0")
    except OSError:
        return False
    return b"-batch" in words or b"--batch" in words


def wait_for(where):
    """Until somebody listens at where. Raises Trouble when nobody will any more."""
    path = where[5:] if where.startswith("unix:") else where
    host, _, port = path.rpartition(":")
    if path == where and port.isdigit() and "/" not in path:
        path = ""
    parent = os.getppid()
    while os.getppid() == parent:
        if path:
            try:
                if stat.S_ISSOCK(os.stat(path).st_mode) and not _is_bound_only(path):
                    return path
            except OSError:
                if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
                    break
        elif _listens(host.strip("[]") or "localhost", int(port)):
            return where
        time.sleep(POLL_S)
    raise Trouble("the machine has ended before a debugger could attach")


def _is_bound_only(path):
    """Whether a socket has that name, but nobody listens yet (proc(5): flag 0x10000 is who does)."""
    try:
        with open("/proc/net/unix", "rb") as f:
            rows = [row.split(maxsplit=7) for row in f]
    except OSError:
        return False
    flags = [int(row[3], 16) for row in rows if len(row) == 8 and row[7].strip() == path.encode()]
    return bool(flags) and not any(flag & 0x10000 for flag in flags)


def _listens(host, port):
    """Whether the port is taken; a connection, to ask, would be a client."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def kernel_file():
    """gdb's object for vmlinux, or None."""
    name = gdb.current_progspace().filename
    for objfile in gdb.objfiles():
        if objfile.filename == name:
            return objfile
    return gdb.objfiles()[0] if gdb.objfiles() else None


def agree():
    """Whether the symbols are this guest's: (True, "") or (False, why)."""
    ours = kernel_file()
    our_id = elf.kernel_id(ours.filename) or ours.build_id
    try:
        start, end = address("__start_notes"), address("__stop_notes")
        if our_id and start and end and start < end:
            theirs = elf.build_id_in(read(start, min(end - start, 4096)))
            if theirs == our_id:
                return True, ""
            if theirs:
                return False, ("the symbols are of another kernel: build id %s, the guest's is %s"
                               % (our_id, theirs))
            return False, "the kernel is not where the symbols say"
        banner = address("linux_banner")
        if banner is not None:
            said = read(banner, 14)
            if said == b"Linux version ":
                return True, ""
            return False, "where the symbols have linux_banner the guest has '%s'" % printable(said)
        # arm64 does not map what is before _stext
        read(address("_stext") or address("_text") or 0, 8)
        return True, ""
    except gdb.MemoryError:
        return False, "the kernel is not where the symbols say" + hidden()


def relay_slide():
    """How far KASLR has moved the kernel, as the relay says; None: it does not (yet)."""
    try:
        said = gdb.execute("maintenance packet qOffsets", to_string=True)
    except gdb.error:
        return None
    key, _, value = said.partition("TextSeg=")
    try:
        now = int(value.strip().split('"')[0].split(";")[0], 16)
    except ValueError:
        return None
    return (now - elf.link_base(gdb.current_progspace().filename)) & ((1 << 64) - 1)


def move(slide):
    """Have gdb believe that the kernel was moved by so much."""
    confirm = gdb.parameter("confirm")
    gdb.execute("set confirm off")
    try:
        gdb.execute("symbol-file -o %#x %s" % (slide, gdb.current_progspace().filename),
                    to_string=True)
    finally:
        gdb.execute("set confirm %s" % ("on" if confirm else "off"))


class Attach(gdb.Command):
    """Attach to a machine: wait for it, find the kernel, set what lab-break was told.
ADDRESS is the machine's socket or HOST:PORT. Symbols are moved by KASLR's slide; where the kernel
still boots (it was stopped at its first instruction) that happens when the payload is about to run.
Usage: lab-attach ADDRESS"""

    name = "lab-attach"

    def __init__(self):
        super().__init__(self.name, gdb.COMMAND_RUNNING)
        self.booting = False
        self.told = False
        gdb.events.stop.connect(self.stopped)
        gdb.events.exited.connect(self.ended)
        if hasattr(gdb.events, "gdb_exiting"):
            gdb.events.gdb_exiting.connect(self.leaving)

    def invoke(self, arg, from_tty):
        """In batch mode a failure ends gdb: its script would go on without a guest."""
        try:
            self.attach(arg.strip())
        except KeyboardInterrupt:  # who waits for a guest to boot wants it no more
            gdb.execute("quit 130")
        except (gdb.error, gdb.GdbError) as why:
            if not _batch():
                raise gdb.GdbError(str(why)) from None
            print("lab: %s" % why, file=sys.stderr, flush=True)
            gdb.execute("quit 1")

    def attach(self, where):
        """See the class."""
        if not where:
            raise Trouble("usage: lab-attach ADDRESS")
        if kernel_file() is None:
            raise Trouble("no symbols are loaded: 'file VMLINUX' comes first")
        gdb.execute("target remote " + wait_for(where), to_string=True)
        with kernel_view():
            good, why = agree()
        if good:
            self.found()
        elif in_user_space():  # an arm64 guest: the relay's word has to do
            print("lab: not compared with the guest's memory: " + why)
            self.found()
        elif "another kernel" in why:
            gdb.execute("detach", to_string=True)
            raise Trouble(why)
        else:
            self.booting = True
            print("lab: attached before the kernel is in its place: 'continue' boots it, and stops"
                  " when the payload is about to run")

    def found(self):
        """The kernel is where gdb believes: the rest can be put in place."""
        self.booting = False
        text = address("_text") or address("_stext")
        slide = relay_slide()
        if slide is None:
            slide = text - _linked_text(text)
        try:
            count = modules.load(convenience("lab_modules"))
        except (gdb.error, gdb.GdbError) as why:
            count = 0
            print("lab: modules' symbols are left out: %s" % why)
        print("lab: attached to %s: the kernel is at %#x%s%s" % (
            convenience("lab_kernel") or "the guest", text,
            ", slide %#x" % slide if slide else "",
            ", symbols of %d modules" % count if count else ""))
        breaks.place()

    def stopped(self, event):
        """A stop while the kernel still boots: is it the one the relay makes for the payload?"""
        if not self.booting:
            return
        with kernel_view():
            slide = relay_slide()
            if slide is None:
                return  # not in its place yet
            if slide:
                move(slide)
            good, why = agree()
            try:
                if not good:
                    raise Trouble(why)
                self.found()
            except gdb.GdbError as what:
                print("lab: %s" % what, file=sys.stderr, flush=True)

    def ended(self, event):
        """No break point is missed in silence."""
        self.tell(breaks.never_hit())

    def tell(self, missed):
        """Once: gdb may be left long after its guest has ended."""
        for spec in missed if not self.told else ():
            print("lab: %s: never reached" % spec, file=sys.stderr, flush=True)
        self.told = self.told or bool(missed)

    def leaving(self, event):
        """As ended(); in batch mode gdb fails then."""
        missed = breaks.never_hit()
        self.tell(missed)
        if missed and _batch():
            try:
                gdb.execute("detach", to_string=True)
            except gdb.error:
                pass
            sys.stdout.flush()
            os._exit(1)


def _linked_text(now):
    """The address of _text as linked: the file's first segment begins there."""
    try:
        return elf.link_base(gdb.current_progspace().filename)
    except (OSError, ValueError):
        return now


Attach()
