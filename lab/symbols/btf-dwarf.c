#include <string.h>

#include "lab/symbols/btf-read.h"
#include "lab/symbols/btf.h"
#include "lab/symbols/dwarf-write.h"

/* No C function of the kernel has more; BTF shares a prototype among many functions. */
enum { PARAMS_MAX = 64 };

/*
 * gdb puts a break point at a function's first instruction, where the arguments are, only in what a
 * gcc that tells good locations has made (symtab.c, skip_prologue_sal()).
 */
#define PRODUCER "GNU C11 12.0.0 (types of BTF)"

struct writer {
	struct btf b;
	enum arch arch;
	const struct ksyms *syms;
	const struct ksym **by_name;
	uint64_t *sizes;     /* as syms->items */
	uint32_t *functions; /* as syms->items: how many BTF has of that name */
	bool *described;     /* as syms->items: it has an entry */
	uint64_t low, high;
	struct dwarf_writer out;
	struct buf str, loc;
};

static void writer_deinit(struct writer *w)
{
	btf_deinit(&w->b);
	free(w->by_name);
	free(w->sizes);
	free(w->described);
	free(w->functions);
	dwarf_writer_deinit(&w->out);
	buf_deinit(&w->str);
	buf_deinit(&w->loc);
}
DEFINE_CLEANUP(writer, writer_deinit)

/* --- types -------------------------------------------------------------------------------------
 * .debug_str starts with BTF's strings: an offset in one is an offset in the other. */

static struct die named(const struct writer *w, unsigned int tag, uint32_t name)
{
	struct die d = {.tag = tag};

	if (w->b.strings[name])
		die_add(&d, DW_AT_name, DW_FORM_strp, name);
	return d;
}

static void typed(const struct writer *w, struct die *d, uint32_t id)
{
	die_type(d, btf_skip_tags(&w->b, id));
}

static uint64_t bits_of_int(const struct btf_type *t)
{
	return btf_u32(t->more) & 0xff;
}

static void put_int(struct writer *w, uint32_t id, const struct btf_type *t)
{
	struct die d = named(w, DW_TAG_base_type, t->name);
	uint32_t encoding = btf_u32(t->more) >> 24;
	unsigned int ate = encoding & 1 ? DW_ATE_signed : DW_ATE_unsigned;

	/* BTF calls no type "char"; in C all of one byte are, but for bool */
	if (t->size == 1)
		ate = encoding & 1 ? DW_ATE_signed_char : DW_ATE_unsigned_char;
	if (encoding & 4)
		ate = DW_ATE_boolean;
	if (t->kind == BTF_FLOAT)
		ate = DW_ATE_float;
	die_add(&d, DW_AT_byte_size, DW_FORM_udata, t->size);
	die_add(&d, DW_AT_encoding, DW_FORM_data1, ate);
	dwarf_put(&w->out, &d, id);
}

static void put_array(struct writer *w, uint32_t id, uint32_t element, uint32_t index, uint32_t n)
{
	struct die d = {.tag = DW_TAG_array_type, .children = true};
	struct die range = {.tag = DW_TAG_subrange_type};

	die_type(&d, element);
	dwarf_put(&w->out, &d, id);
	die_type(&range, index);
	if (n)
		die_add(&range, DW_AT_count, DW_FORM_udata, n);
	dwarf_put(&w->out, &range, 0);
	dwarf_up(&w->out);
}

/* A bit field of the old kind says its width in its type. */
static void old_bits(const struct writer *w, struct btf_item *m)
{
	struct btf_type t = btf_type(&w->b, btf_skip_names(&w->b, m->type));

	if (t.kind == BTF_INT && bits_of_int(&t) < 8 * (uint64_t)t.size) {
		m->bits = bits_of_int(&t);
		m->value += btf_u32(t.more) >> 16 & 0xff;
	}
}

static void put_record(struct writer *w, uint32_t id, const struct btf_type *t)
{
	struct die d =
		named(w, t->kind == BTF_UNION ? DW_TAG_union_type : DW_TAG_structure_type, t->name);

	d.children = t->n;
	die_add(&d, DW_AT_byte_size, DW_FORM_udata, t->size);
	dwarf_put(&w->out, &d, id);
	for (uint32_t i = 0; i < t->n; i++) {
		struct btf_item m = btf_item(&w->b, t, i);
		struct die member = named(w, DW_TAG_member, m.name);

		if (!t->flag)
			old_bits(w, &m);
		typed(w, &member, m.type);
		if (m.bits) {
			die_add(&member, DW_AT_bit_size, DW_FORM_udata, m.bits);
			die_add(&member, DW_AT_data_bit_offset, DW_FORM_udata, m.value);
		} else {
			die_add(&member, DW_AT_data_member_location, DW_FORM_udata, m.value / 8);
		}
		dwarf_put(&w->out, &member, 0);
	}
	if (t->n)
		dwarf_up(&w->out);
}

