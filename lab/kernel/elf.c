#include "lab/kernel/elf.h"

#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <string.h>
#include <sys/stat.h>

enum { BUILD_ID_MAX = 64, NOTES_MAX = 1 << 20, PHDRS_MAX = 100, SYMBOLS_MAX = 256 << 20 };

int elf_section(const void *bytes, size_t len, const char *name, struct buf *out, struct err *err)
{
	Elf_Data *data = NULL;
	Elf_Scn *scn = NULL;
	size_t names;
	bool found;
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = elf_memory((char *)bytes, len); /* read only: it makes no changes */
	if (elf && elf_kind(elf) == ELF_K_ELF && elf_getshdrstrndx(elf, &names) == 0)
		while (!data && (scn = elf_nextscn(elf, scn))) {
			GElf_Shdr shdr;
			const char *is;

			if (!gelf_getshdr(scn, &shdr) || shdr.sh_type == SHT_NOBITS)
				continue;
			is = elf_strptr(elf, names, shdr.sh_name);
			if (is && str_eq(is, name))
				data = elf_rawdata(scn, NULL);
		}
	found = data && data->d_buf;
	if (found)
		buf_add(out, data->d_buf, data->d_size);
	elf_end(elf);
	return found ? 0 : err_set(err, EBADMSG, "no ELF file with a section %s", name);
}

/* The note in one section's data as hex digits, allocated; NULL when it is not there. */
static char *find_id(Elf_Data *data)
{
	size_t at = 0, next, name_at, id_at;
	GElf_Nhdr note;

	while (data && (next = gelf_getnote(data, at, &note, &name_at, &id_at)) > 0) {
		const uint8_t *bytes = data->d_buf;
		auto_cleanup(buf) hex = {0};

		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof("GNU") &&
		    memcmp(bytes + name_at, "GNU", sizeof("GNU")) == 0 && note.n_descsz &&
		    note.n_descsz <= BUILD_ID_MAX) {
			for (size_t i = 0; i < note.n_descsz; i++)
				buf_addf(&hex, "%02x", bytes[id_at + i]);
			return take_ptr(hex.data);
		}
		at = next;
	}
	return NULL;
}

struct elf_file {
	int fd;
	Elf *elf;
};

static void elf_file_deinit(struct elf_file *f)
{
	elf_end(f->elf);
	if (f->fd >= 0)
		close(f->fd);
}
DEFINE_CLEANUP(elf_file, elf_file_deinit)

/* Not mapped: make may be cutting it short. */
static int open_file(const char *path, struct elf_file *f, struct err *err)
{
	struct stat st;

	f->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (f->fd < 0 || fstat(f->fd, &st) < 0)
		return err_errno(err, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EBADMSG, "%s: not a file", path);
	elf_version(EV_CURRENT);
	f->elf = elf_begin(f->fd, ELF_C_READ, NULL);
	if (!f->elf || elf_kind(f->elf) != ELF_K_ELF)
		return err_set(err, EBADMSG, "%s: not an ELF file", path);
	return 0;
}

int elf_build_id(const char *path, char **ret, struct err *err)
{
	auto_cleanup(elf_file) f = {.fd = -1};
	Elf_Scn *scn = NULL;
	char *id = NULL;
	int r = open_file(path, &f, err);

	while (r == 0 && !id && (scn = elf_nextscn(f.elf, scn))) {
		GElf_Shdr shdr;

		if (gelf_getshdr(scn, &shdr) && shdr.sh_type == SHT_NOTE &&
		    shdr.sh_size <= NOTES_MAX)
			id = find_id(elf_getdata(scn, NULL));
	}
	if (r == 0 && !id)
		return err_set(err, ENODATA, "%s: it has no build id", path);
	if (r == 0)
		*ret = id;
	return r;
}

int elf_load_address(const char *path, uint64_t *ret, struct err *err)
{
	auto_cleanup(elf_file) f = {.fd = -1};
	size_t n = 0;
	int r = open_file(path, &f, err);

	if (r < 0)
		return r;
	elf_getphdrnum(f.elf, &n);
	for (size_t i = 0; i < n && i < PHDRS_MAX; i++) {
		GElf_Phdr phdr;

		if (gelf_getphdr(f.elf, (int)i, &phdr) && phdr.p_type == PT_LOAD) {
			*ret = phdr.p_vaddr;
			return 0;
		}
	}
	return err_set(err, EBADMSG, "%s: nothing in it is to be loaded", path);
}

