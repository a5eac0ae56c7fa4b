#include "lab/vmcore/vmcore-elf.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jail/base/io.h"
#include "lab/vmcore/vmcore-file.h"

enum { CHUNK = 1 << 20 };

/* A core file in the making: where memory will be in it, and its program headers. */
struct core {
	const struct vm_segment *segments; /* by address */
	size_t n_segments;
	Elf64_Phdr *phdrs; /* the first is of the notes */
	size_t n, cap;
};

static void core_deinit(struct core *c)
{
	free(c->phdrs);
}
DEFINE_CLEANUP(core, core_deinit)

static void add_phdr(struct core *c, Elf64_Phdr phdr)
{
	if (c->n == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 256;
		c->phdrs = xreallocarray(c->phdrs, c->cap, sizeof(*c->phdrs));
	}
	c->phdrs[c->n++] = phdr;
}

/* A piece that lies in several segments has a header for each. */
static void add_run(struct core *c, const struct vm_run *run)
{
	uint64_t end = run->physical + run->len;
	size_t low = 0, high = c->n_segments;

	while (low < high) { /* the first that ends beyond its start */
		size_t middle = (low + high) / 2;

		if (c->segments[middle].address + c->segments[middle].len <= run->physical)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < c->n_segments && c->segments[low].address < end && c->n < PN_XNUM - 1; low++) {
		const struct vm_segment *s = &c->segments[low];
		uint64_t from = s->address > run->physical ? s->address : run->physical;
		uint64_t to = s->address + s->len < end ? s->address + s->len : end;

		add_phdr(c, (Elf64_Phdr){.p_type = PT_LOAD,
					 .p_flags = PF_R | PF_W | PF_X,
					 .p_offset = s->offset + (from - s->address),
					 .p_vaddr = run->virtual
							    ? run->virtual + (from - run->physical)
							    : 0,
					 .p_paddr = from,
					 .p_filesz = to - from,
					 .p_memsz = to - from});
	}
}

static void add_runs(struct core *c, const struct vm_runs *runs)
{
	for (size_t i = 0; i < runs->n; i++)
		add_run(c, &runs->items[i]);
}

static Elf64_Ehdr make_ehdr(const struct vmcore *v)
{
	return (Elf64_Ehdr){
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			    EV_CURRENT},
		.e_type = ET_CORE,
		.e_machine = v->arch == ARCH_AMD64 ? EM_X86_64 : EM_AARCH64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
	};
}

/* The notes, and vmcoreinfo where it was found in memory only: drgn wants it among them. */
static void make_notes(const struct vmcore *v, struct buf *out)
{
	static const char name[12] = "VMCOREINFO";
	Elf64_Nhdr h = {.n_namesz = sizeof("VMCOREINFO"), .n_descsz = (Elf64_Word)v->info.len};

	buf_add(out, v->notes, v->notes_len);
	if (!v->info_in_memory)
		return;
	while (out->len % 4)
		buf_add(out, "", 1);
	buf_add(out, &h, sizeof(h));
	buf_add(out, name, sizeof(name));
	buf_add(out, v->info.text, v->info.len);
	while (out->len % 4)
		buf_add(out, "", 1);
}

static int write_at(int fd, uint64_t offset, const void *data, size_t len)
{
	if (lseek(fd, (off_t)offset, SEEK_SET) < 0)
		return -errno;
	return io_write_all(fd, data, len);
}

static bool is_zero(const uint8_t *page)
{
	return page[0] == 0 && memcmp(page, page + 1, VM_PAGE - 1) == 0;
}

/* Pages that are not zero; the file has its length already. */
static int write_pages(int fd, uint64_t offset, const uint8_t *data, size_t len)
{
	int r = 0;

	for (size_t at = 0, end; r == 0 && at < len; at = end) {
		end = at;
		while (end + VM_PAGE <= len && !is_zero(data + end))
			end += VM_PAGE;
		if (len - end < VM_PAGE) /* the rest of a range that ends within a page */
			end = len;
		if (end > at)
			r = write_at(fd, offset + at, data + at, end - at);
		else
			end += VM_PAGE;
	}
	return r;
}

static int write_memory(int fd, struct vmcore *v, const struct vm_segment *s, const char *path,
			struct err *err)
{
	auto_free uint8_t *chunk = xmalloc(CHUNK);

	for (uint64_t at = 0; at < s->len;) {
		size_t n = s->len - at < CHUNK ? (size_t)(s->len - at) : CHUNK;
		int r = vmcore_read_physical(v, s->address + at, chunk, n);

		if (r < 0)
			return err_set(err, EBADMSG,
				       "%s: damaged: its memory at 0x%llx cannot be read", v->path,
				       (unsigned long long)(s->address + at));
		r = write_pages(fd, s->offset + at, chunk, n);
		if (r < 0)
			return err_set(err, -r, "%s: %s", path, strerror(-r));
		at += n;
	}
	return 0;
}

