#include "lab/replay/recording.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jail/base/io.h"
#include "lab/debian/deb.h"
#include "lab/run/result.h"

enum { SCHEMA = 1, CLUSTER_BITS = 16, DISK_GIB = 1 };

char *recording_path(const struct recording *r, const char *name)
{
	return path_join(r->dir, name);
}

void recording_deinit(struct recording *r)
{
	char *const all[] = {r->dir,	      r->qemu,		r->machine, r->cpu,
			     r->cmdline,      r->date,		r->kernel,  r->image,
			     r->image_sha256, r->initrd_sha256, r->ending,  r->serial_sha256};

	for (size_t i = 0; i < array_len(all); i++)
		free(all[i]);
	*r = (struct recording){0};
}

/* --- recording.json --- */

enum kind { TEXT, OPTIONAL, NUMBER32, NUMBER64 };
static const struct member {
	const char *name;
	enum kind kind;
	size_t offset;
	const char *chars; /* that a text may have; NULL: any */
} members[] = {
	{"qemu", TEXT, offsetof(struct recording, qemu), "0123456789."},
	/* no options of a machine, which can name files */
	{"machine", TEXT, offsetof(struct recording, machine),
	 "abcdefghijklmnopqrstuvwxyz0123456789.-"},
	{"cpu", TEXT, offsetof(struct recording, cpu), "abcdefghijklmnopqrstuvwxyz0123456789.,_-"},
	{"cmdline", TEXT, offsetof(struct recording, cmdline), NULL},
	{"date", TEXT, offsetof(struct recording, date), "0123456789T:-"},
	{"memory_mib", NUMBER32, offsetof(struct recording, memory_mib), NULL},
	{"shift", NUMBER32, offsetof(struct recording, shift), NULL},
	{"kernel", TEXT, offsetof(struct recording, kernel), NULL},
	{"image", TEXT, offsetof(struct recording, image), NULL},
	{"image_sha256", TEXT, offsetof(struct recording, image_sha256), NULL},
	{"initrd_sha256", TEXT, offsetof(struct recording, initrd_sha256), NULL},
	{"icount", NUMBER64, offsetof(struct recording, icount), NULL},
	{"serial_bytes", NUMBER64, offsetof(struct recording, serial_bytes), NULL},
	{"serial_sha256", OPTIONAL, offsetof(struct recording, serial_sha256), NULL},
	{"ending", OPTIONAL, offsetof(struct recording, ending), NULL},
};

int recording_save(const struct recording *r, struct err *err)
{
	auto_free char *path = recording_path(r, "recording.json");
	json_t *j = json_object();
	int ret;

	json_object_set_new(j, "schema", json_integer(SCHEMA));
	json_object_set_new(j, "arch", json_string(arch_name(r->arch)));
	for (size_t i = 0; i < array_len(members); i++) {
		const struct member *m = &members[i];
		const void *at = (const char *)r + m->offset;
		const char *text = m->kind <= OPTIONAL ? *(char *const *)at : NULL;
		json_t *value = m->kind == NUMBER32   ? json_integer(*(const unsigned int *)at)
				: m->kind == NUMBER64 ? json_integer(*(const int64_t *)at)
				: text		      ? json_string(text)
						      : json_null();

		json_object_set_new(j, m->name, value);
	}
	ret = json_write_file(AT_FDCWD, path, j, err);
	json_decref(j);
	return ret;
}

static int parse_member(const char *path, const json_t *j, const struct member *m,
			struct recording *r, struct err *err)
{
	const json_t *value = json_object_get(j, m->name);
	void *at = (char *)r + m->offset;
	const char *text = json_string_value(value);

	if (m->kind <= OPTIONAL) {
		if (!text && m->kind == OPTIONAL && json_is_null(value))
			return 0;
		if (!text || (m->chars && (!*text || text[strspn(text, m->chars)])))
			return err_set(err, EINVAL, "%s: '%s' is not what was recorded", path,
				       m->name);
		*(char **)at = xstrdup(text);
		return 0;
	}
	if (!json_is_integer(value) ||
	    (m->kind == NUMBER32 &&
	     (json_integer_value(value) < 0 || json_integer_value(value) > 1 << 20)))
		return err_set(err, EINVAL, "%s: '%s' is no such number", path, m->name);
	if (m->kind == NUMBER32)
		*(unsigned int *)at = json_integer_value(value);
	else
		*(int64_t *)at = json_integer_value(value);
	return 0;
}

static int parse(const char *path, const json_t *j, struct recording *r, struct err *err)
{
	const char *arch = json_string_value(json_object_get(j, "arch"));
	int a = arch ? arch_parse(arch) : -EINVAL, ret = 0;

	if (json_integer_value(json_object_get(j, "schema")) != SCHEMA || a < 0)
		return err_set(err, EINVAL, "%s: not a recording of this version of lab", path);
	r->arch = a;
	for (size_t i = 0; ret == 0 && i < array_len(members); i++)
		ret = parse_member(path, j, &members[i], r, err);
	if (ret == 0 && (r->icount < 0 || !r->serial_sha256))
		ret = err_set(err, EINVAL,
			      "%s: the recording did not come to its end: record it again", path);
	return ret;
}

/* A plain file itself: QEMU would follow a link to any file of the user's, and write to it. */
static int check_plain(const char *path, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return err_errno(err, "%s", path);
	return S_ISREG(st.st_mode) ? 0 : err_set(err, EINVAL, "%s is no plain file", path);
}

static int check_file(const char *what, const char *path, const char *sha256, struct err *err)
{
	char hex[65];
	int r = check_plain(path, err);

	if (r == 0)
		r = sha256_file(path, hex, err);
	if (r < 0)
		return err_wrap(err, "%s of the recording", what);
	return str_eq(hex, sha256)
		       ? 0
		       : err_set(err, ESTALE, "%s is not the %s that was recorded: record it again",
				 path, what);
}