static void put_enum(struct writer *w, uint32_t id, const struct btf_type *t)
{
	struct die d = named(w, DW_TAG_enumeration_type, t->name);
	unsigned int form = btf_is_signed(&w->b, t) ? DW_FORM_sdata : DW_FORM_udata;

	d.children = t->n;
	die_add(&d, DW_AT_byte_size, DW_FORM_udata, t->size);
	if (!t->n)
		die_add(&d, DW_AT_declaration, DW_FORM_flag_present, 0);
	dwarf_put(&w->out, &d, id);
	for (uint32_t i = 0; i < t->n; i++) {
		struct btf_item value = btf_item(&w->b, t, i);
		struct die e = named(w, DW_TAG_enumerator, value.name);

		die_add(&e, DW_AT_const_value, form, value.value);
		dwarf_put(&w->out, &e, 0);
	}
	if (t->n)
		dwarf_up(&w->out);
}

static void put_simple(struct writer *w, uint32_t id, const struct btf_type *t)
{
	static const uint8_t tags[BTF_KINDS] = {
		[BTF_PTR] = DW_TAG_pointer_type,       [BTF_TYPEDEF] = DW_TAG_typedef,
		[BTF_VOLATILE] = DW_TAG_volatile_type, [BTF_CONST] = DW_TAG_const_type,
		[BTF_RESTRICT] = DW_TAG_restrict_type, [BTF_FWD] = DW_TAG_structure_type,
	};
	struct die d = named(w, tags[t->kind], t->name);

	if (t->kind == BTF_PTR)
		die_add(&d, DW_AT_byte_size, DW_FORM_udata, 8);
	if (t->kind == BTF_FWD) {
		d.tag = t->flag ? DW_TAG_union_type : DW_TAG_structure_type;
		die_add(&d, DW_AT_declaration, DW_FORM_flag_present, 0);
	} else {
		typed(w, &d, t->type);
	}
	dwarf_put(&w->out, &d, id);
}

static bool is_dots(const struct btf_type *proto, uint32_t i, const struct btf_item *p)
{
	return i + 1 == proto->n && !p->type && !p->name;
}

static void put_prototype(struct writer *w, uint32_t id, const struct btf_type *t)
{
	struct die d = {.tag = DW_TAG_subroutine_type, .children = t->n};

	die_add(&d, DW_AT_prototyped, DW_FORM_flag_present, 0);
	typed(w, &d, t->type);
	dwarf_put(&w->out, &d, id);
	for (uint32_t i = 0; i < t->n; i++) {
		struct btf_item p = btf_item(&w->b, t, i);
		struct die parameter = {.tag = DW_TAG_formal_parameter};

		if (is_dots(t, i, &p))
			parameter.tag = DW_TAG_unspecified_parameters;
		else
			typed(w, &parameter, p.type);
		dwarf_put(&w->out, &parameter, 0);
	}
	if (t->n)
		dwarf_up(&w->out);
}

static void put_type(struct writer *w, uint32_t id)
{
	struct btf_type t = btf_type(&w->b, id);

	switch (t.kind) {
	case BTF_INT:
	case BTF_FLOAT:
		put_int(w, id, &t);
		break;
	case BTF_ARRAY:
		put_array(w, id, btf_skip_tags(&w->b, btf_u32(t.more)),
			  btf_skip_tags(&w->b, btf_u32(t.more + 4)), btf_u32(t.more + 8));
		break;
	case BTF_STRUCT:
	case BTF_UNION:
		put_record(w, id, &t);
		break;
	case BTF_ENUM:
	case BTF_ENUM64:
		put_enum(w, id, &t);
		break;
	case BTF_FUNC_PROTO:
		put_prototype(w, id, &t);
		break;
	case BTF_PTR:
	case BTF_FWD:
	case BTF_TYPEDEF:
	case BTF_VOLATILE:
	case BTF_CONST:
	case BTF_RESTRICT:
		put_simple(w, id, &t);
		break;
	default: /* functions and variables follow; tags are passed through */
		break;
	}
}

