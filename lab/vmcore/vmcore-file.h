/*
 * vmcore-file.h - the parts of vmcore.c: forms of files, notes, page tables. For lab/vmcore/vmcore*
 * alone.
 */
#ifndef LAB_VMCORE_FILE_H
#define LAB_VMCORE_FILE_H

#include "lab/kernel/elf.h"
#include "lab/vmcore/vmcore.h"

enum {
	VM_PAGE = 4096,
	VM_NOTES_MAX = 16 << 20,
	VM_CACHE_SIZE = 4 << 20,
	VM_UNIT_MAX = 64 << 10,
	VM_RANGES_MAX = 1 << 18,
	VM_TLB_SIZE = 1024,
};

/* One piece of memory in an ELF file. */
struct vm_segment {
	uint64_t address, len, offset;
};

/* makedumpfile's flattened form: pieces of the file that is meant, by their offset in it. */
struct vm_piece {
	uint64_t offset, len, at; /* at: in the file that is there */
};
struct vm_flat {
	struct vm_piece *pieces;
	size_t n;
};

struct vm_kdump {
	struct vm_flat flat;		  /* n == 0: the file is not flattened */
	uint64_t size;			  /* of the file that is meant */
	uint32_t block;			  /* bytes in a page of the dump */
	uint64_t max_page, bitmap, pages; /* how many; offsets of the second bitmap, of the table */
	uint32_t *before;		  /* pages in the dump before each VM_PAGE of bitmap */
	size_t n_before;
	uint8_t *packed;
	/* what was unpacked last: zero pages all are one */
	uint64_t last_offset;
	uint8_t *last;
};

/* How virtual addresses are translated. */
struct vm_paging {
	bool known;
	uint64_t root;	   /* physical */
	int top;	   /* the lowest bit that indexes the root table */
	int bits;	   /* of an address; those above are all like its highest */
	bool lpa2;	   /* arm64: bits 51:50 of an address are in bits 9:8 of an entry */
	uint64_t sme_mask; /* amd64: set in entries, no part of the address */
};

struct vmcore {
	char *path;
	int fd;
	uint64_t size;
	enum arch arch;
	struct vmcoreinfo info;
	bool info_in_memory; /* no note has it */
	char *notes;	     /* as they are in the file */
	size_t notes_len;
	struct vmcore_cpu *cpus;
	size_t n_cpus;
	struct vmcore_range *ranges;
	size_t n_ranges;
	struct vm_segment *segments; /* ELF: by address, none in another */
	size_t n_segments;
	struct vm_kdump *kdump; /* NULL: it is an ELF file */
	struct vm_paging paging;
	/* units (pages of an ELF file, blocks of a kdump) that were read last */
	uint32_t unit;
	size_t n_slots;
	uint64_t *slot_unit; /* + 1; 0: empty */
	uint8_t *slots;
	struct {
		uint64_t page, to; /* virtual + 1, physical */
	} tlb[VM_TLB_SIZE];
};

/* len bytes at an offset of the file; false: it does not reach that far. */
bool vm_pread(const struct vmcore *v, uint64_t offset, void *ret, size_t len);

/* ---- vmcore-note.c ---- */

/* Read v->notes: CPUs, vmcoreinfo. Notes that are cut short end it. */
void vm_notes_parse(struct vmcore *v);
/* The architecture by the size of the first NT_PRSTATUS, or -ENOENT. */
int vm_notes_arch(const struct vmcore *v);
/*
 * A guest that crashed before it could tell QEMU of its vmcoreinfo has the text in memory, alone in
 * a page (kernel/vmcore_info.c): look through all of it.
 */
void vm_find_info(struct vmcore *v);

/* ---- vmcore-elf-read.c ---- */

int vm_elf_open(struct vmcore *v, struct err *err);
/* -EFAULT: it is not all there. */
int vm_elf_read(struct vmcore *v, uint64_t address, void *ret, size_t len);

/* ---- vmcore-kdump.c, vmcore-flat.c ---- */

/* By the first 16 bytes of a file. */
bool vm_is_kdump(const char *head);
bool vm_is_flat(const char *head);
int vm_kdump_open(struct vmcore *v, struct err *err); /* also a flattened one */
void vm_kdump_close(struct vm_kdump *k);
/* One block. -EFAULT: not in the dump; -EBADMSG. */
int vm_kdump_block(struct vmcore *v, uint64_t number, uint8_t *ret);
int vm_flat_open(const struct vmcore *v, struct vm_flat *ret, uint64_t *size, struct err *err);
/* Between pieces there are zeroes, as in the file that is meant. */
bool vm_flat_read(const struct vmcore *v, const struct vm_flat *f, uint64_t offset, void *ret,
		  size_t len);

/* ---- vmcore-paging.c ---- */

/*
 * From v->info; what it does not say leaves v->paging.known false. -ENOTSUP: pages of a size that
 * is not read.
 */
int vm_paging_init(struct vmcore *v, struct err *err);
/* As vmcore_translate(), without memory of what was asked before. */
int vm_paging_translate(struct vmcore *v, uint64_t address, uint64_t *ret);

/* A piece of virtual memory and where it is. */
struct vm_run {
	uint64_t virtual, physical, len;
};
struct vm_runs {
	struct vm_run *items;
	size_t n, cap;
};
void vm_runs_add(struct vm_runs *r, struct vm_run run);
static inline void vm_runs_deinit(struct vm_runs *r)
{
	free(r->items);
}
DEFINE_CLEANUP(vm_runs, vm_runs_deinit)
/*
 * What the kernel's page tables map of the memory in the dump, by virtual address, pieces that go
 * on in both kinds of address joined. A table that is reached twice is walked once, a page that is
 * mapped many times in turn is one (KASAN maps terabytes to one page). What cannot be read is left
 * out. Nothing without vmcoreinfo.
 */
void vm_paging_list(struct vmcore *v, struct vm_runs *ret);

/* ---- vmcore-map.c ---- */

/*
 * The pieces that debuggers are told of: first each range of memory at its place in the direct map,
 * then the kernel's image, modules, stacks and what else is mapped, at most VM_MAP_MAX.
 */
enum { VM_MAP_MAX = 32 << 10 };
void vm_map_list(struct vmcore *v, struct vm_runs *ret);

#endif
