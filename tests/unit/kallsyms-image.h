/* Kernel images with tables of symbols in each layout there was, for tests. */
#ifndef TESTS_KALLSYMS_IMAGE_H
#define TESTS_KALLSYMS_IMAGE_H

#include <elf.h>
#include <string.h>

#include "jail/base/arch.h"
#include "jail/base/str.h"

enum { MADE_N = 1000, MADE_BIG = 500 };

struct made_layout {
	const char *name;
	enum arch arch;
	bool behind;	/* values are behind the names (6.4) */
	bool self;	/* counted from themselves (7.x) */
	bool addresses; /* not offsets */
	bool percpu;	/* absolute ones below the others */
	bool seqs;	/* there is an index by name */
	bool big;	/* a name of two bytes' length */
	unsigned int align;
};

static const struct made_layout made_layouts[] = {
	{"5.10 amd64", ARCH_AMD64, false, false, false, true, false, false, 8},
	{"5.10 arm64", ARCH_ARM64, false, false, false, false, false, false, 8},
	{"6.1 amd64", ARCH_AMD64, false, false, false, true, true, true, 8},
	{"6.1 arm64", ARCH_ARM64, false, false, false, false, true, true, 8},
	{"5.10 addresses", ARCH_AMD64, false, false, true, false, false, false, 8},
	{"6.5 addresses", ARCH_AMD64, true, false, true, false, true, true, 8},
	{"6.12 amd64", ARCH_AMD64, true, false, false, true, true, true, 8},
	{"6.12 arm64", ARCH_ARM64, true, false, false, false, true, true, 8},
	{"7.2 amd64", ARCH_AMD64, true, true, false, false, true, true, 4},
	{"7.2 arm64", ARCH_ARM64, true, true, false, false, true, true, 4},
};

static inline uint64_t made_text(const struct made_layout *l)
{
	return l->arch == ARCH_AMD64 ? 0xffffffff81000000 : 0xffff800010000000;
}

static inline uint64_t made_address(const struct made_layout *l, unsigned int i)
{
	return l->percpu && i < 3 ? i * 8 : made_text(l) + i / 2 * 16;
}

static inline char *made_name(const struct made_layout *l, unsigned int i)
{
	if (!l->big || i != MADE_BIG)
		return str_printf("sys_%u", i);
	return str_printf("%0200u", i);
}

static inline void made_pad(struct buf *b, unsigned int to)
{
	while (b->len % to)
		buf_add(b, "", 1);
}

static inline void made_int(struct buf *b, uint64_t n, size_t bytes)
{
	buf_add(b, &n, bytes);
}

static inline void made_values(struct buf *b, const struct made_layout *l)
{
	uint64_t base = made_text(l);

	made_pad(b, l->align);
	for (unsigned int i = 0; i < MADE_N; i++) {
		uint64_t address = made_address(l, i);

		if (l->addresses)
			made_int(b, address, 8);
		else if (l->self)
			made_int(b, address - (base + b->len), 4);
		else if (l->percpu)
			made_int(b, address < base ? address : base - 1 - address, 4);
		else
			made_int(b, address - base, 4);
	}
	if (l->addresses || l->self)
		return;
	made_pad(b, 8);
	/* raw images have the base in a relocation, which comes first in them */
	if (l->arch == ARCH_ARM64) {
		uint64_t place = base + b->len;

		memcpy(b->data + 64, &place, 8);
	}
	made_int(b, l->arch == ARCH_ARM64 ? 0 : base, 8);
}

static inline void made_seqs(struct buf *b, const struct made_layout *l)
{
	made_pad(b, l->align);
	for (unsigned int i = MADE_N; l->seqs && i-- > 0;)
		buf_add(b, (uint8_t[]){i >> 16, i >> 8, i}, 3);
}

static inline void made_names(struct buf *b, const struct made_layout *l)
{
	uint32_t markers[(MADE_N + 255) / 256];
	size_t start;

	made_pad(b, l->align);
	made_int(b, MADE_N, 4);
	made_pad(b, l->align);
	start = b->len;
	for (unsigned int i = 0; i < MADE_N; i++) {
		auto_free char *name = made_name(l, i);
		const char *rest = str_starts(name, "sys_") ? name + 4 : name;
		size_t len = strlen(rest) + 1 + (rest != name);

		if (i % 256 == 0)
			markers[i / 256] = b->len - start;
		if (len >= 0x80)
			made_int(b, (len & 0x7f) | 0x80 | len >> 7 << 8, 2);
		else
			made_int(b, len, 1);
		buf_add(b, i % 2 ? "T" : "t", 1);
		if (rest != name)
			buf_add(b, "\1", 1);
		buf_adds(b, rest);
	}
	made_pad(b, l->align);
	buf_add(b, markers, sizeof(markers));
	if (!l->behind)
		made_seqs(b, l);
}

static inline void made_tokens(struct buf *b, const struct made_layout *l)
{
	uint16_t index[256];
	size_t start;

	made_pad(b, l->align);
	start = b->len;
	for (unsigned int i = 0; i < 256; i++) {
		index[i] = b->len - start;
		if (i == 1)
			buf_addf(b, "sys_");
		else if (i > ' ' && i < 127)
			buf_addf(b, "%c", i);
		else
			buf_addf(b, "_%x", i);
		buf_add(b, "", 1);
	}
	made_pad(b, l->align);
	buf_add(b, index, sizeof(index));
}

/* The whole image. */
static inline void made_image(struct buf *b, const struct made_layout *l)
{
	uint64_t text = made_text(l);

	if (l->arch == ARCH_AMD64) {
		Elf64_Ehdr h = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
					    ELFDATA2LSB, EV_CURRENT},
				.e_type = ET_EXEC,
				.e_machine = EM_X86_64,
				.e_phoff = sizeof(h),
				.e_phnum = 1};

		buf_add(b, &h, sizeof(h));
		buf_add(b, &(Elf64_Phdr){.p_type = PT_LOAD, .p_vaddr = text}, sizeof(Elf64_Phdr));
	} else {
		buf_add(b, (uint8_t[64]){0}, 64);
		made_int(b, 0, 8);
		made_int(b, 0x403, 8); /* R_AARCH64_RELATIVE */
		made_int(b, text, 8);
		for (unsigned int i = 0; i < 4; i++) /* pointers of it */
			made_int(b, text + i * 64, 8);
	}
	if (!l->behind)
		made_values(b, l);
	made_names(b, l);
	made_tokens(b, l);
	if (l->behind) {
		made_values(b, l);
		made_seqs(b, l);
	}
	made_int(b, 0, 8);
	if (l->arch == ARCH_AMD64) {
		Elf64_Phdr *p = (Elf64_Phdr *)(void *)(b->data + sizeof(Elf64_Ehdr));

		p->p_filesz = p->p_memsz = b->len;
	}
}

#endif
