/*
 * kstate-made.h - for tests of what reads a dump's kernel: a kernel's types, made of a table, and
 * memory that the test fills, in place of a dump (vmcore.h and vmcore-log.h, whose own tests read
 * files).
 */
#include <string.h>

#include "lab/symbols/btf-read.h"
#include "lab/symbols/dwarf-write.h"
#include "lab/vmcore/tasks.h"
#include "lab/vmcore/vmcore-log.h"

/* --- types -------------------------------------------------------------------------------------*/

/* A member "a.b" is the only one, b, of a struct without a name that a is of. */
struct made_member {
	const char *type, *member;
	uint32_t offset, size;
};

struct made_btf {
	struct buf types, strings, all;
	uint32_t n;
};

static uint32_t made_name(struct made_btf *b, const char *s, size_t len)
{
	uint32_t at = b->strings.len;

	buf_add(&b->strings, s, len);
	buf_add(&b->strings, "", 1);
	return len ? at : 0;
}

static uint32_t made_type(struct made_btf *b, enum btf_kind kind, uint32_t name, uint32_t n,
			  uint32_t size)
{
	dwarf_int(&b->types, name, 4);
	dwarf_int(&b->types, (uint32_t)kind << 24 | n, 4);
	dwarf_int(&b->types, size, 4);
	return ++b->n;
}

static void made_words(struct made_btf *b, const uint32_t *w, size_t n)
{
	for (size_t i = 0; i < n; i++)
		dwarf_int(&b->types, w[i], 4);
}

/* The first type is a byte. Returns a type of that size. */
static uint32_t made_bytes(struct made_btf *b, uint32_t size)
{
	uint32_t id = made_type(b, BTF_ARRAY, 0, 0, 0);

	made_words(b, (uint32_t[]){1, 1, size}, 3);
	return id;
}

/* Members of one struct follow one another; it is as large as the last one needs. */
static void made_struct(struct made_btf *b, const struct made_member *m, size_t n)
{
	uint32_t types[64], size = 0;

	for (size_t i = 0; i < n; i++) {
		const char *dot = strchr(m[i].member, '.');

		types[i] = made_bytes(b, m[i].size);
		if (dot) {
			uint32_t name = made_name(b, dot + 1, strlen(dot + 1)), inner = types[i];

			types[i] = made_type(b, BTF_STRUCT, 0, 1, m[i].size);
			made_words(b, (uint32_t[]){name, inner, 0}, 3);
		}
		if (m[i].offset + m[i].size > size)
			size = m[i].offset + m[i].size;
	}
	made_type(b, BTF_STRUCT, made_name(b, m[0].type, strlen(m[0].type)), n, size);
	for (size_t i = 0; i < n; i++)
		made_words(b,
			   (uint32_t[]){made_name(b, m[i].member, strcspn(m[i].member, ".")),
					types[i], m[i].offset * 8},
			   3);
}

static struct ktypes *made_types(struct made_btf *b, const struct made_member *m, size_t n)
{
	struct ktypes *t = NULL;

	buf_add(&b->strings, "", 1);
	made_type(b, BTF_INT, made_name(b, "u8", 2), 0, 1);
	made_words(b, (uint32_t[]){8}, 1);
	for (size_t i = 0, of; i < n; i += of) {
		for (of = 1; i + of < n && str_eq(m[i].type, m[i + of].type);)
			of++;
		made_struct(b, m + i, of);
	}
	made_type(b, BTF_ENUM, 0, 2, 4);
	made_words(b, (uint32_t[]){made_name(b, "MOD_TEXT", 8), 0}, 2);
	made_words(b, (uint32_t[]){made_name(b, "MOD_INIT_TEXT", 13), 1}, 2);
	dwarf_int(&b->all, 0x0001eb9f, 4);
	for (size_t i = 0; i < 5; i++)
		dwarf_int(&b->all,
			  (uint32_t[]){24, 0, b->types.len, b->types.len, b->strings.len}[i], 4);
	buf_add(&b->all, b->types.data, b->types.len);
	buf_add(&b->all, b->strings.data, b->strings.len);
	return ktypes_open((const uint8_t *)b->all.data, b->all.len, &t, NULL) == 0 ? t : NULL;
}

