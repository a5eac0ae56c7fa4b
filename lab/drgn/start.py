"""How lab starts drgn on a dump: symbols of the modules, then scripts, or a person's prompt.

Arguments: --core=FILE [--modules=FOLDER]... [SCRIPT]... A script finds 'prog' and all that drgn's own prompt
has, and more: 'task', the one that panicked, and bt(), which returns its stack as text, or that of a
task or pid it is given. After the last script drgn ends.
"""

import code
import importlib
import os
import re
import runpy
import struct
import sys

import drgn
from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.pid import find_task

KERNEL = 1 << 63
CPUS = []  # their registers


def modules(prog):
    """Names of the modules that the kernel has loaded."""
    names, head = [], prog["modules"]
    node = head.next
    while node.value_() != head.address_of_().value_() and len(names) < 2000:
        module = drgn.container_of(node, "struct module", "list")
        names.append(module.name.string_().decode("utf-8", "replace").replace("-", "_"))
        node = node.next
    return names


def load(prog, folders):
    """Symbols of those modules whose files lie below the folders."""
    have = {}
    for folder in folders:
        for where, _, names in os.walk(folder):
            for name in names:
                if name.endswith((".ko", ".ko.debug")):
                    have.setdefault(name.split(".ko")[0].replace("-", "_"), []).append(
                        os.path.join(where, name))  # its build id tells drgn
    try:
        prog.load_debug_info([path for name in modules(prog) for path in have.get(name, ())])
    except Exception as why:  # the kernel's own are there
        print("lab: modules' symbols are left out: %s" % str(why).strip().split("\n")[-1],
              file=sys.stderr)


def current(prog, cpu):
    """The task that a CPU runs."""
    return per_cpu(prog["runqueues"], cpu).curr


def cpu_of(task):
    """The CPU that runs a task, or None."""
    prog = task.prog_
    for cpu in for_each_online_cpu(prog):
        if current(prog, cpu).value_() == task.value_():
            return cpu
    return None


def panicked(prog):
    """The task whose kernel panicked: of the CPU that says so, else of the first one."""
    cpu = prog["panic_cpu"].counter.value_()
    return current(prog, cpu if cpu >= 0 else 0)


def saved(task):
    """The registers with which a task goes on that sleeps, as a struct pt_regs."""
    prog = task.prog_
    try:
        context = task.thread.cpu_context  # arm64
        low = [0] * 19 + [context.member_("x%d" % i).value_() for i in range(19, 29)]
        return drgn.Object(prog, "struct pt_regs", value={
            "regs": low + [context.fp.value_(), 0], "sp": context.sp.value_(),
            "pc": context.pc.value_(), "pstate": 5})
    except (AttributeError, LookupError):
        sp = task.thread.sp.value_()
        words = struct.unpack("<7Q", prog.read(sp, 56))  # struct inactive_task_frame
        value = dict(zip(("r15", "r14", "r13", "r12", "bx", "bp", "ip"), words))
        return drgn.Object(prog, "struct pt_regs", value=dict(value, sp=sp + 56, cs=0x10))


def called(prog, fp):
    """As in lab/gdb/orc.py: a place in the body of the function (arm64) whose frame record is at
    fp, where its stack pointer is the same; or None."""
    back, = struct.unpack("<Q", prog.read(fp + 8, 8))
    call, = struct.unpack("<I", prog.read(back - 4, 4))
    if call & 0xFC000000 != 0x94000000:
        return None
    start = back - 4 + 4 * ((call & 0x3FFFFFF) - ((call & 0x2000000) << 1))
    for i, (one,) in enumerate(struct.iter_unpack("<I", prog.read(start, 256))):
        if one == 0x910003FD:
            return start + 4 * i + 4
    return None


def interrupted(prog, value):
    """The registers of who was interrupted by an exception that has saved nothing yet (arm64)."""
    try:
        if prog.symbol(value["pc"]).name == "vectors":
            place = called(prog, value["regs"][29])
            if place is not None:
                return dict(value, pc=place, sp=value["regs"][29])
    except (LookupError, drgn.FaultError):
        pass
    return value


def registers(prog, core):
    """Of every CPU, as a struct pt_regs, from the dump's notes (elf(5), NT_PRSTATUS). drgn looks
    for them by a task's pid, and in QEMU's is the CPU's number and one instead."""
    found = []
    with open(core, "rb") as f:
        start, = struct.unpack_from("<Q", f.read(64), 32)
        f.seek(start)
        _, _, offset, _, _, size = struct.unpack_from("<IIQQQQ", f.read(56))
        f.seek(offset)
        notes = f.read(min(size, 1 << 24))
    at = 0
    while at + 12 <= len(notes):
        name, length, kind = struct.unpack_from("<III", notes, at)
        desc = at + 12 + (name + 3 & ~3)
        at = desc + (length + 3 & ~3)
        if kind != 1 or notes[desc - (name + 3 & ~3):][:5] != b"CORE\0":
            continue
        if length >= 112 + 34 * 8 + 8 and length != 336:
            words = struct.unpack_from("<34Q", notes, desc + 112)
            value = interrupted(prog, {"regs": words[:31], "sp": words[31], "pc": words[32],
                                       "pstate": words[33]})
        else:
            words = struct.unpack_from("<21Q", notes, desc + 112)
            value = dict(zip(("r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8",
                              "ax", "cx", "dx", "si", "di", "orig_ax", "ip", "cs", "flags", "sp",
                              "ss"), words))
        found.append(drgn.Object(prog, "struct pt_regs", value=value))
    return found