/* --- symbols -----------------------------------------------------------------------------------*/

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct ksym *const *)a)->name, (*(struct ksym *const *)b)->name);
}

static bool is_text(const struct ksym *s)
{
	return s->type && strchr("tTwW", s->type);
}

static void index_symbols(struct writer *w)
{
	size_t n = w->syms->n;

	w->by_name = xcalloc(n + 1, sizeof(*w->by_name));
	w->described = xcalloc(n + 1, sizeof(*w->described));
	w->low = UINT64_MAX;
	for (size_t i = 0; i < n; i++) {
		const struct ksym *s = &w->syms->items[i];

		w->by_name[i] = s;
		if (is_text(s) && s->address < w->low)
			w->low = s->address;
		if (is_text(s) && s->address >= w->high)
			w->high = s->address + 1;
	}
	if (w->low > w->high)
		w->low = 0;
	qsort(w->by_name, n, sizeof(*w->by_name), by_name);
}

/* The symbol of that name if there is exactly one. */
static const struct ksym *only_symbol(const struct writer *w, const char *name)
{
	const struct ksym key = {.name = name}, *p = &key;
	const struct ksym **end = w->by_name + w->syms->n;
	const struct ksym **at = bsearch(&p, w->by_name, w->syms->n, sizeof(*w->by_name), by_name);

	if (!at || (at > w->by_name && str_eq(at[-1]->name, name)) ||
	    (at + 1 < end && str_eq(at[1]->name, name)))
		return NULL;
	return *at;
}

/* Each symbol reaches to the next one. */
static void measure_symbols(struct writer *w)
{
	const struct ksym *items = w->syms->items;
	size_t n = w->syms->n;

	w->sizes = xcalloc(n + 1, sizeof(*w->sizes));
	for (size_t i = n; i-- > 0;)
		if (i + 1 == n)
			w->sizes[i] = 1;
		else
			w->sizes[i] = items[i + 1].address > items[i].address
					      ? items[i + 1].address - items[i].address
					      : w->sizes[i + 1];
}

/* Prototypes that differ make several functions of one name, and one symbol is not all of them. */
static void count_functions(struct writer *w)
{
	w->functions = xcalloc(w->syms->n + 1, sizeof(*w->functions));
	for (uint32_t id = 1; id < w->b.n; id++) {
		struct btf_type t = btf_type(&w->b, id);
		const struct ksym *s =
			t.kind == BTF_FUNC ? only_symbol(w, w->b.strings + t.name) : NULL;

		if (s)
			w->functions[s - w->syms->items]++;
	}
}

/* --- functions ---------------------------------------------------------------------------------*/

/*
 * How a value is passed: true when in one register, as numbers and pointers are, and structures
 * whose only member is one (kuid_t, pte_t). Others (__int128, larger structures) are not worth the
 * rules of two calling conventions.
 */
static bool in_one_register(const struct btf *b, uint32_t id)
{
	struct btf_type t = btf_type(b, id = btf_skip_names(b, id));

	while ((t.kind == BTF_STRUCT || t.kind == BTF_UNION) && t.n == 1) {
		struct btf_item m = btf_item(b, &t, 0);

		if (m.value || m.bits || t.size > 8)
			return false;
		t = btf_type(b, id = btf_skip_names(b, m.type));
	}
	return t.kind == BTF_PTR ||
	       ((t.kind == BTF_INT || t.kind == BTF_ENUM || t.kind == BTF_ENUM64) && t.size <= 8);
}

/* One list, for the function's first byte: the register. The unit's start is its base. */
static uint32_t put_location(struct writer *w, uint64_t address, unsigned int reg)
{
	uint32_t at = w->loc.len;

	dwarf_int(&w->loc, address - w->low, 8);
	dwarf_int(&w->loc, address - w->low + 1, 8);
	dwarf_int(&w->loc, 1, 2);
	dwarf_int(&w->loc, DW_OP_reg0 + reg, 1);
	dwarf_int(&w->loc, 0, 8);
	dwarf_int(&w->loc, 0, 8);
	return at;
}

