/*
 * dump.h - the memory of a guest that crashed, in a file: which form, and when.
 */
#ifndef LAB_DUMP_H
#define LAB_DUMP_H

enum dump_form {
	DUMP_KDUMP, /* kdump-compressed, zlib, as QEMU writes it: makedumpfile's flattened form */
	DUMP_ELF,   /* ELF core file with the kernel's virtual mapping */
	DUMP_OFF,
};

#endif
