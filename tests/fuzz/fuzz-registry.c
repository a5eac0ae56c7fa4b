/* A file of a machine that runs: damaged or forged, it is refused or makes sense. */
#include <assert.h>
#include <string.h>

#include "lab/machine/registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	auto_cleanup(vm) vm = {0};
	struct err err = {0};
	int r = vm_parse((const char *)data, len, &vm, &err);

	assert(r == 0 || (r == -EINVAL && err.msg[0] && !vm.name));
	assert(r < 0 || (vm.dir[0] == '/' && vm.control[0] == '/' && vm.lab > 1 && vm.gdb));
	assert(r < 0 || !strpbrk(vm.name, "/. "));
	return 0;
}
