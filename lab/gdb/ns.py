"""lab-ns: the namespaces of a task, and how they belong together."""

from lab.memory import Command, Trouble, at, ctype, has, integer, pointer
from lab.tasks import inode, namespaces, title, which

MAX_LEVELS = 64  # user and pid namespaces nest 32 deep (man 7 user_namespaces)
MAX_EXTENTS = 340  # of an id map


def chain(user_ns):
    """A user namespace and its parents, innermost first."""
    where = pointer(user_ns.address)
    for _ in range(MAX_LEVELS):
        if not where:
            return
        one = at(where, "struct user_namespace")
        yield one
        where = pointer(one["parent"])
    raise Trouble("user namespaces do not end at %#x: corrupt?" % where)


def id_map(ids):
    """(first inside, first as the kernel counts, count) of a uid_gid_map."""
    count = int(ids["nr_extents"])
    if not 0 <= count <= MAX_EXTENTS:
        raise Trouble("an id map of %d parts: corrupt?" % count)
    kind = ctype("struct uid_gid_extent")
    first = (int(ids["extent"].address) if count <= 5 else pointer(ids["forward"]))
    for i in range(count):
        one = at(first + i * kind.sizeof, kind)
        yield int(one["first"]), int(one["lower_first"]), int(one["count"])


def user_line(one):
    """One user namespace in a line."""
    maps = []
    for name in ("uid", "gid"):
        parts = ", ".join("%d=%d+%d" % part for part in id_map(one[name + "_map"]))
        maps.append("%ss %s" % (name, parts or "not mapped"))
    return "user %d level %d owner %d; %s" % (
        inode(one), int(one["level"]), integer(one["owner"]), "; ".join(maps))


def pids(task):
    """(pid, inode of the namespace) from the guest's first pid namespace to the task's own."""
    where = pointer(task["thread_pid"])
    if not where:
        return
    pid = at(where, "struct pid")
    size = ctype("struct upid").sizeof
    for i in range(min(int(pid["level"]), MAX_LEVELS) + 1):
        one = at(int(pid["numbers"].address) + i * size, "struct upid")
        yield int(one["nr"]), inode(one["ns"].dereference())


class Ns(Command):
    """The namespaces of a task: kind, inode, address, and which user namespace owns it.
Inodes are those of /proc/PID/ns. Then its pid in each pid namespace, and its user namespace with
the parents: level, owner, id maps (INSIDE=KERNEL+COUNT). Without PID: of the task that runs.
Usage: lab-ns [PID]"""

    name = "lab-ns"

    def run(self, argv):
        """Print them."""
        task = which(argv, self)
        print("namespaces of %s" % title(task))
        spaces = namespaces(task)
        for kind, space in sorted(spaces.items()):
            owner = ""
            if kind == "user":
                parent = pointer(space["parent"])
                if parent:
                    owner = "below user %d" % inode(at(parent, "struct user_namespace"))
            elif has(space, "user_ns") and pointer(space["user_ns"]):
                owner = "of user %d" % inode(space["user_ns"].dereference())
            struct = str(space.type).replace("const ", "")
            print("  %-17s %10d  (%s *) %#x  %s" % (
                kind, inode(space), struct, pointer(space.address), owner))
        print("pid " + ", ".join("%d in %d" % pair for pair in pids(task)))
        for one in chain(spaces["user"]):
            print(user_line(one))


Ns()
