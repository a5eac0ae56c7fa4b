"""lab-syscalls: a line for each system call of the payload, and one for its result."""

import errno

import gdb

from lab import numbers
from lab.memory import (WORD, Command, Trouble, address, at, chars, convenience, in_user_space,
                        is_arm64, need, pointer, read, register)
from lab.tasks import current, is_kernel_thread

MAX_ANCESTORS = 128
NEVER = ("exit", "exit_group", "rt_sigreturn")  # have no result


def payload(task, top):
    """Whether a task is the payload's: descends from pid top; without one, any but pid 1's."""
    if is_kernel_thread(task):
        return False
    if top is None:
        return int(task["tgid"]) != 1
    for _ in range(MAX_ANCESTORS):
        if int(task["tgid"]) == top:
            return True
        if int(task["tgid"]) <= 1:
            return False
        task = task["real_parent"].dereference()
    return False


def is_tracer(task):
    """Whether it is the strace that lab runs scenarios under: a child of pid 1's that traces."""
    first = task["ptraced"]
    return int(task["real_parent"]["tgid"]) == 1 and pointer(first["next"]) != pointer(first.address)


class Registers:
    """The program's registers, as they were saved when it entered the kernel."""

    def __init__(self, where):
        self.regs = at(where, "struct pt_regs")

    def number(self):
        """Of the call."""
        if is_arm64():
            return int(self.regs["regs"][8]) & 0xFFFFFFFF
        return int(self.regs["orig_ax"]) & 0xFFFFFFFF

    def arguments(self):
        """The six."""
        if is_arm64():
            return [int(self.regs["regs"][i]) & WORD for i in range(6)]
        return [int(self.regs[n]) & WORD for n in ("di", "si", "dx", "r10", "r8", "r9")]

    def result(self):
        """Signed."""
        value = int(self.regs["regs"][0] if is_arm64() else self.regs["ax"]) & WORD
        return value - (1 << 64) if value >> 63 else value


def result_text(value):
    """'-1 EPERM' as strace(1) has it, else a number."""
    if -4096 < value < 0:
        return "-1 %s" % errno.errorcode.get(-value, "errno %d" % -value)
    return "%d" % value if abs(value) < 1 << 20 else "%#x" % (value & WORD)


class _At(gdb.Breakpoint):
    """A hardware break point that calls and goes on."""

    def __init__(self, where, call):
        super().__init__("*%#x" % where, type=gdb.BP_HARDWARE_BREAKPOINT, internal=True)
        self.silent = True
        self.call = call

    def stop(self):
        """Never stops; what goes wrong is said."""
        try:
            self.call()
        except (gdb.error, gdb.GdbError) as why:
            print("lab-syscalls: %s" % why)
        return False


class Log:
    """Both ends of every call; what happens in between belongs to the same task."""

    def __init__(self):
        top = convenience("lab_payload")
        self.top = int(top) if top and top.isdigit() else None
        self.mine = {}  # task: its mark, or None for the others'
        self.under_way = {}  # task: (name, saved registers)
        entry, back = _places()
        self.points = [_At(entry, self.entered)]
        if back:
            self.points.append(_At(back, self.left))
        else:
            print("lab-syscalls: results cannot be had: the place of the call was not found")

    def stop(self):
        """Take the break points away."""
        for point in self.points:
            point.delete()

    def mark(self, task):
        """'[123 sh]' for a task of the payload, else None."""
        key = (pointer(task.address), int(task["pid"]))
        known = self.mine.get(key)
        if known is None:
            known = self.mine[key] = payload(task, self.top)
        if known and self.top is None and is_tracer(task):
            return None
        return "[%d %s]" % (key[1], chars(task["comm"])) if known else None

    def entered(self):
        """At the first instruction of the kernel's C code for system calls."""
        task = current()
        mark = self.mark(task)
        if mark is None:
            return
        first = register("x0" if is_arm64() else "rdi")
        if not is_arm64() and not first >> 63:  # before 5.13 the number came first
            first = register("rsi")
        regs = Registers(first)
        number = regs.number()
        name = numbers.name(number) or "syscall_%d" % number
        print("%s %s(%s)%s" % (mark, name, ", ".join("%#x" % a for a in regs.arguments()),
                               " = ?" if name in NEVER else ""))
        self.under_way[pointer(task.address)] = (name, first)

    def left(self):
        """Back where that code was called."""
        task = current()
        name, regs = self.under_way.pop(pointer(task.address), (None, 0))
        if name is not None:
            print("%s %s = %s" % (self.mark(task), name, result_text(Registers(regs).result())))


def _places():
    """The function all system calls go through, and where it returns to (0: not found)."""
    if is_arm64():
        entry = need("do_el0_svc")
        callers = ("el0_svc", "el0t_64_sync_handler", "el0_sync_handler")
    else:
        entry = need("do_syscall_64")
        callers = ("entry_SYSCALL_64_after_hwframe", "entry_SYSCALL_64")
    for caller in callers:
        where = address(caller)
        if where is not None:
            found = _after_call(where, entry)
            if found:
                return entry, found
    return entry, 0


def _after_call(where, target):
    """The address after the first call of target in the kilobyte from where on."""
    code = read(where, 1024)
    if is_arm64():  # bl: 0x94000000 | words to go
        for i in range(0, len(code) - 3, 4):
            one = int.from_bytes(code[i:i + 4], "little")
            words = one & 0x3FFFFFF
            to = where + i + 4 * (words - (words >> 25 << 26))
            # DWARF has a function begin after the two words that ftrace patches
            if one >> 26 == 0x25 and to in (target, target - 8):
                return where + i + 4
        return 0
    for i in range(len(code) - 4):  # call: e8, bytes to go from its end
        if code[i] == 0xE8:
            to = int.from_bytes(code[i + 1:i + 5], "little", signed=True)
            if where + i + 5 + to == target:
                return where + i + 5
    return 0


class Kernel(gdb.Command):
    """Let the guest go on until it is in the kernel, at the next tick of its timer at the latest.
For a guest that was stopped in user space on arm64, where programs' page tables hide the kernel
from a debugger too.
Usage: lab-kernel"""

    name = "lab-kernel"

    def __init__(self):
        super().__init__(self.name, gdb.COMMAND_RUNNING)

    def invoke(self, arg, from_tty):
        """Break points of its own, which go again."""
        if gdb.selected_thread() is None:
            raise Trouble("lab-kernel: there is no guest that runs")
        if not in_user_space():
            return
        where = [need("update_process_times"), _places()[0]]
        points = [gdb.Breakpoint("*%#x" % w, type=gdb.BP_HARDWARE_BREAKPOINT, internal=True)
                  for w in where]
        try:
            gdb.execute("continue")
        finally:
            for point in points:
                point.delete()


class Syscalls(Command):
    """Log each system call of the payload: process, name, the six arguments, then the result.
The payload is what descends from pid $lab_payload; without that, every program but pid 1 and
the strace of the scenario. Each call stops the guest twice for a moment. Takes effect when the guest
goes on.
Usage: lab-syscalls on|off"""

    name = "lab-syscalls"
    log = None

    def run(self, argv):
        """Begin or end."""
        if argv not in (["on"], ["off"]):
            raise self.usage()
        if argv == ["off"] and Syscalls.log is not None:
            Syscalls.log.stop()
            Syscalls.log = None
        elif argv == ["on"] and Syscalls.log is None:
            if gdb.selected_thread() is None or register("sp") is None:
                raise Trouble("lab-syscalls: there is no guest that runs")
            Syscalls.log = Log()


Kernel()
Syscalls()
