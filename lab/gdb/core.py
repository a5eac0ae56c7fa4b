"""lab-core: a dump of the guest's memory instead of a guest that runs."""

import struct

import gdb

from lab import attach, elf
from lab.memory import Command, Trouble, address, is_arm64, read

IDT = 384  # offset of idt.base in QEMU's note (target/i386/arch_dump.c, QEMUCPUState)


def _notes(path):
    with open(path, "rb") as f:
        for kind, offset, _, length in elf.segments(path):
            if kind == 4:
                f.seek(offset)
                yield from elf.notes(f.read(min(length, 16 << 20)))


def slide_of(path):
    """How far the kernel in a dump was moved: as vmcoreinfo says, else by the interrupt table."""
    idt = None
    for name, _, data in _notes(path):
        if name == b"VMCOREINFO":
            for line in data.split(b"\n"):
                if line.startswith(b"KERNELOFFSET="):
                    return int(line[13:], 16)
        elif name == b"QEMU" and len(data) >= IDT + 8 and idt is None:
            idt, = struct.unpack_from("<Q", data, IDT)
    anchor = address("asm_exc_divide_error") or address("divide_error")
    if is_arm64() or not idt or anchor is None:
        raise Trouble("lab-core: the dump does not say where the kernel is")
    low, _, middle, high = struct.unpack_from("<HIHI", read(idt, 12))
    return ((high << 32 | middle << 16 | low) - anchor) & ((1 << 64) - 1)


class Core(Command):
    """Examine a dump of the guest's memory (QEMU's dump-guest-memory -p, ELF).
The kernel's symbols are moved to where the dump has it.
Usage: lab-core FILE"""

    name = "lab-core"

    def run(self, argv):
        """Open it, move the symbols, compare."""
        if len(argv) != 1:
            raise self.usage()
        try:
            elf.link_base(argv[0])
        except (OSError, ValueError) as why:
            raise Trouble("lab-core: %s" % why) from None
        gdb.execute("target core %s" % argv[0], to_string=True)
        slide = slide_of(argv[0])
        if slide:
            attach.move(slide)
        good, why = attach.agree()
        if not good:
            raise Trouble("lab-core: %s" % why)
        print("lab: the kernel in %s is at %#x" % (argv[0], address("_text")))


Core()
