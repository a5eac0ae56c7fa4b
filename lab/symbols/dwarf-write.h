/*
 * dwarf-write.h - DWARF 4 (32-bit), one compile unit: entries in, .debug_info and .debug_abbrev
 * out.
 *
 * Pure. Abbreviations are made as entries need them. Entries refer to one another by numbers of the
 * caller's, in any order.
 */
#ifndef LAB_DWARF_WRITE_H
#define LAB_DWARF_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "jail/base/err.h"
#include "jail/base/str.h"

/* The numbers of DWARF 4, section 7 (elfutils' dwarf.h is not needed for anything else). */
enum {
	DW_TAG_array_type = 0x01,
	DW_TAG_enumeration_type = 0x04,
	DW_TAG_formal_parameter = 0x05,
	DW_TAG_member = 0x0d,
	DW_TAG_pointer_type = 0x0f,
	DW_TAG_compile_unit = 0x11,
	DW_TAG_structure_type = 0x13,
	DW_TAG_subroutine_type = 0x15,
	DW_TAG_typedef = 0x16,
	DW_TAG_union_type = 0x17,
	DW_TAG_unspecified_parameters = 0x18,
	DW_TAG_subrange_type = 0x21,
	DW_TAG_base_type = 0x24,
	DW_TAG_const_type = 0x26,
	DW_TAG_enumerator = 0x28,
	DW_TAG_subprogram = 0x2e,
	DW_TAG_variable = 0x34,
	DW_TAG_volatile_type = 0x35,
	DW_TAG_restrict_type = 0x37,

	DW_AT_location = 0x02,
	DW_AT_name = 0x03,
	DW_AT_byte_size = 0x0b,
	DW_AT_bit_size = 0x0d,
	DW_AT_low_pc = 0x11,
	DW_AT_high_pc = 0x12,
	DW_AT_language = 0x13,
	DW_AT_const_value = 0x1c,
	DW_AT_producer = 0x25,
	DW_AT_prototyped = 0x27,
	DW_AT_count = 0x37,
	DW_AT_data_member_location = 0x38,
	DW_AT_declaration = 0x3c,
	DW_AT_encoding = 0x3e,
	DW_AT_external = 0x3f,
	DW_AT_type = 0x49,
	DW_AT_data_bit_offset = 0x6b,

	DW_FORM_addr = 0x01,
	DW_FORM_data8 = 0x07,
	DW_FORM_data1 = 0x0b,
	DW_FORM_sdata = 0x0d,
	DW_FORM_strp = 0x0e,
	DW_FORM_udata = 0x0f,
	DW_FORM_ref4 = 0x13,
	DW_FORM_sec_offset = 0x17,
	DW_FORM_exprloc = 0x18,
	DW_FORM_flag_present = 0x19,

	DW_OP_addr = 0x03,
	DW_OP_reg0 = 0x50,
	DW_ATE_boolean = 0x02,
	DW_ATE_float = 0x04,
	DW_ATE_signed = 0x05,
	DW_ATE_signed_char = 0x06,
	DW_ATE_unsigned = 0x07,
	DW_ATE_unsigned_char = 0x08,
	DW_LANG_C99 = 0x0c,
};

enum { DIE_ATTRS = 9, DWARF_ABBREVS = 64 };

/* A debugging information entry: what it is, then values in the order added. */
struct die {
	uint8_t tag; /* DW_TAG_* */
	bool children;
	uint8_t n;
	struct die_attr {
		uint16_t name; /* DW_AT_* */
		uint8_t form;  /* DW_FORM_*; exprloc stands for DW_OP_addr of the value */
		uint64_t value;
	} attrs[DIE_ATTRS];
};

struct dwarf_writer {
	struct buf info, abbrev;
	struct die known[DWARF_ABBREVS]; /* abbreviation i + 1; their values mean nothing */
	uint32_t n_known;
	uint32_t *at; /* of the entries with numbers, in info; 0: none */
	uint32_t *refs;
	size_t n_refs, cap_refs;
};

/* Entries' numbers are below n. dwarf_writer_end() makes the references good and ends the unit. */
void dwarf_writer_begin(struct dwarf_writer *w, uint32_t n);
void dwarf_writer_end(struct dwarf_writer *w);
void dwarf_writer_deinit(struct dwarf_writer *w);
DEFINE_CLEANUP(dwarf_writer, dwarf_writer_deinit)

void die_add(struct die *d, unsigned int name, unsigned int form, uint64_t value);
/* DW_AT_type; number 0 is none: void. */
void die_type(struct die *d, uint32_t number);
/* number: how others refer to it, or 0. With d->children, its children follow, then dwarf_up(). */
void dwarf_put(struct dwarf_writer *w, const struct die *d, uint32_t number);
void dwarf_up(struct dwarf_writer *w);

void dwarf_int(struct buf *b, uint64_t value, size_t bytes); /* little endian */

#endif
