/*
 * idmap.h - maps of user and group ids: "INSIDE:OUTSIDE:COUNT" in, the kernel's text out.
 *
 * Pure. What the kernel would refuse with a bare EINVAL (no ids, overlaps, too many lines) is said
 * here.
 */
#ifndef JAIL_PLAN_IDMAP_H
#define JAIL_PLAN_IDMAP_H

#include <stdint.h>

#include "jail/base/err.h"
#include "jail/base/str.h"

enum { IDMAP_MAX = 340 }; /* UID_GID_MAP_MAX_EXTENTS since Linux 4.15 */

struct idmap {
	size_t n;
	struct idmap_range {
		uint32_t inside, outside, count;
	} ranges[IDMAP_MAX];
};

/*
 * Add one "INSIDE:OUTSIDE:COUNT". option ("--uid-map") names it in messages. Returns 0 or -EINVAL;
 * -E2BIG after IDMAP_MAX ranges.
 */
int idmap_add(struct idmap *map, const char *option, const char *text, struct err *err);
/* Whether the namespace has this id at all. */
bool idmap_has_inside(const struct idmap *map, uint32_t id);
/* The inside id of an outside one; -1 when it has none. */
int64_t idmap_to_inside(const struct idmap *map, uint32_t outside);
/* The text for /proc/PID/uid_map: a line for each range. Appends to out. */
void idmap_print(const struct idmap *map, struct buf *out);

#endif
