"""Data that has no name: what the code of a kernel without CONFIG_KALLSYMS_ALL says of it.

arm64 kernels before 6.12 name functions only in their images. The address of a variable is in the
functions that use it, as a pair of instructions (Arm ARM, C6.2: adrp, then add or ldr); what is
found there has to look like the variable.
"""

import struct

import gdb

from lab.memory import address, at, ctype, integer, is_arm64, offset, read, word

CODE = 512  # bytes of a function that are looked at


def _pairs(function):
    """The addresses that a function makes, or loads from."""
    start = address(function)
    if start is None:
        return
    known = {}  # register: what is in it
    for i, (one,) in enumerate(struct.iter_unpack("<I", read(start, CODE))):
        base = known.get(one >> 5 & 31)
        if one & 0x9F000000 == 0x90000000:  # adrp
            to = (one >> 5 & 0x7FFFF) << 2 | one >> 29 & 3
            known[one & 31] = (start + 4 * i >> 12) + to - (to >> 20 << 21) << 12
        elif base is None:
            continue
        elif one & 0xFFC00000 == 0x91000000:  # add
            known[one & 31] = base + (one >> 10 & 0xFFF)
            yield known[one & 31]
        elif one & 0xFFC00000 == 0xF9400000:  # ldr, 64 bits
            yield base + 8 * (one >> 10 & 0xFFF)
        elif one & 0xFFE00C00 == 0xF8400C00:  # ldr, which first moves its base
            yield base + (one >> 12 & 0xFF)


def _is_modules(where):
    first = word(where)
    if word(first + 8) != where or first == where:
        return False
    name = first - offset("struct module", "list") + offset("struct module", "name")
    return read(name, 56).split(b"\0")[0].decode("latin-1").replace("-", "_").isidentifier()


def _is_prb(where):
    ring = at(word(where), "struct printk_ringbuffer")
    bits = int(ring["desc_ring"]["count_bits"])
    head = integer(ring["desc_ring"]["head_id"]) & (1 << bits) - 1
    one = ctype("struct prb_desc").sizeof
    return (5 <= bits <= 26 and bits < int(ring["text_data_ring"]["size_bits"]) <= 26 and
            len(read(int(ring["desc_ring"]["descs"]) + head * one, one)) == one)


def _is_calls(where):
    said = gdb.execute("info symbol %#x" % word(where), to_string=True)
    return said.startswith("__arm64_sys_io_setup in ")  # number 0


_WHERE = {"modules": (("print_modules", "find_module_all", "m_start"), _is_modules),
          "prb": (("kmsg_dump_get_buffer", "kmsg_dump_rewind", "devkmsg_open", "devkmsg_llseek"),
                  _is_prb),
          "sys_call_table": (("do_el0_svc",), _is_calls)}
_found = {}


def find(name):
    """A variable's address: by its symbol, else by the code; None when neither has it."""
    where = address(name)
    if where is not None or not is_arm64() or name not in _WHERE:
        return where
    if name not in _found:
        _found[name] = _search(*_WHERE[name])
    return _found[name]


def _search(functions, is_it):
    for function in functions:
        for where in _pairs(function):
            try:
                if is_it(where):
                    return where
            except (gdb.MemoryError, OverflowError):
                continue
    return None
