#include <elf.h>
#include <string.h>

#include "lab/vmcore/vmcore-file.h"

/* struct elf_prstatus (linux/elfcore.h): where pr_reg is. */
enum { PRSTATUS_REGS = 112 };

/* struct user_regs_struct (asm/user_64.h), struct user_pt_regs (asm/ptrace.h), in their order */
static const char *const regs_amd64[] = {
	"r15",	  "r14", "r13", "r12",	   "rbp",     "rbx", "r11",	 "r10", "r9",
	"r8",	  "rax", "rcx", "rdx",	   "rsi",     "rdi", "orig_rax", "rip", "cs",
	"eflags", "rsp", "ss",	"fs_base", "gs_base", "ds",  "es",	 "fs",	"gs",
};
static const char *const regs_arm64[] = {
	"x0",  "x1",  "x2",  "x3",  "x4",  "x5",  "x6",	 "x7",	"x8",  "x9",	 "x10", "x11",
	"x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21",	 "x22", "x23",
	"x24", "x25", "x26", "x27", "x28", "x29", "x30", "sp",	"pc",  "pstate",
};
static const struct {
	const char *const *names;
	size_t n, pc, sp, fp;
} layouts[ARCH_COUNT] = {
	[ARCH_AMD64] = {regs_amd64, array_len(regs_amd64), 16, 19, 4},
	[ARCH_ARM64] = {regs_arm64, array_len(regs_arm64), 32, 31, 29},
};

/* What QEMU adds for an amd64 CPU (QEMU's target/i386/arch_dump.c, struct QEMUCPUState). */
static const struct {
	const char *name;
	size_t offset;
} regs_qemu[] = {
	{"cr0", 392}, {"cr2", 408}, {"cr3", 416}, {"cr4", 424}, {"kernel_gs_base", 432},
};

_Static_assert(array_len(regs_amd64) + array_len(regs_qemu) <= VMCORE_MAX_REGS, "they have room");

static uint64_t u64_at(const char *p)
{
	uint64_t value;

	memcpy(&value, p, sizeof(value));
	return value;
}

static void on_prstatus(struct vmcore *v, const char *desc, size_t len)
{
	__typeof__(&layouts[0]) l = &layouts[v->arch];
	struct vmcore_cpu *cpu;

	if (v->n_cpus == VMCORE_MAX_CPUS || len < PRSTATUS_REGS + l->n * 8)
		return;
	v->cpus = xreallocarray(v->cpus, v->n_cpus + 1, sizeof(*v->cpus));
	cpu = &v->cpus[v->n_cpus++];
	*cpu = (struct vmcore_cpu){.n = l->n};
	for (size_t i = 0; i < l->n; i++) {
		cpu->regs[i].name = l->names[i];
		cpu->regs[i].value = u64_at(desc + PRSTATUS_REGS + i * 8);
	}
	cpu->pc = cpu->regs[l->pc].value;
	cpu->sp = cpu->regs[l->sp].value;
	cpu->fp = cpu->regs[l->fp].value;
}

/* These come after all of NT_PRSTATUS, in the same order. */
static void on_qemu(struct vmcore *v, size_t cpu_index, const char *desc, size_t len)
{
	struct vmcore_cpu *cpu = cpu_index < v->n_cpus ? &v->cpus[cpu_index] : NULL;

	for (size_t i = 0; cpu && v->arch == ARCH_AMD64 && i < array_len(regs_qemu); i++)
		if (regs_qemu[i].offset + 8 <= len) {
			cpu->regs[cpu->n].name = regs_qemu[i].name;
			cpu->regs[cpu->n++].value = u64_at(desc + regs_qemu[i].offset);
		}
}

static bool is_named(const Elf64_Nhdr *h, const char *name, const char *expected)
{
	size_t len = strlen(expected);

	return (h->n_namesz == len || h->n_namesz == len + 1) && memcmp(name, expected, len) == 0;
}

struct note {
	uint32_t type;
	const char *desc;
	size_t len;
	bool is_core, is_qemu, is_info;
};

/* The note at *at, which is moved on; false: there is none, or it is cut short. */
static bool next_note(const struct vmcore *v, size_t *at, struct note *ret)
{
	size_t left = v->notes_len - *at, name_len, desc_len;
	const char *name = v->notes + *at + sizeof(Elf64_Nhdr);
	Elf64_Nhdr h;

	if (left < sizeof(h))
		return false;
	memcpy(&h, v->notes + *at, sizeof(h));
	left -= sizeof(h);
	name_len = ((size_t)h.n_namesz + 3) & ~3UL;
	desc_len = ((size_t)h.n_descsz + 3) & ~3UL;
	if (name_len > left || h.n_descsz > left - name_len)
		return false;
	*ret = (struct note){.type = h.n_type,
			     .desc = name + name_len,
			     .len = h.n_descsz,
			     .is_core = is_named(&h, name, "CORE"),
			     .is_qemu = is_named(&h, name, "QEMU"),
			     .is_info = is_named(&h, name, "VMCOREINFO")};
	left -= name_len;
	*at = v->notes_len - left + (desc_len < left ? desc_len : left);
	return true;
}

void vm_notes_parse(struct vmcore *v)
{
	size_t at = 0, n_qemu = 0;
	struct note n;

	while (next_note(v, &at, &n))
		if (n.is_core && n.type == NT_PRSTATUS)
			on_prstatus(v, n.desc, n.len);
		else if (n.is_qemu && n_qemu < VMCORE_MAX_CPUS)
			on_qemu(v, n_qemu++, n.desc, n.len);
		else if (n.is_info && !v->info.len) {
			vmcoreinfo_deinit(&v->info);
			vmcoreinfo_init(&v->info, n.desc, n.len);
		}
}

int vm_notes_arch(const struct vmcore *v)
{
	struct note n;

	for (size_t at = 0; next_note(v, &at, &n);)
		for (int arch = 0; arch < ARCH_COUNT; arch++)
			/* pr_fpvalid and what aligns it are behind the registers */
			if (n.is_core && n.type == NT_PRSTATUS &&
			    n.len == PRSTATUS_REGS + layouts[arch].n * 8 + 8)
				return arch;
	return -ENOENT;
}

static bool is_info(struct vmcore *v, uint64_t address)
{
	static const char first[] = "OSRELEASE=", needed[] = "\nSYMBOL(swapper_pg_dir)=";
	char text[VM_PAGE + 1];

	if (vmcore_read_physical(v, address, text, sizeof(first)) < 0 ||
	    memcmp(text, first, strlen(first)) != 0 ||
	    vmcore_read_physical(v, address, text, VM_PAGE) < 0)
		return false;
	text[VM_PAGE] = '\0';
	if (!strstr(text, needed))
		return false;
	vmcoreinfo_deinit(&v->info);
	vmcoreinfo_init(&v->info, text, VM_PAGE);
	v->info_in_memory = true;
	return true;
}

void vm_find_info(struct vmcore *v)
{
	for (size_t i = 0; i < v->n_ranges; i++) {
		const struct vmcore_range *r = &v->ranges[i];

		for (uint64_t at = (r->address + VM_PAGE - 1) & ~(VM_PAGE - 1ULL);
		     at >= r->address && at - r->address + VM_PAGE <= r->len; at += VM_PAGE)
			if (is_info(v, at))
				return;
	}
}