static void made_btf_deinit(struct made_btf *b)
{
	buf_deinit(&b->types);
	buf_deinit(&b->strings);
	buf_deinit(&b->all);
	*b = (struct made_btf){0};
}

/* What kstate reads, as a kernel of 6.4 or later has it; all sizes but these are its own business.
 */
static const struct made_member made_kernel[] = {
	{"task_struct", "thread_info.cpu", 0, 4},
	{"task_struct", "__state", 4, 4},
	{"task_struct", "stack", 8, 8},
	{"task_struct", "flags", 16, 4},
	{"task_struct", "on_cpu", 20, 4},
	{"task_struct", "tasks", 24, 16},
	{"task_struct", "exit_state", 40, 4},
	{"task_struct", "pid", 44, 4},
	{"task_struct", "tgid", 48, 4},
	{"task_struct", "thread_node", 56, 16},
	{"task_struct", "signal", 72, 8},
	{"task_struct", "cred", 80, 8},
	{"task_struct", "comm", 88, 16},
	{"task_struct", "seccomp.mode", 104, 4},
	{"task_struct", "thread.sp", 112, 8},
	{"signal_struct", "thread_head", 16, 16},
	{"cred", "uid", 8, 4},
	{"inactive_task_frame", "bp", 8, 8},
	{"inactive_task_frame", "ret_addr", 16, 8},
	{"module_memory", "base", 0, 8},
	{"module_memory", "size", 8, 4},
	{"module", "state", 0, 4},
	{"module", "list", 8, 16},
	{"module", "name", 24, 56},
	{"module", "mkobj.mod", 80, 8},
	{"module", "mem", 88, 32},
	{"module", "taints", 120, 8},
	{"module", "kallsyms", 128, 8},
	{"mod_kallsyms", "symtab", 0, 8},
	{"mod_kallsyms", "num_symtab", 8, 4},
	{"mod_kallsyms", "strtab", 16, 8},
};

/* --- memory ------------------------------------------------------------------------------------*/

static int made_read(uint64_t address, void *ret, size_t len); /* the test's own */
static struct vmcore_cpu made_cpu;
static struct vmcoreinfo made_info;
static const char *made_log = "";

int vmcore_read(struct vmcore *v, uint64_t address, void *ret, size_t len)
{
	(void)v;
	return made_read(address, ret, len);
}

int vmcore_read_u32(struct vmcore *v, uint64_t address, uint32_t *ret)
{
	return vmcore_read(v, address, ret, sizeof(*ret));
}

int vmcore_read_u64(struct vmcore *v, uint64_t address, uint64_t *ret)
{
	return vmcore_read(v, address, ret, sizeof(*ret));
}

int vmcore_read_string(struct vmcore *v, uint64_t address, char *ret, size_t max)
{
	size_t n = 0;

	while (n < max - 1 && vmcore_read(v, address + n, ret + n, 1) == 0 && ret[n])
		n++;
	ret[n] = '\0';
	return n ? 0 : -EFAULT;
}

int vmcore_translate(struct vmcore *v, uint64_t address, uint64_t *ret)
{
	char byte;

	*ret = 0;
	return vmcore_read(v, address, &byte, 1);
}

size_t vmcore_cpus(const struct vmcore *v)
{
	(void)v;
	return 1;
}

const struct vmcore_cpu *vmcore_cpu(const struct vmcore *v, size_t i)
{
	(void)v;
	(void)i;
	return &made_cpu;
}

enum arch vmcore_arch(const struct vmcore *v)
{
	(void)v;
	return ARCH_AMD64;
}

const struct vmcoreinfo *vmcore_info(const struct vmcore *v)
{
	(void)v;
	return &made_info;
}

int vmcore_slide(const struct vmcore *v, uint64_t link_stext, uint64_t *ret, struct err *err)
{
	(void)v;
	(void)link_stext;
	(void)err;
	*ret = 0;
	return 0;
}

int vmcore_log(struct vmcore *v, size_t max, struct buf *out, size_t *lost, struct err *err)
{
	(void)v;
	(void)max;
	(void)err;
	*lost = 0;
	buf_adds(out, made_log);
	return 0;
}
