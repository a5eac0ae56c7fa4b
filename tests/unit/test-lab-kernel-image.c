/* What a kernel image says about itself, from its first bytes and its banner. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>
#include <elf.h>
#include <fcntl.h>
#include <string.h>

#include "jail/base/io.h"
#include "lab/debian/deb.h"
#include "lab/kernel/kernel-image.h"

#define DEBIAN \
	" (maintainers) (gcc-12 (Debian 12.2.0-14) 12.2.0) #1 SMP Debian 6.1.176-1 (2026-07-02)"

static uint8_t image[4096];

static void put(size_t at, const void *data, size_t len)
{
	memcpy(image + at, data, len);
}

static int clear(void **state)
{
	(void)state;
	memset(image, 0, sizeof(image));
	return 0;
}

static void bzimage(const char *version)
{
	clear(NULL);
	put(0x202, "HdrS", 4);
	put(0x20e, "\x00\x04", 2); /* the text is at 0x400 + 0x200 */
	image[0x211] = 1;
	put(0x600, version, strlen(version));
}

static void test_bzimage(void **state)
{
	static const struct {
		const char *text, *release, *version;
	} cases[] = {
		{"6.1.0-50-cloud-amd64" DEBIAN, "6.1.0-50-cloud-amd64", "6.1.176"},
		{"6.5.0 (me@here) #3 SMP Tue", "6.5.0", "6.5.0"},
		{"7.2.12+deb13-cloud-amd64 (x) #1 SMP Debian 7.2.12-1~bpo13+1 (d)",
		 "7.2.12+deb13-cloud-amd64", "7.2.12"},
		{"6.9-rc3", "6.9-rc3", "6.9"},
		{"6.6. x", "6.6.", "6.6"},
		{"5.4.1 #1 Debian unstable", "5.4.1", "5.4.1"},
		{"", "", ""},
	};
	struct kernel_image k;

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		bzimage(cases[i].text);
		assert_int_equal(kernel_image_probe(image, sizeof(image), &k, NULL), 0);
		assert_int_equal(k.format, KERNEL_BZIMAGE);
		assert_int_equal(k.arch, ARCH_AMD64);
		assert_string_equal(k.release, cases[i].release);
		assert_string_equal(k.version, cases[i].version);
	}
	/* the text may lie beyond the end of a truncated file */
	bzimage("6.1");
	assert_int_equal(kernel_image_probe(image, 0x500, &k, NULL), 0);
	assert_string_equal(k.release, "");
	/* or end with it */
	bzimage("6.1.0-50");
	assert_int_equal(kernel_image_probe(image, 0x603, &k, NULL), 0);
	assert_string_equal(k.release, "6.1");
	assert_string_equal(k.version, "6.1");
}

static void test_arm64(void **state)
{
	static const char banner[] =
		"Linux version %s (%s)\0Linux version 6.1.0-50-cloud-arm64" DEBIAN "\n";
	struct kernel_image k;

	(void)state;
	put(56, "ARM\x64", 4);
	put(2000, banner, sizeof(banner));
	assert_int_equal(kernel_image_probe(image, sizeof(image), &k, NULL), 0);
	assert_int_equal(k.format, KERNEL_ARM64_IMAGE);
	assert_int_equal(k.arch, ARCH_ARM64);
	assert_string_equal(k.release, "6.1.0-50-cloud-arm64");
	assert_string_equal(k.version, "6.1.176");
}

static void test_zboot(void **state)
{
	struct kernel_image k;

	(void)state;
	put(0, "MZ\0\0zimg\x00\x01\x00\x00\x00\x02\x00\x00gzip", 20);
	assert_int_equal(kernel_image_probe(image, sizeof(image), &k, NULL), 0);
	assert_int_equal(k.format, KERNEL_ZBOOT);
	assert_int_equal(k.payload_offset, 0x100);
	assert_int_equal(k.payload_size, 0x200);
	assert_int_equal(kernel_image_probe(image, 0x2ff, &k, NULL), -ENOEXEC);
	put(12, "\xff\xff\xff\xff", 4); /* offset + size would wrap */
	assert_int_equal(kernel_image_probe(image, sizeof(image), &k, NULL), -ENOEXEC);
}

static void test_vmlinux(void **state)
{
	Elf64_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB},
			     .e_machine = EM_X86_64};
	struct kernel_image k;

	(void)state;
	put(0, &header, sizeof(header));
	assert_int_equal(kernel_image_probe(image, sizeof(image), &k, NULL),
			 -ENOEXEC); /* any program */
	put(1000, "Linux version 6.5.0 (a) #1", 26);
	assert_int_equal(kernel_image_probe(image, sizeof(image), &k, NULL), 0);
	assert_int_equal(k.arch, ARCH_AMD64);
	assert_string_equal(k.version, "6.5.0");
	header.e_machine = EM_RISCV;
	put(0, &header, sizeof(header));
	assert_int_equal(kernel_image_probe(image, sizeof(image), &k, NULL), -ENOEXEC);
}

static void test_none(void **state)
{
	struct kernel_image k;
	struct err err = {0};

	(void)state;
	assert_int_equal(kernel_image_probe(image, sizeof(image), &k, &err), -ENOEXEC);
	assert_int_equal(kernel_image_probe(image, 0, &k, &err), -ENOEXEC);
	bzimage("6.1");
	image[0x211] = 0; /* loaded low: a zImage */
	assert_int_equal(kernel_image_probe(image, sizeof(image), &k, &err), -ENOEXEC);
	assert_int_equal(err.code, ENOEXEC);
}

