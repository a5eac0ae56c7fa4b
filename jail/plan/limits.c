#include "jail/plan/limits.h"

struct limits limits_of(const struct policy_settings *settings)
{
	struct limits ret;

	for (size_t i = 0; i < LIMIT_COUNT; i++) {
		bool has =
			settings && settings->limits[i].is_set && !settings->limits[i].is_unlimited;

		ret.value[i] = has ? settings->limits[i].value : LIMIT_NONE;
	}
	return ret;
}

static void print_bytes(uint64_t bytes, struct buf *out)
{
	static const char units[] = "KMGT";
	int unit = -1;

	while (bytes && bytes % 1024 == 0 && unit < 3) {
		bytes /= 1024;
		unit++;
	}
	buf_addf(out, "%llu", (unsigned long long)bytes);
	if (unit >= 0)
		buf_add(out, &units[unit], 1);
}

void limits_print_value(enum policy_limit limit, uint64_t value, struct buf *out)
{
	switch (limit) {
	case LIMIT_MEMORY:
	case LIMIT_FILE_SIZE:
	case LIMIT_OUTPUT:
		print_bytes(value, out);
		break;
	case LIMIT_CPU_TIME:
	case LIMIT_WALL_TIME:
		if (value % 1000)
			buf_addf(out, "%llums", (unsigned long long)value);
		else
			buf_addf(out, "%llus", (unsigned long long)value / 1000);
		break;
	case LIMIT_CPUS:
		buf_addf(out, "%g", (double)value / 1000);
		break;
	default:
		buf_addf(out, "%llu", (unsigned long long)value);
	}
}

void limits_print(const struct policy *policy, enum policy_limit limit, struct buf *out)
{
	const struct policy_pos *at = &policy->settings.limits[limit].at;
	const char *file = policy->settings.limits[limit].file;

	buf_addf(out, "%s ", policy_limit_name(limit));
	limits_print_value(limit, policy->settings.limits[limit].value, out);
	if (at->line)
		buf_addf(out, " (%s:%u:%u)", file ? file : policy->name, at->line, at->column);
}
