/* The XML of machines, against golden files: UPDATE_GOLDEN=1 writes them anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <libxml/parser.h>
#include <string.h>

#include "jail/base/io.h"
#include "lab/machine/domain-xml.h"

#define PLAIN                                                                                   \
	{                                                                                       \
		.name = "lab-1", .arch = ARCH_AMD64, .emulator = "/usr/bin/qemu-system-x86_64", \
		.kernel = "/k/image", .initrd = "/i/initrd", .memory_mib = 256, .cpus = 1,      \
		.console = "/run/console.log", .channel = "/run/c",                             \
	}

static const struct machine_spec plain = PLAIN;

static const struct {
	const char *golden;
	struct machine_spec spec;
} machines[] = {
	{"amd64-tcg", PLAIN},
	{"amd64-kvm",
	 {.name = "lab-2",
	  .arch = ARCH_AMD64,
	  .kvm = true,
	  .kernel = "/k/image",
	  .cmdline = "lab.extra=1",
	  .memory_mib = 512,
	  .cpus = 2,
	  .console = "/run/console.log"}},
	{"arm64-tcg",
	 {.name = "lab-3",
	  .arch = ARCH_ARM64,
	  .emulator = "/cache/qemu-system-aarch64",
	  .kernel = "/k/Image",
	  .initrd = "/i/initrd",
	  .disk = "/i/packages.squashfs",
	  .memory_mib = 256,
	  .cpus = 1,
	  .console = "/run/console.log",
	  .channel = "/run/c",
	  .guardian = 4711}},
	{"daemon",
	 {.name = "lab-4",
	  .arch = ARCH_ARM64,
	  .kernel = "/k/Image",
	  .initrd = "/i/initrd",
	  .memory_mib = 256,
	  .cpus = 1,
	  .console = "/run/c.tty",
	  .console_socket = true,
	  .channel = "/run/c",
	  .as_user = true,
	  .uid = 1000,
	  .gid = 100}},
	{"markup",
	 {.name = "a<b>&\"c'",
	  .arch = ARCH_AMD64,
	  .kernel = "/k/<x>&amp;/]]>",
	  .cmdline = "init=\"/a b\" <!-- -->",
	  .memory_mib = 256,
	  .cpus = 1,
	  .console = "/r\xc3\xa4/\"><evil/>",
	  .channel = "/c'&"}},
};

static void test_golden(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(machines); i++) {
		auto_free char *path =
			str_printf("tests/data/domain-xml/%s.xml", machines[i].golden);
		auto_free char *xml = domain_xml(&machines[i].spec, NULL);
		auto_cleanup(buf) want = {0};

		assert_non_null(xml);
		if (getenv("UPDATE_GOLDEN"))
			assert_int_equal(
				io_write_atomic(AT_FDCWD, path, xml, strlen(xml), 0644, NULL), 0);
		assert_int_equal(io_read_file(AT_FDCWD, path, 1 << 20, &want, NULL), 0);
		assert_string_equal(xml, want.data);
	}
}

/* What a parser reads back is what went in, markup and all: nothing became an element. */
static void test_markup_stays_text(void **state)
{
	const struct machine_spec *spec = &machines[array_len(machines) - 1].spec;
	auto_free char *xml = domain_xml(spec, NULL);
	xmlDocPtr doc = xmlReadMemory(xml, (int)strlen(xml), NULL, NULL, XML_PARSE_NONET);
	xmlNodePtr node;
	int names = 0;

	(void)state;
	assert_non_null(doc);
	for (node = xmlDocGetRootElement(doc)->children; node; node = node->next) {
		xmlChar *text = xmlNodeGetContent(node);

		assert_string_not_equal((const char *)node->name, "evil");
		if (strcmp((const char *)node->name, "name") == 0 && ++names)
			assert_string_equal((const char *)text, spec->name);
		xmlFree(text);
	}
	assert_int_equal(names, 1);
	assert_null(strstr(xml, "<evil"));
	xmlFreeDoc(doc);
}

static void test_refused(void **state)
{
	static const char path_of_108[] =
		"/0123456789012345678901234567890123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456";
	const struct {
		const char *what;
		struct machine_spec spec;
		const char *says;
	} bad[] = {
		{"newline", {.name = "a\nb"}, "name has a control character"},
		{"escape", {.cmdline = "x\033[2J"}, "command line has a control character"},
		{"not UTF-8", {.kernel = "/\xff"}, "kernel path is not UTF-8"},
		{"long socket", {.channel = path_of_108}, "too long for a socket"},
		{"long console", {.console = path_of_108, .console_socket = true}, "too long"},
		{"no memory", {.memory_mib = 1}, "too few"},
	};

	(void)state;
	assert_int_equal(strlen(path_of_108), 108);
	for (size_t i = 0; i < array_len(bad); i++) {
		struct machine_spec spec = plain;
		struct err err = {0};

		if (bad[i].spec.name)
			spec.name = bad[i].spec.name;
		if (bad[i].spec.cmdline)
			spec.cmdline = bad[i].spec.cmdline;
		if (bad[i].spec.kernel)
			spec.kernel = bad[i].spec.kernel;
		if (bad[i].spec.channel)
			spec.channel = bad[i].spec.channel;
		if (bad[i].spec.console)
			spec.console = bad[i].spec.console;
		spec.console_socket = bad[i].spec.console_socket;
		if (bad[i].spec.memory_mib)
			spec.memory_mib = bad[i].spec.memory_mib;
		assert_null(domain_xml(&spec, &err));
		assert_int_equal(err.code, EINVAL);
		if (!strstr(err.msg, bad[i].says))
			fail_msg("%s: said '%s'", bad[i].what, err.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_markup_stays_text),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests_name("domain-xml", tests, NULL, NULL);
}
