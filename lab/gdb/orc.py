"""Frames that gdb cannot find by itself: exceptions, other stacks, modules without symbols.

On amd64 by the kernel's own tables (arch/x86/include/asm/orc_types.h), as they are in the memory
that is examined, or by what it has in rbp instead; on arm64 the registers of who was interrupted
lie where kernel_entry put them (arch/arm64/kernel/entry.S). What gdb can do by DWARF is left to it: it knows more registers.
"""

import re
import struct

import gdb
from gdb.unwinder import Unwinder, register_unwinder

from lab import modules
from lab.memory import (WORD, Trouble, address, convenience, has, is_arm64, offset, pointer, read,
                        word)

TABLE = 64 << 20  # bytes of a table, at most
SAMPLE = 20000  # entries by which the format is told
SP, BP = "rsp", "rbp"
# The registers that an entry counts from, up to 6.x and from 7.x on (lab/symbols/frames-orc.c);
# second: whether what is there is the address.
BASES_6 = {2: ("rdx", 0), 3: ("rdi", 0), 4: (BP, 0), 5: (SP, 0), 6: ("r10", 0), 7: ("r13", 0),
           8: (BP, 1), 9: (SP, 1)}
BASES_7 = {1: ("rax", 0), 2: ("rdx", 0), 3: (SP, 0), 4: (BP, 0), 5: ("rdi", 0), 6: ("r10", 0),
           7: ("r13", 0), 9: (SP, 1), 10: (BP, 1)}
CALL, REGS, IRET = 2, 3, 4
# Where struct pt_regs has them (arch/x86/include/asm/ptrace.h).
PT_REGS = {"r15": 0, "r14": 8, "r13": 16, "r12": 24, BP: 32, "rbx": 40, "r11": 48, "r10": 56,
           "r9": 64, "r8": 72, "rax": 80, "rcx": 88, "rdx": 96, "rsi": 104, "rdi": 112,
           "rip": 128, SP: 152}
CS = 136  # there, too
STACKFRAME = 304  # of arm64's struct pt_regs, where no type says
ENTRY = re.compile(r"((el1[ht]_64|el1)_(sync|irq|fiq|error)|__bad_stack)$")


class Frame:
    """What gdb tells frames apart by."""

    def __init__(self, sp, pc):
        self.sp, self.pc = gdb.Value(sp & WORD), gdb.Value(pc & WORD)


class Table:
    """One sorted table: of the kernel, or of a module."""

    def __init__(self, ips, entries, count):
        if count * 6 > TABLE:
            raise Trouble("the unwinder's table is too large: corrupt?")
        self.base, self.count = ips, count
        self.ips, self.entries = read(ips, count * 4), read(entries, count * 6)
        self.bases, self.late = BASES_6, False

    def find_format(self):
        """Which kernels' entries they are; a small table does not tell."""
        six = seven = zero = two = 0
        for at in range(0, min(self.count, SAMPLE) * 6, 6):
            base, kind = self.entries[at + 4] & 15, self.entries[at + 5] & 7
            six += base == 5
            seven += base == 3
            zero += base != 0 and kind == 0
            two += base != 0 and kind == 2
        self.bases, self.late = BASES_7 if seven > six else BASES_6, two > zero

    def entry(self, pc):
        """(base, offset of the frame, base of rbp, its offset, type), or None."""
        low, high = 0, self.count
        while low < high:
            middle = (low + high) // 2
            where, = struct.unpack_from("<i", self.ips, middle * 4)
            if (self.base + middle * 4 + where) & WORD <= pc:
                low = middle + 1
            else:
                high = middle
        if not low:
            return None
        at, bp_at, bases, kind = struct.unpack_from("<hhBB", self.entries, (low - 1) * 6)
        kind = kind & 7 if self.late else (kind & 3) + 2
        if bases & 15 not in self.bases:
            return None
        saved = bases >> 4
        above = 8 if self.bases is BASES_7 else 1
        return (self.bases[bases & 15], at,
                "cfa" if saved == above else BP if saved == 4 else None, bp_at, kind)


