/*
 * btf.h - a kernel's own type information (BTF), and the same as DWARF for a gdb that reads no BTF.
 *
 * Pure. BTF: Documentation/bpf/btf.rst, for kernels of 5.10 to 7.2 (a kind that is not known is
 * passed over where the header's layout, from 7.1 on, says how long it is); DWARF: version 4.
 * Types, enumerators, functions with their parameters, some variables; no lines. Input is
 * untrusted: what does not fit is -EBADMSG, and types that contain themselves are none.
 */
#ifndef LAB_BTF_H
#define LAB_BTF_H

#include <stdint.h>

#include "jail/base/arch.h"
#include "jail/base/err.h"
#include "jail/base/str.h"
#include "lab/symbols/kallsyms.h"

/*
 * The .BTF of an unpacked image, found by its header (arm64's raw Image has no sections): the
 * largest, as programs in the image may have small ones of their own. *ret points into image.
 * -ENODATA: this kernel has none.
 */
int btf_find(const uint8_t *image, size_t len, const uint8_t **ret, size_t *ret_len,
	     struct err *err);

/* .debug_info, .debug_abbrev, .debug_str, .debug_loc */
struct dwarf_sections {
	struct buf info, abbrev, str, loc;
};
/*
 * A function is in it when the symbol of its name is the only one (of several static ones, BTF does
 * not say which it means). Its arguments have a place at the first instruction only, in the
 * registers of the calling convention; later they are "optimized out". Variables: those that BTF
 * knows (per-CPU ones), and where it knows none of that name a few that were declared the same way
 * in all kernels from 5.10 to 7.2: init_task, init_net and their like, modules, linux_banner
 * (btf-dwarf.c has the list). *ret is the caller's, written only on success; the same input gives
 * the same bytes. -EBADMSG.
 */
int btf_to_dwarf(const uint8_t *btf, size_t len, enum arch arch, const struct ksyms *syms,
		 struct dwarf_sections *ret, struct err *err);
void dwarf_sections_deinit(struct dwarf_sections *d);
DEFINE_CLEANUP(dwarf_sections, dwarf_sections_deinit)

#endif
