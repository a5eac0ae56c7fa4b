#include <endian.h>
#include <string.h>

#include "lab/vmcore/vmcore-file.h"

/*
 * A pipe cannot be sought in, so makedumpfile and QEMU write the file as pieces that each say where
 * they belong (big-endian, struct makedumpfile_data_header), after a first page with a signature.
 */
#define FLAT_SIGNATURE "makedumpfile"
enum { FLAT_HEADER = 4096, FLAT_TYPE = 1, FLAT_PIECES_MAX = 1 << 21 };

bool vm_is_flat(const char *head)
{
	return memcmp(head, FLAT_SIGNATURE, sizeof(FLAT_SIGNATURE)) == 0;
}

static int by_offset(const void *a, const void *b)
{
	const struct vm_piece *x = a, *y = b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

/* Of two pieces for one offset the later one counts; that they overlap otherwise is no use. */
static int sort_pieces(struct vm_flat *f, uint64_t *size)
{
	size_t n = 0;

	qsort(f->pieces, f->n, sizeof(*f->pieces), by_offset);
	for (size_t i = 0; i < f->n; i++) {
		const struct vm_piece *p = &f->pieces[i];
		const struct vm_piece *last = n ? &f->pieces[n - 1] : NULL;

		if (last && last->offset == p->offset && p->len >= last->len)
			n--;
		else if (last && last->offset + last->len > p->offset)
			return -EBADMSG;
		f->pieces[n++] = *p;
	}
	f->n = n;
	*size = n ? f->pieces[n - 1].offset + f->pieces[n - 1].len : 0;
	return 0;
}

static void flat_deinit(struct vm_flat *f)
{
	free(f->pieces);
	*f = (struct vm_flat){0};
}

int vm_flat_open(const struct vmcore *v, struct vm_flat *ret, uint64_t *size, struct err *err)
{
	uint64_t header[2], at = FLAT_HEADER;
	size_t cap = 0;

	if (!vm_pread(v, 16, header, sizeof(header)) || be64toh(header[0]) != FLAT_TYPE)
		return err_set(err, EBADMSG, "%s: damaged header of a flattened dump", v->path);
	for (;;) {
		struct vm_piece p;

		if (!vm_pread(v, at, header, sizeof(header))) {
			flat_deinit(ret);
			return err_set(err, EBADMSG, "%s: cut short: it has no end mark", v->path);
		}
		at += sizeof(header);
		p = (struct vm_piece){
			.offset = be64toh(header[0]), .len = be64toh(header[1]), .at = at};
		if (p.offset == UINT64_MAX && p.len == UINT64_MAX)
			break;
		if (p.len == 0 || p.offset > INT64_MAX || p.len > v->size - at ||
		    ret->n == FLAT_PIECES_MAX) {
			flat_deinit(ret);
			return err_set(err, EBADMSG, "%s: damaged or cut short at byte %llu",
				       v->path, (unsigned long long)at);
		}
		if (ret->n == cap) {
			cap = cap ? cap * 2 : 1024;
			ret->pieces = xreallocarray(ret->pieces, cap, sizeof(*ret->pieces));
		}
		ret->pieces[ret->n++] = p;
		at += p.len;
	}
	if (ret->n && sort_pieces(ret, size) == 0)
		return 0;
	flat_deinit(ret);
	return err_set(err, EBADMSG, "%s: its pieces are none or lie over each other", v->path);
}

bool vm_flat_read(const struct vmcore *v, const struct vm_flat *f, uint64_t offset, void *ret,
		  size_t len)
{
	uint8_t *to = ret;
	size_t low = 0, high = f->n;

	while (low < high) { /* the first that ends beyond offset */
		size_t middle = (low + high) / 2;

		if (f->pieces[middle].offset + f->pieces[middle].len <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	memset(to, 0, len);
	for (; len && low < f->n && f->pieces[low].offset < offset + len; low++) {
		const struct vm_piece *p = &f->pieces[low];
		uint64_t skip = p->offset > offset ? p->offset - offset : 0, within, n;

		to += skip;
		offset += skip;
		len -= skip;
		within = offset - p->offset;
		n = p->len - within < len ? p->len - within : len;
		if (!vm_pread(v, p->at + within, to, n))
			return false;
		to += n;
		offset += n;
		len -= n;
	}
	return true;
}