static int each_symbol(Elf *elf, Elf_Scn *scn, const GElf_Shdr *shdr, elf_symbol_fn fn, void *user)
{
	Elf_Data *data = shdr->sh_size <= SYMBOLS_MAX ? elf_getdata(scn, NULL) : NULL;
	size_t n = data && shdr->sh_entsize ? data->d_size / shdr->sh_entsize : 0;
	int r = data ? 0 : -EBADMSG;

	for (size_t i = 0; r == 0 && i < n; i++) {
		GElf_Sym sym;
		const char *name;

		if (!gelf_getsym(data, (int)i, &sym) || sym.st_shndx == SHN_UNDEF)
			continue;
		name = elf_strptr(elf, shdr->sh_link, sym.st_name);
		if (name && *name)
			r = fn(user, name, sym.st_value, GELF_ST_TYPE(sym.st_info) == STT_FUNC);
	}
	return r;
}

int elf_symbols(const char *path, elf_symbol_fn fn, void *data, struct err *err)
{
	auto_cleanup(elf_file) f = {.fd = -1};
	Elf_Scn *scn = NULL;
	int r = open_file(path, &f, err);

	if (r < 0)
		return r;
	while ((scn = elf_nextscn(f.elf, scn))) {
		GElf_Shdr shdr;

		if (!gelf_getshdr(scn, &shdr) || shdr.sh_type != SHT_SYMTAB)
			continue;
		r = each_symbol(f.elf, scn, &shdr, fn, data);
		return r == -EBADMSG ? err_set(err, EBADMSG, "%s: damaged symbol table", path) : r;
	}
	return err_set(err, ENODATA, "%s: it has no symbol table", path);
}

int elf_segments(const char *path, struct elf_segment **ret, size_t *n_ret, int *machine,
		 struct err *err)
{
	auto_free struct elf_segment *segments = NULL;
	auto_cleanup(elf_file) f = {.fd = -1};
	GElf_Ehdr ehdr;
	size_t n = 0;
	int r = open_file(path, &f, err);

	if (r < 0)
		return r;
	if (!gelf_getehdr(f.elf, &ehdr) || ehdr.e_type != ET_CORE ||
	    ehdr.e_ident[EI_CLASS] != ELFCLASS64 || ehdr.e_ident[EI_DATA] != ELFDATA2LSB)
		return err_set(err, EBADMSG, "%s: not a 64-bit core file", path);
	if (elf_getphdrnum(f.elf, &n) < 0 || n > ELF_SEGMENTS_MAX)
		return err_set(err, EBADMSG, "%s: damaged program headers", path);
	segments = xcalloc(n + 1, sizeof(*segments));
	for (size_t i = 0; i < n; i++) {
		GElf_Phdr p;

		if (!gelf_getphdr(f.elf, (int)i, &p))
			return err_set(err, EBADMSG, "%s: damaged program headers", path);
		segments[i] = (struct elf_segment){.type = p.p_type,
						   .offset = p.p_offset,
						   .virtual = p.p_vaddr,
						   .physical = p.p_paddr,
						   .file_size = p.p_filesz,
						   .size = p.p_memsz};
	}
	*ret = take_ptr(segments);
	*n_ret = n;
	*machine = ehdr.e_machine;
	return 0;
}

int elf_file_section(const char *path, const char *name, size_t max, struct buf *out,
		     struct err *err)
{
	auto_cleanup(elf_file) f = {.fd = -1};
	Elf_Scn *scn = NULL;
	size_t names = 0;
	int r = open_file(path, &f, err);

	if (r < 0)
		return r;
	while (elf_getshdrstrndx(f.elf, &names) == 0 && (scn = elf_nextscn(f.elf, scn))) {
		const char *is;
		GElf_Shdr shdr;
		Elf_Data *data;

		if (!gelf_getshdr(scn, &shdr) || shdr.sh_type == SHT_NOBITS ||
		    !(is = elf_strptr(f.elf, names, shdr.sh_name)) || !str_eq(is, name))
			continue;
		if (shdr.sh_size > max)
			return err_set(err, EFBIG, "%s: section %s is too large", path, name);
		data = elf_rawdata(scn, NULL);
		if (!data || (data->d_size && !data->d_buf))
			return err_set(err, EBADMSG, "%s: damaged section %s", path, name);
		buf_add(out, data->d_buf, data->d_size);
		return 0;
	}
	return err_set(err, ENODATA, "%s: no section %s", path, name);
}

int elf_punch_relocations(const char *path, struct err *err)
{
	auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);
	auto_cleanup(elf_file) f = {.fd = -1};
	Elf_Scn *scn = NULL;
	GElf_Ehdr ehdr;
	int r = open_file(path, &f, err);

	if (r < 0)
		return r;
	if (fd < 0)
		return err_errno(err, "%s", path);
	if (!gelf_getehdr(f.elf, &ehdr) || ehdr.e_type == ET_REL)
		return 0;
	while ((scn = elf_nextscn(f.elf, scn))) {
		GElf_Shdr shdr;

		if (gelf_getshdr(scn, &shdr) && shdr.sh_type == SHT_RELA &&
		    !(shdr.sh_flags & SHF_ALLOC) &&
		    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, shdr.sh_offset,
			      shdr.sh_size) < 0)
			break;
	}
	return 0;
}
