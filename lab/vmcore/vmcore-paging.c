#include <string.h>

#include "lab/vmcore/vmcore-file.h"

enum {
	ENTRIES = 512,
	TABLES_MAX = 1 << 20,
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
