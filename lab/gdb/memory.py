"""The guest's memory by the kernel's types: symbols, lists, strings, per-CPU data.

The guest is not trusted: walks are bounded, strings made printable, and what cannot be read is
one line of text (Trouble) instead of a traceback.
"""

import contextlib
import struct
import time

import gdb

LIMIT = 20000  # entries of a list
LIMIT_S = 300  # of a command: what the guest's memory is made of can have one walk for ever
WORD = (1 << 64) - 1


_until = [None]  # when the command that runs has to be done


class Trouble(gdb.GdbError):
    """What a person is told; gdb prints it without a traceback."""


class Command(gdb.Command):
    """A command whose failures are one line each. Subclasses have run(argv)."""

    name = ""

    def __init__(self):
        super().__init__(self.name, gdb.COMMAND_DATA)

    def invoke(self, arg, from_tty):
        """Run, with the kernel's memory in view."""
        _until[0] = time.monotonic() + LIMIT_S
        try:
            with kernel_view():
                self.run(gdb.string_to_argv(arg))
        except Trouble:
            raise
        except gdb.MemoryError as why:
            raise Trouble("%s: the guest's memory cannot be read: %s%s"
                          % (self.name, why, hidden())) from None
        except gdb.error as why:
            raise Trouble("%s: %s" % (self.name, why)) from None
        except (ArithmeticError, LookupError, ValueError, struct.error) as why:
            raise Trouble("%s: the guest's memory makes no sense: %s" % (self.name, why)) from None
        finally:
            _until[0] = None

    def usage(self):
        """The error for wrong arguments."""
        return Trouble("usage: " + self.__doc__.split("\n")[-1].strip().replace("Usage: ", ""))


def is_arm64():
    """Whether the guest is an arm64 machine; else it is amd64."""
    return "aarch64" in gdb.selected_inferior().architecture().name()


def register(name):
    """A register's value, unsigned; None when there is none of that name."""
    try:
        value = gdb.parse_and_eval("$" + name)
        if value.type.code == gdb.TYPE_CODE_VOID:
            return None
        return int(value.cast(gdb.lookup_type("unsigned long"))) & WORD
    except gdb.error:
        return None


def in_user_space():
    """Whether the guest's selected CPU executes a program, not the kernel."""
    if is_arm64():
        state = register("cpsr")
        return state is not None and state & 0xC == 0
    selector = register("cs")
    return selector is not None and selector & 3 == 3


def hidden():
    """What to add to a failure to read when the kernel is not mapped just now."""
    try:
        if in_user_space():
            return (" (the guest is in user space, whose page tables hide the kernel: lab-kernel"
                    " goes on into it)")
    except gdb.error:
        pass
    return ""


def _set_cr3(value):
    """gdb takes no integer for a register that has fields."""
    kind = gdb.parse_and_eval("$cr3").type
    gdb.set_convenience_variable("lab_cr3", gdb.Value(struct.pack("<Q", value), kind))
    gdb.execute("set $cr3 = $lab_cr3", to_string=True)


@contextlib.contextmanager
def kernel_view():
    """Within this the kernel is mapped, also when an amd64 guest stands in user space.

    Page table isolation gives programs tables of their own, beside the kernel's: bit 12 of CR3 is
    set in them (arch/x86/entry/calling.h, PTI_USER_PGTABLE_BIT), and bit 11 of the PCID.
    """
    saved = None
    try:
        if gdb.selected_thread() is not None and not is_arm64() and in_user_space():
            cr3 = register("cr3")
            if cr3 and cr3 & 0x1000:
                _set_cr3(cr3 & ~0x1800)
                saved = cr3
    except gdb.error:
        pass
    try:
        yield
    finally:
        if saved is not None:
            _set_cr3(saved)


def convenience(name):
    """The string in gdb's $name, or None."""
    value = gdb.convenience_variable(name)
    if value is None or value.type.code == gdb.TYPE_CODE_VOID:
        return None
    if value.type.code in (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_PTR):
        return str(int(value))
    return value.string()


def ctype(name):
    """A type by its C name."""
    try:
        return gdb.lookup_type(name)
    except gdb.error:
        raise Trouble("the symbols have no type '%s' (lab kernel pull --debug brings the kernel's"
                      " debug package)" % name) from None


