"""lab-cred: the credentials of a task."""

from lab.memory import Command, at, has, integer, pointer
from lab.ns import chain, user_line
from lab.tasks import title, which

# include/uapi/linux/capability.h, by number
CAPABILITIES = (
    "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable"
    " net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio"
    " sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time"
    " sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog"
    " wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore").split()
# include/uapi/linux/securebits.h, by number
SECUREBITS = ("noroot noroot_locked no_setuid_fixup no_setuid_fixup_locked keep_caps"
              " keep_caps_locked no_cap_ambient_raise no_cap_ambient_raise_locked"
              " exec_restrict_file exec_restrict_file_locked exec_deny_interactive"
              " exec_deny_interactive_locked").split()


def names(bits, table):
    """The names of the bits that are set."""
    return [table[i] if i < len(table) else str(i) for i in range(64) if bits >> i & 1]


def capability_bits(value):
    """A kernel_cap_t: two words of 32 bits, or one of 64 (6.3 and later)."""
    if has(value, "cap"):
        return int(value["cap"][0]) | int(value["cap"][1]) << 32
    return int(value["val"])


def capability_text(bits):
    """Names, or what is missing when that is shorter."""
    everything = (1 << len(CAPABILITIES)) - 1
    if bits & everything == everything:
        return "all"
    missing = names(everything & ~bits, CAPABILITIES)
    if len(missing) < 8:
        return "all but " + " ".join(missing)
    return " ".join(names(bits, CAPABILITIES)) or "none"


class Cred(Command):
    """The credentials of a task: ids as the kernel counts them, capabilities, securebits.
Then no_new_privs, and the user namespace the capabilities are for with its parents. Without PID it
is about the task that runs.
Usage: lab-cred [PID]"""

    name = "lab-cred"

    def run(self, argv):
        """Print them."""
        task = which(argv, self)
        real, acting = pointer(task["real_cred"]), pointer(task["cred"])
        print("credentials of %s" % title(task))
        self.show(at(real, "struct cred"))
        if acting != real:
            print("acting with others just now:")
            self.show(at(acting, "struct cred"))
        print("  no_new_privs %d" % (int(task["atomic_flags"]) & 1))
        for one in chain(at(real, "struct cred")["user_ns"].dereference()):
            print("  " + user_line(one))

    def show(self, cred):
        """One struct cred."""
        for kind in ("uid", "gid"):
            print("  %s %s" % (kind, " ".join(
                "%s=%d" % (what, integer(cred[prefix + kind]) & 0xFFFFFFFF)
                for what, prefix in (("real", ""), ("effective", "e"), ("saved", "s"),
                                     ("filesystem", "fs")))))
        group_info = pointer(cred["group_info"])
        count = int(at(group_info, "struct group_info")["ngroups"]) if group_info else 0
        print("  supplementary groups %d" % count)
        for what in ("inheritable", "permitted", "effective", "bset", "ambient"):
            bits = capability_bits(cred["cap_" + what])
            print("  cap_%-11s %016x %s" % (what, bits, capability_text(bits)))
        bits = int(cred["securebits"])
        print("  securebits %#x %s" % (bits, " ".join(names(bits, SECUREBITS))))


Cred()
