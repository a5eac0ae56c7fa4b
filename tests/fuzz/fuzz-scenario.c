/* Scenario files: whatever the text, an error with a position or a scenario that holds its
 * promises. */
#include <assert.h>
#include <string.h>

#include "lab/scenario/scenario.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool has_option(const void *data, const char *option)
{
	(void)data;
	return strlen(option) % 2;
}

static void check(const struct scenario *s)
{
	assert(s->argv.n > 0);
	assert(s->timeout_ms > 0 && s->timeout_ms <= SCENARIO_MAX_TIMEOUT_MS);
	assert(s->memory_mib >= SCENARIO_MIN_MEMORY_MIB &&
	       s->memory_mib <= SCENARIO_MAX_MEMORY_MIB);
	assert(s->archs);
	for (size_t i = 0; i < s->files.n; i++)
		assert(path_is_inside(s->files.items[i]) && s->files_at[i].line);
	for (size_t i = 0; i < s->artefacts.n; i++)
		assert(path_is_inside(s->artefacts.items[i]));
	for (size_t i = 0; i < s->n_expects; i++) {
		const struct expect *e = &s->expects[i];

		assert((e->exit_code >= 0) + (e->signal > 0) + (e->crash.n > 0) + e->hang <= 1);
		for (size_t k = 0; k < e->n_files; k++)
			assert(path_is_inside(e->files[k].path));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct kver kernel = {{6, 1, 176}};
	struct scenario s = {0};
	struct err err = {0};
	int r = scenario_parse("f.yml", (const char *)data, len, &s, &err);

	if (r < 0) {
		assert(err.code == -r && strncmp(err.msg, "f.yml:", 6) == 0);
		return 0;
	}
	check(&s);
	scenario_expectation(&s, &kernel, ARCH_ARM64, has_option, NULL);
	scenario_deinit(&s);
	return 0;
}
