/*
 * vmcore-make.h - small dumps for tests: some pages of memory with page tables, as ELF and kdump.
 */
#ifndef TESTS_VMCORE_MAKE_H
#define TESTS_VMCORE_MAKE_H

#include <assert.h>
#include <elf.h>
#include <endian.h>
#include <string.h>
#include <zlib.h>

#include "jail/base/arch.h"
#include "jail/base/str.h"

enum { MK_PAGE = 4096, MK_PAGES = 14, MK_SIZE = MK_PAGES * MK_PAGE, MK_REGS = 112 };

/*
 * The image is the last MK_IMAGE pages, at a place of its own; all memory is in the direct map, the
 * last page again, before the one before it, in vmalloc's.
 */
enum { MK_IMAGE = 4, MK_IMAGE_AT = (MK_PAGES - MK_IMAGE) * MK_PAGE };

struct mk {
	enum arch arch;
	uint64_t base; /* physical */
	uint64_t image, direct, vmalloc;
	uint64_t root;
	uint8_t memory[MK_SIZE];
	size_t next; /* page for a table */
	struct buf info;
};

static inline uint64_t *mk_table(struct mk *m, uint64_t physical)
{
	return (uint64_t *)(m->memory + (physical - m->base));
}

/* Map 1 << shift bytes. */
static inline void mk_map(struct mk *m, uint64_t virtual, uint64_t physical, int shift)
{
	uint64_t *table = mk_table(m, m->root), *entry;
	bool arm = m->arch == ARCH_ARM64;

	for (int level = 39;; level -= 9) {
		entry = &table[virtual >> level & 511];
		if (level == shift)
			break;
		if (!*entry) {
			assert(m->next < MK_PAGES - MK_IMAGE);
			*entry = (m->base + m->next++ * MK_PAGE) | (arm ? 3 : 0x67);
		}
		table = mk_table(m, *entry & 0xfffffffff000);
	}
	/* with bits that are no part of the address: no-execute, access flag */
	*entry = physical | (arm ? 1ULL << 54 | 1 << 10 : 1ULL << 63 | 0x63);
	*entry |= shift == 12 ? (arm ? 3 : 1) : (arm ? 1 : 0x81);
}

static inline void mk_init(struct mk *m, enum arch arch)
{
	*m = (struct mk){
		.arch = arch,
		.base = arch == ARCH_ARM64 ? 0x40000000 : 0,
		.image = arch == ARCH_ARM64 ? 0xffffb00008000000 : 0xffffffff91000000,
		.direct = arch == ARCH_ARM64 ? 0xffff000000000000 : 0xffff888000000000,
		.vmalloc = arch == ARCH_ARM64 ? 0xffff800010000000 : 0xffffc90000000000,
		.next = 1,
	};
	m->root = m->base;
	for (uint64_t i = 0; i < MK_IMAGE; i++)
		mk_map(m, m->image + i * MK_PAGE, m->base + MK_IMAGE_AT + i * MK_PAGE, 12);
	mk_map(m, m->direct, m->base, 21);
	for (uint64_t i = 0; i < 2; i++)
		mk_map(m, m->vmalloc + i * MK_PAGE, m->base + MK_SIZE - (i + 1) * MK_PAGE, 12);
	for (size_t i = MK_IMAGE_AT; i < MK_SIZE; i++)
		m->memory[i] = (uint8_t)(i * 2654435761U >> 13);
	buf_addf(&m->info, "OSRELEASE=6.1.0-test\nPAGESIZE=4096\nSYMBOL(_stext)=%llx\n",
		 (unsigned long long)m->image);
	/* the root is not in the image here: wherever these lead to */
	if (arch == ARCH_ARM64)
		buf_addf(&m->info,
			 "SYMBOL(swapper_pg_dir)=%llx\nNUMBER(VA_BITS)=48\nNUMBER(TCR_EL1_T1SZ)="
			 "0x10\n"
			 "NUMBER(kimage_voffset)=0x%llx\n",
			 (unsigned long long)(m->image - MK_IMAGE_AT),
			 (unsigned long long)(m->image - MK_IMAGE_AT - m->base));
	else
		buf_addf(&m->info,
			 "SYMBOL(swapper_pg_dir)=%llx\nNUMBER(phys_base)=%lld\n"
			 "NUMBER(pgtable_l5_enabled)=0\nKERNELOFFSET=10000000\n",
			 (unsigned long long)(m->image - MK_IMAGE_AT),
			 (long long)(0xffffffff80000000 + MK_IMAGE_AT - m->image));
}

static inline void mk_deinit(struct mk *m)
{
	buf_deinit(&m->info);
}
DEFINE_CLEANUP(mk, mk_deinit)

/*
 * A printk_ringbuffer in the image, of 1 << MK_DESC_BITS records and 1 << MK_DATA_BITS bytes; where
 * its parts are in the image.
 */