static int write_core(int fd, struct vmcore *v, const char *path, struct err *err)
{
	auto_free struct vm_segment *segments = xcalloc(v->n_ranges + 1, sizeof(*segments));
	auto_cleanup(buf) notes = {0};
	auto_cleanup(vm_runs) runs = {0};
	auto_cleanup(core) c = {.segments = segments, .n_segments = v->n_ranges};
	Elf64_Ehdr ehdr = make_ehdr(v);
	uint64_t at, memory;
	int r;

	make_notes(v, &notes);
	vm_map_list(v, &runs);
	for (size_t i = 0; i < v->n_ranges; i++)
		segments[i] = (struct vm_segment){v->ranges[i].address, v->ranges[i].len, 0};
	/* once to know how many headers there are, and so where memory begins */
	for (int pass = 0; pass < 2; pass++) {
		at = sizeof(ehdr) + (c.n ? c.n : VM_MAP_MAX) * sizeof(Elf64_Phdr);
		memory = (at + notes.len + VM_PAGE - 1) & ~(VM_PAGE - 1ULL);
		for (size_t i = 0; i < v->n_ranges; i++) {
			segments[i].offset = memory;
			memory += (segments[i].len + VM_PAGE - 1) & ~(VM_PAGE - 1ULL);
		}
		c.n = 0;
		add_phdr(&c, (Elf64_Phdr){.p_type = PT_NOTE,
					  .p_offset = at,
					  .p_filesz = notes.len,
					  .p_memsz = notes.len});
		add_runs(&c, &runs);
	}
	ehdr.e_phnum = (Elf64_Half)c.n;
	if (ftruncate(fd, (off_t)memory) < 0)
		return err_errno(err, "%s", path);
	r = write_at(fd, 0, &ehdr, sizeof(ehdr));
	if (r == 0)
		r = io_write_all(fd, c.phdrs, c.n * sizeof(*c.phdrs));
	if (r == 0)
		r = io_write_all(fd, notes.data, notes.len);
	if (r < 0)
		return err_set(err, -r, "%s: %s", path, strerror(-r));
	for (size_t i = 0; i < v->n_ranges; i++) {
		r = write_memory(fd, v, &segments[i], path, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Without a name, so that one who is killed leaves nothing; *named: where that cannot be. */
static int open_unnamed(const char *path, char **named)
{
	const char *slash = strrchr(path, '/');
	auto_free char *dir = slash ? xstrndup(path, slash - path + 1) : xstrdup(".");
	int fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	*named = str_printf("%s.XXXXXX", path);
	return mkostemp(*named, O_CLOEXEC); /* mode 0600 */
}

/* Give it a name beside path. */
static int name_it(int fd, const char *path, char **named, struct err *err)
{
	char self[32];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	*named = str_printf("%s.%d", path, (int)getpid());
	unlink(*named);
	if (linkat(AT_FDCWD, self, AT_FDCWD, *named, AT_SYMLINK_FOLLOW) < 0)
		return err_errno(err, "%s", *named);
	return 0;
}

int vmcore_write_elf(struct vmcore *v, const char *path, struct err *err)
{
	auto_free char *temporary = NULL;
	auto_close int fd = open_unnamed(path, &temporary);
	int r;

	if (fd < 0)
		return err_errno(err, "%s", path);
	r = write_core(fd, v, path, err);
	if (r == 0 && !temporary)
		r = name_it(fd, path, &temporary, err);
	if (r == 0 && rename(temporary, path) < 0)
		r = err_errno(err, "%s", path);
	if (r < 0 && temporary)
		unlink(temporary);
	return r;
}

/* Whether the image's code has its virtual address. */
static bool is_mapped(const struct elf_segment *s, size_t n, uint64_t stext)
{
	for (size_t i = 0; i < n; i++)
		if (s[i].type == PT_LOAD && s[i].virtual && stext - s[i].virtual < s[i].file_size)
			return true;
	return false;
}

/* The table goes behind all else, then the file's header is changed: it is whole at any time. */
static int write_table(const char *path, const struct vmcore *v, struct core *c, struct err *err)
{
	auto_close int fd = open(path, O_RDWR | O_CLOEXEC);
	auto_cleanup(buf) end = {0};
	uint64_t at = (v->size + 7) & ~7ULL;
	Elf64_Ehdr ehdr;
	int r;

	if (fd < 0)
		return err_errno(err, "%s", path);
	make_notes(v, &end);
	c->phdrs[0] = (Elf64_Phdr){
		.p_type = PT_NOTE, .p_offset = at, .p_filesz = end.len, .p_memsz = end.len};
	while (end.len % 8)
		buf_add(&end, "", 1);
	if (!vm_pread(v, 0, &ehdr, sizeof(ehdr)))
		return err_set(err, EBADMSG, "%s: cut short", path);
	ehdr.e_phoff = at + end.len;
	ehdr.e_phnum = (Elf64_Half)c->n;
	buf_add(&end, c->phdrs, c->n * sizeof(*c->phdrs));
	r = write_at(fd, at, end.data, end.len);
	if (r == 0)
		r = write_at(fd, 0, &ehdr, sizeof(ehdr));
	if (r < 0 && ftruncate(fd, (off_t)v->size) < 0)
		r = -errno;
	return r < 0 ? err_set(err, -r, "%s: %s", path, strerror(-r)) : 0;
}

int vmcore_map_elf(const char *path, struct err *err)
{
	auto_free struct elf_segment *segments = NULL;
	auto_cleanup(vm_runs) runs = {0};
	auto_cleanup(core) c = {0};
	auto_vmcore v = NULL;
	uint64_t stext;
	int machine, r;
	size_t n;

	r = vmcore_open(path, &v, err);
	if (r < 0)
		return r;
	if (v->kdump)
		return err_set(err, EBADMSG, "%s: not an ELF file", path);
	if (!v->paging.known || !vmcoreinfo_number(&v->info, "SYMBOL(_stext)", &stext))
		return err_set(err, ENODATA,
			       "%s: it does not say where its kernel is: no vmcoreinfo", path);
	r = elf_segments(path, &segments, &n, &machine, err);
	if (r < 0 || is_mapped(segments, n, stext))
		return r;
	c.segments = v->segments;
	c.n_segments = v->n_segments;
	add_phdr(&c, (Elf64_Phdr){.p_type = PT_NOTE});
	vm_map_list(v, &runs);
	add_runs(&c, &runs);
	return write_table(path, v, &c, err);
}
