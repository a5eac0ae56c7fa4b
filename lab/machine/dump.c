#include "lab/machine/dump.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/machine/virt.h"

static const char *const forms[] = {[DUMP_KDUMP] = "kdump", [DUMP_ELF] = "elf", [DUMP_OFF] = "off"};

const char *dump_form_name(enum dump_form form)
{
	return forms[form];
}

int dump_form_parse(const char *name)
{
	for (size_t i = 0; i < array_len(forms); i++)
		if (str_eq(name, forms[i]))
			return (int)i;
	return -EINVAL;
}

int dump_on_parse(const char *name)
{
	static const char *const names[] = {"pass", "fail", "crash", "hang"};

	for (size_t i = 0; i < array_len(names); i++)
		if (str_eq(name, names[i]))
			return 1 << i;
	return -EINVAL;
}

void dump_done_deinit(struct dump_done *d)
{
	free(d->skipped);
	*d = (struct dump_done){0};
}

/* --- the budget --- */

void dump_budget_init(struct dump_budget *b, uint64_t max)
{
	*b = (struct dump_budget){.max = max};
	pthread_mutex_init(&b->lock, NULL);
}

void dump_budget_deinit(struct dump_budget *b)
{
	pthread_mutex_destroy(&b->lock);
}

static int over_budget(const struct dump_budget *b, struct err *err)
{
	return err_set(err, EDQUOT,
		       "the dumps of this run would pass %" PRIu64 " bytes (--max-dump-bytes)",
		       b->max);
}

/* Whether it is worth while to begin: one as small as the smallest so far would fit. */
static int ask_budget(struct dump_budget *b, struct err *err)
{
	int r = 0;

	if (!b)
		return 0;
	pthread_mutex_lock(&b->lock);
	if (b->used >= b->max || b->max - b->used < b->least) {
		b->skipped++;
		r = over_budget(b, err);
	}
	pthread_mutex_unlock(&b->lock);
	return r;
}

static int charge_budget(struct dump_budget *b, uint64_t bytes, struct err *err)
{
	int r = 0;

	if (!b)
		return 0;
	pthread_mutex_lock(&b->lock);
	if (!b->least || bytes < b->least)
		b->least = bytes;
	if (bytes > b->max - b->used) {
		b->skipped++;
		r = over_budget(b, err);
	} else {
		b->used += bytes;
	}
	pthread_mutex_unlock(&b->lock);
	return r;
}

/* --- one dump --- */

/* The file is made here, so that it is nobody else's to read from its first byte on. */
static int create(const char *path, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_errno(err, "create %s", path);
	close(fd);
	return 0;
}

static int write_part(struct virt_machine *m, const char *part, enum dump_form form,
		      struct dump_budget *budget, uint64_t *bytes, struct err *err)
{
	struct stat st;
	int r = virt_machine_dump(m, part, form, err);

	if (r < 0)
		return r;
	if (stat(part, &st) < 0)
		return err_errno(err, "%s", part);
	r = charge_budget(budget, st.st_size, err);
	if (r == 0)
		*bytes = st.st_size;
	return r;
}

int dump_write(struct virt_machine *m, const char *path, enum dump_form form,
	       struct dump_budget *budget, uint64_t *bytes, struct err *err)
{
	auto_free char *part = str_printf("%s.part", path);
	int r;

	if (access(path, F_OK) == 0)
		return err_set(err, EEXIST, "%s is there already", path);
	r = ask_budget(budget, err);
	if (r == 0)
		r = create(part, err);
	if (r < 0)
		return r;
	r = write_part(m, part, form, budget, bytes, err);
	if (r == 0 && renameat2(AT_FDCWD, part, AT_FDCWD, path, RENAME_NOREPLACE) < 0)
		r = err_errno(err, "name the dump %s", path);
	if (r < 0)
		unlink(part);
	return r;
}
