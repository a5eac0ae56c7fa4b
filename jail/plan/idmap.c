#include "jail/plan/idmap.h"

#include <string.h>

enum { FIELDS = 3 };

static bool overlaps(uint32_t a, uint32_t b, uint32_t a_count, uint32_t b_count)
{
	return a < (uint64_t)b + b_count && b < (uint64_t)a + a_count;
}

/* Three numbers between colons; the last id of a range must be an id too (2^32-1 is none). */
static int parse_range(const char *text, struct idmap_range *ret)
{
	uint64_t v[FIELDS];

	for (size_t i = 0; i < FIELDS; i++) {
		size_t len = strcspn(text, ":");
		auto_free char *field = xstrndup(text, len);
		bool is_last = i == FIELDS - 1;

		if (!text[len] != is_last || str_to_u64(field, 0, UINT32_MAX, &v[i]) < 0)
			return -EINVAL;
		text += len + !is_last;
	}
	if (v[2] == 0 || v[0] + v[2] > UINT32_MAX || v[1] + v[2] > UINT32_MAX)
		return -ERANGE;
	*ret = (struct idmap_range){(uint32_t)v[0], (uint32_t)v[1], (uint32_t)v[2]};
	return 0;
}

int idmap_add(struct idmap *map, const char *option, const char *text, struct err *err)
{
	struct idmap_range range;
	int r = parse_range(text, &range);

	if (r == -ERANGE)
		return err_set(err, EINVAL, "%s %.60s: COUNT ids must lie between 0 and 4294967294",
			       option, text);
	if (r < 0)
		return err_set(err, EINVAL,
			       "%s '%.60s': INSIDE:OUTSIDE:COUNT expected, such as 0:1000:1",
			       option, text);
	if (map->n == IDMAP_MAX)
		return err_set(err, E2BIG, "%s: the kernel takes %d ranges at most", option,
			       IDMAP_MAX);
	for (size_t i = 0; i < map->n; i++) {
		const struct idmap_range *old = &map->ranges[i];

		if (overlaps(range.inside, old->inside, range.count, old->count) ||
		    overlaps(range.outside, old->outside, range.count, old->count))
			return err_set(err, EINVAL, "%s %s overlaps %u:%u:%u", option, text,
				       old->inside, old->outside, old->count);
	}
	map->ranges[map->n++] = range;
	return 0;
}

bool idmap_has_inside(const struct idmap *map, uint32_t id)
{
	for (size_t i = 0; i < map->n; i++)
		if (id >= map->ranges[i].inside &&
		    id - map->ranges[i].inside < map->ranges[i].count)
			return true;
	return false;
}

int64_t idmap_to_inside(const struct idmap *map, uint32_t outside)
{
	for (size_t i = 0; i < map->n; i++) {
		const struct idmap_range *range = &map->ranges[i];

		if (outside >= range->outside && outside - range->outside < range->count)
			return (int64_t)range->inside + (outside - range->outside);
	}
	return -1;
}

void idmap_print(const struct idmap *map, struct buf *out)
{
	for (size_t i = 0; i < map->n; i++)
		buf_addf(out, "%u %u %u\n", map->ranges[i].inside, map->ranges[i].outside,
			 map->ranges[i].count);
}
