"""lab-break: hardware break points that are set once the guest is attached."""

import re

import gdb

from lab.memory import Trouble, is_arm64, register

_wanted = []  # SPECs given before there was a guest
_made = []
_placed = False

# Arguments in registers: System V ABI (3.2.3); AAPCS64 (6.8.2).
_AMD64 = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")


def split(spec):
    """FUNC and COND (or None) of FUNC[:COND]. A file's line, fork.c:120, is no condition."""
    match = re.match(r"([^:]+(?:::[^:]+|:\d+(?=:|$))*)(?::(.*))?$", spec)
    if not match or not match.group(1).strip() or match.group(2) == "":
        raise Trouble("lab-break: '%s' is not FUNC or FUNC:CONDITION" % spec)
    return match.group(1).strip(), match.group(2)


def place():
    """Set what was asked for; all of them are tried before the first error is raised."""
    global _placed
    _placed = True
    wanted, _wanted[:] = list(_wanted), []
    bad = []
    for spec in wanted:
        try:
            _set(spec)
        except Trouble as why:
            bad.append(str(why))
    if bad:
        raise Trouble("\n".join(bad))


def _set(spec):
    where, condition = split(spec)
    try:
        places = gdb.decode_line(where)[1] or ()
    except gdb.error as why:
        raise Trouble("lab-break: %s: %s" % (where, why)) from None
    bp = gdb.Breakpoint(where, type=gdb.BP_HARDWARE_BREAKPOINT)
    if bp.pending or not places:
        bp.delete()
        raise Trouble("lab-break: no place for '%s' in these symbols" % where)
    if condition:
        try:
            bp.condition = condition
        except gdb.error as why:
            bp.delete()
            raise Trouble("lab-break: %s: condition '%s': %s" % (where, condition, why)) from None
    _made.append((bp.number, spec))
    found = _once_each(bp)
    if len(found) > 1:
        print("lab-break: %s is in %d places: %s"
              % (where, len(found), ", ".join(_where(place) for place in found)))


def _once_each(bp):
    """The places of a break point, each function's once.

    On arm64 a symbol stands before the two words that ftrace patches, DWARF's function after them:
    gdb makes two places of one, and the first knows no parameters.
    """
    kept = []
    for place in sorted(getattr(bp, "locations", None) or (), key=lambda one: one.address):
        if kept and place.address - kept[-1].address == 8 and is_arm64():
            kept.pop().enabled = False
        kept.append(place)
    return kept


def _where(place):
    if place.source is not None:
        return "%s:%d" % place.source
    return "%#x" % place.address


def never_hit():
    """The SPECs that have stopped nobody so far."""
    hits = {bp.number: bp.hit_count for bp in gdb.breakpoints()}
    return [spec for number, spec in _made if hits.get(number) == 0] + list(_wanted)


class Break(gdb.Command):
    """Stop at a function, by a hardware break point, from the payload on.
FUNC is what gdb's 'break' takes; CONDITION is C, checked by gdb at each hit, with the function's
parameters or, where the symbols have none, $lab_arg(0), $lab_arg(1), ...
Usage: lab-break FUNC[:CONDITION]"""

    name = "lab-break"

    def __init__(self):
        super().__init__(self.name, gdb.COMMAND_BREAKPOINTS)

    def invoke(self, arg, from_tty):
        """Remember, or set at once where a guest is attached already."""
        spec = arg.strip()
        split(spec)
        if _placed:
            _set(spec)
        else:
            _wanted.append(spec)


class Argument(gdb.Function):
    """$lab_arg(N): argument N (from 0) of the function at whose entry the guest stands."""

    def __init__(self):
        super().__init__("lab_arg")

    def invoke(self, number):
        """The register of the calling convention, as unsigned long."""
        n = int(number)
        count = 8 if is_arm64() else len(_AMD64)
        if not 0 <= n < count:
            raise Trouble("$lab_arg: 0 to %d are in registers" % (count - 1))
        value = register("x%d" % n if is_arm64() else _AMD64[n])
        return gdb.Value(value).cast(gdb.lookup_type("unsigned long"))


Break()
Argument()
