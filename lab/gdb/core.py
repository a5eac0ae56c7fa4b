"""lab-core: a dump of the guest's memory instead of a guest that runs."""

import struct

import gdb

from lab import attach, elf, modules, orc, stack
from lab.memory import Command, Trouble, address, convenience, is_arm64, read

IDT = 384  # offset of idt.base in QEMU's note (target/i386/arch_dump.c, QEMUCPUState)


def _notes(path):
    with open(path, "rb") as f:
        for kind, offset, _, length in elf.segments(path):
            if kind == 4:
                f.seek(offset)
                yield from elf.notes(f.read(min(length, 16 << 20)))


def _told_slide(path):
    """How far the kernel in a dump was moved, as vmcoreinfo says; None: it does not."""
    for name, _, data in _notes(path):
        if name == b"VMCOREINFO":
            for line in data.split(b"\n"):
                if line.startswith(b"KERNELOFFSET="):
                    return int(line[13:], 16)
    return None


def _slide_by_table(path):
    """The same by the interrupt table; the symbols are loaded as linked."""
    idt = None
    for name, _, data in _notes(path):
        if name == b"QEMU" and len(data) >= IDT + 8 and idt is None:
            idt, = struct.unpack_from("<Q", data, IDT)
    anchor = address("asm_exc_divide_error") or address("divide_error")
    if is_arm64() or not idt or anchor is None:
        raise Trouble("lab-core: the dump does not say where the kernel is")
    low, _, middle, high = struct.unpack_from("<HIHI", read(idt, 12))
    return ((high << 32 | middle << 16 | low) - anchor) & ((1 << 64) - 1)


def _load(path):
    """The dump, and the symbols where it has the kernel: read once if none are loaded yet."""
    slide = _told_slide(path)
    if attach.kernel_file() is None:
        vmlinux = convenience("lab_vmlinux")
        if vmlinux is None:
            raise Trouble("lab-core: no symbols are loaded: 'file VMLINUX' comes first")
        gdb.execute("symbol-file -o %#x '%s'" % (slide or 0, vmlinux), to_string=True)
        moved = slide or 0
    else:
        moved = 0
    gdb.execute("target core %s" % path, to_string=True)
    if slide is None:
        slide = _slide_by_table(path)
    if slide != moved:
        attach.move(slide)


class Core(Command):
    """Examine a dump of the guest's memory (ELF, with the kernel's mapping; lab crash makes them).
The kernel's symbols are moved to where the dump has it, those of its modules loaded, and the CPU
that panicked is selected.
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
        _load(argv[0])
        good, why = attach.agree()
        if not good:
            raise Trouble("lab-core: %s" % why)
        orc.use()
        try:
            count = modules.load(convenience("lab_modules"),
                                 *(convenience("lab_more_modules") or "").split(":"))
        except (gdb.error, gdb.GdbError) as why:
            count = 0
            print("lab: modules' symbols are left out: %s" % why)
        try:
            cpu = stack.panicked()
            stack.on(cpu).switch()
        except (gdb.error, gdb.GdbError) as why:
            cpu = 0
            print("lab: which CPU panicked is not known: %s" % why)
        print("lab: %s: the kernel is at %#x%s; CPU %d is selected ('lab' lists commands)" % (
            convenience("lab_kernel") or argv[0], address("_text") or address("_stext"),
            ", symbols of %d modules" % count if count else "", cpu))


Core()
