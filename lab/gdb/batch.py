"""Sessions without a person: the first failure ends them."""
import gdb


class OrQuit(gdb.Command):
    """lab-or-quit COMMAND: run COMMAND; when it fails say so, and end gdb with exit code 1."""

    def __init__(self):
        super().__init__("lab-or-quit", gdb.COMMAND_SUPPORT)

    def invoke(self, argument, from_tty):
        try:
            gdb.execute(argument, from_tty)
        except gdb.error as e:
            gdb.write(f"{e}\n", gdb.STDERR)
            gdb.flush(gdb.STDERR)
            gdb.execute("quit 1")


OrQuit()