class Tables:
    """Those of what is examined; read when they are needed first."""

    def __init__(self):
        self.kernel, self.text, self.modules = None, (0, 0), []
        starts = [address(name) for name in ("__start_orc_unwind_ip", "__stop_orc_unwind_ip",
                                             "__start_orc_unwind", "_stext", "_etext")]
        if None in starts or not starts[0] < starts[1]:
            return
        self.kernel = Table(starts[0], starts[2], (starts[1] - starts[0]) // 4)
        self.kernel.find_format()
        self.text = starts[3], starts[4]
        for module in modules.modules():
            if not has(module, "arch.num_orcs"):
                return
            start, size = modules.base(module)
            arch = module["arch"]
            self.modules.append((start, size, pointer(arch["orc_unwind_ip"]),
                                 pointer(arch["orc_unwind"]), int(arch["num_orcs"])))

    def entry(self, pc):
        """As Table.entry()."""
        if self.kernel is None:
            return None
        if self.text[0] <= pc < self.text[1]:
            return self.kernel.entry(pc)
        for start, size, ips, entries, count in self.modules:
            if start <= pc < start + size:
                table = Table(ips, entries, count)
                table.bases, table.late = self.kernel.bases, self.kernel.late
                return table.entry(pc)
        return None


_tables = []


def forget():
    """Another kernel is examined, or it has other modules."""
    _tables.clear()


def tables():
    """The one Tables there is."""
    if not _tables:
        _tables.append(Tables())
    return _tables[0]


def has_lines(pc):
    """Whether gdb has debug information for C there."""
    symtab = gdb.find_pc_line(pc).symtab
    return symtab is not None and not symtab.filename.endswith(".S")


def after(pc):
    """What to call the address of who was interrupted there. gdb takes it for a return address and
    looks at the byte before: at a function's start that is another function's, so it is one more."""
    said = gdb.execute("info symbol %#x" % pc, to_string=True)
    return pc + 1 if " in section " in said and " + " not in said else pc


def called(fp):
    """Where in its body the function is that has its frame record (arm64) at fp: right after it
    has made that, where its stack pointer is the same. None: it was not called by its name."""
    back = word(fp + 8)
    call, = struct.unpack("<I", read(back - 4, 4))
    if call & 0xFC000000 != 0x94000000:  # bl
        return None
    start = back - 4 + 4 * ((call & 0x3FFFFFF) - ((call & 0x2000000) << 1))
    for i, (one,) in enumerate(struct.iter_unpack("<I", read(start, 256))):
        if one == 0x910003FD:  # mov x29, sp
            return start + 4 * i + 4
    return None


class Pretend:
    """Registers that the caller of the selected CPU's own frame is to have."""

    registers = None
    above = (0, 0)  # that frame's pc and sp

    @classmethod
    def start(cls, registers):
        """Returns the level of the first frame that is pretended."""
        frame, level = gdb.newest_frame(), 1
        while frame.type() == gdb.INLINE_FRAME:
            frame, level = frame.older(), level + 1
        cls.above = tuple(int(frame.read_register(name)) & WORD for name in ("pc", "sp"))
        cls.registers = registers
        gdb.invalidate_cached_frames()
        return level

    @classmethod
    def stop(cls):
        """The selected CPU's own callers again."""
        cls.registers = None
        gdb.invalidate_cached_frames()


class Orc(Unwinder):
    """See the module."""

    def __init__(self):
        super().__init__("lab-orc")
        self.busy = False
        self.exact = set()  # (pc, sp) of what was interrupted: not a return address

    def __call__(self, pending):
        if self.busy:  # reading memory may ask for frames
            return None
        self.busy = True
        try:
            if Pretend.registers:
                now = tuple(int(pending.read_register(name)) & WORD for name in ("pc", "sp"))
                if now == Pretend.above:
                    return self.pretended(pending)
            return (self.arm64 if is_arm64() else self.amd64)(pending)
        except (gdb.error, gdb.MemoryError, gdb.GdbError, ArithmeticError, LookupError,
                ValueError, struct.error):
            return None
        finally:
            self.busy = False

    @staticmethod
    def pretended(pending):
        """The registers of a task that sleeps, as if the CPU's frame had been called by it."""
        sp = Pretend.registers["sp" if is_arm64() else SP]
        info = pending.create_unwind_info(Frame(sp - 16, 1))
        for name, value in Pretend.registers.items():
            info.add_saved_register(name, gdb.Value(value))
        return info

    def amd64(self, pending):
        """By the table's entry, where gdb has no better."""
        pc = int(pending.read_register("rip")) & WORD
        sp = int(pending.read_register(SP)) & WORD
        if pc < 1 << 63:
            return None
        if tables().kernel is None:
            return self.encoded(pending, pc, sp)
        exact = pending.level() == 0 or (pc, sp) in self.exact
        found = tables().entry(pc if exact else pc - 1)
        if found is None:
            return None
        (base, indirect), at, bp_base, bp_at, kind = found
        plain = kind == CALL and not indirect and base in (SP, BP)
        in_kernel = tables().text[0] <= pc < tables().text[1]
        if in_kernel and convenience("lab_symbols") in ("types", "names"):
            return None  # what was made of the image has the same
        if plain and has_lines(pc):
            return None
        start = int(pending.read_register(base)) & WORD
        if indirect:
            cfa = (word(start) + at if base == SP else word(start + at)) & WORD
        else:
            cfa = (start + at if base in (SP, BP) else start) & WORD
        if kind in (REGS, IRET):
            return self.interrupted(pending, cfa, kind, pc)
        info = pending.create_unwind_info(Frame(cfa, pc))
        info.add_saved_register("rip", gdb.Value(word(cfa - 8)))
        info.add_saved_register(SP, gdb.Value(cfa))
        bp = int(pending.read_register(BP)) & WORD
        if bp_base:
            bp = word((cfa if bp_base == "cfa" else bp) + bp_at)
        info.add_saved_register(BP, gdb.Value(bp))
        return info

    def encoded(self, pending, pc, sp):
        """Through the entry of an exception within the kernel, where it unwinds by frame pointers:
        rbp is the address of the registers plus one (ENCODE_FRAME_POINTER of
        arch/x86/include/asm/frame.h). All else DWARF has."""
        if int(pending.read_register(BP)) & WORD != sp + 1 or word(sp + CS) & 3:
            return None
        return self.interrupted(pending, sp, REGS, pc)

    def interrupted(self, pending, where, kind, pc):
        """Who was interrupted; where are its registers."""
        info = pending.create_unwind_info(Frame(where, pc))
        if kind == IRET:
            registers = {"rip": word(where), SP: word(where + 24),
                         BP: int(pending.read_register(BP)) & WORD}
        else:
            registers = {name: word(where + at) for name, at in PT_REGS.items()}
        registers["rip"] = after(registers["rip"])
        self.exact.add((registers["rip"], registers[SP]))
        for name, value in registers.items():
            info.add_saved_register(name, gdb.Value(value))
        return info

    def arm64(self, pending):
        """Through the entry of an exception within the kernel, and from the interrupts' stack.

        Of callers that have no DWARF but what was made of their code the frame record is surer.
        """
        pc = int(pending.read_register("pc")) & WORD
        if pc < 1 << 63 or has_lines(pc - 4):
            return None
        name = gdb.execute("info symbol %#x" % (pc - 4), to_string=True).split(" ")[0]
        fp = int(pending.read_register("x29")) & WORD
        try:
            regs = fp - offset("struct pt_regs", "stackframe")
        except Trouble:
            regs = fp - STACKFRAME
        sp = int(pending.read_register("sp")) & WORD
        if ENTRY.match(name) and (pending.level() > 0 or sp == regs):
            registers = {"x%d" % i: word(regs + 8 * i) for i in range(31)}
            registers["sp"], registers["pc"] = word(regs + 248), after(word(regs + 256))
            self.exact.add((registers["pc"], registers["sp"]))
        elif name == "vectors" or ENTRY.match(name):
            # it has just come, and saved nothing yet: who was interrupted is in no register of ours
            registers = {"x29": fp, "pc": called(fp), "sp": fp}
        elif name == "call_on_irq_stack" or (
                self.is_caller(pending, pc) and not name.startswith(("el0", "ret_from_fork"))):
            registers = self.caller(fp)
        else:
            return None
        if registers["pc"] is None:
            registers = self.caller(fp)
        # gdb gives up, with an error, at a register that it asks for and nobody kept
        registers.setdefault("x30", 0)
        info = pending.create_unwind_info(Frame(fp - (sp < fp), pc))
        for one, value in registers.items():
            info.add_saved_register(one, gdb.Value(value))
        return info

    @staticmethod
    def caller(fp):
        """The registers of who called the function with that frame record: in its body its stack
        pointer is where its own record is."""
        above = word(fp)
        return {"x29": above, "pc": word(fp + 8), "sp": above or fp + 16}

    def is_caller(self, pending, pc):
        """Whether the frame has called another one."""
        sp = int(pending.read_register("sp")) & WORD
        return pending.level() > 0 and (pc, sp) not in self.exact


ORC = Orc()


def use():
    """Have gdb ask it."""
    forget()
    register_unwinder(None, ORC, replace=True)
