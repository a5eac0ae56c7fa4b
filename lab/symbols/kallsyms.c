#include "lab/symbols/kallsyms.h"

#include <elf.h>
#include <string.h>

/*
 * scripts/kallsyms.c of the kernel writes the tables one after the other, each aligned to 8 (to 4
 * from 7.x on):
 *   up to 6.3	offsets relative_base num_syms names markers [seqs_of_names] token_table token_index
 *   from 6.4	num_syms names markers token_table token_index offsets [relative_base] seqs_of_names
 * Offsets are counted from relative_base; without one (7.x) from where each of them is itself; up
 * to 6.x there may be 64-bit addresses instead (without CONFIG_KALLSYMS_BASE_RELATIVE). Nothing
 * points to them that could be found, so they are known by their form: the token table holds the
 * ten digits one after the other, as they are in the names of every kernel.
 */
enum {
	TOKENS = 256,
	MARKED = 256,	       /* one marker for so many names */
	NAME_MAX_LEN = 512,    /* KSYM_NAME_LEN */
	SYMBOLS_MAX = 4 << 20, /* a KASAN kernel has 200,000 */
	NAMES_MAX = 256 << 20, /* of all names unpacked */
	SEARCH_MAX = 16 << 20, /* from markers to the token table */
	MARKERS_MIN = 4,
	ARM64_ALIGN_BITS = 27,	/* every kernel's text starts at a multiple of 128 MiB */
	ARM64_RELATIVE = 0x403, /* R_AARCH64_RELATIVE */
};

struct view {
	const uint8_t *data;
	size_t len;
	uint64_t text; /* where it is linked */
	uint64_t size; /* of what is loaded */
	bool is_elf;
};

/* Places in the image. */
struct tables {
	size_t tokens, index, names, markers, num;
	uint32_t n;
	enum { OFFSETS_BASE, OFFSETS_SELF, ADDRESSES } form;
	size_t values, base;
};

static uint16_t u16_at(const struct view *v, size_t at)
{
	uint16_t n;

	memcpy(&n, v->data + at, sizeof(n));
	return n;
}

static uint32_t u32_at(const struct view *v, size_t at)
{
	uint32_t n;

	memcpy(&n, v->data + at, sizeof(n));
	return n;
}

static uint64_t u64_at(const struct view *v, size_t at)
{
	uint64_t n;

	memcpy(&n, v->data + at, sizeof(n));
	return n;
}

static size_t align(size_t at, size_t to)
{
	return (at + to - 1) / to * to;
}

/* The end of that many strings, or 0. */
static size_t skip_strings(const struct view *v, size_t at, unsigned int n)
{
	while (n--) {
		size_t left = v->len - at;
		const uint8_t *nul =
			memchr(v->data + at, 0, left < NAME_MAX_LEN ? left : NAME_MAX_LEN);

		if (!nul)
			return 0;
		at = nul + 1 - v->data;
	}
	return at;
}

/* Given where the token "0" is: whether an index follows that fits the table. */
static bool tokens_at(const struct view *v, size_t zero, struct tables *t)
{
	size_t end = skip_strings(v, zero, TOKENS - '0');

	for (size_t to = 4; end && to <= 8; to += 4) {
		size_t index = align(end, to), start, at, i;

		if (index > v->len || v->len - index < TOKENS * 2)
			return false;
		if (u16_at(v, index) || u16_at(v, index + '0' * 2) > zero)
			continue;
		start = at = zero - u16_at(v, index + '0' * 2);
		for (i = 0; at && i < TOKENS && at - start == u16_at(v, index + i * 2); i++)
			at = skip_strings(v, at, 1);
		if (i == TOKENS && start % 4 == 0) {
			t->tokens = start;
			t->index = index;
			return true;
		}
	}
	return false;
}

