"""lab-seccomp: the filters of a task, disassembled."""

import errno
import struct

from lab import numbers
from lab.memory import Command, Trouble, at, has, pointer, read
from lab.tasks import title, which

MAX_FILTERS = 1000  # MAX_INSNS_PER_PATH allows 32768 instructions, and each filter costs 4 more
MAX_LENGTH = 4096  # BPF_MAXINSNS
MODES = {0: "none", 1: "strict", 2: "filter", 3: "dead"}
ACTIONS = {0x80000000: "KILL_PROCESS", 0: "KILL_THREAD", 0x30000: "TRAP", 0x50000: "ERRNO",
           0x7FC00000: "USER_NOTIF", 0x7FF00000: "TRACE", 0x7FFC0000: "LOG",
           0x7FFF0000: "ALLOW"}
ARCHES = {0xC000003E: "x86_64", 0x40000003: "i386", 0xC00000B7: "aarch64", 0x40000028: "arm"}
ALU = {0x00: "+", 0x10: "-", 0x20: "*", 0x30: "/", 0x40: "|", 0x50: "&", 0x60: "<<", 0x70: ">>",
       0x90: "%", 0xA0: "^"}
JUMPS = {0x10: "==", 0x20: ">", 0x30: ">=", 0x40: "&"}


def data_field(offset):
    """The name of a word of struct seccomp_data (linux/seccomp.h)."""
    if offset in (0, 4):
        return ("nr", "arch")[offset // 4]
    if offset in (8, 12):
        return "instruction_pointer" + ("", " >> 32")[(offset - 8) // 4]
    if 16 <= offset < 64 and offset % 4 == 0:
        return "args[%d]%s" % ((offset - 16) // 8, ("", " >> 32")[(offset - 16) // 4 % 2])
    return "data[%d]" % offset


def action(value):
    """A return value in words."""
    what, data = value & 0xFFFF0000, value & 0xFFFF
    name = ACTIONS.get(what, "%#x" % what)
    if name == "ERRNO":
        return "ERRNO %d %s" % (data, errno.errorcode.get(data, ""))
    return name if not data else "%s %d" % (name, data)


def _constant(value, loaded):
    """A number that is compared with what was loaded last."""
    if loaded == "nr" and numbers.name(value):
        return "%d (%s)" % (value, numbers.name(value))
    if loaded == "arch" and value in ARCHES:
        return "%#x (%s)" % (value, ARCHES[value])
    return "%#x" % value


def instruction(at_line, code, yes, no, k, loaded):
    """One classic BPF instruction (Documentation/networking/filter.rst) as text."""
    kind = code & 7
    source = "X" if code & 8 else None
    if kind in (0, 1):  # ld, ldx
        to = "AX"[kind]
        mode = code & 0xE0
        return "%s = %s" % (to, {0x00: "%#x" % k, 0x20: data_field(k), 0x60: "mem[%d]" % k,
                                 0x80: "sizeof(data)"}.get(mode, "? code %#x k %#x" % (code, k)))
    if kind in (2, 3):  # st, stx
        return "mem[%d] = %s" % (k, "AX"[kind - 2])
    if kind == 4:
        operation = code & 0xF0
        if operation == 0x80:
            return "A = -A"
        return "A %s= %s" % (ALU.get(operation, "?"), source or "%#x" % k)
    if kind == 5:
        operation = code & 0xF0
        if operation == 0:
            return "goto %d" % (at_line + 1 + k)
        return "if A %s %s goto %d else %d" % (
            JUMPS.get(operation, "?"), source or _constant(k, loaded), at_line + 1 + yes,
            at_line + 1 + no)
    if kind == 6:
        return "return A" if code & 0x18 == 0x10 else "return " + action(k)
    return "X = A" if code & 0xF8 == 0 else "A = X"


def _loaded_after(code, k, before):
    """What the accumulator holds after an instruction: the name of a field, or None."""
    if code == 0x20:
        return data_field(k)
    return None if code & 7 in (0, 4) or code == 0x87 else before


def _flows(i, code, yes, no, k):
    """Where an instruction goes on; jumps only lead forward."""
    if code & 7 == 6:
        return ()
    if code & 7 != 5:
        return (i + 1,)
    return (i + 1 + k,) if code & 0xF0 == 0 else (i + 1 + yes, i + 1 + no)


def classic(program):
    """Lines of a classic program."""
    rows = [struct.unpack_from("<HBBI", program, i) for i in range(0, len(program), 8)]
    held = {0: {None}}  # what the accumulator may hold at a line
    for i, (code, yes, no, k) in enumerate(rows):
        before = held.get(i, {None})
        loaded = next(iter(before)) if len(before) == 1 else None
        for to in _flows(i, code, yes, no, k):
            held.setdefault(to, set()).add(_loaded_after(code, k, loaded))
        yield "%4d  %s" % (i, instruction(i, code, yes, no, k, loaded))


def extended(program):
    """Lines of what the kernel made of it, undecoded: opcode, registers, offset, constant."""
    for i in range(len(program) // 8):
        code, registers, off, k = struct.unpack_from("<BBhi", program, i * 8)
        yield "%4d  %02x r%d r%d %+d %#x" % (i, code, registers & 15, registers >> 4, off,
                                             k & 0xFFFFFFFF)


def show(prog):
    """A struct bpf_prog, on the terminal."""
    original = pointer(prog["orig_prog"]) if has(prog, "orig_prog") else 0
    if original:
        original = at(original, "struct sock_fprog_kern")
        length = int(original["len"])
        if not 0 < length <= MAX_LENGTH:
            raise Trouble("a filter of %d instructions: corrupt?" % length)
        lines = classic(read(pointer(original["filter"]), 8 * length))
    else:
        length = int(prog["len"])
        if not 0 < length <= 1 << 16:
            raise Trouble("a program of %d instructions: corrupt?" % length)
        print("  what was loaded is not kept by this kernel (no CONFIG_CHECKPOINT_RESTORE);"
              " what it was translated to, as eBPF:")
        lines = extended(read(int(prog["insnsi"].address), 8 * length))
    for text in lines:
        print("  " + text)


class Seccomp(Command):
    """The seccomp mode of a task and its filters, the first one loaded first, disassembled.
All filters run for each system call, the last one loaded first; the strictest result holds (man 2
seccomp). Without PID it is about the task that runs.
Usage: lab-seccomp [PID]"""

    name = "lab-seccomp"

    def run(self, argv):
        """Print them."""
        task = which(argv, self)
        if not has(task, "seccomp.mode"):
            raise Trouble("this kernel has no seccomp")
        mode = int(task["seccomp"]["mode"])
        chain, where = [], pointer(task["seccomp"]["filter"])
        while where:
            if len(chain) > MAX_FILTERS:
                raise Trouble("the filters do not end: corrupt?")
            chain.append(at(where, "struct seccomp_filter"))
            where = pointer(chain[-1]["prev"])
        print("seccomp of %s: mode %d (%s), filters %d" % (
            title(task), mode, MODES.get(mode, "?"), len(chain)))
        for i, one in enumerate(reversed(chain)):
            flags = [name for name in ("log", "wait_killable_recv")
                     if has(one, name) and int(one[name])]
            if pointer(one["notif"]):
                flags.append("has a supervisor")
            print("filter %d at %#x%s" % (i + 1, pointer(one.address),
                                          " (%s)" % ", ".join(flags) if flags else ""))
            show(one["prog"].dereference())


Seccomp()
