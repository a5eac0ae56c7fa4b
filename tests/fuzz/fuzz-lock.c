/* kernels.lock, packages.lock and kernels.yml: what is accepted prints as what is accepted again.
 */
#include <assert.h>
#include <string.h>

#include "lab/kconfig/flavour.h"
#include "lab/kernel/lock.h"
#include "lab/kernel/pins.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void fuzz_kernels(const char *text, size_t len)
{
	auto_cleanup(kernels_lock) lock = {0}, again = {0};
	auto_cleanup(buf) printed = {0}, reprinted = {0};
	struct err err = {0};

	if (kernels_lock_parse("f", text, len, &lock, &err) < 0) {
		assert(err.code && err.msg[0]);
		return;
	}
	for (size_t i = 0; i < lock.n; i++) {
		assert(lock_name_ok(lock.items[i].name) && lock.items[i].n_debs);
		for (size_t d = 0; d < lock.items[i].n_debs; d++)
			assert(path_is_inside(lock.items[i].debs[d].path));
	}
	for (size_t i = 0; i < lock.n_sources; i++)
		assert(lock_name_ok(lock.sources[i].name) &&
		       path_is_inside(lock.sources[i].package.path));
	kernels_lock_print(&lock, &printed);
	assert(kernels_lock_parse("f", printed.data, printed.len, &again, &err) == 0);
	kernels_lock_print(&again, &reprinted);
	assert(again.n == lock.n && again.n_sources == lock.n_sources);
	assert(str_eq(printed.data, reprinted.data));
}

static void fuzz_packages(const char *text, size_t len)
{
	auto_cleanup(packages_lock) lock = {0};

	if (packages_lock_parse("f", text, len, &lock, NULL) < 0)
		return;
	for (size_t i = 0; i < lock.n; i++) {
		auto_free size_t *indexes = NULL;
		size_t n = 0;

		assert(packages_lock_closure(&lock, lock.items[i].deb.name, lock.items[i].arch,
					     &indexes, &n) == 0);
		assert(n >= 1 && n <= lock.n);
	}
}

static void fuzz_pins(const char *text, size_t len)
{
	auto_cleanup(pins) pins = {0};

	if (pins_parse("f", text, len, &pins, NULL) < 0)
		return;
	for (size_t i = 0; i < pins.n; i++) {
		const struct pin *p = &pins.items[i];
		auto_cleanup(flavour) own = {0};

		assert(lock_name_ok(p->name) && p->series);
		assert(p->suite || p->source.url || p->source.package);
		assert(!p->source.url || lock_name_ok(strrchr(p->source.url, '/') + 1));
		assert(flavour_parse("kasan", &p->config, &own, NULL) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{

	fuzz_kernels((const char *)data, len);
	fuzz_packages((const char *)data, len);
	fuzz_pins((const char *)data, len);
	return 0;
}
