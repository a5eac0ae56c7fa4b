#include <string.h>
#include <zlib.h>

#include "lab/vmcore/vmcore-file.h"

/* diskdump_mod.h, as makedumpfile and QEMU (include/sysemu/dump.h) write it for 64-bit guests */
#define KDUMP_SIGNATURE "KDUMP   "
struct kdump_header {
	char signature[8];
	uint32_t version;
	char sysname[65], nodename[65], release[65], uts_version[65], machine[65], domain[65];
	char padding[6];
	uint64_t timestamp[2];
	uint32_t status, block_size, sub_blocks, bitmap_blocks, max_mapnr, total_ram_blocks,
		device_blocks, written_blocks, current_cpu, nr_cpus;
};
struct kdump_sub_header {
	uint64_t phys_base;
	uint32_t dump_level, split;
	uint64_t start_pfn, end_pfn, info_offset, info_size, note_offset, note_size, erase_offset,
		erase_size, start_pfn_64, end_pfn_64, max_mapnr_64;
};
_Static_assert(offsetof(struct kdump_header, status) == 424, "diskdump_mod.h's layout");
_Static_assert(sizeof(struct kdump_sub_header) == 104, "diskdump_mod.h's layout");

struct page_desc {
	uint64_t offset;
	uint32_t size, flags;
	uint64_t page_flags;
};
enum {
	PAGE_ZLIB = 1,
	PAGE_LZO = 2,
	PAGE_SNAPPY = 4,
	PAGE_ZSTD = 0x20,
	BLOCKS_MAX = 1 << 30, /* 4 TiB of 4 KiB */
	SUB_BLOCKS_MAX = 1 << 16,
	MACHINE_LEN = 65,
	/* the 6th version has max_mapnr_64 */
	VERSION_64 = 6,
};

bool vm_is_kdump(const char *head)
{
	return memcmp(head, KDUMP_SIGNATURE, strlen(KDUMP_SIGNATURE)) == 0;
}

static bool read_at(const struct vmcore *v, uint64_t offset, void *ret, size_t len)
{
	const struct vm_kdump *k = v->kdump;

	if (offset > k->size || len > k->size - offset)
		return false;
	return k->flat.n ? vm_flat_read(v, &k->flat, offset, ret, len)
			 : vm_pread(v, offset, ret, len);
}

static int read_notes(struct vmcore *v, const struct kdump_sub_header *s)
{
	if (s->note_size > VM_NOTES_MAX || s->info_size > VM_NOTES_MAX)
		return -EBADMSG;
	v->notes = xmalloc(s->note_size + 1);
	v->notes_len = s->note_size;
	return read_at(v, s->note_offset, v->notes, v->notes_len) ? 0 : -EBADMSG;
}

/* Blocks in the dump before each page of the bitmap; runs of blocks are ranges. */
static int read_bitmap(struct vmcore *v)
{
	struct vm_kdump *k = v->kdump;
	uint64_t n = 0, bytes = (k->max_page + 7) / 8, start = 0;
	uint8_t page[VM_PAGE] = {0};
	bool in_range = false;
	size_t cap = 0;

	k->n_before = (bytes + VM_PAGE - 1) / VM_PAGE;
	k->before = xcalloc(k->n_before + 1, sizeof(*k->before));
	for (uint64_t b = 0; b <= k->max_page; b++) {
		uint64_t i = b % (VM_PAGE * 8);
		bool is_there;

		if (i == 0 && b < k->max_page) {
			uint64_t left = bytes - b / 8;

			memset(page, 0, sizeof(page));
			if (!read_at(v, k->bitmap + b / 8, page, left < VM_PAGE ? left : VM_PAGE))
				return -EBADMSG;
			k->before[b / (VM_PAGE * 8)] = (uint32_t)n;
		}
		/* whole bytes that change nothing */
		if (i % 8 == 0 && b + 8 <= k->max_page && page[i / 8] == (in_range ? 0xff : 0)) {
			n += in_range ? 8 : 0;
			b += 7;
			continue;
		}
		is_there = b < k->max_page && page[i / 8] & 1 << i % 8;
		n += is_there;
		if (is_there == in_range)
			continue;
		if (is_there) {
			start = b;
		} else if (v->n_ranges == VM_RANGES_MAX) {
			return -EBADMSG;
		} else {
			if (v->n_ranges == cap) {
				cap = cap ? cap * 2 : 16;
				v->ranges = xreallocarray(v->ranges, cap, sizeof(*v->ranges));
			}
			v->ranges[v->n_ranges++] = (struct vmcore_range){
				.address = start * k->block, .len = (b - start) * k->block};
		}
		in_range = is_there;
	}
	return n * sizeof(struct page_desc) > k->size - k->pages ? -EBADMSG : 0;
}

static int check_header(struct vmcore *v, const struct kdump_header *h,
			const struct kdump_sub_header *s, struct err *err)
{
	struct vm_kdump *k = v->kdump;
	uint64_t half = (uint64_t)h->bitmap_blocks * h->block_size / 2;

	k->max_page = h->version >= VERSION_64 && s->max_mapnr_64 ? s->max_mapnr_64 : h->max_mapnr;
	if (k->max_page == 0 || k->max_page > BLOCKS_MAX || (k->max_page + 7) / 8 > half)
		return err_set(err, EBADMSG, "%s: damaged: %llu pages, and a bitmap for %llu",
			       v->path, (unsigned long long)k->max_page,
			       (unsigned long long)half * 8);
	k->bitmap = (1ULL + h->sub_blocks) * k->block + half;
	k->pages = (1ULL + h->sub_blocks + h->bitmap_blocks) * k->block;
	if (k->pages > k->size)
		return err_set(err, EBADMSG, "%s: cut short before its table of pages", v->path);
	return 0;
}

