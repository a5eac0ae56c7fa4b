#include "lab/vmcore/unwind.h"

#include <string.h>

#include "lab/kernel/elf-write.h"
#include "lab/vmcore/unwind-walk.h"

enum { PARTS_MAX = 128, ORCS_MAX = 1 << 22, FUNCTION_MAX = 256 << 10 };
enum { STACK_SIZE = 16 << 10, STACK_SIZE_MAX = 256 << 10 };

/* ORC of a module, in the dump's memory. */
struct module_orc {
	uint32_t n, ip, orc; /* offsets of these members of struct module; n: of num_orcs */
};

struct unwind {
	const struct kstate *k;
	struct walk_env env;
	struct krange
		init; /* code of the boot, in which the first task began: also when it is gone */
	/* the image's ORC; n 0: none */
	const uint8_t *ips, *orcs; /* in k->image */
	uint64_t ips_at;	   /* as linked */
	size_t n;
	struct orc_format format;
	bool has_module_orc;
	struct module_orc module;
};

/* ---- code ---- */

static bool within(const struct krange *r, uint64_t address)
{
	return address >= r->start && address < r->end;
}

static bool in_kernel(const struct unwind *u, uint64_t address)
{
	return within(&u->k->text, address) || within(&u->init, address);
}

static const struct kmodule *module_at(const struct kstate *k, uint64_t address)
{
	for (size_t i = 0; i < k->n_modules; i++)
		if (address - k->modules[i].base < k->modules[i].size ||
		    within(&k->modules[i].init, address))
			return &k->modules[i];
	return NULL;
}

static bool is_code(void *data, uint64_t address)
{
	const struct unwind *u = data;

	return in_kernel(u, address) || module_at(u->k, address);
}

static bool read_memory(void *data, uint64_t address, void *ret, size_t len)
{
	const struct unwind *u = data;

	return vmcore_read(u->k->v, address, ret, len) == 0;
}

/* The function that is at address: where it starts, and its size. */
static bool function_at(const struct kstate *k, uint64_t address, uint64_t *start, uint64_t *size)
{
	char name[KNAME_MAX], *at = NULL;
	uint64_t offset;

	if (!kstate_name(k, address, name))
		return false;
	for (char *next = name; (next = strstr(next, "+0x")); next++)
		at = next;
	if (!at)
		return false;
	offset = strtoull(at + 1, &at, 16);
	if (*at != '/')
		return false;
	*start = address - offset;
	*size = strtoull(at + 1, NULL, 16);
	return offset < *size;
}

static bool is_start(const struct unwind *u, uint64_t address)
{
	uint64_t start, size;

	return function_at(u->k, address, &start, &size) && start == address;
}

/* ---- where frames are ---- */

/* The last entry at or below address: its table's places are relative to themselves. */
static bool find_in_image(const struct unwind *u, uint64_t address, struct frame_row *ret)
{
	size_t low = 0, high = u->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int32_t from;

		memcpy(&from, u->ips + mid * 4, sizeof(from));
		if (u->ips_at + mid * 4 + from <= address)
			low = mid + 1;
		else
			high = mid;
	}
	if (low)
		*ret = orc_row(&u->format, u->orcs + (low - 1) * ORC_ENTRY);
	return true;
}

static bool find_in_module(const struct unwind *u, const struct kmodule *m, uint64_t address,
			   struct frame_row *ret)
{
	struct vmcore *v = u->k->v;
	uint64_t ips, orcs;
	uint32_t n, low = 0, high;
	uint8_t entry[ORC_ENTRY];

	if (!u->has_module_orc || vmcore_read_u32(v, m->address + u->module.n, &n) < 0 ||
	    n > ORCS_MAX || vmcore_read_u64(v, m->address + u->module.ip, &ips) < 0 ||
	    vmcore_read_u64(v, m->address + u->module.orc, &orcs) < 0)
		return true;
	for (high = n; low < high;) {
		uint32_t mid = low + (high - low) / 2, from;

		if (vmcore_read_u32(v, ips + mid * 4ull, &from) < 0)
			return true;
		if (ips + mid * 4ull + (int32_t)from <= address)
			low = mid + 1;
		else
			high = mid;
	}
	if (low &&
	    vmcore_read(v, orcs + (low - 1) * (uint64_t)ORC_ENTRY, entry, sizeof(entry)) == 0)
		*ret = orc_row(&u->format, entry);
	return true;
}

static bool row_amd64(void *data, uint64_t address, struct frame_row *ret)
{
	const struct unwind *u = data;
	const struct kmodule *m;

	*ret = (struct frame_row){.kind = FRAME_NONE};
	if (in_kernel(u, address))
		return find_in_image(u, address - u->k->slide, ret);
	m = module_at(u->k, address);
	return m && find_in_module(u, m, address, ret);
}

static bool row_arm64(void *data, uint64_t address, struct frame_row *ret)
{
	const struct unwind *u = data;
	auto_free uint8_t *code = NULL;
	uint64_t start, size;

	*ret = (struct frame_row){.kind = FRAME_NONE};
	if (!is_code(data, address))
		return false;
	if (!function_at(u->k, address, &start, &size) || size > FUNCTION_MAX)
		return true;
	code = xmalloc(size);
	if (vmcore_read(u->k->v, start, code, size) == 0)
		*ret = frames_arm64_row(code, size / 4, start, address);
	return true;
}

