/* meta.json of a built kernel: what is accepted is fit for folders, and prints as what is accepted
 * again. */
#include <assert.h>
#include <string.h>

#include "lab/kernel/built-meta.h"
#include "lab/kernel/lock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	auto_cleanup(built_meta) m = {0}, again = {0};
	auto_cleanup(buf) printed = {0}, reprinted = {0};
	auto_free char *folder = NULL;
	struct err err = {0};
	int r = built_meta_parse("f", (const char *)data, len, &m, &err);

	if (r < 0) {
		assert(err.code == -r && strncmp(err.msg, "f:", 2) == 0);
		return 0;
	}
	folder = built_folder_name(&m.built);
	assert(lock_name_ok(m.built.name) && lock_name_ok(m.built.release));
	assert(path_is_inside(folder) && !strchr(folder, '/'));
	assert(built_is_folder_name(folder));
	built_meta_print(&m, false, &printed);
	assert(built_meta_parse("f", printed.data, printed.len, &again, &err) == 0);
	built_meta_print(&again, false, &reprinted);
	assert(str_eq(printed.data, reprinted.data));
	return 0;
}
