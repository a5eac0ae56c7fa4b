"""lab-mounts: the tree of a mount namespace."""

from lab.memory import (Command, Trouble, at, ctype, entries, field, has, offset, pointer,
                        string)
from lab.tasks import inode, namespaces, title, which

LIMIT = 10000  # mounts; fs.mount-max is 100000
DEPTH = 512  # of directories
# include/linux/mount.h
OPTIONS = ((0x1, "nosuid"), (0x2, "nodev"), (0x4, "noexec"), (0x8, "noatime"),
           (0x10, "nodiratime"), (0x20, "relatime"), (0x80, "nosymfollow"))
READONLY, SHARED, UNBINDABLE, LOCKED = 0x40, 0x1000, 0x2000, 0x800000


def _name(dentry):
    return string(dentry["d_name"]["name"], 256)


def _below(dentry, root):
    """Names from the dentry up to root (an address), innermost first; False: root is not above."""
    names = []
    for _ in range(DEPTH):
        where = pointer(dentry.address)
        if where == root:
            return names, True
        parent = pointer(dentry["d_parent"])
        if parent == where or not parent:
            return names, False
        names.append(_name(dentry))
        dentry = at(parent, "struct dentry")
    raise Trouble("directories do not end: corrupt?")


def mount_of(vfsmount):
    """The struct mount around a struct vfsmount's address."""
    return at(vfsmount - offset("struct mount", "mnt"), "struct mount")


def tree(root):
    """Every mount below and with root, parents first."""
    todo, seen = [pointer(root.address)], set()
    while todo:
        where = todo.pop()
        if where in seen or len(seen) + len(todo) > LIMIT:
            raise Trouble("the tree of mounts does not end: corrupt?")
        seen.add(where)
        mount = at(where, "struct mount")
        yield mount
        todo += reversed([pointer(child.address) for child in entries(
            int(mount["mnt_mounts"].address), "struct mount", "mnt_child", LIMIT)])


def path_of(mount, task_root):
    """Where it is mounted, as seen from (struct mount's address, dentry's address)."""
    names = []
    dentry = mount["mnt"]["mnt_root"].dereference()
    for _ in range(DEPTH):
        here = pointer(mount.address)
        top = pointer(mount["mnt"]["mnt_root"])
        if here == task_root[0]:
            more, found = _below(dentry, task_root[1])
            if found:
                return "/" + "/".join(reversed(names + more))
        names += _below(dentry, top)[0]
        if len(names) > DEPTH:
            break
        parent = pointer(mount["mnt_parent"])
        if parent == here or not parent:
            return "(unreachable)/" + "/".join(reversed(names))
        dentry = mount["mnt_mountpoint"].dereference()
        mount = at(parent, "struct mount")
    raise Trouble("mounts do not end: corrupt?")


def line(mount, task_root):
    """As proc(5) has it in mountinfo, without the file system's own options."""
    vfs = mount["mnt"]
    flags = int(vfs["mnt_flags"])
    sb = vfs["mnt_sb"].dereference()
    device = int(sb["s_dev"])
    inside = _below(vfs["mnt_root"].dereference(), pointer(sb["s_root"]))[0]
    options = ["ro" if flags & READONLY else "rw"] + [n for bit, n in OPTIONS if flags & bit]
    # 6.18 and later keep these two apart
    more = int(mount["mnt_t_flags"]) if has(mount, "mnt_t_flags") else None
    tags = []
    if (more & 1 if more is not None else flags & SHARED):
        tags.append("shared:%d" % int(mount["mnt_group_id"]))
    if pointer(mount["mnt_master"]):
        tags.append("master:%d" % int(mount["mnt_master"]["mnt_group_id"]))
    if (more & 2 if more is not None else flags & UNBINDABLE):
        tags.append("unbindable")
    if flags & LOCKED:
        tags.append("locked")
    kind = string(sb["s_type"]["name"], 64)
    if pointer(sb["s_subtype"]):
        kind += "." + string(sb["s_subtype"], 64)
    return "%d %d %d:%d /%s %s %s%s - %s %s %s" % (
        int(mount["mnt_id"]), int(mount["mnt_parent"]["mnt_id"]), device >> 20,
        device & 0xFFFFF, "/".join(reversed(inside)), path_of(mount, task_root),
        ",".join(options), "".join(" " + tag for tag in tags), kind,
        string(mount["mnt_devname"]) if pointer(mount["mnt_devname"]) else "none",
        "ro" if int(sb["s_flags"]) & 1 else "rw")


class Mounts(Command):
    """The mounts of a task's mount namespace, parents first, in the form of /proc/PID/mountinfo.
What the file systems themselves would add as options is left out; 'locked' marks those that cannot
be taken apart from their parent (man 7 mount_namespaces). Without PID it is about the task that
runs.
Usage: lab-mounts [PID]"""

    name = "lab-mounts"

    def run(self, argv):
        """Print the tree."""
        task = which(argv, self)
        space = namespaces(task).get("mnt")
        if space is None or not pointer(task["fs"]):
            raise Trouble("%s has left its mount namespace: it is ending" % title(task))
        root = field(task["fs"].dereference(), "root")
        seen_from = (pointer(mount_of(pointer(root["mnt"])).address), pointer(root["dentry"]))
        print("mount namespace %d of %s" % (inode(space), title(task)))
        ctype("struct mount")
        for mount in tree(space["root"].dereference()):
            print(line(mount, seen_from))


Mounts()