def stack(task):
    """A task's stack."""
    cpu = cpu_of(task)
    return task.prog_.stack_trace(saved(task) if cpu is None else CPUS[cpu])


def before(prog, frame):
    """The registers of who was interrupted, where a stack ends on the interrupts' own (arm64,
    drgn 0.0.22): frame records lead to the exception's entry, and those lie before its own."""
    try:
        fp = frame.register("x29")
        for _ in range(64):
            fp, back = struct.unpack("<2Q", prog.read(fp, 16))
            if back < KERNEL:
                break
            if re.match(r"(el1[ht]_64|el1)_(sync|irq|fiq|error)$", prog.symbol(back - 4).name):
                kind = prog.type("struct pt_regs")
                return drgn.Object(prog, kind, address=fp - drgn.offsetof(kind, "stackframe"))
    except (LookupError, ValueError, drgn.FaultError):
        pass
    return None


def _in_kernel(trace):
    """The frames until one of user space, or that is none, or the one before again."""
    last = None
    for frame in trace:
        try:
            pc = frame.pc
        except LookupError:
            return
        try:
            sp = frame.sp
        except LookupError:
            sp = None
        if pc < KERNEL or (frame.name, pc, sp) == last:
            return
        last = frame.name, pc, sp
        yield frame


def bt(prog, what=None):
    """The stack of a task, or of the one with that pid, as text; what panicked is what is meant by
    none. It ends where the kernel was entered: what drgn takes for user space is left out."""
    task = panicked(prog) if what is None else what
    if isinstance(what, int):
        task = find_task(prog, what)
        if not task:
            raise LookupError("there is no task %d" % what)
    lines, trace = [], stack(task)
    for _ in range(8):
        frames = list(_in_kernel(trace))
        lines += str(trace).split("\n")[:len(frames)]
        regs = before(prog, frames[-1]) if frames else None
        if regs is None:
            break
        trace = prog.stack_trace(regs)
    return "\n".join("#%-2d %s" % (i, line.split(None, 1)[1]) for i, line in enumerate(lines))


def banner(prog):
    """What a person sees first: the stack of what panicked."""
    try:
        task = panicked(prog)
        return "%d %s ('task'; print(bt(PID)) has another's stack):\n%s" % (
            task.pid, task.comm.string_().decode("utf-8", "replace"), bt(prog, task))
    except Exception as why:
        return "which task panicked is not known: %s" % why


def names(prog):
    """What drgn's own prompt has, and bt() and 'task'."""
    found = {"prog": prog, "drgn": drgn, "bt": lambda what=None: bt(prog, what)}
    for name in ("NULL", "Object", "cast", "container_of", "execscript", "offsetof", "reinterpret",
                 "sizeof"):
        found[name] = getattr(drgn, name)
    for package in ("drgn.helpers.common", "drgn.helpers.linux"):
        module = importlib.import_module(package)
        for name in module.__all__:
            found[name] = getattr(module, name)
    try:
        found["task"] = panicked(prog)
    except Exception:  # the prompt is there all the same
        pass
    return found


def interact(prog):
    """A prompt, with what completes names where Python has that."""
    found = names(prog)
    found.update(__name__="__main__", __doc__=None)
    try:
        import readline
        import rlcompleter

        readline.set_completer(rlcompleter.Completer(found).complete)
        readline.parse_and_bind("tab: complete")
    except ImportError:
        pass
    show = sys.displayhook
    sys.displayhook = lambda value: (print(value) if isinstance(
        value, (drgn.Object, drgn.StackFrame, drgn.StackTrace, drgn.Type)) else show(value))
    code.interact(banner=banner(prog) + "\nFor help: help(drgn)", exitmsg="", local=found)


def main(prog):
    """See the module."""
    given = [a.split("=", 1) for a in sys.argv[1:] if a.startswith(("--modules=", "--core="))]
    scripts = sys.argv[1 + len(given):]
    load(prog, [value for name, value in given if name == "--modules"])
    for name, value in given:
        if name == "--core":
            CPUS.extend(registers(prog, value))
    if not scripts:
        interact(prog)
        return
    found = names(prog)
    for script in scripts:
        sys.argv = [script]
        sys.path.insert(0, os.path.dirname(os.path.abspath(script)))
        runpy.run_path(script, init_globals=found, run_name="__main__")


main(prog)  # drgn's own
