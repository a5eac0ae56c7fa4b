#include "lab/kernel/elf-write.h"

#include <string.h>

enum { ALIGN = 16, ID_MAX = 20 };

/* The file's sections as they come: header 0 is that of nothing. */
struct writer {
	struct buf *out, names;
	size_t start; /* of the file in out */
	Elf64_Shdr *headers;
	size_t n;
};

static Elf64_Shdr *add_section(struct writer *w, const char *name, uint32_t type, const void *data,
			       size_t size)
{
	Elf64_Shdr *h = &w->headers[w->n++];

	buf_add(w->out, (char[ALIGN]){0}, -(w->out->len - w->start) % ALIGN);
	*h = (Elf64_Shdr){.sh_name = w->names.len,
			  .sh_type = type,
			  .sh_offset = w->out->len - w->start,
			  .sh_size = size,
			  .sh_addralign = 1};
	buf_add(&w->names, name, strlen(name) + 1);
	if (type != SHT_NOBITS)
		buf_add(w->out, data, size);
	return h;
}

static void add_part(struct writer *w, const struct elf_part *p)
{
	Elf64_Shdr *h =
		add_section(w, p->name, p->data ? SHT_PROGBITS : SHT_NOBITS, p->data, p->size);

	h->sh_addr = p->address;
	h->sh_flags = (p->is_loaded ? SHF_ALLOC : 0) | (p->is_code ? SHF_EXECINSTR : 0) |
		      (p->is_written ? SHF_WRITE : 0);
}

static void add_note(struct writer *w, const char *name, uint32_t type, const char *hex)
{
	struct {
		Elf64_Nhdr head;
		char name[4];
		uint8_t id[ID_MAX];
	} note = {.head = {.n_namesz = 4, .n_type = NT_GNU_BUILD_ID}, .name = "GNU"};
	unsigned int byte;

	while (note.head.n_descsz < ID_MAX && sscanf(hex, "%2x", &byte) == 1) {
		note.id[note.head.n_descsz++] = byte;
		hex += 2;
	}
	add_section(w, name, type, &note,
		    sizeof(note.head) + sizeof(note.name) + note.head.n_descsz)
		->sh_addralign = 4;
}

/* The part an address is in; its end counts too, for names like _etext. n: none. */
static size_t part_of(const struct elf_part *parts, size_t n, uint64_t address)
{
	size_t at_end = n;

	for (size_t i = 0; i < n; i++) {
		if (!parts[i].is_loaded || address < parts[i].address)
			continue;
		if (address - parts[i].address < parts[i].size)
			return i;
		if (address - parts[i].address == parts[i].size)
			at_end = i;
	}
	return at_end;
}

static bool is_local(const struct ksym *s)
{
	return s->type >= 'a' && s->type != 'w' && s->type != 'v';
}

/* Local symbols come first in a table, whose header says how many they are. */
static void add_symbols(struct writer *w, const struct elf_part *parts, size_t n,
			const struct ksyms *s)
{
	Elf64_Sym *table = xcalloc(s->n + 1, sizeof(*table));
	auto_cleanup(buf) strings = {0};
	size_t at[2] = {1, 1}, next = 0, part = n;
	Elf64_Shdr *h;

	for (size_t i = 0; i < s->n; i++)
		at[1] += is_local(&s->items[i]);
	buf_add(&strings, "", 1);
	for (size_t i = 0; i < s->n; i++) {
		const struct ksym *k = &s->items[i];
		Elf64_Sym *sym = &table[at[!is_local(k)]++];
		bool code;

		/* they are in order, and so are most parts */
		if (part == n || k->address - parts[part].address >= parts[part].size)
			part = part_of(parts, n, k->address);
		for (next = next > i ? next : i + 1;
		     next < s->n && s->items[next].address == k->address;)
			next++;
		code = part < n && parts[part].is_code && strchr("TtWw", k->type);
		sym->st_name = strings.len;
		sym->st_info =
			ELF64_ST_INFO(is_local(k) ? STB_LOCAL : STB_GLOBAL, part == n ? STT_NOTYPE
									    : code    ? STT_FUNC
										      : STT_OBJECT);
		sym->st_shndx = part < n ? part + 1 : SHN_ABS;
		sym->st_value = k->address;
		if (part < n) {
			uint64_t end = parts[part].address + parts[part].size;

			if (next < s->n && s->items[next].address < end)
				end = s->items[next].address;
			sym->st_size = end - k->address;
		}
		buf_add(&strings, k->name, strlen(k->name) + 1);
	}
	h = add_section(w, ".symtab", SHT_SYMTAB, table, (s->n + 1) * sizeof(*table));
	h->sh_addralign = 8;
	h->sh_entsize = sizeof(*table);
	h->sh_link = w->n;
	h->sh_info = at[0];
	add_section(w, ".strtab", SHT_STRTAB, strings.data, strings.len);
	free(table);
}

