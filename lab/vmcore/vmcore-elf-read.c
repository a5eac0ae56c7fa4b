#include <elf.h>
#include <string.h>

#include "lab/vmcore/vmcore-file.h"

static int by_address(const void *a, const void *b)
{
	const struct vm_segment *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	return x->len > y->len ? -1 : x->len < y->len;
}

/*
 * What was mapped at several virtual addresses has several segments: each byte of memory stays in
 * the first.
 */
static void remove_overlaps(struct vmcore *v)
{
	uint64_t end = 0;
	size_t n = 0;

	qsort(v->segments, v->n_segments, sizeof(*v->segments), by_address);
	for (size_t i = 0; i < v->n_segments; i++) {
		struct vm_segment s = v->segments[i];
		uint64_t skip = n && s.address < end ? end - s.address : 0;

		if (skip >= s.len)
			continue;
		s.address += skip;
		s.offset += skip;
		s.len -= skip;
		end = s.address + s.len;
		v->segments[n++] = s;
	}
	v->n_segments = n;
}

static void list_ranges(struct vmcore *v)
{
	v->ranges = xcalloc(v->n_segments + 1, sizeof(*v->ranges));
	for (size_t i = 0; i < v->n_segments; i++) {
		const struct vm_segment *s = &v->segments[i];
		struct vmcore_range *last = v->n_ranges ? &v->ranges[v->n_ranges - 1] : NULL;

		if (last && last->address + last->len == s->address)
			last->len += s->len;
		else
			v->ranges[v->n_ranges++] =
				(struct vmcore_range){.address = s->address, .len = s->len};
	}
}

static int read_notes(struct vmcore *v, const struct elf_segment *s)
{
	if (s->file_size > VM_NOTES_MAX || v->notes_len + s->file_size > VM_NOTES_MAX)
		return -EBADMSG;
	v->notes = xreallocarray(v->notes, v->notes_len + s->file_size + 1, 1);
	if (!vm_pread(v, s->offset, v->notes + v->notes_len, s->file_size))
		return -EBADMSG;
	v->notes_len += s->file_size;
	return 0;
}

int vm_elf_open(struct vmcore *v, struct err *err)
{
	auto_free struct elf_segment *s = NULL;
	int machine, r;
	size_t n;

	r = elf_segments(v->path, &s, &n, &machine, err);
	if (r < 0)
		return r;
	if (machine != EM_X86_64 && machine != EM_AARCH64)
		return err_set(err, ENOTSUP,
			       "%s: of an architecture that is not read (ELF machine %d)%s",
			       v->path, machine,
			       machine == EM_386 ? ": the CPU was not in 64-bit mode" : "");
	v->arch = machine == EM_X86_64 ? ARCH_AMD64 : ARCH_ARM64;
	v->unit = VM_PAGE;
	v->segments = xcalloc(n + 1, sizeof(*v->segments));
	for (size_t i = 0; i < n; i++) {
		if (s[i].type != PT_NOTE && s[i].type != PT_LOAD)
			continue;
		if (s[i].offset > v->size || s[i].file_size > v->size - s[i].offset)
			return err_set(err, EBADMSG,
				       "%s: cut short: part %zu of it ends beyond its end", v->path,
				       i);
		if (s[i].type == PT_NOTE && read_notes(v, &s[i]) < 0)
			return err_set(err, EBADMSG, "%s: damaged notes", v->path);
		if (s[i].type == PT_NOTE || s[i].file_size == 0)
			continue;
		if (s[i].physical > UINT64_MAX - s[i].file_size)
			return err_set(err, EBADMSG, "%s: part %zu of it is beyond all memory",
				       v->path, i);
		v->segments[v->n_segments++] = (struct vm_segment){
			.address = s[i].physical, .len = s[i].file_size, .offset = s[i].offset};
	}
	remove_overlaps(v);
	list_ranges(v);
	return 0;
}

int vm_elf_read(struct vmcore *v, uint64_t address, void *ret, size_t len)
{
	uint8_t *to = ret;

	while (len) {
		size_t low = 0, high = v->n_segments, n;
		const struct vm_segment *s;

		while (low < high) { /* the first that begins beyond address */
			size_t middle = (low + high) / 2;

			if (v->segments[middle].address <= address)
				low = middle + 1;
			else
				high = middle;
		}
		s = low ? &v->segments[low - 1] : NULL;
		if (!s || address - s->address >= s->len)
			return -EFAULT;
		n = s->len - (address - s->address);
		n = n < len ? n : len;
		if (!vm_pread(v, s->offset + (address - s->address), to, n))
			return -EBADMSG;
		to += n;
		address += n;
		len -= n;
	}
	return 0;
}
