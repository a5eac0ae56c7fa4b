"""lab-modules: what the kernel has loaded, and those modules' own symbols."""

import os
import struct

import gdb

from lab import bare, elf
from lab.memory import (Command, Trouble, at, chars, convenience, ctype, entries, field, has,
                        integer, need, pointer, read, string, word)

MAX_SECTIONS = 512
NOWHERE = 1 << 63  # no pointer of either architecture; gdb would take 0, where NULL is
_loaded = {}  # name: address of .text


def modules():
    """Every struct module, newest first."""
    return entries(need("modules", bare.find), "struct module", "list", 2000)


def base(module):
    """Where its code is, and how much memory it has in all."""
    if has(module, "mem"):  # 6.4 and later
        low, high = module["mem"].type.range()
        parts = [module["mem"][i] for i in range(low, high + 1)]
        return pointer(parts[0]["base"]), sum(int(p["size"]) for p in parts)
    size = int(field(module, "core_layout.size"))
    if has(module, "init_layout"):
        size += int(module["init_layout"]["size"])
    return pointer(field(module, "core_layout.base")), size


def sections(module):
    """(name, address) of the module's sections as /sys/module/NAME/sections has them."""
    attrs = pointer(module["sect_attrs"]) if has(module, "sect_attrs") else 0
    if not attrs:
        return
    attrs = at(attrs, "struct module_sect_attrs")
    if has(attrs, "nsections"):
        for i in range(min(int(attrs["nsections"]), MAX_SECTIONS)):
            one = attrs["attrs"][i]
            yield string(field(one, "battr.attr.name", "name")), int(one["address"])
        return
    # 6.14 and later: an array of pointers that ends in NULL
    table = pointer(field(attrs["grp"], "bin_attrs", "bin_attrs_new"))
    for i in range(MAX_SECTIONS):
        where = word(table + 8 * i)
        if not where:
            return
        one = at(where, "struct bin_attribute")
        yield string(one["attr"]["name"]), pointer(one["private"])


def files(folders):
    """{name: [file]} of the modules below folders that gdb can read."""
    found = {}
    for folder in folders:
        for where, _, names in os.walk(folder):
            for name in names:
                stem, dot, rest = name.partition(".ko")
                if dot and rest in ("", ".debug"):
                    found.setdefault(stem.replace("-", "_"), []).append(os.path.join(where, name))
    return found


def _is_of(path, module_sections):
    """Whether the file is of the module's build; True where the guest does not say."""
    where = module_sections.get(".note.gnu.build-id")
    try:
        ours = elf.build_id(path)
        theirs = elf.build_id_in(read(where, 64)) if where else None
    except (OSError, ValueError, struct.error, gdb.MemoryError):
        return True
    return not ours or not theirs or ours == theirs


def load(*folders):
    """Have gdb load the symbols of the loaded modules; returns how many have theirs now."""
    have = files(filter(None, folders))
    if not have:
        return 0
    ctype("struct module")
    for module in modules():
        name = chars(module["name"])
        if name not in have:
            continue
        where = dict(sections(module))
        if _loaded.get(name) == where.get(".text"):
            continue
        fitting = [path for path in have[name] if "'" not in path and _is_of(path, where)]
        if not fitting:
            print("lab: %s: %s is of another build, its symbols are left out"
                  % (name, have[name][-1]))
            continue
        _add(fitting[-1], where)
        _loaded[name] = where.get(".text")
    return len(_loaded)


def _index_cache():
    """Whether gdb (12 and newer) keeps indexes of what it has read."""
    try:
        return bool(gdb.parameter("index-cache enabled"))
    except RuntimeError:
        return False


def _add(path, where):
    words = ["-s '%s' %#x" % (name, where.get(name) or NOWHERE) for name in elf.allocated(path)]
    confirm, cache = gdb.parameter("confirm"), _index_cache()
    gdb.execute("set confirm off")
    if cache:  # it has a module's addresses as they were at another guest's
        gdb.execute("set index-cache enabled off")
    try:
        gdb.execute("add-symbol-file '%s' %s" % (elf.unplaced(path), " ".join(words)),
                    to_string=True)
    finally:
        if cache:
            gdb.execute("set index-cache enabled on")
        gdb.execute("set confirm %s" % ("on" if confirm else "off"))


class Modules(Command):
    """The modules the kernel has loaded: name, bytes, references, state, address, symbols.
With 'load' the symbols of those that came since are loaded too, from FOLDER or, without one, from
where lab keeps them.
Usage: lab-modules [load [FOLDER]]"""

    name = "lab-modules"
    STATES = ("Live", "Loading", "Unloading", "Unformed")

    def run(self, argv):
        """List, or load."""
        if argv:
            if argv[0] != "load" or len(argv) > 2:
                raise self.usage()
            folder = argv[1] if len(argv) > 1 else convenience("lab_modules")
            if not folder:
                raise Trouble("lab-modules: there is no folder with the modules' symbols")
            print("symbols of %d modules" % load(folder))
            return
        for module in modules():
            where, size = base(module)
            state = int(module["state"])
            refs = integer(module["refcnt"]) - 1 if has(module, "refcnt") else 0
            name = chars(module["name"])
            print("%-24s %8d %3d %-9s %#x%s" % (
                name, size, refs, self.STATES[state] if 0 <= state < 4 else state, where,
                " symbols" if name in _loaded else ""))


Modules()