/* ---- opening ---- */

static void find_orc(struct unwind *u)
{
	const struct kstate *k = u->k;
	const struct elf_part *ip = NULL, *orc = NULL;
	struct elf_part parts[PARTS_MAX];
	uint32_t size;
	size_t n;

	if (elf_parts((const uint8_t *)k->image.data, k->image.len, &k->syms, parts, PARTS_MAX, &n,
		      NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (parts[i].data && str_eq(parts[i].name, ".orc_unwind_ip"))
			ip = &parts[i];
		if (parts[i].data && str_eq(parts[i].name, ".orc_unwind"))
			orc = &parts[i];
	}
	if (!ip || !orc)
		return;
	u->ips = ip->data;
	u->ips_at = ip->address;
	u->orcs = orc->data;
	u->n = ip->size / 4 < orc->size / ORC_ENTRY ? ip->size / 4 : orc->size / ORC_ENTRY;
	u->format = orc_find_format(u->orcs, u->n);
	u->has_module_orc =
		k->types &&
		ktypes_member(k->types, "module", "arch.num_orcs", &u->module.n, &size) == 0 &&
		ktypes_member(k->types, "module", "arch.orc_unwind_ip", &u->module.ip, &size) ==
			0 &&
		ktypes_member(k->types, "module", "arch.orc_unwind", &u->module.orc, &size) == 0;
}

static uint64_t find_stack_size(const struct kstate *k)
{
	uint32_t size;

	if (k->types && ktypes_size(k->types, "thread_union", &size) == 0 && size >= STACK_SIZE &&
	    size <= STACK_SIZE_MAX && !(size & (size - 1)))
		return size;
	return ksyms_lookup(&k->syms, "kasan_report") ? 2 * STACK_SIZE : STACK_SIZE;
}

/* What is the same in all kernel addresses; behind it pointer authentication hides. */
static uint64_t find_kernel_bits(const struct kstate *k)
{
	uint64_t bits = 48, mask = 0;

	vmcoreinfo_number(vmcore_info(k->v), "NUMBER(VA_BITS)", &bits);
	vmcoreinfo_number(vmcore_info(k->v), "NUMBER(KERNELPACMASK)", &mask);
	return mask | (bits >= 36 && bits <= 52 ? ~0ull << bits : ~0ull << 52);
}

int unwind_open(const struct kstate *k, struct unwind **ret, struct err *err)
{
	static const struct kver meta = {.part = {6, 13}};
	struct unwind *u = xcalloc(1, sizeof(*u));

	(void)err;
	u->k = k;
	if (!kstate_symbol(k, "_sinittext", &u->init.start) ||
	    !kstate_symbol(k, "_einittext", &u->init.end))
		u->init = k->init;
	u->env = (struct walk_env){
		.data = u,
		.arch = k->kernel->arch,
		.read = read_memory,
		.is_code = is_code,
		.row = k->kernel->arch == ARCH_AMD64 ? row_amd64 : row_arm64,
		.stack_size = find_stack_size(k),
		.kernel_bits = find_kernel_bits(k),
		.frame_meta = kver_compare(&k->kernel->kver, &meta) >= 0,
	};
	if (u->env.arch == ARCH_AMD64)
		find_orc(u);
	u->env.by_fp = !u->n;
	*ret = u;
	return 0;
}

void unwind_close(struct unwind *u)
{
	free(u);
}

/* ---- walking ---- */

/* "rbp" → 6, "x29" → 29, as DWARF numbers them; -1: none that a walk needs. */
static int register_number(enum arch arch, const char *name)
{
	static const char *const amd64[] = {"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp",
					    "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
	uint64_t n;

	for (size_t i = 0; arch == ARCH_AMD64 && i < array_len(amd64); i++)
		if (str_eq(name, amd64[i]))
			return i;
	if (arch == ARCH_ARM64 && name[0] == 'x' && str_to_u64(name + 1, 0, 30, &n) == 0)
		return n;
	return -1;
}

static bool take_cpu(struct walk *w, const struct vmcore *v, uint64_t pc, uint64_t sp)
{
	for (size_t i = 0; i < vmcore_cpus(v); i++) {
		const struct vmcore_cpu *cpu = vmcore_cpu(v, i);

		if (cpu->pc != pc || cpu->sp != sp)
			continue;
		for (size_t r = 0; r < cpu->n; r++) {
			int number = register_number(w->env->arch, cpu->regs[r].name);

			if (number >= 0)
				walk_set(w, number, cpu->regs[r].value);
		}
		return true;
	}
	return false;
}

size_t unwind_stack(struct unwind *u, uint64_t pc, uint64_t sp, uint64_t fp, struct kframe *ret,
		    size_t max)
{
	struct walk w = {.env = &u->env, .pc = pc};

	/* a task that never ran yet goes on at the start of a function */
	w.exact = take_cpu(&w, u->k->v, pc, sp) || is_start(u, pc);
	walk_set(&w, walk_sp(&w), sp);
	walk_set(&w, u->env.arch == ARCH_AMD64 ? AMD64_BP : ARM64_FP, fp);
	return walk_stack(&w, ret, max < UNWIND_MAX ? max : UNWIND_MAX);
}