/*
 * A disk image may name others (a backing file, one for the data), on this host or in the network:
 * none of ours does (QEMU's docs/interop/qcow2.txt; the bit is that of lazy reference counts).
 */
static int check_disk(const char *path, struct err *err)
{
	enum { HEADER = 80, BACKING = 8, CRYPT = 32, FEATURES = 72, DIRTY = 1 };
	static const uint8_t zero[8], version3[] = {'Q', 'F', 'I', 0xfb, 0, 0, 0, 3};
	auto_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	uint8_t h[HEADER];

	if (fd < 0)
		return err_errno(err, "%s", path);
	if (read(fd, h, sizeof(h)) != (ssize_t)sizeof(h) ||
	    memcmp(h, version3, sizeof(version3)) != 0 || memcmp(h + BACKING, zero, 8) != 0 ||
	    memcmp(h + CRYPT, zero, 4) != 0 || memcmp(h + FEATURES, zero, 7) != 0 ||
	    (h[FEATURES + 7] & ~DIRTY))
		return err_set(err, EINVAL, "%s is no disk of lab's: record it again", path);
	return 0;
}

static int check_files(const struct recording *r, struct err *err)
{
	static const char *const names[] = {"log", "serial.log", "snapshots.qcow2"};
	auto_free char *initrd = recording_path(r, "initrd"),
		       *disk = recording_path(r, "snapshots.qcow2");
	auto_free char *image = realpath(r->image, NULL);
	struct stat st;
	int ret = 0;

	if (stat(r->dir, &st) < 0)
		return err_errno(err, "%s", r->dir);
	/* who could change what was checked */
	if (st.st_uid != geteuid() || (st.st_mode & S_IWOTH))
		return err_set(err, EINVAL,
			       "%s can be written to by other users: copy it (cp -r) first",
			       r->dir);
	for (size_t i = 0; ret == 0 && i < array_len(names); i++) {
		auto_free char *path = recording_path(r, names[i]);

		ret = check_plain(path, err);
	}
	if (ret == 0)
		ret = check_disk(disk, err);
	if (ret == 0)
		ret = check_file("kernel", image ? image : r->image, r->image_sha256, err);
	return ret < 0 ? ret : check_file("initrd", initrd, r->initrd_sha256, err);
}

/* Where the cell that path means keeps its recording: absolute, or NULL. */
static char *find(const char *path)
{
	auto_free char *latest = path_join(RESULTS_DIR "/latest", path);
	const char *const places[] = {path, latest};

	for (size_t i = 0; i < array_len(places); i++) {
		auto_free char *below = path_join(places[i], "replay"),
			       *file = path_join(below, "recording.json"),
			       *direct = path_join(places[i], "recording.json");

		if (io_exists(file))
			return realpath(below, NULL);
		if (io_exists(direct))
			return realpath(places[i], NULL);
	}
	return NULL;
}

int recording_load(const char *path, struct recording *ret, struct err *err)
{
	auto_cleanup(recording) r = {.dir = find(path)};
	auto_free char *file = NULL;
	json_t *j = NULL;
	int result;

	if (!r.dir)
		return err_set(err, ENOENT,
			       "%.300s: no recording there (lab record makes one; a cell is named "
			       "like 6.1-arm64/userns/overlay)",
			       path);
	file = recording_path(&r, "recording.json");
	result = json_read_file(AT_FDCWD, file, &j, err);
	if (result == 0)
		result = parse(file, j, &r, err);
	json_decref(j);
	if (result == 0)
		result = check_files(&r, err);
	if (result < 0)
		return result;
	*ret = r;
	r = (struct recording){0};
	return 0;
}

/* --- the disk --- */

static void put(uint8_t *to, int bytes, uint64_t value)
{
	for (int i = 0; i < bytes; i++)
		to[i] = value >> 8 * (bytes - 1 - i);
}

/*
 * An empty qcow2 (QEMU's docs/interop/qcow2.txt, version 3): header, table of reference counts, one
 * block of them, table of L2 tables; a cluster each. Only snapshots are ever written to it.
 */
int recording_make_disk(const struct recording *r, struct err *err)
{
	enum { CLUSTER = 1 << CLUSTER_BITS, CLUSTERS = 4 };
	auto_free char *path = recording_path(r, "snapshots.qcow2");
	auto_free uint8_t *disk = xcalloc(CLUSTERS, CLUSTER);

	memcpy(disk, "QFI\xfb", 4);
	put(disk + 4, 4, 3);
	put(disk + 20, 4, CLUSTER_BITS);
	put(disk + 24, 8, (uint64_t)DISK_GIB << 30);
	/* an L2 table is a cluster of 8-byte entries */
	put(disk + 36, 4, ((uint64_t)DISK_GIB << 30) >> (2 * CLUSTER_BITS - 3));
	put(disk + 40, 8, 3 * CLUSTER); /* L1 */
	put(disk + 48, 8, 1 * CLUSTER); /* reference counts */
	put(disk + 56, 4, 1);		/* of one cluster */
	put(disk + 96, 4, 4);		/* of 2^4 bits each */
	put(disk + 100, 4, 104);	/* the header's length */
	put(disk + CLUSTER, 8, 2 * CLUSTER);
	for (int i = 0; i < CLUSTERS; i++)
		put(disk + 2 * CLUSTER + 2 * i, 2, 1);
	return io_write_atomic(AT_FDCWD, path, disk, (size_t)CLUSTERS * CLUSTER, 0644, err);
}