def address(name):
    """A symbol's address, or None when there is no such symbol."""
    try:
        return int(gdb.parse_and_eval("(unsigned long)&'%s'" % name)) & WORD
    except gdb.error:
        return None


def need(name, find=address):
    """A symbol's address; Trouble when it is not known."""
    found = find(name)
    if found is None:
        raise Trouble("the symbols do not have '%s' (an image without CONFIG_KALLSYMS_ALL names no"
                      " data: lab kernel pull --debug brings the debug package)" % name)
    return found


def at(where, type_name):
    """The object of that type there."""
    if _until[0] is not None and time.monotonic() > _until[0]:
        raise Trouble("given up after %d s: is the guest's memory corrupt?" % LIMIT_S)
    kind = ctype(type_name) if isinstance(type_name, str) else type_name
    return gdb.Value(where & WORD).cast(kind.pointer()).dereference()


def read(where, size):
    """Bytes of the guest's memory."""
    return bytes(gdb.selected_inferior().read_memory(where & WORD, size))


def word(where):
    """The unsigned 64 bits there."""
    return struct.unpack("<Q", read(where, 8))[0]


def has(value, path):
    """Whether a struct (a value or a type) has the field 'a.b.c'."""
    kind = (value.type if isinstance(value, gdb.Value) else value).strip_typedefs()
    for name in path.split("."):
        if kind.code not in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION):
            return False
        try:
            kind = kind[name].type.strip_typedefs()
        except KeyError:
            inner = _anonymous(kind, name)
            if inner is None:
                return False
            kind = inner.type.strip_typedefs()
    return True


def _anonymous(kind, name):
    """The field of that name in kind or in its members without a name."""
    for field in kind.fields():
        if field.name == name:
            return field
        inner = field.type.strip_typedefs()
        if not field.name and inner.code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION):
            found = _anonymous(inner, name)
            if found is not None:
                return found
    return None


def field(value, *paths):
    """The first of these fields ('a.b.c') that the kernel's struct has; kernels differ."""
    for path in paths:
        if has(value, path):
            for name in path.split("."):
                value = value[name]
            return value
    raise Trouble("%s has no field '%s'" % (value.type, "' or '".join(paths)))


def offset(type_name, path):
    """Bytes from the start of a struct to its member 'a.b.c'."""
    null = gdb.Value(0).cast(ctype(type_name).pointer()).dereference()
    return int(field(null, path).address)


def integer(value):
    """An integer of the guest, whatever thin struct it is wrapped in (kuid_t, atomic_t, ...)."""
    kind = value.type.strip_typedefs()
    while kind.code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION):
        value = value[kind.fields()[0]]
        kind = value.type.strip_typedefs()
    return int(value)


def pointer(value):
    """A pointer's value without a sign."""
    return int(value) & WORD


def entries(head, type_name, member, limit=LIMIT):
    """The structs on a list_head (its address), first to last."""
    back = offset(type_name, member)
    kind = ctype(type_name)
    node, seen = word(head), set()
    while node != head:
        if len(seen) >= limit or not node or node in seen:
            raise Trouble("the list at %#x %s after %d entries: corrupt?" % (
                head, "ends in nothing" if not node else
                "goes in a circle" if node in seen else "does not end", len(seen)))
        seen.add(node)
        yield at(node - back, kind)
        node = word(node)


def printable(data):
    """Bytes of the guest's as text that is safe on a terminal."""
    text = data.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else "\\x%02x" % ord(c) for c in text)


def string(where, limit=4096):
    """The string at an address, printable; it ends at its NUL or at the limit."""
    out = b""
    where = pointer(where)
    while where and len(out) < limit:
        step = min(64 - where % 64, limit - len(out))
        part = read(where, step)
        end = part.find(b"\0")
        if end >= 0:
            return printable(out + part[:end])
        out += part
        where += step
    return printable(out)


def chars(value):
    """A char array as text."""
    data = read(int(value.address), value.type.sizeof)
    return printable(data.split(b"\0", 1)[0])


def per_cpu(name, cpu):
    """Where this CPU's copy of a per-CPU symbol is.

    On amd64 before 6.15 such symbols are linked at 0; what gdb believes is there moves along with
    KASLR's slide, a multiple of 2 MiB, and the area itself is smaller than that.
    """
    where = need(name)
    if where < 1 << 47:
        where &= (2 << 20) - 1
    return (where + word(need("__per_cpu_offset") + 8 * cpu)) & WORD
