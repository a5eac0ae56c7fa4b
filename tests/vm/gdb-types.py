"""For gdb: writes to $LAYOUTS how types lie in memory, as JSON; which ones is in $NAMES, a file.

A file that is not there yet is made: the types that everybody looks at, and every twentieth other.
"""

import json
import os

import gdb

ALWAYS = """task_struct cred nsproxy net module mm_struct page file inode seccomp_filter sk_buff
user_namespace pid_namespace mount dentry super_block vm_area_struct list_head pt_regs""".split()
RECORDS = (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION)


def members(kind, depth=0):
    """Name, place, width, type and size of each, with those of members that have no name."""
    for field in kind.fields():
        if kind.code == gdb.TYPE_CODE_ENUM:
            yield [field.name, field.enumval]
            continue
        of = field.type.strip_typedefs()
        inner = of.code in RECORDS and not field.type.name and depth < 5
        yield [field.name, field.bitpos, field.bitsize, field.type.name, field.type.sizeof,
               list(members(of, depth + 1)) if inner else None]


def layout(name):
    try:
        kind = gdb.lookup_type(name)
    except gdb.error:
        return None
    kind = kind.strip_typedefs()
    parts = RECORDS + (gdb.TYPE_CODE_ENUM,)
    return [kind.code, kind.sizeof, list(members(kind)) if kind.code in parts else str(kind)]


def sample():
    lines = gdb.execute("info types .", to_string=True).splitlines()
    names = sorted({line.strip()[:-1] for line in lines
                    if line.strip().startswith(("struct ", "union ", "enum ")) and
                    line.strip().endswith(";")})
    return ["struct " + name for name in ALWAYS] + names[::20]


path = os.environ["NAMES"]
if not os.path.exists(path):
    with open(path, "w") as out:
        out.write("\n".join(sample()))
with open(path) as lines:
    found = {name: layout(name) for name in lines.read().split("\n")}
with open(os.environ["LAYOUTS"], "w") as out:
    json.dump(found, out)
