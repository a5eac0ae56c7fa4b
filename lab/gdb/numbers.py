"""Names of system calls, from the kernel's own table: never of another version."""

import struct

import gdb

from lab import bare
from lab.memory import read

MAX_CALLS = 1024
# Where a call's function in the kernel has another name than the call.
OTHERS = {"newstat": "stat", "newfstat": "fstat", "newlstat": "lstat", "newuname": "uname",
          "umount": "umount2", "sendfile64": "sendfile", "arm64_personality": "personality",
          "fadvise64_64": "fadvise64", "fanotify_mark": "fanotify_mark"}
_names = {}


def _table():
    start = bare.find("sys_call_table")
    if start is None:
        return {}
    found = {}
    # It ends where something else begins; the index of the first word that is no call says where.
    try:
        words = struct.unpack("<%dQ" % MAX_CALLS, read(start, 8 * MAX_CALLS))
    except gdb.MemoryError:
        return {}
    for number, where in enumerate(words):
        symbol = _symbol(where)
        for prefix in ("__x64_sys_", "__arm64_sys_", "__se_sys_", "sys_"):
            if symbol.startswith(prefix):
                name = symbol[len(prefix):]
                break
        else:
            break
        if name != "ni_syscall":
            found[number] = OTHERS.get(name, name)
    return found


def _symbol(where):
    """The symbol that begins exactly there, or ''."""
    text = gdb.execute("info symbol %#x" % where, to_string=True).split(" ")
    return text[0] if len(text) > 1 and text[1] == "in" else ""


def name(number):
    """The call of that number, or None where it is not known."""
    if not _names:
        _names.update(_table())
    return _names.get(number)
