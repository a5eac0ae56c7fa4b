"""lab-bt: the stack of any task, also of one that sleeps."""

import re

import gdb

from lab import orc
from lab.memory import Command, Trouble, address, is_arm64, pointer, read, register, word
from lab.tasks import current, find, state, title

FRAMES = 128
STACK = 16384  # bytes of a task's, of either architecture
INACTIVE = ("r15", "r14", "r13", "r12", "rbx", "rbp", "rip")  # struct inactive_task_frame
CALLEE = ["x%d" % i for i in range(19, 29)] + ["x29", "sp", "pc"]  # struct cpu_context
PANIC = re.compile(r"(panic|vpanic|die|oops_(begin|end|exit)|__warn|nmi_panic|make_task_dead)$")


def saved(task):
    """The registers with which a task goes on that does not run."""
    if is_arm64():
        where = int(task["thread"]["cpu_context"].address)
        return {name: word(where + 8 * i) for i, name in enumerate(CALLEE)}
    where = pointer(task["thread"]["sp"])
    found = {name: word(where + 8 * i) for i, name in enumerate(INACTIVE)}
    found["rsp"] = where + 8 * len(INACTIVE)
    return found


def running(task):
    """The number of the CPU that runs a task, or None."""
    stack = pointer(task["stack"])
    for thread in gdb.selected_inferior().threads():
        cpu = thread.num - 1
        if address("runqueues") is not None:
            if int(current(cpu).address) == int(task.address):
                return cpu
            continue
        before = gdb.selected_thread()
        thread.switch()
        sp = register("sp")
        before.switch()
        if stack <= sp < stack + STACK:
            return cpu
    return None


def on(cpu):
    """gdb's thread for a CPU."""
    for thread in gdb.selected_inferior().threads():
        if thread.num - 1 == cpu:
            return thread
    raise Trouble("there is no CPU %d" % cpu)


def names(limit=FRAMES):
    """The functions on the selected stack, innermost first."""
    frame, found = gdb.newest_frame(), []
    while frame is not None and len(found) < limit:
        found.append(frame.name() or "")
        frame = frame.older()
    return found


def panicked():
    """The CPU whose kernel panicked: as it says itself, else the one with that on its stack."""
    where = address("panic_cpu")
    threads = sorted(gdb.selected_inferior().threads(), key=lambda t: t.num)
    if where is not None:
        cpu = int.from_bytes(read(where, 4), "little", signed=True)
        if 0 <= cpu < len(threads):
            return cpu
    before = gdb.selected_thread()
    try:
        for thread in threads:
            thread.switch()
            if any(PANIC.match(name) for name in names(40)):
                return thread.num - 1
    finally:
        before.switch()
    return 0


def _of_sleeping(task):
    """Its backtrace: gdb is told that the selected CPU's frame was called by it."""
    orc.use()
    first = orc.Pretend.start(saved(task))
    try:
        said = gdb.execute("backtrace %d" % FRAMES, to_string=True)
    finally:
        orc.Pretend.stop()
    shown = False
    for line in said.split("\n"):
        number = re.match(r"#(\d+) +", line)
        shown = shown or bool(number) and int(number.group(1)) >= first
        if shown and number:
            print("#%-3d%s" % (int(number.group(1)) - first, line[number.end():]))
        elif shown and line:
            print(line)


class Bt(Command):
    """The stack of a task: of the one with that pid, or the one that the selected CPU runs.
With -a those of the tasks that run, on every CPU.
Usage: lab-bt [-a | PID]"""

    name = "lab-bt"

    def run(self, argv):
        """Print it."""
        if len(argv) > 1:
            raise self.usage()
        if argv == ["-a"]:
            for cpu in range(len(gdb.selected_inferior().threads())):
                self.show(current(cpu))
            return
        self.show(find(argv[0]) if argv else current())

    @staticmethod
    def show(task):
        """One task."""
        cpu = running(task)
        print("%s, %s" % (title(task), "on CPU %d" % cpu if cpu is not None
                          else "state %s" % state(task)))
        if cpu is None:
            _of_sleeping(task)
            return
        before = gdb.selected_thread()
        on(cpu).switch()
        try:
            gdb.execute("backtrace %d" % FRAMES)
        finally:
            before.switch()


Bt()
