"""make-vmcore.py FILE ARCH RELEASE: an ELF dump as QEMU writes them, small, with nothing in it."""
import struct
import sys

path, arch, release = sys.argv[1:]
machine, registers = (62, 216) if arch == "amd64" else (183, 272)


def note(name, kind, data):
    name += b"\0"
    return (struct.pack("<III", len(name), len(data), kind) + name.ljust(len(name) + 3 & ~3, b"\0")
            + data.ljust(len(data) + 3 & ~3, b"\0"))


info = "OSRELEASE=%s\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=ffffffff82000000\nKERNELOFFSET=0\n" % release
notes = note(b"CORE", 1, bytes(112 + registers + 8)) + note(b"VMCOREINFO", 0, info.encode())
at = 64 + 2 * 56
head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 4, machine, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
segments = (struct.pack("<IIQQQQQQ", 4, 0, at, 0, 0, len(notes), len(notes), 0)
            + struct.pack("<IIQQQQQQ", 1, 7, at + len(notes), 0, 0, 8192, 8192, 0))
with open(path, "wb") as f:
    f.write(head + segments + notes + bytes(8192))