void elf_write(enum arch arch, uint64_t entry, const struct elf_part *parts, size_t n,
	       const struct ksyms *symbols, const struct elf_ids *ids, struct buf *out)
{
	struct writer w = {.out = out, .start = out->len, .n = 1};
	Elf64_Ehdr head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				       EV_CURRENT},
			   .e_type = ET_EXEC,
			   .e_machine = arch == ARCH_AMD64 ? EM_X86_64 : EM_AARCH64,
			   .e_version = EV_CURRENT,
			   .e_entry = entry,
			   .e_phoff = sizeof(head),
			   .e_ehsize = sizeof(head),
			   .e_phentsize = sizeof(Elf64_Phdr),
			   .e_shentsize = sizeof(Elf64_Shdr)};
	auto_free Elf64_Phdr *loads = xcalloc(n + 1, sizeof(*loads));

	w.headers = xcalloc(n + 6, sizeof(*w.headers)); /* and ids, symbols, strings, names */
	for (size_t i = 0; i < n; i++)
		head.e_phnum += parts[i].is_loaded;
	buf_add(out, &head, sizeof(head));
	buf_add(out, loads, head.e_phnum * sizeof(*loads));
	buf_add(&w.names, "", 1);
	for (size_t i = 0; i < n; i++)
		add_part(&w, &parts[i]);
	add_note(&w, ".note.gnu.build-id", SHT_NOTE, ids->own);
	if (ids->kernel) /* no SHT_NOTE: BFD takes the id of any */
		add_note(&w, ".lab.kernel-id", SHT_PROGBITS, ids->kernel);
	add_symbols(&w, parts, n, symbols);
	add_section(&w, ".shstrtab", SHT_STRTAB, "", 0);
	w.headers[w.n - 1].sh_size = w.names.len;
	buf_add(out, w.names.data, w.names.len);
	buf_add(out, (char[ALIGN]){0}, -(out->len - w.start) % ALIGN);
	head.e_shoff = out->len - w.start;
	head.e_shnum = w.n;
	head.e_shstrndx = w.n - 1;
	buf_add(out, w.headers, w.n * sizeof(*w.headers));

	for (size_t i = 0, k = 0; i < n; i++) {
		const Elf64_Shdr *h = &w.headers[i + 1];

		if (parts[i].is_loaded)
			loads[k++] = (Elf64_Phdr){.p_type = PT_LOAD,
						  .p_flags = PF_R | (parts[i].is_code ? PF_X : 0) |
							     (parts[i].is_written ? PF_W : 0),
						  .p_offset = h->sh_offset,
						  .p_vaddr = h->sh_addr,
						  .p_paddr = h->sh_addr,
						  .p_filesz = parts[i].data ? h->sh_size : 0,
						  .p_memsz = h->sh_size,
						  .p_align = 1};
	}
	memcpy(out->data + w.start, &head, sizeof(head));
	memcpy(out->data + w.start + sizeof(head), loads, head.e_phnum * sizeof(*loads));
	free(w.headers);
	buf_deinit(&w.names);
}

