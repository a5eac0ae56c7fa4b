#include "lab/kconfig/kconfig-history.h"

#include <string.h>

/*
 * The series that are pinned were looked at on both sides of each line (5.10, 6.1, 6.12, 6.18,
 * 7.2); after: where the exact release is not known, the last of them that has the option.
 */
static const struct change {
	const char *name;
	const char *from;  /* the first release with it; NULL: older than all of them */
	const char *after; /* NULL: until is exact */
	const char *until; /* the first release without it; NULL: it is still there */
	const char
		*now; /* what to use, or why; of one that was never removed: what to use before */
} changes[] = {
	{"ANDROID", NULL, NULL, "6.0", "ANDROID_BINDER_IPC is what it was for"},
	{"AUTOFS4_FS", NULL, "6.1", "6.12", "AUTOFS_FS"},
	{"BASE_FULL", NULL, NULL, "6.10", "BASE_SMALL, which says the opposite"},
	{"BCACHEFS_FS", "6.7", NULL, "6.18", "it lives outside of the kernel's source"},
	{"BLK_DEV_CRYPTOLOOP", NULL, NULL, "5.16", "DM_CRYPT"},
	{"BLK_DEV_THROTTLING_LOW", NULL, "6.1", "6.12", NULL},
	{"BPFILTER", NULL, "6.1", "6.12", NULL},
	{"CACHESTAT_SYSCALL", "6.5", NULL, NULL, NULL},
	{"CLEANCACHE", NULL, NULL, "5.17", NULL},
	{"CPU_IBPB_ENTRY", NULL, NULL, "6.9", "MITIGATION_IBPB_ENTRY"},
	{"CPU_IBRS_ENTRY", NULL, NULL, "6.9", "MITIGATION_IBRS_ENTRY"},
	{"CPU_SRSO", NULL, NULL, "6.9", "MITIGATION_SRSO"},
	{"CPU_UNRET_ENTRY", NULL, NULL, "6.9", "MITIGATION_UNRET_ENTRY"},
	{"CRASH_CORE", NULL, NULL, "6.9", "VMCORE_INFO and CRASH_RESERVE"},
	{"CRASH_RESERVE", "6.9", NULL, NULL, NULL},
	{"CRYPTO_MANAGER_DISABLE_TESTS", NULL, "6.12", "6.18", "CRYPTO_SELFTESTS"},
	{"DEBUG_CREDENTIALS", NULL, "6.1", "6.12", NULL},
	{"DEBUG_INFO_COMPRESSED", NULL, "6.1", "6.12", "DEBUG_INFO_COMPRESSED_ZLIB"},
	{"DEBUG_INFO_DWARF5", "5.12", NULL, NULL, NULL},
	{"DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT", "5.12", NULL, NULL, NULL},
	{"DEBUG_INFO_NONE", "5.18", NULL, NULL, NULL},
	{"DEVKMEM", NULL, NULL, "5.13", "/dev/kmem is gone"},
	{"DYNAMIC_MEMORY_LAYOUT", NULL, "6.12", "6.18", "it is always so"},
	{"EMBEDDED", NULL, NULL, "6.6", "EXPERT"},
	{"EXT3_FS", NULL, "6.12", "6.18", "EXT4_FS, which mounts ext3"},
	{"FORCE_MAX_ZONEORDER", NULL, NULL, "6.1", "ARCH_FORCE_MAX_ORDER, which counts one less"},
	{"HARDENED_USERCOPY_FALLBACK", NULL, NULL, "5.16", NULL},
	{"IDE", NULL, NULL, "5.14", "ATA"},
	{"IP_DCCP", NULL, NULL, "6.16", NULL},
	{"KALLSYMS_ABSOLUTE_PERCPU", NULL, "6.12", "6.18", NULL},
	{"KFENCE", "5.12", NULL, NULL, NULL},
	{"LEGACY_VSYSCALL_EMULATE", NULL, "5.10", "6.1", "LEGACY_VSYSCALL_XONLY"},
	{"LIBCRC32C", NULL, "6.12", "6.18", "CRC32"},
	{"LRU_GEN", "6.1", NULL, NULL, NULL},
	{"MANDATORY_FILE_LOCKING", NULL, NULL, "5.15", NULL},
	{"MEMCG_KMEM", NULL, NULL, "6.11", "MEMCG, which includes it"},
	{"MEMCG_SWAP", NULL, NULL, "6.1", "MEMCG and SWAP, which include it"},
	{"MITIGATION_IBPB_ENTRY", "6.9", NULL, NULL, "CPU_IBPB_ENTRY"},
	{"MITIGATION_IBRS_ENTRY", "6.9", NULL, NULL, "CPU_IBRS_ENTRY"},
	{"MITIGATION_PAGE_TABLE_ISOLATION", "6.9", NULL, NULL, "PAGE_TABLE_ISOLATION"},
	{"MITIGATION_RETHUNK", "6.9", NULL, NULL, "RETHUNK"},
	{"MITIGATION_RETPOLINE", "6.9", NULL, NULL, "RETPOLINE"},
	{"MITIGATION_SLS", "6.9", NULL, NULL, "SLS"},
	{"MITIGATION_SRSO", "6.9", NULL, NULL, "CPU_SRSO"},
	{"MITIGATION_UNRET_ENTRY", "6.9", NULL, NULL, "CPU_UNRET_ENTRY"},
	{"OPROFILE", NULL, NULL, "5.12", "PERF_EVENTS"},
	{"PAGE_TABLE_ISOLATION", NULL, NULL, "6.9", "MITIGATION_PAGE_TABLE_ISOLATION"},
	{"PER_VMA_LOCK", "6.4", NULL, NULL, NULL},
	{"PREEMPT_DYNAMIC", "5.12", NULL, NULL, NULL},
	{"PREEMPT_LAZY", "6.13", NULL, NULL, NULL},
	{"PRINTK_INDEX", "5.15", NULL, NULL, NULL},
	{"PVPANIC_MMIO", "5.12", NULL, NULL, "PVPANIC"},
	{"PVPANIC_PCI", "5.12", NULL, NULL, "PVPANIC"},
	{"RANDOMIZE_KSTACK_OFFSET_DEFAULT", "5.13", NULL, NULL, NULL},
	{"RANDOM_TRUST_BOOTLOADER", NULL, NULL, "6.2",
	 "random.trust_bootloader on the command line"},
	{"RANDOM_TRUST_CPU", NULL, NULL, "6.2", "random.trust_cpu on the command line"},
	{"RAW_DRIVER", NULL, NULL, "5.14", NULL},
	{"REISERFS_FS", NULL, NULL, "6.13", NULL},
	{"RETHUNK", NULL, NULL, "6.9", "MITIGATION_RETHUNK"},
	{"RETPOLINE", NULL, NULL, "6.9", "MITIGATION_RETPOLINE"},
	{"RUST", "6.1", NULL, NULL, NULL},
	{"SCHED_CLASS_EXT", "6.12", NULL, NULL, NULL},
	{"SCHED_DEBUG", NULL, NULL, "6.15", "it is always on"},
	{"SECRETMEM", "5.14", NULL, NULL, NULL},
	{"SECURITY_LANDLOCK", "5.13", NULL, NULL, NULL},
	{"SECURITY_SELINUX_DISABLE", NULL, NULL, "6.4", "selinux=0 on the command line"},
	{"SET_FS", NULL, "5.10", "6.1", NULL},
	{"SLAB", NULL, NULL, "6.5", "it was SLAB_DEPRECATED until 6.8; SLUB is what is left"},
	{"SLAB_DEPRECATED", "6.5", NULL, "6.8", "SLUB"},
	{"SLOB", NULL, NULL, "6.4", "SLUB with SLUB_TINY"},
	{"SLS", NULL, NULL, "6.9", "MITIGATION_SLS"},
	{"SLUB_CPU_PARTIAL", NULL, "6.18", "7.2", NULL},
	{"SLUB_TINY", "6.2", NULL, NULL, NULL},
	{"SRCU", NULL, NULL, "6.4", "it is always on"},
	{"SYSFS_DEPRECATED", NULL, "6.1", "6.12", NULL},
	{"SYSV_FS", NULL, NULL, "6.15", NULL},
	{"VMCORE_INFO", "6.9", NULL, NULL, "CRASH_CORE"},
	{"X86_5LEVEL", NULL, "6.12", "6.18", "it is always on"},
	{"X86_FEATURE_NAMES", NULL, "6.1", "6.12", "they are always there"},
	{"X86_FRED", "6.9", NULL, NULL, NULL},
	{"X86_SMAP", NULL, "5.10", "6.1", "it is always on"},
	{"X86_USER_SHADOW_STACK", "6.6", NULL, NULL, NULL},
	{"X86_X32", NULL, NULL, "5.18", "X86_X32_ABI"},
};

bool kconfig_history(const char *option, const struct kver *kver, struct buf *out)
{
	const struct change *c = changes, *end = changes + array_len(changes);
	struct kver limit;

	while (c < end && !str_eq(c->name, option))
		c++;
	if (c == end)
		return false;
	if (c->from && kver && kver_parse(c->from, &limit, NULL) == 0 &&
	    kver_compare(kver, &limit) < 0) {
		buf_addf(out, "it is there from %s on", c->from);
		if (c->now && !c->until)
			buf_addf(out, "; before: %s", c->now);
		return true;
	}
	if (!c->until || kver_parse(c->until, &limit, NULL) < 0 ||
	    (kver && kver_compare(kver, &limit) < 0))
		return false;
	if (c->after)
		buf_addf(out, "it was removed between %s and %s", c->after, c->until);
	else
		buf_addf(out, "it was removed in %s", c->until);
	if (c->now)
		buf_addf(out, "; now: %s", c->now);
	return true;
}