static void put_parameters(struct writer *w, const struct btf_type *proto, uint64_t address)
{
	/* DWARF's numbers: rdi rsi rdx rcx r8 r9 (x86-64 psABI 3.2.3, figure 3.36); x0-x7 (AAPCS64)
	 */
	static const uint8_t amd64[] = {5, 4, 1, 2, 8, 9}, arm64[] = {0, 1, 2, 3, 4, 5, 6, 7};
	const uint8_t *regs = w->arch == ARCH_AMD64 ? amd64 : arm64;
	uint32_t n_regs = w->arch == ARCH_AMD64 ? array_len(amd64) : array_len(arm64);
	struct btf_type returned = btf_type(&w->b, btf_skip_names(&w->b, proto->type));

	/* rdi may be where the result goes */
	if (w->arch == ARCH_AMD64 && (returned.kind == BTF_STRUCT || returned.kind == BTF_UNION) &&
	    !in_one_register(&w->b, proto->type))
		n_regs = 0;
	for (uint32_t i = 0; i < proto->n; i++) {
		struct btf_item p = btf_item(&w->b, proto, i);
		struct die d = {.tag = DW_TAG_unspecified_parameters};

		if (!is_dots(proto, i, &p)) {
			d = named(w, DW_TAG_formal_parameter, p.name);
			typed(w, &d, p.type);
			if (!in_one_register(&w->b, p.type))
				n_regs = 0; /* nor are those after it certain */
			if (i < n_regs)
				die_add(&d, DW_AT_location, DW_FORM_sec_offset,
					put_location(w, address, regs[i]));
		}
		dwarf_put(&w->out, &d, 0);
	}
}

static void put_function(struct writer *w, const struct btf_type *t)
{
	struct btf_type proto = btf_type(&w->b, t->type);
	const struct ksym *s = only_symbol(w, w->b.strings + t->name);
	struct die d = named(w, DW_TAG_subprogram, t->name);

	if (!s || w->functions[s - w->syms->items] != 1 || proto.n > PARAMS_MAX)
		return;
	w->described[s - w->syms->items] = true;
	d.children = proto.n;
	if (s->type == 'T')
		die_add(&d, DW_AT_external, DW_FORM_flag_present, 0);
	die_add(&d, DW_AT_prototyped, DW_FORM_flag_present, 0);
	typed(w, &d, proto.type);
	die_add(&d, DW_AT_low_pc, DW_FORM_addr, s->address);
	die_add(&d, DW_AT_high_pc, DW_FORM_data8, w->sizes[s - w->syms->items]);
	dwarf_put(&w->out, &d, 0);
	put_parameters(w, &proto, s->address);
	if (proto.n)
		dwarf_up(&w->out);
}

/* --- variables ---------------------------------------------------------------------------------*/

/* name: in .debug_str */
static void put_variable(struct writer *w, uint32_t name, uint32_t type, uint64_t address)
{
	struct die d = {.tag = DW_TAG_variable};

	die_add(&d, DW_AT_name, DW_FORM_strp, name);
	die_type(&d, type);
	die_add(&d, DW_AT_external, DW_FORM_flag_present, 0);
	die_add(&d, DW_AT_location, DW_FORM_exprloc, address);
	dwarf_put(&w->out, &d, 0);
}

/* One that BTF knows. */
static void put_known_variable(struct writer *w, const struct btf_type *t)
{
	const struct ksym *s = only_symbol(w, w->b.strings + t->name);

	if (!s || w->described[s - w->syms->items])
		return;
	w->described[s - w->syms->items] = true;
	put_variable(w, t->name, btf_skip_tags(&w->b, t->type), s->address);
}

/*
 * Variables of which BTF says nothing, but whose declarations have been these from 5.10 to 7.2: all
 * are in the kernel's headers, or made by a macro that fixes the type (LIST_HEAD(modules)).
 */
