#!/usr/bin/env python3
"""Attacks on the supervisor, from inside: `attacker.py NAME... [PID...]` makes the named ones against
these processes (jail, or whatever has such a number) and prints a line for each that succeeded.
Exits with 42 when none did, 1 otherwise."""
import ctypes
import errno
import os
import platform
import random
import signal
import sys

NUMBERS = {  # name: (x86_64, aarch64)
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kill": (62, 129), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424), "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438), "execve": (59, 221), "execveat": (322, 281), "sendmsg": (46, 211),
    "ioctl": (16, 29), "dup": (32, 23), "prctl": (157, 167), "seccomp": (317, 277),
    "process_madvise": (440, 440), "kcmp": (312, 272),
}
MACHINE = 1 if platform.machine() == "aarch64" else 0
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
BUFFER = ctypes.create_string_buffer(4096)
NOTIF_RECV, NOTIF_SEND, NOTIF_ADDFD = 0xC0502100, 0xC0182101, 0x40182103
TIOCSTI = 0x5412
PTRACE_ATTACH, PTRACE_SEIZE, PTRACE_PEEKDATA = 16, 0x4206, 2
MADV_DONTNEED, PR_SET_PTRACER, MADV_COLD = 4, 0x59616D61, 20


def call(name, *args):
    """The result, or minus the errno."""
    words = [ctypes.c_ulong(a & (2**64 - 1)) if isinstance(a, int) else a for a in args]
    words += [ctypes.c_ulong(0)] * (6 - len(words))
    result = LIBC.syscall(ctypes.c_long(NUMBERS[name][MACHINE]), *words)
    return -ctypes.get_errno() if result == -1 else result


def vector():
    """struct iovec of the buffer."""
    return (ctypes.c_ulong * 2)(ctypes.addressof(BUFFER), 8)


def take_hold(pid):
    """Ways to read or change another process's memory and descriptors."""
    yield "ptrace attach", call("ptrace", PTRACE_ATTACH, pid)
    yield "ptrace seize", call("ptrace", PTRACE_SEIZE, pid)
    for what in ("process_vm_readv", "process_vm_writev"):
        for address in (0x400000, 0x555555554000, 0x7FFFFFFFE000):
            remote = (ctypes.c_ulong * 2)(address, 8)
            yield what, call(what, pid, vector(), 1, remote, 1)
    pidfd = call("pidfd_open", pid)
    for fd in range(0, 32) if pidfd >= 0 else ():
        yield f"pidfd_getfd {fd}", call("pidfd_getfd", pidfd, fd)
    if pidfd >= 0:
        yield "process_madvise", call("process_madvise", pidfd, vector(), 1, MADV_COLD)
        os.close(pidfd)
    for name in ("mem", "environ", "maps", "fd/0", "map_files", "root", "cwd", "exe"):
        path = f"/proc/{pid}/{name}"
        try:
            if name == "map_files":
                os.listdir(path)
            elif name in ("fd/0", "root", "cwd", "exe"):
                os.readlink(path)
            else:
                with open(path, "r+b" if name == "mem" else "rb", buffering=0) as file:
                    file.read(1)
            yield path, 0
        except OSError as error:
            yield path, -error.errno
    for fd in range(0, 32):
        try:
            os.close(os.open(f"/proc/{pid}/fd/{fd}", os.O_RDWR))
            yield f"/proc/{pid}/fd/{fd}", 0
        except OSError as error:
            yield f"/proc/{pid}/fd/{fd}", -error.errno


def send_signals(pid):
    """Signals by number. pid -1: everybody."""
    info = ctypes.create_string_buffer(128)
    ctypes.memmove(info, (ctypes.c_int * 3)(signal.SIGKILL, 0, -1), 12)
    if pid == -1:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        call("kill", -1, signal.SIGTERM)  # succeeds where only we are seen
        return
    yield "kill", call("kill", pid, signal.SIGKILL)
    yield "tgkill", call("tgkill", pid, pid, signal.SIGKILL)
    yield "rt_sigqueueinfo", call("rt_sigqueueinfo", pid, signal.SIGKILL, info)
    yield "rt_tgsigqueueinfo", call("rt_tgsigqueueinfo", pid, pid, signal.SIGKILL, info)
    pidfd = call("pidfd_open", pid)
    if pidfd >= 0:
        yield "pidfd_send_signal", call("pidfd_send_signal", pidfd, signal.SIGKILL, 0, 0)
        os.close(pidfd)


def guess_cookie(_pid):
    """Execute what the policy refuses, by guessing the number that jail's own execve carried."""
    argv = (ctypes.c_char_p * 4)(b"sh", b"-c", b"echo EXECUTED", None)
    path = ctypes.c_char_p(b"/bin/sh")
    guesses = [0, 1, 2**64 - 1, os.getpid(), os.getppid()]
    guesses += [random.getrandbits(64) for _ in range(2000)]
    # what the registers of the execve that started us held: the kernel clears them
    with open("/proc/self/syscall", encoding="ascii") as file:
        guesses += [int(word, 16) for word in file.read().split()[1:] if word.startswith("0x")]
    with open("/proc/self/auxv", "rb") as file:
        data = file.read()
        guesses += [int.from_bytes(data[i:i + 8], sys.byteorder) for i in range(0, len(data), 8)]
    for guess in guesses:
        for name, args in (("execve", (path, argv, 0, 0, 0, guess)),
                           ("execveat", (-100, path, argv, 0, 0, guess))):
            result = call(name, *args)
            yield f"{name} with cookie {guess:x}", -errno.ENOENT if result == -errno.EPERM else 0


def find_listener(_pid):
    """The filter's listener, or the socket to jail, among our descriptors."""
    for fd in range(0, 1024):
        yield f"a notification through {fd}", call("ioctl", fd, NOTIF_RECV, BUFFER)
        if fd > 2:
            yield f"descriptor {fd}", call("dup", fd)


def type_on_terminal(_pid):
    """Type for whoever uses the terminal after us."""
    letter = ctypes.create_string_buffer(b"x")
    for high in (0, 1 << 32, 1 << 63):
        for fd in range(0, 3):
            yield f"TIOCSTI {high:x}", call("ioctl", fd, TIOCSTI | high, letter)


def lift_filter(_pid):
    """Put a listener of our own above, or trace ourselves free."""
    program = (ctypes.c_ulong * 2)(1, ctypes.addressof(BUFFER))
    BUFFER[0:8] = bytes([6, 0, 0, 0, 0, 0, 0xFF, 0x7F])  # return allow
    yield "a second listener", call("seccomp", 1, 8, program)
    yield "seccomp mode off", call("prctl", 22, 0, 0)
    yield "privileges back", call("prctl", 38, 0, 0, 0, 0)


ATTACKS = {"hold": take_hold, "signals": send_signals, "cookie": guess_cookie,
           "listener": find_listener, "terminal": type_on_terminal, "filter": lift_filter}


def main():
    """Make them."""
    names = [a for a in sys.argv[1:] if a in ATTACKS]
    pids = [int(a) for a in sys.argv[1:] if a not in ATTACKS] or [0]
    made = succeeded = 0
    for name in names:
        for pid in pids:
            for what, result in ATTACKS[name](pid):
                made += 1
                if result >= 0:
                    succeeded += 1
                    print(f"{what} of {pid}: succeeded ({result})")
    print(f"{made} attacks", flush=True)
    return 1 if succeeded else 42


sys.exit(main())
