"""What lab brings into gdb: 'source' this file; 'help lab' says what there is then.

What is known beforehand comes in convenience variables, each of which may be missing:
  $lab_modules   folder below which the modules' files with symbols are
  $lab_more_modules   more of them, joined by colons
  $lab_vmlinux   the kernel's symbols, for a dump: lab-core loads them for where it has the kernel
  $lab_payload   process id of the payload, in the guest
"""

import importlib
import os
import sys
import types

import gdb

MODULES = ("attach", "breaks", "core", "cred", "dmesg", "frames", "modules", "mounts", "ns", "orc",
           "replay", "seccomp", "stack", "syscalls", "tasks")


def _load():
    here = os.path.dirname(os.path.realpath(__file__))
    for name in [n for n in sys.modules if n == "lab" or n.startswith("lab.")]:
        del sys.modules[name]
    package = types.ModuleType("lab", __doc__)
    package.__path__ = [here]
    sys.modules["lab"] = package
    # The folder may be the system's: nothing is written into it.
    keep, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        for name in MODULES:
            importlib.import_module("lab." + name)
    finally:
        sys.dont_write_bytecode = keep


class Lab(gdb.Command):
    """Commands of lab for the kernel that is examined:"""

    def __init__(self):
        super().__init__("lab", gdb.COMMAND_USER)

    def invoke(self, arg, from_tty):
        """List the commands."""
        gdb.execute("help lab")


class NoProgram(gdb.Command):
    """Refuse to start a program: what is loaded is a kernel's, and would run on this host."""

    def __init__(self):
        super().__init__("lab-no-program", gdb.COMMAND_SUPPORT)
        for word in ("run", "start", "starti"):
            gdb.execute("define hook-%s\nlab-no-program\nend" % word)

    def invoke(self, arg, from_tty):
        """An error in a hook keeps the command from being run."""
        raise gdb.GdbError("a guest is not started from here: 'continue' lets it go on; once it has"
                           " ended, quit and start lab again")


def _commands():
    """Name and first line of the help of every command of ours."""
    found = {}
    for name in MODULES:
        for one in vars(sys.modules["lab." + name]).values():
            if isinstance(one, type) and issubclass(one, gdb.Command) and hasattr(one, "name"):
                if one.name:
                    found[one.name] = one.__doc__.split("\n")[0]
    return sorted(found.items())


_load()
Lab.__doc__ += "".join("\n%-13s %s" % pair for pair in _commands())
Lab()
NoProgram()
