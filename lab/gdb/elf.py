"""As much of ELF files (elf(5)) as the commands need."""

import os
import struct


def _header(f):
    head = f.read(64)
    if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01":
        raise ValueError("%s is not a 64-bit little-endian ELF file" % f.name)
    return head


def segments(path):
    """(type, file offset, address, bytes in the file) of each program header."""
    with open(path, "rb") as f:
        head = _header(f)
        start, = struct.unpack_from("<Q", head, 32)
        size, count = struct.unpack_from("<HH", head, 54)
        f.seek(start)
        table = f.read(size * count)
    for at in range(0, len(table) - 55, max(size, 56)):
        kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", table, at)
        yield kind, offset, address, length


def link_base(path):
    """Address of the first loadable segment."""
    for kind, _, address, _ in segments(path):
        if kind == 1:
            return address
    raise ValueError("%s has nothing to load" % path)


def _sections(path):
    """(name, flags, type, file offset, size) of each section."""
    with open(path, "rb") as f:
        head = _header(f)
        start, = struct.unpack_from("<Q", head, 40)
        size, count, names = struct.unpack_from("<HHH", head, 58)
        f.seek(start)
        table = f.read(size * count)
        rows = [struct.unpack_from("<IIQQQQ", table, at)
                for at in range(0, len(table) - 63, max(size, 64))]
        if names >= len(rows):
            return
        f.seek(rows[names][4])
        text = f.read(min(rows[names][5], 1 << 20))
    for name, kind, flags, _, offset, length in rows:
        yield text[name:text.find(b"\0", name)].decode("latin-1"), flags, kind, offset, length


def allocated(path):
    """Names of the sections that are in memory when the file is loaded."""
    return {name for name, flags, _, _, _ in _sections(path) if flags & 2}


def unplaced(path):
    """A module's file whose sections all have address 0, under a name in this process; path itself
    when it is so. Some linkers give them offsets, and gdb then takes all of them for .text."""
    with open(path, "rb") as f:
        data = bytearray(f.read())
    start, = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    rows = [start + i * size + 16 for i in range(count) if start + (i + 1) * size <= len(data)]
    if struct.unpack_from("<H", data, 16)[0] != 1 or not any(any(data[at:at + 8]) for at in rows):
        return path
    for at in rows:
        data[at:at + 8] = bytes(8)
    fd = os.memfd_create(os.path.basename(path))
    with open(fd, "wb", closefd=False) as f:
        f.write(data)
    return "/proc/self/fd/%d" % fd


def notes(data):
    """(name, type, bytes) of each ELF note in data."""
    at = 0
    while at + 12 <= len(data):
        namesz, descsz, kind = struct.unpack_from("<III", data, at)
        at += 12
        name = data[at:at + namesz]
        at += (namesz + 3) & ~3
        desc = data[at:at + descsz]
        at += (descsz + 3) & ~3
        if len(desc) < descsz:
            return
        yield name.rstrip(b"\0"), kind, desc


def build_id_in(data):
    """The build id (ld(1)) among notes, in hex, or None."""
    for name, kind, desc in notes(data):
        if name == b"GNU" and kind == 3:
            return desc.hex()
    return None


def build_id(path):
    """A file's build id, or None."""
    return _id_of_section(path, ".note.gnu.build-id")


def kernel_id(path):
    """The build id of the kernel that a file was rebuilt from (elf-write.h), or None."""
    return _id_of_section(path, ".lab.kernel-id")


def _id_of_section(path, wanted):
    for name, _, kind, offset, size in _sections(path):
        if name == wanted and kind != 8:  # SHT_NOBITS
            with open(path, "rb") as f:
                f.seek(offset)
                return build_id_in(f.read(min(size, 4096)))
    return None