static const struct {
	const char *name;
	enum btf_kind kind;
	const char *type;
	bool array; /* const type name[] */
} well_known[] = {
	{"init_task", BTF_STRUCT, "task_struct", false},
	{"init_mm", BTF_STRUCT, "mm_struct", false},
	{"init_cred", BTF_STRUCT, "cred", false},
	{"init_nsproxy", BTF_STRUCT, "nsproxy", false},
	{"init_user_ns", BTF_STRUCT, "user_namespace", false},
	{"init_pid_ns", BTF_STRUCT, "pid_namespace", false},
	{"init_uts_ns", BTF_STRUCT, "uts_namespace", false},
	{"init_ipc_ns", BTF_STRUCT, "ipc_namespace", false},
	{"init_cgroup_ns", BTF_STRUCT, "cgroup_namespace", false},
	{"init_time_ns", BTF_STRUCT, "time_namespace", false},
	{"init_net", BTF_STRUCT, "net", false},
	{"init_fs", BTF_STRUCT, "fs_struct", false},
	{"init_files", BTF_STRUCT, "files_struct", false},
	{"modules", BTF_STRUCT, "list_head", false},
	{"super_blocks", BTF_STRUCT, "list_head", false},
	{"net_namespace_list", BTF_STRUCT, "list_head", false},
	{"jiffies_64", BTF_TYPEDEF, "u64", false},
	{"linux_banner", BTF_INT, "char", true},
};

static uint32_t add_string(struct writer *w, const char *s)
{
	uint32_t at = w->str.len;

	buf_add(&w->str, s, strlen(s) + 1);
	return at;
}

/* number, and the one after it, are free. */
static void put_well_known(struct writer *w, size_t which, uint32_t type, uint32_t number)
{
	const struct ksym *s = only_symbol(w, well_known[which].name);
	struct die d = {.tag = DW_TAG_const_type};

	if (!s || w->described[s - w->syms->items])
		return;
	if (well_known[which].array) {
		die_type(&d, type);
		dwarf_put(&w->out, &d, number);
		put_array(w, number + 1, number, 0, 0);
		type = number + 1;
	}
	put_variable(w, add_string(w, s->name), type, s->address);
}

/* The types are those of the name, the first that has members. */
static void put_well_knowns(struct writer *w)
{
	bool done[array_len(well_known)] = {0};

	for (uint32_t id = 1; id < w->b.n; id++) {
		struct btf_type t = btf_type(&w->b, id);

		for (size_t i = 0; i < array_len(well_known); i++)
			if (!done[i] && t.kind == well_known[i].kind &&
			    str_eq(w->b.strings + t.name, well_known[i].type)) {
				put_well_known(w, i, id, w->b.n + 2 * i);
				done[i] = true;
			}
	}
}

/* --- all ---------------------------------------------------------------------------------------*/

static void put_unit(struct writer *w)
{
	struct die d = {.tag = DW_TAG_compile_unit, .children = true};

	dwarf_writer_begin(&w->out, w->b.n + 2 * array_len(well_known));
	buf_add(&w->str, w->b.strings, w->b.strings_len);
	die_add(&d, DW_AT_producer, DW_FORM_strp, add_string(w, PRODUCER));
	die_add(&d, DW_AT_language, DW_FORM_data1, DW_LANG_C99);
	die_add(&d, DW_AT_name, DW_FORM_strp, add_string(w, "BTF"));
	die_add(&d, DW_AT_low_pc, DW_FORM_addr, w->low);
	die_add(&d, DW_AT_high_pc, DW_FORM_data8, w->high - w->low);
	dwarf_put(&w->out, &d, 0);
	for (uint32_t id = 1; id < w->b.n; id++)
		put_type(w, id);
	for (uint32_t id = 1; id < w->b.n; id++) {
		struct btf_type t = btf_type(&w->b, id);

		if (t.kind == BTF_FUNC)
			put_function(w, &t);
		else if (t.kind == BTF_VAR)
			put_known_variable(w, &t);
	}
	put_well_knowns(w);
	dwarf_up(&w->out);
	dwarf_writer_end(&w->out);
}

int btf_to_dwarf(const uint8_t *btf, size_t len, enum arch arch, const struct ksyms *syms,
		 struct dwarf_sections *ret, struct err *err)
{
	auto_cleanup(writer) w = {.arch = arch, .syms = syms};
	int r = btf_open(btf, len, &w.b, err);

	if (r < 0)
		return r;
	index_symbols(&w);
	measure_symbols(&w);
	count_functions(&w);
	put_unit(&w);
	*ret = (struct dwarf_sections){
		.info = w.out.info, .abbrev = w.out.abbrev, .str = w.str, .loc = w.loc};
	w.out.info = w.out.abbrev = w.str = w.loc = (struct buf){0};
	return 0;
}

void dwarf_sections_deinit(struct dwarf_sections *d)
{
	buf_deinit(&d->info);
	buf_deinit(&d->abbrev);
	buf_deinit(&d->str);
	buf_deinit(&d->loc);
}
