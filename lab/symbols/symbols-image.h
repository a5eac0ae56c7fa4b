/*
 * symbols-image.h - an ELF file for gdb, rebuilt from a kernel's image alone.
 *
 * Names from kallsyms, types from BTF where the kernel has it, call frames from ORC (amd64) or from
 * the functions' own instructions (arm64): break points by name, backtraces and x/i need nothing
 * else. Made once for an image, kept in cache_dir("symbols") under its SHA-256.
 */
#ifndef LAB_SYMBOLS_IMAGE_H
#define LAB_SYMBOLS_IMAGE_H

#include "lab/symbols/symbols.h"

/*
 * *path (allocated), *kind and *link are written only on success. -EBADMSG: the image is damaged or
 * has no kallsyms; or why the file cannot be written.
 */
int symbols_from_image(const struct kernel *kernel, char **path, enum symbols_kind *kind,
		       struct link_addresses *link, struct err *err);

#endif
