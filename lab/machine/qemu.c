#include "lab/machine/qemu.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jail/base/io.h"
#include "jail/base/proc.h"
#include "jail/base/str.h"
#include "lab/cache.h"
#include "lab/machine/machine-arch.h"

char *qemu_find(enum arch arch, struct err *err)
{
	const struct machine_arch *ma = machine_arch(arch);
	char *file = proc_find(ma->emulator);

	if (file)
		return file;
	err_set(err, ENOENT, "no %s for %s guests in PATH (on Debian: apt-get install %s)",
		ma->emulator, arch_name(arch), ma->package);
	return NULL;
}

static uint64_t fnv1a(const char *s)
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3;
	return h;
}

char *qemu_cache_dir(const char *qemu, struct err *err)
{
	auto_free char *id = NULL, *sub = NULL;
	struct stat st;

	if (stat(qemu, &st) < 0) {
		err_errno(err, "%s", qemu);
		return NULL;
	}
	id = str_printf("%s %jd.%09ld %jd", qemu, (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
			(intmax_t)st.st_size);
	sub = str_printf("virt/emulators/%016" PRIx64, fnv1a(id));
	return cache_dir(sub, err);
}

static char *ask_version(const char *qemu, struct err *err)
{
	char *argv[] = {(char *)qemu, "--version", NULL}, *at;
	auto_cleanup(buf) out = {0};
	int r = proc_run(argv, &out, NULL, err);

	if (r < 0)
		return NULL;
	at = r == 0 && out.data ? strstr(out.data, "version ") : NULL;
	if (!at) {
		err_set(err, EPROTO, "%s --version does not say its version", qemu);
		return NULL;
	}
	at += strlen("version ");
	return xstrndup(at, strspn(at, "0123456789."));
}

char *qemu_version(const char *qemu, struct err *err)
{
	auto_free char *dir = qemu_cache_dir(qemu, err), *path = NULL, *version = NULL;
	auto_cleanup(buf) kept = {0};

	if (!dir)
		return NULL;
	path = path_join(dir, "version");
	if (io_read_file(AT_FDCWD, path, 64, &kept, NULL) == 0 && kept.len)
		return take_ptr(kept.data);
	version = ask_version(qemu, err);
	if (version)
		io_write_atomic(AT_FDCWD, path, version, strlen(version), 0600, NULL);
	return take_ptr(version);
}
