#include <string.h>

#include "lab/vmcore/vmcore-file.h"

enum {
	ENTRIES = 512,
	TABLES_MAX = 1 << 20,
	RUNS_MAX = 1 << 20,
	ENTRY_PRESENT = 1,
	AMD64_LARGE = 1 << 7, /* a page, not a table */
	ARM64_TABLE = 2,      /* a table, or at the last level a page */
	PAGE_BITS = 12,
	LEVEL_BITS = 9,
};
#define AMD64_KERNEL_MAP 0xffffffff80000000ULL /* __START_KERNEL_map */
#define AMD64_ADDRESS 0x000ffffffffff000ULL
#define ARM64_ADDRESS 0x0000fffffffff000ULL
#define ARM64_ADDRESS_52 0x0003fffffffff000ULL /* 4 KiB pages with FEAT_LPA2 */

static int init_amd64(struct vmcore *v)
{
	uint64_t root, phys_base, five = 0;

	if (!vmcoreinfo_number(&v->info, "NUMBER(phys_base)", &phys_base) ||
	    !vmcoreinfo_number(&v->info, "SYMBOL(swapper_pg_dir)", &root))
		return -ENODATA;
	vmcoreinfo_number(&v->info, "NUMBER(pgtable_l5_enabled)", &five);
	vmcoreinfo_number(&v->info, "NUMBER(sme_mask)", &v->paging.sme_mask);
	v->paging.root = root - AMD64_KERNEL_MAP + phys_base;
	v->paging.bits = five ? 57 : 48;
	v->paging.top = v->paging.bits - LEVEL_BITS;
	return 0;
}

static int init_arm64(struct vmcore *v, struct err *err)
{
	uint64_t root, offset, size, page = VM_PAGE;

	vmcoreinfo_number(&v->info, "PAGESIZE", &page);
	if (page != VM_PAGE)
		return err_set(err, ENOTSUP,
			       "%s: of a kernel with pages of %llu KiB; only 4 KiB are read",
			       v->path, (unsigned long long)page / 1024);
	if (!vmcoreinfo_number(&v->info, "NUMBER(kimage_voffset)", &offset) ||
	    !vmcoreinfo_number(&v->info, "SYMBOL(swapper_pg_dir)", &root))
		return -ENODATA;
	/* what the CPU uses; VA_BITS is what the kernel was built for */
	if (vmcoreinfo_number(&v->info, "NUMBER(TCR_EL1_T1SZ)", &size) && size < 64)
		v->paging.bits = 64 - (int)size;
	else if (vmcoreinfo_number(&v->info, "NUMBER(VA_BITS)", &size) && size < 64)
		v->paging.bits = (int)size;
	if (v->paging.bits < 36 || v->paging.bits > 52)
		return -ENODATA;
	v->paging.root = root - offset;
	v->paging.top = PAGE_BITS;
	while (v->paging.top + LEVEL_BITS < v->paging.bits)
		v->paging.top += LEVEL_BITS;
	v->paging.lpa2 = v->paging.bits > 48;
	return 0;
}

int vm_paging_init(struct vmcore *v, struct err *err)
{
	int r = v->arch == ARCH_AMD64 ? init_amd64(v) : init_arm64(v, err);

	v->paging.known = r == 0;
	return r == -ENODATA ? 0 : r;
}

static bool is_leaf(const struct vmcore *v, uint64_t entry, int shift)
{
	if (shift == PAGE_BITS)
		return true;
	/* of the higher levels only these two (three with LPA2: none of ours) can be a page */
	return v->arch == ARCH_AMD64 ? entry & AMD64_LARGE && shift <= PAGE_BITS + 2 * LEVEL_BITS
				     : !(entry & ARM64_TABLE);
}

static bool is_present(const struct vmcore *v, uint64_t entry, int shift)
{
	/* PROT_NONE has no meaning for the kernel's own memory */
	return entry & ENTRY_PRESENT &&
	       (v->arch == ARCH_AMD64 || shift != PAGE_BITS || entry & ARM64_TABLE);
}

/* The physical address in an entry; shift: the lowest bit of an address that it decides. */
static uint64_t entry_address(const struct vmcore *v, uint64_t entry, int shift)
{
	uint64_t address;

	if (v->arch == ARCH_AMD64)
		address = entry & AMD64_ADDRESS & ~v->paging.sme_mask;
	else if (v->paging.lpa2)
		address = (entry & ARM64_ADDRESS_52) | (entry >> 8 & 3) << 50;
	else
		address = entry & ARM64_ADDRESS;
	return is_leaf(v, entry, shift) ? address & ~((1ULL << shift) - 1) : address;
}

/* The entry for an address in a table; the root may be shorter than a page. */
static uint64_t index_of(const struct vmcore *v, uint64_t address, int shift)
{
	uint64_t n = shift == v->paging.top ? 1ULL << (v->paging.bits - shift) : ENTRIES;

	return address >> shift & (n - 1);
}