enum {
	MK_DESC_BITS = 3,
	MK_DATA_BITS = 9,
	MK_RING = 64,
	MK_COUNT_BITS = MK_RING,
	MK_HEAD = MK_RING + 24,
	MK_TAIL = MK_RING + 32,
	MK_SIZE_BITS = MK_RING + 48,
	MK_DESCS = 1024, /* state, begin, next */
	MK_DESC_SIZE = 24,
	MK_INFOS = 2048, /* seq, time, length, facility, flags, caller */
	MK_INFO_SIZE = 88,
	MK_DATA = 4096,
};

static inline void mk_set(struct mk *m, size_t at, uint64_t value, size_t len)
{
	memcpy(m->memory + MK_IMAGE_AT + at, &value, len);
}

static inline void mk_ring(struct mk *m)
{
	memset(m->memory + MK_IMAGE_AT, 0, MK_IMAGE * MK_PAGE);
	buf_addf(&m->info, "SYMBOL(prb)=%llx\n", (unsigned long long)m->image);
	buf_adds(&m->info,
		 "OFFSET(printk_ringbuffer.desc_ring)=0\n"
		 "OFFSET(printk_ringbuffer.text_data_ring)=48\n"
		 "OFFSET(prb_desc_ring.count_bits)=0\nOFFSET(prb_desc_ring.descs)=8\n"
		 "OFFSET(prb_desc_ring.infos)=16\nOFFSET(prb_desc_ring.head_id)=24\n"
		 "OFFSET(prb_desc_ring.tail_id)=32\nOFFSET(prb_data_ring.size_bits)=0\n"
		 "OFFSET(prb_data_ring.data)=8\nSIZE(prb_desc)=24\nOFFSET(prb_desc.state_var)=0\n"
		 "OFFSET(prb_desc.text_blk_lpos)=8\nOFFSET(prb_data_blk_lpos.begin)=0\n"
		 "OFFSET(prb_data_blk_lpos.next)=8\nSIZE(printk_info)=88\n"
		 "OFFSET(printk_info.ts_nsec)=8\nOFFSET(printk_info.text_len)=16\n"
		 "OFFSET(printk_info.caller_id)=20\n");
	mk_set(m, 0, m->image + MK_RING, 8);
	mk_set(m, MK_COUNT_BITS, MK_DESC_BITS, 4);
	mk_set(m, MK_RING + 8, m->image + MK_DESCS, 8);
	mk_set(m, MK_RING + 16, m->image + MK_INFOS, 8);
	mk_set(m, MK_SIZE_BITS, MK_DATA_BITS, 4);
	mk_set(m, MK_SIZE_BITS + 8, m->image + MK_DATA, 8);
}

static inline void mk_note(struct buf *out, const char *name, uint32_t type, const void *desc,
			   size_t len)
{
	Elf64_Nhdr h = {
		.n_namesz = (uint32_t)strlen(name) + 1, .n_descsz = (uint32_t)len, .n_type = type};

	buf_add(out, &h, sizeof(h));
	buf_add(out, name, h.n_namesz);
	while (out->len % 4)
		buf_add(out, "", 1);
	buf_add(out, desc, len);
	while (out->len % 4)
		buf_add(out, "", 1);
}

/* Two CPUs; register i of the first is 0x1000 + i, of the second 0x2000 + i. */
static inline void mk_notes(const struct mk *m, struct buf *out)
{
	uint64_t n = m->arch == ARCH_ARM64 ? 34 : 27, qemu[55] = {[49] = 0xc0, [51] = 0xc2};
	uint64_t status[MK_REGS / 8 + 34 + 1] = {0};

	for (uint64_t cpu = 1; cpu <= 2; cpu++) {
		for (uint64_t i = 0; i < n; i++)
			status[MK_REGS / 8 + i] = cpu * 0x1000 + i;
		mk_note(out, "CORE", NT_PRSTATUS, status, MK_REGS + n * 8 + 8);
	}
	if (m->arch == ARCH_AMD64)
		for (int cpu = 0; cpu < 2; cpu++)
			mk_note(out, "QEMU", 0, qemu, sizeof(qemu));
	if (m->info.len)
		mk_note(out, "VMCOREINFO", 0, m->info.data, m->info.len);
}

/* As QEMU writes it: no virtual addresses. Memory in two pieces, the second one first. */
static inline void mk_elf(const struct mk *m, struct buf *out)
{
	enum { FIRST = 3 * MK_PAGE };
	auto_cleanup(buf) notes = {0};
	Elf64_Ehdr e = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				    EV_CURRENT},
			.e_type = ET_CORE,
			.e_machine = m->arch == ARCH_ARM64 ? EM_AARCH64 : EM_X86_64,
			.e_version = EV_CURRENT,
			.e_phoff = sizeof(e),
			.e_ehsize = sizeof(e),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 3};
	Elf64_Phdr p[3] = {{.p_type = PT_NOTE}, {.p_type = PT_LOAD}, {.p_type = PT_LOAD}};

	mk_notes(m, &notes);
	p[0].p_offset = sizeof(e) + sizeof(p);
	p[0].p_filesz = notes.len;
	p[1].p_offset = p[0].p_offset + notes.len;
	p[1].p_paddr = m->base + FIRST;
	p[1].p_filesz = p[1].p_memsz = MK_SIZE - FIRST;
	p[2].p_offset = p[1].p_offset + p[1].p_filesz;
	p[2].p_paddr = m->base;
	p[2].p_filesz = p[2].p_memsz = FIRST;
	buf_add(out, &e, sizeof(e));
	buf_add(out, p, sizeof(p));
	buf_add(out, notes.data, notes.len);
	buf_add(out, m->memory + FIRST, MK_SIZE - FIRST);
	buf_add(out, m->memory, FIRST);
}

