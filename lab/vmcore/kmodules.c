/*
 * kmodules.c - the modules in a dump, and what a kernel that names functions only (arm64 5.10 and
 * 6.1) does not tell: where its first task and its list of modules are.
 */
#include <elf.h>
#include <string.h>

#include "lab/kernel/elf-write.h"
#include "lab/vmcore/kstate.h"

enum {
	MODULES_MAX = 1024,
	MODULE_SYMS_MAX = 1 << 16,
	ALL_SYMS_MAX = 1 << 18,
	MODULE_CODE_MAX = 64 << 20,
	SYM_NAME_MAX = 256,
	NAMES_MAX = 8 << 20, /* of one module's symbols */
	PARTS_MAX = 96,
	CHUNK = 64 << 10,
	SCAN_MAX = 64 << 20,
	COMM = 16,
};

static const uint64_t kernel_half = 0xffffull << 48;

static bool offset_of(const struct kstate *k, const char *type, const char *member, uint32_t *ret)
{
	uint32_t size;

	return ktypes_member(k->types, type, member, ret, &size) == 0;
}

static void make_printable(char *s)
{
	for (; *s; s++)
		if (*s < ' ' || *s > '~')
			*s = '?';
}

/* ---- the first task ---- */

/* swapper/0: its list of tasks leads back to it. */
static bool is_init_task(const struct kstate *k, uint64_t address)
{
	uint32_t comm_at, tasks_at;
	uint64_t pid, next, back;
	char comm[COMM];

	return offset_of(k, "task_struct", "comm", &comm_at) &&
	       offset_of(k, "task_struct", "tasks", &tasks_at) &&
	       vmcore_read_string(k->v, address + comm_at, comm, sizeof(comm)) >= 0 &&
	       str_starts(comm, "swapper") &&
	       kstate_member(k, address, "task_struct", "pid", &pid) == 0 && !pid &&
	       vmcore_read_u64(k->v, address + tasks_at, &next) == 0 && next >= kernel_half &&
	       vmcore_read_u64(k->v, next + 8, &back) == 0 && back == address + tasks_at;
}

