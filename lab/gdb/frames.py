"""Backtraces end where the kernel was entered: what gdb guesses beyond is no frame."""

import re

import gdb

from lab.memory import convenience

# as lab/symbols/frames.c names them
_ENTRY = re.compile(r"(entry_(SYSCALL|SYSENTER|INT80)\w*|ret_from_fork(_asm)?"
                    r"|el0t_(64|32)_(sync|irq|fiq|error)|el0_(sync|irq|fiq|error)(_compat)?)$")


def is_entry(frame):
    """Whether nothing in the kernel has called this function."""
    function = frame.name()
    return function is not None and _ENTRY.match(function) is not None


class EndAtEntry:
    """The frame filter that gdb's bt asks."""

    name = "lab-entry"
    enabled = True
    priority = 100

    def __init__(self):
        gdb.frame_filters[self.name] = self

    def filter(self, frames):
        """Frames up to the entry; 'bt -no-filters' has what gdb guesses, too."""
        for one in frames:
            yield one
            if is_entry(one.inferior_frame()):
                return


# Those of an image end there by themselves, and of theirs a filter would lose the arguments.
if convenience("lab_symbols") not in ("types", "names"):
    EndAtEntry()
