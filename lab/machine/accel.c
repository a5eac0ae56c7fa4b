#include "lab/machine/accel.h"

#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/utsname.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/machine/machine.h"
#include "lab/machine/qemu.h"

enum {
	PROBE_BOOT_MS = 15000,
	PROBE_RUN_MS = 3000,
	PROBE_MIB = 256,
	PROBES_MAX = 32, /* kept in the file */
	FILE_MAX_BYTES = 64 << 10,
};

/* What an answer holds for: another host kernel or QEMU is asked anew. */
static char *probe_key(enum arch arch)
{
	auto_free char *qemu = qemu_find(arch, NULL), *version = NULL;
	struct utsname u;

	version = qemu ? qemu_version(qemu, NULL) : NULL;
	if (!version || uname(&u) < 0)
		return NULL;
	return str_printf("%s guest, QEMU %s, host %s", arch_name(arch), version, u.release);
}

static json_t *load_probes(const char *path)
{
	auto_cleanup(buf) text = {0};
	json_t *j = NULL;

	if (io_read_file(AT_FDCWD, path, FILE_MAX_BYTES, &text, NULL) == 0 && text.len)
		j = json_loadb(text.data, text.len, 0, NULL);
	if (json_is_object(j) && json_object_size(j) < PROBES_MAX)
		return j;
	json_decref(j); /* none, not ours, or grown old */
	return json_object();
}

/* 1: a probe booted, 0: none did, -1: not asked yet. */
static int recall(const char *key)
{
	auto_free char *dir = cache_dir(NULL, NULL),
		       *path = dir ? path_join(dir, "accel.json") : NULL;
	json_t *probes, *kvm;
	int r = -1;

	if (!path || !key)
		return -1;
	probes = load_probes(path);
	kvm = json_object_get(probes, key);
	if (json_is_boolean(kvm))
		r = json_is_true(kvm);
	json_decref(probes);
	return r;
}

static void remember(const char *key, bool kvm)
{
	auto_free char *dir = cache_dir(NULL, NULL),
		       *path = dir ? path_join(dir, "accel.json") : NULL;
	auto_free char *text = NULL;
	json_t *probes;

	if (!path || !key)
		return;
	probes = load_probes(path);
	json_object_set_new(probes, key, json_boolean(kvm));
	text = json_dumps(probes, JSON_INDENT(2));
	json_decref(probes);
	/* A cache that cannot be written costs another probe, nothing else. */
	if (text)
		io_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, NULL);
}

static char *did_not_boot(void)
{
	return str_printf("KVM: a probe guest did not boot within %d s", PROBE_BOOT_MS / 1000);
}

char *accel_why_not(enum arch arch, bool *cached)
{
	auto_free char *key = NULL;
	auto_close int fd = -1;
	int known;

	*cached = false;
	if (arch != arch_native())
		return xstrdup("no KVM for a foreign architecture");
	fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fd < 0 && errno == EACCES)
		return xstrdup("/dev/kvm: permission denied; is this user in the group kvm?");
	if (fd < 0 && errno == ENOENT)
		return xstrdup("there is no /dev/kvm");
	if (fd < 0)
		return str_printf("/dev/kvm: %s", strerror(errno));
	key = probe_key(arch);
	known = recall(key);
	*cached = known >= 0;
	return known == 0 ? did_not_boot() : NULL;
}

/*
 * Boot one guest under KVM and have it run something: 1 it ran, 0 it did not, negative: no machine
 * could be started, which may have other reasons. Only a 1 means KVM.
 */
static int probe(struct virt *v, const struct kernel *kernel, const struct image *image,
		 const volatile int *cancel)
{
	char *argv[] = {(char *)"/bin/true", NULL};
	auto_free char *dir = path_join(virt_run_dir(v), "kvm-probe");
	auto_cleanup(outcome) o = {0};
	struct job job = {
		.name = "lab-kvm-probe",
		.kernel = kernel,
		.image = image,
		.kvm = true,
		.memory_mib = PROBE_MIB,
		.cpus = 1,
		.argv = argv,
		.timeout_ms = PROBE_RUN_MS,
		.boot_timeout_ms = PROBE_BOOT_MS,
		.no_progress_ms = PROBE_RUN_MS,
		.cancel = cancel,
	};
	int r = io_mkdirs(dir, 0700, NULL);

	if (r == 0)
		r = machine_run(v, &job, dir, &o, NULL);
	io_remove_tree(AT_FDCWD, dir, NULL);
	return r < 0 ? r : o.ending == END_EXITED;
}

int accel_choose(struct virt *v, enum accel_want want, const struct kernel *kernel,
		 const struct image *image, const volatile int *cancel, struct accel *ret,
		 struct err *err)
{
	auto_free char *why = NULL, *key = NULL;
	bool cached = false;

	if (want == ACCEL_TCG) {
		*ret = (struct accel){.why = xstrdup("TCG (asked for)")};
		return 0;
	}
	why = accel_why_not(kernel->arch, &cached);
	if (!why && !cached) {
		int booted = probe(v, kernel, image, cancel);

		if (cancel && *cancel) {
			why = xstrdup("interrupted");
		} else if (booted < 0) {
			why = xstrdup("KVM: a probe guest could not be started");
		} else {
			key = probe_key(kernel->arch);
			remember(key, booted);
			why = booted ? NULL : did_not_boot();
		}
	}
	if (why && want == ACCEL_KVM)
		return err_set(err, ENOTSUP, "no KVM for %s guests: %s", arch_name(kernel->arch),
			       why);
	ret->kvm = !why;
	ret->why = why ? str_printf("TCG (%s)", why) : xstrdup("KVM");
	return 0;
}

void accel_deinit(struct accel *a)
{
	free(a->why);
	*a = (struct accel){0};
}