int vm_kdump_open(struct vmcore *v, struct err *err)
{
	struct vm_kdump *k = v->kdump = xcalloc(1, sizeof(*v->kdump));
	struct kdump_sub_header s = {0};
	struct kdump_header h;
	char head[16], machine[MACHINE_LEN + 1] = "";
	int r;

	k->size = v->size;
	if (!vm_pread(v, 0, head, sizeof(head)))
		return err_set(err, EBADMSG, "%s: cut short", v->path);
	if (vm_is_flat(head)) {
		r = vm_flat_open(v, &k->flat, &k->size, err);
		if (r < 0)
			return r;
	}
	if (!read_at(v, 0, &h, sizeof(h)) || !vm_is_kdump(h.signature))
		return err_set(err, EBADMSG, "%s: cut short, or no kdump-compressed dump", v->path);
	memcpy(machine, h.machine, MACHINE_LEN);
	if (h.status & (PAGE_LZO | PAGE_SNAPPY | PAGE_ZSTD))
		return err_set(err, ENOTSUP,
			       "%s: its pages are compressed by %s; only zlib is read", v->path,
			       h.status & PAGE_LZO	? "lzo"
			       : h.status & PAGE_SNAPPY ? "snappy"
							: "zstd");
	if (h.block_size < VM_PAGE || h.block_size > VM_UNIT_MAX ||
	    (h.block_size & (h.block_size - 1)) || h.sub_blocks == 0 ||
	    h.sub_blocks > SUB_BLOCKS_MAX)
		return err_set(err, EBADMSG, "%s: damaged header: blocks of %u bytes", v->path,
			       h.block_size);
	v->unit = k->block = h.block_size;
	k->packed = xmalloc(k->block);
	k->last = xmalloc(k->block);
	if (!read_at(v, k->block, &s, sizeof(s)))
		return err_set(err, EBADMSG, "%s: cut short in its header", v->path);
	r = check_header(v, &h, &s, err);
	if (r < 0)
		return r;
	if (read_notes(v, &s) < 0)
		return err_set(err, EBADMSG, "%s: damaged notes", v->path);
	/* QEMU 7.2 knows no name for arm64 */
	r = arch_parse(machine);
	if (r < 0)
		r = vm_notes_arch(v);
	if (r < 0)
		return err_set(err, ENOTSUP, "%s: of an architecture that is not read (%s)",
			       v->path, machine);
	v->arch = (enum arch)r;
	return read_bitmap(v) < 0 ? err_set(err, EBADMSG, "%s: damaged bitmap", v->path) : 0;
}

void vm_kdump_close(struct vm_kdump *k)
{
	if (!k)
		return;
	free(k->flat.pieces);
	free(k->before);
	free(k->packed);
	free(k->last);
	free(k);
}

/* How many blocks the table has before this one; false: it is not in the dump. */
static bool find_index(const struct vmcore *v, uint64_t number, uint64_t *ret)
{
	const struct vm_kdump *k = v->kdump;
	uint64_t page = number / (VM_PAGE * 8), bit = number % (VM_PAGE * 8);
	uint8_t bits[VM_PAGE];

	if (number >= k->max_page || !read_at(v, k->bitmap + page * VM_PAGE, bits, bit / 8 + 1) ||
	    !(bits[bit / 8] & 1 << bit % 8))
		return false;
	*ret = k->before[page] +
	       (uint64_t)__builtin_popcount(bits[bit / 8] & ((1U << bit % 8) - 1));
	for (uint64_t i = 0; i < bit / 64; i++) {
		uint64_t word;

		memcpy(&word, bits + i * 8, sizeof(word));
		*ret += (uint64_t)__builtin_popcountll(word);
	}
	for (uint64_t i = bit / 64 * 8; i < bit / 8; i++)
		*ret += (uint64_t)__builtin_popcount(bits[i]);
	return true;
}

int vm_kdump_block(struct vmcore *v, uint64_t number, uint8_t *ret)
{
	struct vm_kdump *k = v->kdump;
	uLongf len = k->block;
	struct page_desc d;
	uint64_t index;

	if (!find_index(v, number, &index))
		return -EFAULT;
	if (!read_at(v, k->pages + index * sizeof(d), &d, sizeof(d)) || d.size > k->block)
		return -EBADMSG;
	if (!(d.flags & PAGE_ZLIB))
		return d.size == k->block && read_at(v, d.offset, ret, d.size) ? 0 : -EBADMSG;
	if (d.offset != k->last_offset || !d.offset) {
		k->last_offset = 0;
		if (!read_at(v, d.offset, k->packed, d.size) ||
		    uncompress(k->last, &len, k->packed, d.size) != Z_OK || len != k->block)
			return -EBADMSG;
		k->last_offset = d.offset;
	}
	memcpy(ret, k->last, k->block);
	return 0;
}