/* It is data of the image, with its name in it from the start: where that is there. */
void kstate_look_for_init_task(struct kstate *k)
{
	static const char name[COMM] = "swapper";
	struct elf_part parts[PARTS_MAX];
	uint32_t comm_at;
	size_t n = 0;

	if (ksyms_lookup(&k->syms, "init_task") || !offset_of(k, "task_struct", "comm", &comm_at) ||
	    elf_parts((const uint8_t *)k->image.data, k->image.len, &k->syms, parts, PARTS_MAX, &n,
		      NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		const char *at = parts[i].data, *start = at;

		while (at && k->n_swappers < array_len(k->swappers) &&
		       (at = memmem(at, parts[i].size - (at - start), name, COMM)))
			k->swappers[k->n_swappers++] = parts[i].address + (at++ - start) - comm_at;
	}
}

void kstate_find_init_task(struct kstate *k)
{
	if (kstate_symbol(k, "init_task", &k->init_task))
		return;
	for (size_t i = 0; i < k->n_swappers && !k->init_task; i++)
		if (is_init_task(k, k->swappers[i] + k->slide))
			k->init_task = k->swappers[i] + k->slide;
}

/* ---- the list of modules ---- */

/* Every struct module names itself: mkobj.mod. */
static bool is_module(const struct kstate *k, uint64_t address)
{
	uint64_t self;

	return kstate_member(k, address, "module", "mkobj.mod", &self) == 0 && self == address;
}

/* Whether the word at a place is the next of a list's head whose first entry is a module. */
static bool is_modules_head(const struct kstate *k, uint32_t list_at, uint64_t place,
			    const uint64_t words[2])
{
	uint64_t back, low = k->syms.text + k->slide;

	for (size_t i = 0; i < 2; i++)
		if (words[i] % 8 || words[i] < kernel_half ||
		    (words[i] >= low && words[i] < low + k->syms.size))
			return false;
	return vmcore_read_u64(k->v, words[0] + 8, &back) == 0 && back == place &&
	       is_module(k, words[0] - list_at);
}

/* The head is somewhere in the image's data, behind all code, also that of the boot. */
static bool scan_for_modules(const struct kstate *k, uint32_t list_at, uint64_t *head)
{
	auto_free uint64_t *words = xmalloc(CHUNK);
	uint64_t at = k->text.end, boot = 0, end = k->syms.text + k->slide + k->syms.size;

	if (kstate_symbol(k, "_einittext", &boot) && boot > at)
		at = boot;
	at = at / CHUNK * CHUNK;
	if (end < at || end - at > SCAN_MAX)
		return false;
	for (; at < end; at += CHUNK - sizeof(*words)) {
		size_t n = CHUNK / sizeof(*words);

		if (vmcore_read(k->v, at, words, CHUNK) < 0)
			continue;
		for (size_t i = 0; i + 1 < n; i++)
			if (is_modules_head(k, list_at, at + i * sizeof(*words), words + i)) {
				*head = at + i * sizeof(*words);
				return true;
			}
	}
	return false;
}

/* ---- one module ---- */

/* kernel/panic.c, taint_flags[]: the letters of those that a module can have. */
static void read_taints(const struct kstate *k, struct kmodule *m)
{
	static const char letters[] = "PFSRMBUDAWCIOELKXTNJ";
	uint64_t bits = 0;
	size_t n = 0;

	kstate_member(k, m->address, "module", "taints", &bits);
	for (size_t i = 0; letters[i]; i++)
		if (bits >> i & 1 && n + 1 < sizeof(m->taints))
			m->taints[n++] = letters[i];
}

/* Base and size of a part of it, as 6.4 and later, or earlier ones have it. */
static void read_code(const struct kstate *k, const struct kmodule *m, const char *part,
		      const char *layout, struct krange *ret)
{
	auto_free char *base_name = str_printf("%s.base", layout);
	auto_free char *size_name = str_printf("%s.text_size", layout);
	uint64_t base = 0, size = 0;
	uint32_t at, each;
	int64_t i;

	if (offset_of(k, "module", "mem", &at) &&
	    ktypes_size(k->types, "module_memory", &each) == 0 &&
	    ktypes_enumerator(k->types, part, &i) == 0 && i >= 0 && i < 16) {
		at += i * each;
		kstate_member(k, m->address + at, "module_memory", "base", &base);
		kstate_member(k, m->address + at, "module_memory", "size", &size);
	} else {
		kstate_member(k, m->address, "module", base_name, &base);
		kstate_member(k, m->address, "module", size_name, &size);
	}
	if (base >= kernel_half && size <= MODULE_CODE_MAX && base + size > base)
		*ret = (struct krange){base, base + size};
}

static int by_address(const void *a, const void *b)
{
	const struct ksym *x = a, *y = b;

	return (x->address > y->address) - (x->address < y->address);
}

/* A name of code that the kernel would print, too: not the marks of assemblers. */
static bool is_name(const char *s)
{
	return s[0] && s[0] != '$' && strncmp(s, ".L", 2) != 0 && strncmp(s, "__UNIQUE_ID", 11);
}

/* *budget: how many symbols may be looked at; less those of this one after. */
static void read_symbols(const struct kstate *k, struct kmodule *m, size_t *budget)
{
	uint64_t kallsyms = 0, symtab = 0, strtab = 0, n = 0;
	auto_cleanup(buf) names = {0};
	auto_free Elf64_Sym *syms = NULL;

	if (kstate_member(k, m->address, "module", "kallsyms", &kallsyms) < 0 ||
	    kstate_member(k, kallsyms, "mod_kallsyms", "symtab", &symtab) < 0 ||
	    kstate_member(k, kallsyms, "mod_kallsyms", "strtab", &strtab) < 0 ||
	    kstate_member(k, kallsyms, "mod_kallsyms", "num_symtab", &n) < 0 || !n ||
	    n > MODULE_SYMS_MAX || n > *budget)
		return;
	*budget -= n;
	syms = xcalloc(n, sizeof(*syms));
	if (vmcore_read(k->v, symtab, syms, n * sizeof(*syms)) < 0)
		return;
	m->syms = xcalloc(n, sizeof(*m->syms));
	for (uint64_t i = 0; i < n && names.len < NAMES_MAX; i++) {
		const Elf64_Sym *s = &syms[i];
		bool code = (s->st_value >= m->base && s->st_value < m->base + m->size) ||
			    (s->st_value >= m->init.start && s->st_value < m->init.end);
		char name[SYM_NAME_MAX];

		if (s->st_shndx == SHN_UNDEF || !code ||
		    vmcore_read_string(k->v, strtab + s->st_name, name, sizeof(name)) < 0 ||
		    !is_name(name))
			continue;
		make_printable(name);
		/* for now where in names it is: they move while they grow */
		m->syms[m->n_syms++] = (struct ksym){.address = s->st_value,
						     .type = 't',
						     .name = (const char *)(uintptr_t)names.len};
		buf_add(&names, name, strlen(name) + 1);
	}
	m->names = names.data;
	names = (struct buf){0};
	for (size_t i = 0; i < m->n_syms; i++)
		m->syms[i].name = m->names + (uintptr_t)m->syms[i].name;
	qsort(m->syms, m->n_syms, sizeof(*m->syms), by_address);
}

static void read_module(const struct kstate *k, uint64_t address, size_t *budget, struct kmodule *m)
{
	struct krange code = {0};
	uint32_t name_at = 0;
	uint64_t state = 1;

	*m = (struct kmodule){.address = address};
	if (!offset_of(k, "module", "name", &name_at) ||
	    vmcore_read_string(k->v, address + name_at, m->name, sizeof(m->name)) < 0 ||
	    !m->name[0])
		strcpy(m->name, "?");
	make_printable(m->name);
	m->live = kstate_member(k, address, "module", "state", &state) == 0 && !state;
	read_taints(k, m);
	read_code(k, m, "MOD_TEXT", "core_layout", &code);
	read_code(k, m, "MOD_INIT_TEXT", "init_layout", &m->init);
	m->base = code.start;
	m->size = code.end - code.start;
	read_symbols(k, m, budget);
}

static bool is_known(const struct kstate *k, uint64_t address)
{
	for (size_t i = 0; i < k->n_modules; i++)
		if (k->modules[i].address == address)
			return true;
	return false;
}

void kstate_read_modules(struct kstate *k)
{
	uint64_t head = 0, at = 0;
	uint32_t list_at;
	size_t budget = ALL_SYMS_MAX;

	if (!offset_of(k, "module", "list", &list_at) ||
	    (!kstate_symbol(k, "modules", &head) && !scan_for_modules(k, list_at, &head)))
		return;
	k->modules_known = vmcore_read_u64(k->v, head, &at) == 0;
	for (size_t i = 0; k->modules_known && at != head && i < MODULES_MAX; i++) {
		uint64_t module = at - list_at;

		if (is_known(k, module))
			return;
		/* one that is about to be loaded is none yet */
		if (is_module(k, module)) {
			k->modules =
				xreallocarray(k->modules, k->n_modules + 1, sizeof(*k->modules));
			read_module(k, module, &budget, &k->modules[k->n_modules++]);
		}
		if (vmcore_read_u64(k->v, at, &at) < 0)
			return;
	}
}
