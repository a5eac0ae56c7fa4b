/*
 * store-folder.h - a folder of the store; for kernel-store.c and kernel-debug.c.
 *
 * It holds files, SHA256SUMS of them, and meta.json, written last, which says of which packages
 * they were made. It appears whole (renamed into place) or not at all.
 */
#ifndef LAB_STORE_FOLDER_H
#define LAB_STORE_FOLDER_H

#include <jansson.h>

#include "lab/kernel/kernel.h"

struct store_folder {
	char *dir;
	char *inputs;	  /* the digests of its packages, as one word */
	const char *file; /* the one that matters, "image": a folder without it is not whole */
};
void store_folder_deinit(struct store_folder *f);
DEFINE_CLEANUP(store_folder, store_folder_deinit)

/*
 * What meta.json says, for json_decref(); NULL: not there, not whole, or of other packages. No
 * other file is read, unless its time shows that it is a copy.
 */
json_t *store_folder_find(const struct store_folder *f);
/* The text of a key, "" when there is none. */
const char *store_folder_text(json_t *meta, const char *key);
/*
 * Held while it is made. what ("unpacking kernel …") is told while another process holds it. The
 * file goes when the folder is there: store_folder_made(). -EINTR: cancelled.
 */
int store_folder_lock(const struct store_folder *f, const char *what,
		      const struct kernel_want *want, struct err *err);
void store_folder_made(const struct store_folder *f);
/* Put files into dir, which is empty, and what there is to say of them into meta. */
typedef int (*store_fill_fn)(void *data, const char *dir, json_t *meta, struct err *err);
/* Who calls holds the lock. What stood in its place goes. */
int store_folder_make(const struct store_folder *f, store_fill_fn fill, void *data,
		      struct err *err);
/* Hash all files again. -ENOENT (not there), -EBADMSG (err names the file). */
int store_folder_verify(const struct store_folder *f, struct err *err);
/* Returns 1, 0 (it was not there), -EBUSY: another process is making it (what: "kernel 6.1 …"). */
int store_folder_remove(const struct store_folder *f, const char *what, struct err *err);

#endif