static bool is_canonical(const struct vmcore *v, uint64_t address)
{
	int bits = v->paging.bits;

	/* of arm64 only the upper half, TTBR1's, is the kernel's; both halves of amd64 are there */
	if (v->arch == ARCH_ARM64)
		return address >> bits == UINT64_MAX >> bits;
	return (uint64_t)((int64_t)(address << (64 - bits)) >> (64 - bits)) == address;
}

int vm_paging_translate(struct vmcore *v, uint64_t address, uint64_t *ret)
{
	uint64_t table = v->paging.root;

	if (!v->paging.known)
		return -ENODATA;
	if (!is_canonical(v, address))
		return -EFAULT;
	for (int shift = v->paging.top;; shift -= LEVEL_BITS) {
		uint64_t entry;
		int r = vmcore_read_physical(v, table + index_of(v, address, shift) * 8, &entry,
					     sizeof(entry));

		if (r < 0)
			return r;
		if (!is_present(v, entry, shift))
			return -EFAULT;
		table = entry_address(v, entry, shift);
		if (is_leaf(v, entry, shift)) {
			*ret = table | (address & ((1ULL << shift) - 1));
			return 0;
		}
	}
}

struct walk {
	struct vmcore *v;
	struct vm_runs *runs;
	uint64_t *seen; /* addresses of tables + 1, by their hash */
	size_t n_seen, max;
};

static bool is_new(struct walk *w, uint64_t table)
{
	size_t at = (table / VM_PAGE * 0x9e3779b97f4a7c15ULL >> 32) % (w->max * 2);

	for (; w->seen[at]; at = (at + 1) % (w->max * 2))
		if (w->seen[at] == table + 1)
			return false;
	if (w->n_seen == w->max)
		return false;
	w->seen[at] = table + 1;
	w->n_seen++;
	return true;
}

void vm_runs_add(struct vm_runs *r, struct vm_run run)
{
	struct vm_run *last = r->n ? &r->items[r->n - 1] : NULL;

	if (last && last->virtual + last->len == run.virtual &&
	    last->physical + last->len == run.physical) {
		last->len += run.len;
		return;
	}
	if (r->n == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 256;
		r->items = xreallocarray(r->items, r->cap, sizeof(*r->items));
	}
	r->items[r->n++] = run;
}

/* The parts of it that are in the dump. */
static void add_run(struct walk *w, const struct vm_run *run)
{
	const struct vm_run *last = w->runs->n ? &w->runs->items[w->runs->n - 1] : NULL;
	size_t low = 0, high, n;
	const struct vmcore_range *r = vmcore_ranges(w->v, &n);

	if (last && last->len == VM_PAGE && run->len == VM_PAGE && last->physical == run->physical)
		return;
	for (high = n; low < high;) { /* the first that ends beyond its start */
		size_t middle = (low + high) / 2;

		if (r[middle].address + r[middle].len <= run->physical)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < n && r[low].address < run->physical + run->len; low++) {
		uint64_t start = r[low].address > run->physical ? r[low].address : run->physical;
		uint64_t end = r[low].address + r[low].len;

		if (end > run->physical + run->len)
			end = run->physical + run->len;
		if (w->runs->n < RUNS_MAX)
			vm_runs_add(w->runs, (struct vm_run){run->virtual + (start - run->physical),
							     start, end - start});
	}
}

static void walk_table(struct walk *w, uint64_t table, int shift, uint64_t base)
{
	uint64_t entries[ENTRIES], n = ENTRIES, first = 0;

	if (shift == w->v->paging.top) {
		n = 1ULL << (w->v->paging.bits - shift);
		first = w->v->arch == ARCH_AMD64 ? n / 2 : 0;
	}
	if (!is_new(w, table) || vmcore_read_physical(w->v, table, entries, n * 8) < 0)
		return;
	for (uint64_t i = first; i < n; i++) {
		struct vm_run run = {.virtual = base + (i << shift), .len = 1ULL << shift};

		if (!is_present(w->v, entries[i], shift))
			continue;
		run.physical = entry_address(w->v, entries[i], shift);
		if (is_leaf(w->v, entries[i], shift))
			add_run(w, &run);
		else
			walk_table(w, run.physical, shift - LEVEL_BITS, run.virtual);
	}
}

void vm_paging_list(struct vmcore *v, struct vm_runs *ret)
{
	struct walk w = {.v = v, .runs = ret};

	if (!v->paging.known)
		return;
	for (size_t i = 0; i < v->n_ranges && w.max < TABLES_MAX; i++)
		w.max += v->ranges[i].len / VM_PAGE + 1;
	w.max = w.max < TABLES_MAX ? w.max : TABLES_MAX;
	w.seen = xcalloc(w.max, 2 * sizeof(*w.seen));
	walk_table(&w, v->paging.root, v->paging.top, UINT64_MAX << v->paging.bits);
	free(w.seen);
}
