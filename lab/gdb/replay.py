"""lab-writer: in a replay, back to who wrote a value."""

import gdb

from lab.memory import Trouble

TRIES = 100


def silence(on):
    """Whether stops are passed over in silence, where this gdb can (12 and newer)."""
    try:
        gdb.execute("set suppress-cli-notifications " + ("on" if on else "off"))
    except gdb.error:
        pass


class Writer(gdb.Command):
    """Go back to the instruction that gave EXPRESSION its value, and stop just before it.
In a replay only (lab replay). The write is searched from here towards the start; one that leaves
the value as it was does not count, and break points stop nobody meanwhile.
Usage: lab-writer EXPRESSION"""

    name = "lab-writer"

    def __init__(self):
        super().__init__(self.name, gdb.COMMAND_RUNNING, gdb.COMPLETE_EXPRESSION)

    def invoke(self, arg, from_tty):
        """See the class."""
        if not arg.strip():
            raise Trouble("usage: lab-writer EXPRESSION")
        value = gdb.parse_and_eval(arg)
        if value.address is None or not value.type.sizeof:
            raise Trouble("%s is not in memory" % arg)
        place = int(value.address)
        others = [one for one in gdb.breakpoints() if one.enabled]
        watch = gdb.Breakpoint("*(char (*)[%d])%#x" % (value.type.sizeof, place),
                               gdb.BP_WATCHPOINT, gdb.WP_WRITE, internal=True)
        for one in others:
            one.enabled = False
        silence(True)
        try:
            self.search(arg, place, value.type)
        finally:
            silence(False)
            watch.delete()
            for one in others:
                one.enabled = True

    def search(self, arg, place, kind):
        """Writes, from the last one on back, until one changed the value."""
        for _ in range(TRIES):
            gdb.execute("reverse-continue", to_string=True)
            after = self.read(place, kind)
            here = gdb.selected_frame().pc()
            gdb.execute("reverse-stepi", to_string=True)
            before = self.read(place, kind)
            if before != after:
                print("%s: %s before, %s after" % (arg, before, after))
                gdb.execute("frame")
                return
            if gdb.selected_frame().pc() == here:
                break
        raise Trouble("%s: no write that changed it was found" % arg)

    @staticmethod
    def read(place, kind):
        """The value as text: memory that is not mapped yet has none."""
        try:
            return gdb.Value(place).cast(kind.pointer()).dereference().format_string()
        except gdb.error:
            return "not there"


Writer()