static void test_sha256(void **state)
{
	char hex[65];

	(void)state;
	sha256_bytes("abc", 3, hex); /* FIPS 180-2, appendix B.1 */
	assert_string_equal(hex,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256_bytes("", 0, hex);
	assert_string_equal(hex,
			    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	assert_int_equal(sha256_file("/nowhere", hex, NULL), -ENOENT);
}

/* A bzImage whose payload is that, behind one sector of set-up. */
static void write_bzimage(const char *path, const void *payload, uint32_t len)
{
	auto_cleanup(buf) file = {0};

	bzimage("6.1.0 x");
	image[0x1f1] = 1;
	put(0x206, "\x08\x02", 2);
	put(0x248, "\x00\x0c\x00\x00", 4); /* from the end of the second sector on */
	put(0x24c, &len, 4);
	buf_add(&file, image, sizeof(image));
	buf_add(&file, payload, len);
	assert_int_equal(io_write_atomic(AT_FDCWD, path, file.data, file.len, 0644, NULL), 0);
}

static void gzip_of(const void *data, size_t len, struct buf *out)
{
	uint8_t packed[512];
	struct archive *a = archive_write_new();
	struct archive_entry *e = archive_entry_new();
	size_t used = 0;

	archive_write_add_filter_gzip(a);
	archive_write_set_format_raw(a);
	archive_write_set_bytes_in_last_block(a, 1);
	assert_int_equal(archive_write_open_memory(a, packed, sizeof(packed), &used), ARCHIVE_OK);
	archive_entry_set_filetype(e, AE_IFREG);
	assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
	assert_int_equal(archive_write_data(a, data, len), len);
	archive_write_close(a);
	archive_entry_free(e);
	archive_write_free(a);
	buf_add(out, packed, used);
}

static void test_unpack(void **state)
{
	char path[] = "/tmp/test-kernel-XXXXXX";
	uint8_t elf[100] = ELFMAG "\2\1", other[100] = "no ELF file";
	auto_cleanup(buf) good = {0}, bad = {0}, out = {0};
	struct err err = {0};
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	gzip_of(elf, sizeof(elf), &good);
	gzip_of(other, sizeof(other), &bad);
	write_bzimage(path, good.data, good.len);
	buf_adds(&out, "before");
	if (kernel_image_unpack(path, &out, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(out.len, 6 + sizeof(elf));
	assert_memory_equal(out.data, "before", 6);
	assert_memory_equal(out.data + 6, elf, sizeof(elf));

	write_bzimage(path, bad.data, bad.len);
	assert_int_equal(kernel_image_unpack(path, &out, &err), -EBADMSG);
	assert_non_null(strstr(err.msg, "no ELF file is in"));
	good.data[12] ^= 0x55;
	write_bzimage(path, good.data, good.len);
	assert_int_equal(kernel_image_unpack(path, &out, &err), -EBADMSG);
	write_bzimage(path, "", 0);
	assert_int_equal(kernel_image_unpack(path, &out, &err), -EBADMSG);
	assert_non_null(strstr(err.msg, "cut short"));
	assert_int_equal(out.len, 6 + sizeof(elf)); /* untouched by what failed */
	unlink(path);
	assert_int_equal(kernel_image_unpack(path, &out, &err), -ENOENT);
}

/* In a raw Image the vDSO, a program of its own, has a build id too. */
static void test_build_id(void **state)
{
	static const char vdso[] = "\4\0\0\0\3\0\0\0\3\0\0\0GNU\0\1\2\3";
	static const char kernel[] = "\4\0\0\0\4\0\0\0\3\0\0\0GNU\0\xde\xad\xbe\xef";
	Elf64_Ehdr h = {.e_ident = ELFMAG "\2\1", .e_shoff = 1000};
	auto_cleanup(buf) raw = {0};
	auto_free char *id = NULL;
	struct err err = {0};

	(void)state;
	buf_add(&raw, image, sizeof(image));
	buf_add(&raw, &h, sizeof(h)); /* at a page's start */
	buf_add(&raw, vdso, sizeof(vdso) - 1);
	assert_int_equal(kernel_image_build_id(&raw, ARCH_ARM64, &id, &err), -ENODATA);
	while (raw.len < 2 * sizeof(image))
		buf_add(&raw, "", 1);
	buf_add(&raw, kernel, sizeof(kernel) - 1);
	assert_int_equal(kernel_image_build_id(&raw, ARCH_ARM64, &id, &err), 0);
	assert_string_equal(id, "deadbeef");
	raw.len--; /* cut in the id */
	assert_int_equal(kernel_image_build_id(&raw, ARCH_ARM64, &id, &err), -ENODATA);
	assert_int_equal(kernel_image_build_id(&raw, ARCH_AMD64, &id, &err), -EBADMSG);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_unpack, clear),
		cmocka_unit_test_setup(test_build_id, clear),
		cmocka_unit_test_setup(test_bzimage, clear),
		cmocka_unit_test_setup(test_arm64, clear),
		cmocka_unit_test_setup(test_zboot, clear),
		cmocka_unit_test_setup(test_vmlinux, clear),
		cmocka_unit_test_setup(test_none, clear),
		cmocka_unit_test(test_sha256),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