static int parts_of_elf(const uint8_t *image, size_t len, struct elf_part *parts, size_t max,
			size_t *ret, struct err *err)
{
	const char *names;
	Elf64_Shdr strings;
	Elf64_Ehdr h;
	size_t n = 0;

	memcpy(&h, image, sizeof(h));
	if (h.e_shoff > len || (len - h.e_shoff) / sizeof(strings) < h.e_shnum ||
	    h.e_shstrndx >= h.e_shnum)
		return err_set(err, EBADMSG, "the kernel's ELF file has no sections");
	memcpy(&strings, image + h.e_shoff + h.e_shstrndx * sizeof(strings), sizeof(strings));
	if (strings.sh_offset > len || strings.sh_size > len - strings.sh_offset ||
	    !strings.sh_size || image[strings.sh_offset + strings.sh_size - 1])
		return err_set(err, EBADMSG, "the names of the kernel's sections are damaged");
	names = (const char *)image + strings.sh_offset;
	for (unsigned int i = 1; i < h.e_shnum; i++) {
		Elf64_Shdr s;
		bool in_file;

		memcpy(&s, image + h.e_shoff + i * sizeof(s), sizeof(s));
		in_file = s.sh_type != SHT_NOBITS;
		if (!(s.sh_flags & SHF_ALLOC) || !s.sh_size)
			continue;
		if (s.sh_name >= strings.sh_size || n == max || s.sh_addr + s.sh_size < s.sh_addr ||
		    (in_file && (s.sh_offset > len || s.sh_size > len - s.sh_offset)))
			return err_set(err, EBADMSG, "a section of the kernel is damaged");
		parts[n++] = (struct elf_part){.name = names + s.sh_name,
					       .address = s.sh_addr,
					       .size = s.sh_size,
					       .data = in_file ? image + s.sh_offset : NULL,
					       .is_loaded = true,
					       .is_code = s.sh_flags & SHF_EXECINSTR,
					       .is_written = s.sh_flags & SHF_WRITE};
	}
	*ret = n;
	return 0;
}

/* Documentation/arm64/booting.txt: image_size, at 16, is with .bss. */
static int parts_of_image(const uint8_t *image, size_t len, const struct ksyms *s,
			  struct elf_part *parts, size_t max, size_t *ret, struct err *err)
{
	static const struct {
		const char *end, *name;
		bool is_code;
	} pieces[] = {{"_etext", ".text", true},
		      {"_sinittext", ".rodata", false},
		      {"_einittext", ".init.text", true}};
	uint64_t at = 0, size = 0;
	size_t n = 0;

	if (len < 64 || max < array_len(pieces) + 2)
		return err_set(err, EBADMSG, "the kernel is cut short");
	memcpy(&size, image + 16, sizeof(size));
	for (size_t i = 0; i < array_len(pieces); i++) {
		const struct ksym *end = ksyms_lookup(s, pieces[i].end);

		if (!end || end->address - s->text <= at || end->address - s->text > len)
			continue;
		parts[n++] = (struct elf_part){.name = pieces[i].name,
					       .address = s->text + at,
					       .size = end->address - s->text - at,
					       .data = image + at,
					       .is_loaded = true,
					       .is_code = pieces[i].is_code};
		at = end->address - s->text;
	}
	if (at < len) {
		bool all = n == 0;

		parts[n++] = (struct elf_part){.name = all ? ".text" : ".data",
					       .address = s->text + at,
					       .size = len - at,
					       .data = image + at,
					       .is_loaded = true,
					       .is_code = all,
					       .is_written = true};
	}
	if (size > len && size - len < 1 << 30)
		parts[n++] = (struct elf_part){.name = ".bss",
					       .address = s->text + len,
					       .size = size - len,
					       .is_loaded = true,
					       .is_written = true};
	*ret = n;
	return 0;
}

int elf_parts(const uint8_t *image, size_t len, const struct ksyms *symbols, struct elf_part *parts,
	      size_t max, size_t *n, struct err *err)
{
	if (len > sizeof(Elf64_Ehdr) && memcmp(image, ELFMAG, SELFMAG) == 0)
		return parts_of_elf(image, len, parts, max, n, err);
	return parts_of_image(image, len, symbols, parts, max, n, err);
}
