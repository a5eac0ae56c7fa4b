"""lab-ps: the tasks of the guest. Also what the other commands know about a task."""

import gdb

from lab.memory import (Command, Trouble, address, at, chars, ctype, entries, field, has,
                        in_user_space, integer, is_arm64, offset, per_cpu, pointer, register,
                        word)

NAMESPACES = ("user", "mnt", "pid", "net", "uts", "ipc", "cgroup", "time")
PF_KTHREAD = 0x00200000
LIMIT = 50000


def threads():
    """Every thread of every process, the idle task first.

    Where the symbols name no data (an image without CONFIG_KALLSYMS_ALL) the ring of tasks is
    walked from the one that runs.
    """
    start = address("init_task")
    first = at(start, "struct task_struct") if start else current()["group_leader"].dereference()
    seen = 0
    for leader in _leaders(first):
        signal = pointer(leader["signal"])
        if not signal:  # being released
            yield leader
            continue
        head = signal + offset("struct signal_struct", "thread_head")
        for task in entries(head, "struct task_struct", "thread_node", LIMIT):
            seen += 1
            if seen > LIMIT:
                raise Trouble("more than %d tasks: corrupt?" % LIMIT)
            yield task


def _leaders(first):
    yield first
    yield from entries(int(first["tasks"].address), "struct task_struct", "tasks", LIMIT)


def find(pid):
    """The task of that pid, as the guest's first pid namespace counts."""
    try:
        number = int(gdb.parse_and_eval(pid))
    except gdb.error:
        raise Trouble("'%s' is not a process id" % pid) from None
    for task in threads():
        if int(task["pid"]) == number:
            return task
    raise Trouble("there is no task %d ('lab-ps' lists them)" % number)


def current(cpu=None):
    """The task that runs on a CPU: the selected one's, where no number is given."""
    if cpu is None:
        thread = gdb.selected_thread()
        cpu = thread.num - 1 if thread is not None else 0
    if is_arm64() and address("runqueues") is None:
        where = register("SP_EL0")  # in the kernel: arch/arm64/include/asm/current.h
        if not where or in_user_space():
            raise Trouble("without the symbol 'runqueues' the task that runs is not known here")
        return at(where, "struct task_struct")
    queue = per_cpu("runqueues", cpu) + offset("struct rq", "curr")
    return at(word(queue), "struct task_struct")


def which(argv, command):
    """The task a command is about: its argument's, or the current one."""
    if len(argv) > 1:
        raise command.usage()
    return find(argv[0]) if argv else current()


def title(task):
    """'123 sh', for the first line of a command."""
    return "%d %s" % (int(task["pid"]), chars(task["comm"]))


def is_kernel_thread(task):
    """Whether it has no program of its own."""
    return bool(int(task["flags"]) & PF_KTHREAD)


def state(task):
    """Its state's letter, as ps(1) has it (fs/proc/array.c)."""
    now = integer(field(task, "__state", "state"))
    ended = integer(task["exit_state"])
    if now & 0x402 == 0x402:
        return "I"
    for bit, letter in ((0x10, "X"), (0x20, "Z")):
        if ended & bit:
            return letter
    for bit, letter in ((1, "S"), (2, "D"), (4, "T"), (8, "t"), (0x40, "P")):
        if now & bit:
            return letter
    return "R"


def cpu_of(task):
    """The CPU it runs, or ran last, on."""
    return int(field(task, "thread_info.cpu", "cpu"))


def pid_namespace(task):
    """Its own pid namespace (not that of its children), or None."""
    pid = pointer(task["thread_pid"])
    if not pid:
        return None
    pid = at(pid, "struct pid")
    level = int(pid["level"])
    numbers = int(pid["numbers"].address) + level * ctype("struct upid").sizeof
    where = pointer(at(numbers, "struct upid")["ns"])
    return at(where, "struct pid_namespace") if where else None


def namespaces(task):
    """{kind: the namespace's struct}; those that an ending task has left are missing."""
    found = {"user": task["real_cred"]["user_ns"].dereference()}
    pid = pid_namespace(task)
    if pid is not None:
        found["pid"] = pid
    proxy = pointer(task["nsproxy"])
    if proxy:
        proxy = at(proxy, "struct nsproxy")
        members = {"mnt": "mnt_ns", "net": "net_ns", "uts": "uts_ns", "ipc": "ipc_ns",
                   "cgroup": "cgroup_ns", "time": "time_ns"}
        for kind, member in members.items():
            if has(proxy, member) and pointer(proxy[member]):
                found[kind] = proxy[member].dereference()
        for kind, member in (("pid_for_children", "pid_ns_for_children"),
                             ("time_for_children", "time_ns_for_children")):
            if has(proxy, member) and pointer(proxy[member]):
                found[kind] = proxy[member].dereference()
    return found


def inode(namespace):
    """A namespace's number, as in /proc/PID/ns."""
    return int(namespace["ns"]["inum"])


class Ps(Command):
    """The tasks: pid, process, parent, CPU, state, the inodes of their namespaces, name.
Kernel threads are left out unless -a is given. '-' stands for a namespace an ending task has left,
and for one that this kernel does not have.
Usage: lab-ps [-a]"""

    name = "lab-ps"

    def run(self, argv):
        """List."""
        if argv not in ([], ["-a"]):
            raise self.usage()
        row = "%7s %7s %7s %3s %1s" + " %10s" * len(NAMESPACES) + "  %s"
        print(row % (("PID", "TGID", "PPID", "CPU", "S")
                     + tuple(n.upper() for n in NAMESPACES) + ("COMM",)))
        for task in threads():
            if is_kernel_thread(task) and not argv:
                continue
            parent = pointer(task["real_parent"])
            spaces = namespaces(task)
            print(row % ((int(task["pid"]), int(task["tgid"]),
                          int(at(parent, "struct task_struct")["tgid"]) if parent else 0,
                          cpu_of(task), state(task))
                         + tuple(inode(spaces[n]) if n in spaces else "-" for n in NAMESPACES)
                         + (chars(task["comm"]),)))


Ps()
