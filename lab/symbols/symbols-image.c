#include "lab/symbols/symbols-image.h"

#include <fcntl.h>
#include <string.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/kernel/elf-write.h"
#include "lab/kernel/elf.h"
#include "lab/kernel/kernel-image.h"
#include "lab/symbols/btf.h"
#include "lab/symbols/frames.h"
#include "lab/symbols/kallsyms.h"

enum {
	TYPE_PARTS = 4,
	PARTS_MAX = 96, /* a kernel has 46 sections */
	MADE_AS = 6,	/* to be raised when what is made of an image changes */
};

/* DWARF of the kernel's BTF: parts for it. Names alone are worth having without. */
static size_t add_types(enum arch arch, const uint8_t *image, size_t len, const struct ksyms *syms,
			struct elf_part *parts, struct dwarf_sections *types)
{
	const struct {
		const char *name;
		const struct buf *data;
	} sections[TYPE_PARTS] = {{".debug_info", &types->info},
				  {".debug_abbrev", &types->abbrev},
				  {".debug_str", &types->str},
				  {".debug_loc", &types->loc}};
	const uint8_t *btf;
	size_t btf_len;

	if (btf_find(image, len, &btf, &btf_len, NULL) < 0 ||
	    btf_to_dwarf(btf, btf_len, arch, syms, types, NULL) < 0)
		return 0;
	for (size_t i = 0; i < TYPE_PARTS; i++)
		parts[i] = (struct elf_part){.name = sections[i].name,
					     .data = sections[i].data->data,
					     .size = sections[i].data->len};
	return TYPE_PARTS;
}

/*
 * Where the image begins has its name in every vmlinux, but is not among the functions, which are
 * all that a kernel without KALLSYMS_ALL knows (arm64's): debuggers tell the slide by it.
 */
static void add_text(struct ksyms *s)
{
	size_t at = 0;

	if (ksyms_lookup(s, "_text"))
		return;
	while (at < s->n && s->items[at].address < s->text)
		at++;
	s->items = xreallocarray(s->items, s->n + 1, sizeof(*s->items));
	memmove(&s->items[at + 1], &s->items[at], (s->n++ - at) * sizeof(*s->items));
	s->items[at] = (struct ksym){.address = s->text, .type = 'T', .name = "_text"};
}

static int make(const struct kernel *k, const char *path, struct err *err)
{
	auto_cleanup(buf) image = {0}, elf = {0}, frames = {0};
	auto_cleanup(ksyms) syms = {0};
	auto_cleanup(dwarf_sections) types = {0};
	auto_free char *own = str_printf("%02x%s", MADE_AS, k->sha256), *id = NULL;
	struct elf_part parts[PARTS_MAX + 1 + TYPE_PARTS];
	const uint8_t *bytes;
	size_t n = 0;
	int r;

	r = kernel_image_unpack(k->image, &image, err);
	if (r < 0)
		return r;
	bytes = (const uint8_t *)image.data;
	r = ksyms_find(bytes, image.len, k->arch, &syms, err);
	if (r == 0) {
		add_text(&syms);
		r = elf_parts(bytes, image.len, &syms, parts, PARTS_MAX, &n, err);
	}
	if (r < 0)
		return err_wrap(err, "%s", k->image);
	kernel_image_build_id(&image, k->arch, &id, NULL); /* one without it is fine */
	frames_of_kernel(k->arch, parts, n, &syms, &frames);
	if (frames.len)
		parts[n++] = (struct elf_part){
			.name = ".debug_frame", .data = frames.data, .size = frames.len};
	n += add_types(k->arch, bytes, image.len, &syms, parts + n, &types);
	elf_write(k->arch, syms.text, parts, n, &syms, &(struct elf_ids){own, id}, &elf);
	return io_write_atomic(AT_FDCWD, path, elf.data, elf.len, 0644, err);
}

/* -EBADMSG: it is no such file. */
static int look(const struct kernel *k, const char *path, enum symbols_kind *kind,
		struct link_addresses *link, struct err *err)
{
	auto_cleanup(buf) types = {0};
	int r = link_addresses_read(path, k->arch, link, err);

	if (r < 0)
		return r;
	*kind = elf_file_section(path, ".debug_abbrev", 1 << 20, &types, NULL) == 0 ? SYMBOLS_TYPES
										    : SYMBOLS_NAMES;
	return 0;
}

int symbols_from_image(const struct kernel *k, char **path, enum symbols_kind *kind,
		       struct link_addresses *link, struct err *err)
{
	auto_free char *dir = cache_dir("symbols", err);
	auto_free char *file = NULL;
	int r = 0;

	if (!dir)
		return err ? -err->code : -EIO;
	file = str_printf("%s/%s-%d.elf", dir, k->sha256, MADE_AS);
	if (!io_exists(file) || look(k, file, kind, link, NULL) < 0) {
		r = make(k, file, err);
		if (r == 0)
			r = look(k, file, kind, link, err);
	}
	if (r < 0)
		return r;
	*path = take_ptr(file);
	return 0;
}
