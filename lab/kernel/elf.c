#include "lab/kernel/elf.h"

#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <string.h>
#include <sys/stat.h>

enum { BUILD_ID_MAX = 64, NOTES_MAX = 1 << 20 };

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

int elf_build_id(const char *path, char **ret, struct err *err)
{
	auto_close int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	Elf_Scn *scn = NULL;
	struct stat st;
	char *id = NULL;
	bool is_elf;
	Elf *elf;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EBADMSG, "%s: not a file", path);
	elf_version(EV_CURRENT);
	/* not mapped: make may be cutting it short */
	elf = elf_begin(fd, ELF_C_READ, NULL);
	is_elf = elf && elf_kind(elf) == ELF_K_ELF;
	while (is_elf && !id && (scn = elf_nextscn(elf, scn))) {
		GElf_Shdr shdr;

		if (gelf_getshdr(scn, &shdr) && shdr.sh_type == SHT_NOTE &&
		    shdr.sh_size <= NOTES_MAX)
			id = find_id(elf_getdata(scn, NULL));
	}
	elf_end(elf);
	if (!is_elf)
		return err_set(err, EBADMSG, "%s: not an ELF file", path);
	if (!id)
		return err_set(err, ENODATA, "%s: it has no build id", path);
	*ret = id;
	return 0;
}