/* Whether n names start at at, end before the markers, and are marked by them. */
static bool names_at(const struct view *v, size_t at, struct tables *t)
{
	size_t end = at;

	for (uint32_t i = 0; i < t->n; i++) {
		size_t len;

		if (i % MARKED == 0 && u32_at(v, t->markers + i / MARKED * 4) != end - at)
			return false;
		if (end + 2 > t->markers)
			return false;
		len = v->data[end++];
		if (len & 0x80) /* from 6.1 on; no name was as long before */
			len = (len & 0x7f) | v->data[end++] << 7;
		if (len == 0 || len > t->markers - end)
			return false;
		end += len;
	}
	t->names = at;
	return t->markers - end < 8;
}

static bool is_step(const struct view *v, size_t at)
{
	uint32_t a = u32_at(v, at), b = u32_at(v, at + 4);

	return b > a && b - a >= MARKED * 2 && b - a <= MARKED * (NAME_MAX_LEN + 2);
}

/*
 * Given the markers, of which the last one or two may be something else: the names are before
 * them, and before these their number, which says how many markers there are.
 */
static bool names_before(const struct view *v, struct tables *t)
{
	size_t n = 1, most = MARKED * (NAME_MAX_LEN + 2);

	while (t->markers + n * 4 + 4 <= t->tokens && is_step(v, t->markers + n * 4 - 4))
		n++;
	for (size_t tries = 0; tries < 3 && n >= MARKERS_MIN; tries++, n--) {
		size_t last = u32_at(v, t->markers + n * 4 - 4), at;

		if (last + 8 > t->markers)
			continue;
		at = (t->markers - last) & ~(size_t)3;
		for (size_t stop = at > most + 8 ? at - most : 8; at >= stop; at -= 4) {
			t->num = u32_at(v, at - 4) ? at - 4 : at - 8;
			t->n = u32_at(v, t->num);
			if (t->n <= SYMBOLS_MAX && (t->n + MARKED - 1) / MARKED == n &&
			    names_at(v, at, t))
				return true;
		}
	}
	return false;
}

static bool find_names(const struct view *v, struct tables *t)
{
	size_t stop = t->tokens > SEARCH_MAX ? t->tokens - SEARCH_MAX : 8;

	if (t->tokens < MARKERS_MIN * 4 + 8)
		return false;
	for (t->markers = t->tokens - MARKERS_MIN * 4; t->markers >= stop; t->markers -= 4)
		if (u32_at(v, t->markers) == 0 && is_step(v, t->markers) &&
		    is_step(v, t->markers + 4) && is_step(v, t->markers + 8) && names_before(v, t))
			return true;
	return false;
}

/* Whether at at there is each number below n once, in three bytes, the greatest first. */
static bool is_permutation(const struct view *v, size_t at, uint32_t n)
{
	auto_free uint8_t *seen = NULL;

	if (at > v->len || v->len - at < (size_t)n * 3)
		return false;
	seen = xcalloc(n / 8 + 1, 1);
	for (uint32_t i = 0; i < n; i++, at += 3) {
		uint32_t k = v->data[at] << 16 | v->data[at + 1] << 8 | v->data[at + 2];

		if (k >= n || seen[k / 8] & 1 << k % 8)
			return false;
		seen[k / 8] |= 1 << k % 8;
	}
	return true;
}

static bool find_values_behind(const struct view *v, struct tables *t)
{
	for (size_t to = 4; to <= 8; to += 4) {
		size_t at = align(t->index + TOKENS * 2, to), offsets_end = at + (size_t)t->n * 4;

		t->values = at;
		t->base = align(offsets_end, 8);
		t->form = OFFSETS_BASE;
		if (is_permutation(v, t->base + 8, t->n))
			return true;
		t->form = OFFSETS_SELF;
		if (is_permutation(v, align(offsets_end, to), t->n))
			return true;
		t->form = ADDRESSES;
		if (is_permutation(v, at + (size_t)t->n * 8, t->n))
			return true;
	}
	return false;
}

/* The addend of the relocation of that place (arm64), or what is there. */
static uint64_t pointer_at(const struct view *v, size_t at)
{
	uint64_t is = u64_at(v, at), place = v->text + at;

	if (is || v->is_elf)
		return is;
	for (size_t i = 0; i + 24 <= v->len; i += 8)
		if (u64_at(v, i) == place && u64_at(v, i + 8) == ARM64_RELATIVE)
			return u64_at(v, i + 16);
	return 0;
}