static inline void mk_pad(struct buf *out, size_t to)
{
	static const char zero[MK_PAGE];

	while (out->len < to)
		buf_add(out, zero, to - out->len < MK_PAGE ? to - out->len : MK_PAGE);
}

/* What stands at an offset of a kdump file: diskdump_mod.h's numbers. */
enum {
	MK_STATUS = 424,
	MK_BLOCK_SIZE = 428,
	MK_BITMAP_BLOCKS = 436,
	MK_MAX_MAPNR = 440,
	MK_SUB = MK_PAGE,
	MK_SUB_NOTE = MK_SUB + 48,
	MK_SUB_MAX_MAPNR = MK_SUB + 96,
};

static inline void mk_put(struct buf *out, size_t at, uint64_t value, size_t len)
{
	memcpy(out->data + at, &value, len);
}

/* Pages that do not shrink are kept as they are. machine: NULL as QEMU 7.2 says of arm64. */
static inline void mk_kdump(const struct mk *m, struct buf *out)
{
	uint64_t first = m->base / MK_PAGE, n = first + MK_PAGES, bitmap, pages, data;
	uint64_t blocks = (n / 8 + MK_PAGE) / MK_PAGE;
	auto_cleanup(buf) notes = {0};

	mk_notes(m, &notes);
	assert(notes.len < MK_PAGE);
	buf_add(out, "KDUMP   \6\0\0", 12);
	mk_pad(out, 3 * MK_PAGE);
	strcpy(out->data + 12 + 4 * 65, m->arch == ARCH_ARM64 ? "Unknown" : "x86_64");
	mk_put(out, MK_STATUS, 1, 4);
	mk_put(out, MK_BLOCK_SIZE, MK_PAGE, 4);
	mk_put(out, MK_BLOCK_SIZE + 4, 2, 4); /* the sub header and notes */
	mk_put(out, MK_BITMAP_BLOCKS, blocks * 2, 4);
	mk_put(out, MK_MAX_MAPNR, n, 4);
	mk_put(out, MK_SUB_NOTE, 2 * MK_PAGE, 8);
	mk_put(out, MK_SUB_NOTE + 8, notes.len, 8);
	mk_put(out, MK_SUB_MAX_MAPNR, n, 8);
	memcpy(out->data + 2 * MK_PAGE, notes.data, notes.len);
	bitmap = out->len;
	pages = bitmap + blocks * 2 * MK_PAGE;
	data = pages + MK_PAGES * 24;
	mk_pad(out, data);
	for (uint64_t half = 0; half < 2; half++)
		for (uint64_t i = first; i < n; i++)
			out->data[bitmap + half * blocks * MK_PAGE + i / 8] |= (char)(1 << i % 8);
	for (size_t i = 0; i < MK_PAGES; i++) {
		uint8_t packed[2 * MK_PAGE];
		uLongf len = sizeof(packed);
		const uint8_t *page = m->memory + i * MK_PAGE;
		bool small;

		assert(compress2(packed, &len, page, MK_PAGE, 9) == Z_OK);
		small = len < MK_PAGE;
		mk_put(out, pages + i * 24, out->len, 8);
		mk_put(out, pages + i * 24 + 8, small ? len : MK_PAGE, 4);
		mk_put(out, pages + i * 24 + 12, small, 4);
		buf_add(out, small ? packed : page, small ? len : MK_PAGE);
	}
}

static inline void mk_flat_piece(struct buf *out, uint64_t offset, uint64_t len, const void *data)
{
	uint64_t header[2] = {htobe64(offset), htobe64(len)};

	buf_add(out, header, sizeof(header));
	if (data)
		buf_add(out, data, len);
}

/* In pieces of 3000 bytes, the later half first; those of zeroes are left out. */
static inline void mk_flatten(const struct buf *file, struct buf *out)
{
	enum { PIECE = 3000 };
	uint64_t header[2] = {htobe64(1), htobe64(1)};
	size_t n = (file->len + PIECE - 1) / PIECE;

	buf_add(out, "makedumpfile\0\0\0", 16);
	buf_add(out, header, sizeof(header));
	mk_pad(out, MK_PAGE);
	for (size_t i = 0; i < n; i++) {
		size_t at = (i + n / 2) % n * PIECE;
		size_t len = file->len - at < PIECE ? file->len - at : PIECE;

		if (file->data[at] || memcmp(file->data + at, file->data + at + 1, len - 1) != 0)
			mk_flat_piece(out, at, len, file->data + at);
	}
	mk_flat_piece(out, UINT64_MAX, UINT64_MAX, NULL);
}

#endif
