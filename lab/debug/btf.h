/*
 * btf.h - a kernel's own type information (BTF), and the same as DWARF for a gdb that reads no BTF.
 *
 * Pure. BTF: Documentation/bpf/btf.rst; DWARF: version 4, .debug_info and .debug_abbrev (and
 * .debug_str). Types, enumerators, and functions with their parameters' types; no lines. Input is
 * untrusted: what does not fit is -EBADMSG.
 */
#ifndef LAB_BTF_H
#define LAB_BTF_H

#include <stdint.h>

#include "jail/base/arch.h"
#include "jail/base/err.h"
#include "jail/base/str.h"
#include "lab/debug/kallsyms.h"

/*
 * The .BTF of an unpacked image: the section of an ELF file, else found by its header (arm64's raw
 * Image). *ret points into image. -ENODATA: this kernel has none.
 */
int btf_find(const uint8_t *image, size_t len, const uint8_t **ret, size_t *ret_len,
	     struct err *err);

struct dwarf_sections {
	struct buf info, abbrev, str;
};
/*
 * Functions get the addresses of syms (a static name that several have: the first of BTF's kind);
 * variables that BTF knows (per-CPU ones) and those of a short list of well-known names whose type
 * is certain (init_task, ...) too. address_size is 8 on both architectures.
 */
int btf_to_dwarf(const uint8_t *btf, size_t len, enum arch arch, const struct ksyms *syms,
		 struct dwarf_sections *ret, struct err *err);
void dwarf_sections_deinit(struct dwarf_sections *d);
DEFINE_CLEANUP(dwarf_sections, dwarf_sections_deinit)

#endif