/* The address in memory of a place in the file; 0: it is not loaded. */
static uint64_t linked_at(const struct view *v, size_t at)
{
	Elf64_Ehdr h;

	if (!v->is_elf)
		return v->text + at;
	memcpy(&h, v->data, sizeof(h));
	for (unsigned int i = 0; i < h.e_phnum; i++) {
		Elf64_Phdr p;

		memcpy(&p, v->data + h.e_phoff + i * sizeof(p), sizeof(p));
		if (p.p_type == PT_LOAD && at >= p.p_offset && at - p.p_offset < p.p_filesz)
			return p.p_vaddr + (at - p.p_offset);
	}
	return 0;
}

/* The addresses; false: not in order, so this is not their form. */
static bool read_values(const struct view *v, const struct tables *t, bool percpu,
			struct ksym *items)
{
	uint64_t base = t->form == OFFSETS_BASE ? pointer_at(v, t->base) : 0;
	uint64_t self = t->form == OFFSETS_SELF ? linked_at(v, t->values) : 0;

	for (uint32_t i = 0; i < t->n; i++) {
		size_t at = t->values + (size_t)i * (t->form == ADDRESSES ? 8 : 4);
		uint64_t address;

		if (t->form == ADDRESSES) {
			address = u64_at(v, at);
		} else {
			int64_t is = (int32_t)u32_at(v, at);

			if (t->form == OFFSETS_SELF)
				address = self + i * 4ull + is;
			else if (percpu)
				address = is < 0 ? base - 1 - is : (uint64_t)is;
			else
				address = base + (uint32_t)is;
		}
		if (i && address < items[i - 1].address)
			return false;
		items[i].address = address;
	}
	/* without that base every kernel's addresses would be in order, too */
	return !percpu || items[t->n - 1].address >= v->text;
}

static bool find_values_before(const struct view *v, struct tables *t, struct ksym *items)
{
	size_t offsets = align((size_t)t->n * 4, 8) + 8, addresses = (size_t)t->n * 8;

	t->base = t->num - 8;
	t->values = t->num - offsets;
	t->form = OFFSETS_BASE;
	if (t->num >= offsets &&
	    (read_values(v, t, true, items) || read_values(v, t, false, items)))
		return true;
	t->values = t->num - addresses;
	t->form = ADDRESSES;
	return t->num >= addresses && read_values(v, t, false, items);
}

/* One name unpacked, its type first. Returns the place of the next one, 0: not a name. */
static size_t add_name(const struct view *v, const struct tables *t, size_t at, struct buf *out)
{
	size_t len = v->data[at++], before = out->len;

	if (len & 0x80)
		len = (len & 0x7f) | v->data[at++] << 7;
	while (len--) {
		const uint8_t *token =
			v->data + t->tokens + u16_at(v, t->index + v->data[at++] * 2);

		buf_adds(out, (const char *)token);
		if (out->len - before > NAME_MAX_LEN)
			return 0;
	}
	for (size_t i = before; i < out->len; i++)
		if (out->data[i] <= ' ' || out->data[i] >= 127)
			return 0;
	buf_add(out, "", 1);
	return out->len - before < 3 || out->len > NAMES_MAX ? 0 : at;
}

static int read_names(const struct view *v, const struct tables *t, struct ksyms *s,
		      struct err *err)
{
	auto_free size_t *starts = xmalloc(t->n * sizeof(*starts));
	auto_cleanup(buf) names = {0};
	size_t at = t->names;

	for (uint32_t i = 0; i < t->n; i++) {
		starts[i] = names.len;
		at = add_name(v, t, at, &names);
		if (at == 0)
			return err_set(err, EBADMSG, "symbol %u of the kernel has no proper name",
				       i);
	}
	for (uint32_t i = 0; i < t->n; i++) {
		s->items[i].type = names.data[starts[i]];
		s->items[i].name = names.data + starts[i] + 1;
	}
	s->names = take_ptr(names.data);
	return 0;
}

static int open_elf(struct view *v, struct err *err)
{
	uint64_t end = 0;
	Elf64_Ehdr h;

	memcpy(&h, v->data, sizeof(h));
	if (h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_phoff > v->len ||
	    (v->len - h.e_phoff) / sizeof(Elf64_Phdr) < h.e_phnum)
		return err_set(err, EBADMSG, "the kernel's ELF header is damaged");
	v->is_elf = true;
	for (unsigned int i = 0; i < h.e_phnum; i++) {
		Elf64_Phdr p;

		memcpy(&p, v->data + h.e_phoff + i * sizeof(p), sizeof(p));
		/* amd64's per-CPU variables are linked at 0, which is no place for them */
		if (p.p_type != PT_LOAD || !(p.p_vaddr >> 63))
			continue;
		if (!v->text || p.p_vaddr < v->text)
			v->text = p.p_vaddr;
		if (p.p_vaddr + p.p_filesz > end)
			end = p.p_vaddr + p.p_filesz;
	}
	if (!v->text)
		return err_set(err, EBADMSG, "the kernel's ELF file loads nothing");
	v->size = end - v->text;
	return 0;
}

/*
 * Where a raw Image of arm64 is linked: nothing in it says so, but most of its pointers, or of the
 * relocations that will make them, are into itself.
 */
static int open_raw(struct view *v, struct err *err)
{
	enum { SLOTS = 1 << (48 - ARM64_ALIGN_BITS) };
	auto_free uint32_t *votes = xcalloc(SLOTS, sizeof(*votes));
	size_t best = 0;

	for (size_t at = 0; at + 8 <= v->len; at += 8) {
		uint64_t p = u64_at(v, at);
		size_t slot = p >> ARM64_ALIGN_BITS & (SLOTS - 1);

		/* in the last slot are small negative numbers */
		if (p >> 48 == 0xffff && slot != SLOTS - 1 && ++votes[slot] > votes[best])
			best = slot;
	}
	if (!votes[best])
		return err_set(err, EBADMSG, "no pointers are in the kernel");
	v->text = 0xffffull << 48 | (uint64_t)best << ARM64_ALIGN_BITS;
	v->size = v->len;
	return 0;
}

int ksyms_find(const uint8_t *image, size_t len, enum arch arch, struct ksyms *ret, struct err *err)
{
	static const char digits[] = "0\0"
				     "1\0"
				     "2\0"
				     "3\0"
				     "4\0"
				     "5\0"
				     "6\0"
				     "7\0"
				     "8\0"
				     "9";
	struct view v = {.data = image, .len = len};
	auto_cleanup(ksyms) s = {0};
	struct tables t = {0};
	const uint8_t *at = image;
	bool found = false;
	int r;

	if (len > sizeof(Elf64_Ehdr) && memcmp(image, ELFMAG, SELFMAG) == 0)
		r = open_elf(&v, err);
	else if (arch == ARCH_ARM64)
		r = open_raw(&v, err);
	else
		r = err_set(err, EBADMSG, "not an ELF file");
	if (r < 0)
		return r;
	while (!found && (at = memmem(at, image + len - at, digits, sizeof(digits)))) {
		found = tokens_at(&v, at - image, &t) && find_names(&v, &t);
		at++;
	}
	if (!found)
		return err_set(err, EBADMSG,
			       "no table of symbols is in the kernel (CONFIG_KALLSYMS is needed)");
	s.items = xcalloc(t.n, sizeof(*s.items));
	s.n = t.n;
	if (find_values_behind(&v, &t))
		found = read_values(&v, &t, true, s.items) || read_values(&v, &t, false, s.items);
	else
		found = find_values_before(&v, &t, s.items);
	if (!found)
		return err_set(err, EBADMSG, "the kernel's symbols are in no form known here");
	r = read_names(&v, &t, &s, err);
	if (r < 0)
		return r;
	s.text = v.text;
	s.size = v.size;
	*ret = s;
	s = (struct ksyms){0};
	return 0;
}

void ksyms_deinit(struct ksyms *s)
{
	free(s->items);
	free(s->names);
	*s = (struct ksyms){0};
}

const struct ksym *ksyms_lookup(const struct ksyms *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (str_eq(s->items[i].name, name))
			return &s->items[i];
	return NULL;
}
