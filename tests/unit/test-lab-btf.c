/* BTF, made here type by type: what DWARF comes of each kind, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lab/symbols/btf.h"
#include "tests/unit/btf-text.h"

static void check(enum arch arch, const struct ksyms *syms, const char *expected)
{
	auto_cleanup(dwarf_sections) d = {0};
	auto_cleanup(buf) printed = {0};
	const struct ksyms none = {0};
	struct err err = {0};
	int r;

	if (!made.all.len)
		finish(NULL, 0);
	r = btf_to_dwarf((const uint8_t *)made.all.data, made.all.len, arch, syms ? syms : &none,
			 &d, &err);
	assert_string_equal(err.msg, "");
	assert_int_equal(r, 0);
	print_dwarf(&d, &printed);
	assert_string_equal(printed.data, expected);
}

static void refused(const char *why)
{
	auto_cleanup(dwarf_sections) d = {0};
	const struct ksyms none = {0};
	struct err err = {0};

	if (!made.all.len)
		finish(NULL, 0);
	assert_int_equal(btf_to_dwarf((const uint8_t *)made.all.data, made.all.len, ARCH_AMD64,
				      &none, &d, &err),
			 -EBADMSG);
	assert_non_null(strstr(err.msg, why));
	assert_null(d.info.data);
}

/* --- what comes of it --------------------------------------------------------------------------*/

static void test_numbers(void **state)
{
	(void)state;
	integer("int", 4, 1, 32);
	integer("unsigned long", 8, 0, 64);
	integer("char", 1, 1, 8);
	integer("unsigned char", 1, 0, 8);
	integer("_Bool", 1, 4, 8);
	type(BTF_FLOAT, "double", 0, false, 8);
	check(ARCH_AMD64, NULL,
	      "base 'int' size=4 encoding=5\n"
	      "base 'unsigned long' size=8 encoding=7\n"
	      "base 'char' size=1 encoding=6\n"
	      "base 'unsigned char' size=1 encoding=8\n"
	      "base '_Bool' size=1 encoding=2\n"
	      "base 'double' size=8 encoding=4\n");
}

/* Pointers and names, to what comes later too; a type tag is passed through, a void is nothing. */
static void test_references(void **state)
{
	(void)state;
	type(BTF_PTR, NULL, 0, false, 2);
	type(BTF_CONST, NULL, 0, false, 3);
	type(BTF_TYPE_TAG, "user", 0, false, 4);
	type(BTF_TYPEDEF, "size_t", 0, false, 7);
	type(BTF_PTR, NULL, 0, false, 0);
	type(BTF_VOLATILE, NULL, 0, false, 1);
	integer("unsigned long", 8, 0, 64);
	type(BTF_RESTRICT, NULL, 0, false, 5);
	type(BTF_FWD, "a", 0, false, 0);
	type(BTF_FWD, "b", 0, true, 0);
	type(BTF_ARRAY, NULL, 0, false, 0);
	words((uint32_t[]){3, 7, 5}, 3);
	type(BTF_ARRAY, NULL, 0, false, 0);
	words((uint32_t[]){7, 7, 0}, 3);
	check(ARCH_AMD64, NULL,
	      "pointer size=8 of const\n"
	      "const of typedef\n"
	      "typedef 'size_t' of base\n"
	      "pointer size=8\n"
	      "volatile of pointer\n"
	      "base 'unsigned long' size=8 encoding=7\n"
	      "restrict of pointer\n"
	      "struct 'a' declared\n"
	      "union 'b' declared\n"
	      "array of typedef\n"
	      " range of base count=5\n"
	      "array of base\n"
	      " range of base\n");
}

static void test_records(void **state)
{
	(void)state;
	integer("int", 4, 1, 32);
	integer(NULL, 4, 1, 3); /* a bit field's type, of the old kind */
	type(BTF_STRUCT, "plain", 3, false, 12);
	item("a", 1, 0);
	item("bits", 2, 37);
	item(NULL, 4, 64);
	type(BTF_UNION, NULL, 2, true, 4);
	item("x", 1, 0);
	item("y", 1, 5 << 24 | 3);
	type(BTF_STRUCT, "empty", 0, false, 0);
	check(ARCH_AMD64, NULL,
	      "base 'int' size=4 encoding=5\n"
	      "base size=4 encoding=5\n"
	      "struct 'plain' size=12\n"
	      " member 'a' of base offset=0\n"
	      " member 'bits' of base bits=3 bit=37\n"
	      " member of union offset=8\n"
	      "union size=4\n"
	      " member 'x' of base offset=0\n"
	      " member 'y' of base bits=5 bit=3\n"
	      "struct 'empty' size=0\n");
}

static void enumerations(bool flag)
{
	type(BTF_ENUM, "e", 2, flag, 4);
	pair("minus", (uint32_t)-2);
	pair("big", 200);
}

static void test_enumerations(void **state)
{
	(void)state;
	enumerations(false);
	enumerations(true);
	type(BTF_ENUM64, "e64", 1, false, 8);
	item("wide", 1, 1);
	type(BTF_ENUM, "not_here", 0, false, 4);
	check(ARCH_AMD64, NULL,
	      "enum 'e' size=4\n"
	      " value 'minus' is=4294967294\n"
	      " value 'big' is=200\n"
	      "enum 'e' size=4\n"
	      " value 'minus' is=-2\n"
	      " value 'big' is=200\n"
	      "enum 'e64' size=8\n"
	      " value 'wide' is=4294967297\n"
	      "enum 'not_here' size=4 declared\n");
}

/* Kernels before 6.0 say nothing about signs. */
static void test_old_enumerations(void **state)
{
	(void)state;
	enumerations(false);
	check(ARCH_AMD64, NULL,
	      "enum 'e' size=4\n"
	      " value 'minus' is=-2\n"
	      " value 'big' is=200\n");
}

static struct ksym symbols[] = {
	{0x1000, 'T', "first"},	  {0x1010, 't', "twice"},	 {0x1020, 't', "twice"},
	{0x1030, 'T', "structs"}, {0x1040, 't', "variants"},	 {0x2000, 'D', "init_task"},
	{0x2010, 'd', "counter"}, {0x2018, 'D', "linux_banner"},
};
static const struct ksyms syms = {.items = symbols, .n = array_len(symbols)};

static uint32_t function(const char *s, uint32_t proto)
{
	return type(BTF_FUNC, s, 1, false, proto);
}

/*
 * 1 int, 2 long double of two registers, 3 kuid_t; first(int a, kuid_t b, ...), structs(int a, wide
 * b, int c); what no symbol, two symbols or two prototypes have is not told.
 */
static void functions(void)
{
	integer("int", 4, 1, 32);
	type(BTF_STRUCT, "wide", 2, false, 16);
	item("a", 4, 0);
	item("b", 4, 64);
	type(BTF_STRUCT, "kuid_t", 1, false, 4);
	item("val", 1, 0);
	type(BTF_PTR, NULL, 0, false, 0);
	type(BTF_FUNC_PROTO, NULL, 3, false, 1);
	pair("a", 1);
	pair("b", 3);
	pair(NULL, 0);
	type(BTF_FUNC_PROTO, NULL, 3, false, 0);
	pair("a", 4);
	pair("b", 2);
	pair("c", 1);
	type(BTF_FUNC_PROTO, NULL, 1, false, 2);
	pair("a", 1);
	function("first", 5);
	function("structs", 6);
	function("twice", 6);
	function("variants", 6);
	function("variants", 5);
	function("nowhere", 5);
}
#define TYPES_OF_FUNCTIONS                                                                \
	"base 'int' size=4 encoding=5\n"                                                  \
	"struct 'wide' size=16\n member 'a' of pointer offset=0\n member 'b' of pointer " \
	"offset=8\n"                                                                      \
	"struct 'kuid_t' size=4\n member 'val' of base offset=0\n"                        \
	"pointer size=8\n"                                                                \
	"prototype of base\n parameter of base\n parameter of struct\n dots\n"            \
	"prototype\n parameter of pointer\n parameter of struct\n parameter of base\n"    \
	"prototype of struct\n parameter of base\n"

static void test_functions(void **state)
{
	(void)state;
	functions();
	check(ARCH_AMD64, &syms,
	      TYPES_OF_FUNCTIONS "function 'first' external of base low=1000 length=16\n"
				 " parameter 'a' of base r5@0-1\n"
				 " parameter 'b' of struct r4@0-1\n"
				 " dots\n"
				 "function 'structs' external low=1030 length=16\n"
				 " parameter 'a' of pointer r5@30-31\n"
				 " parameter 'b' of struct\n"
				 " parameter 'c' of base\n");
}

static void test_functions_arm64(void **state)
{
	(void)state;
	functions();
	check(ARCH_ARM64, &syms,
	      TYPES_OF_FUNCTIONS "function 'first' external of base low=1000 length=16\n"
				 " parameter 'a' of base r0@0-1\n"
				 " parameter 'b' of struct r1@0-1\n"
				 " dots\n"
				 "function 'structs' external low=1030 length=16\n"
				 " parameter 'a' of pointer r0@30-31\n"
				 " parameter 'b' of struct\n"
				 " parameter 'c' of base\n");
}

/* A result that lies in memory: amd64 passes its address before all others. */
static void result_in_memory(enum arch arch, const char *expected)
{
	integer("int", 4, 1, 32);
	type(BTF_STRUCT, "s", 3, false, 24);
	item("a", 1, 0);
	item("b", 1, 64);
	item("c", 1, 128);
	type(BTF_FUNC_PROTO, NULL, 1, false, 2);
	pair("a", 1);
	function("first", 3);
	check(arch, &syms, expected);
}
#define MEMORY                                                                             \
	"base 'int' size=4 encoding=5\nstruct 's' size=24\n member 'a' of base offset=0\n" \
	" member 'b' of base offset=8\n member 'c' of base offset=16\n"                    \
	"prototype of struct\n parameter of base\n"                                        \
	"function 'first' external of struct low=1000 length=16\n"

static void test_result(void **state)
{
	(void)state;
	result_in_memory(ARCH_AMD64, MEMORY " parameter 'a' of base\n");
}

static void test_result_arm64(void **state)
{
	(void)state;
	result_in_memory(ARCH_ARM64, MEMORY " parameter 'a' of base r0@0-1\n");
}

static void test_variables(void **state)
{
	(void)state;
	integer("char", 1, 1, 8);
	type(BTF_FWD, "task_struct", 0, false, 0);
	type(BTF_STRUCT, "task_struct", 0, false, 64);
	type(BTF_VAR, "counter", 0, false, 5);
	words((uint32_t[]){1}, 1);
	type(BTF_TYPE_TAG, "percpu", 0, false, 1);
	type(BTF_VAR, "gone", 0, false, 1);
	words((uint32_t[]){1}, 1);
	type(BTF_DATASEC, ".data..percpu", 1, false, 8);
	words((uint32_t[]){4, 0, 1}, 3);
	type(BTF_DECL_TAG, "tag", 0, false, 4);
	words((uint32_t[]){-1}, 1);
	check(ARCH_AMD64, &syms,
	      "base 'char' size=1 encoding=6\n"
	      "struct 'task_struct' declared\n"
	      "struct 'task_struct' size=64\n"
	      "variable 'counter' of base external at=2010\n"
	      "const of base\n"
	      "array of const\n"
	      " range\n"
	      "variable 'linux_banner' of array external at=2018\n"
	      "variable 'init_task' of struct external at=2000\n");
}

/* A kind of kernels to come: passed over when its size is told, and what refers to it is void. */
static void test_unknown_kind(void **state)
{
	uint8_t layout[32 * 4] = {0};

	(void)state;
	layout[30 * 4] = 4;
	layout[30 * 4 + 1] = 8;
	type((enum btf_kind)30, "new", 2, false, 7);
	words((uint32_t[]){1, 2, 3, 4, 5}, 5);
	type(BTF_PTR, NULL, 0, false, 1);
	finish(layout, sizeof(layout));
	check(ARCH_AMD64, NULL, "pointer size=8\n");
}

static void test_find(void **state)
{
	auto_cleanup(buf) image = {0};
	const uint8_t *found = NULL;
	size_t len;

	(void)state;
	integer("int", 4, 1, 32);
	finish(NULL, 0);
	buf_adds(&image, "\x9f\xeb\x01");
	buf_add(&image, "\0\x18\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 13); /* does not fit */
	assert_int_equal(btf_find((uint8_t *)image.data, image.len, &found, &len, NULL), -ENODATA);
	buf_add(&image, made.all.data, made.all.len);
	buf_adds(&image, "more");
	assert_int_equal(btf_find((uint8_t *)image.data, image.len, &found, &len, NULL), 0);
	assert_ptr_equal(found, image.data + 16);
	assert_int_equal(len, made.all.len);
}

/* --- what is refused ---------------------------------------------------------------------------*/

static void bad_name(void)
{
	words((uint32_t[]){1000, BTF_FWD << 24, 0}, 3);
}
static void bad_member_name(void)
{
	type(BTF_STRUCT, "s", 1, false, 8);
	words((uint32_t[]){1000, 0, 0}, 3);
}
static void bad_text(void)
{
	type(BTF_FWD, "a\x1b[31m", 0, false, 0);
}
static void too_many(void)
{
	type(BTF_STRUCT, "s", 0xffffff, false, 8);
	item("a", 0, 0);
}
static void cut(void)
{
	type(BTF_PTR, NULL, 0, false, 0);
	words((uint32_t[]){0, BTF_PTR << 24}, 2);
}
static void out_of_range(void)
{
	type(BTF_PTR, NULL, 0, false, 5);
}
static void array_of_nothing(void)
{
	type(BTF_ARRAY, NULL, 0, false, 0);
	words((uint32_t[]){9, 0, 1}, 3);
}
static void function_of_struct(void)
{
	type(BTF_STRUCT, "s", 0, false, 8);
	function("f", 1);
}
static void member_of_function(void)
{
	type(BTF_FUNC_PROTO, NULL, 0, false, 0);
	function("f", 1);
	type(BTF_STRUCT, "s", 1, false, 8);
	item("a", 2, 0);
}
static void section_of_types(void)
{
	integer("int", 4, 1, 32);
	type(BTF_DATASEC, "s", 1, false, 8);
	words((uint32_t[]){1, 0, 1}, 3);
}
static void typedef_loop(void)
{
	type(BTF_TYPEDEF, "a", 0, false, 2);
	type(BTF_TYPE_TAG, "b", 0, false, 1);
}
static void pointer_loop(void)
{
	type(BTF_PTR, NULL, 0, false, 1);
}
static void struct_in_itself(void)
{
	type(BTF_STRUCT, "s", 1, false, 8);
	item("a", 2, 0);
	type(BTF_ARRAY, NULL, 0, false, 0);
	words((uint32_t[]){1, 1, 2}, 3);
}
static void prototype_loop(void)
{
	type(BTF_FUNC_PROTO, NULL, 1, false, 0);
	pair("a", 1);
}
static void too_deep(void)
{
	for (uint32_t i = 0; i < 1000; i++)
		type(BTF_PTR, NULL, 0, false, i);
}
static void too_deep_upward(void)
{
	for (uint32_t i = 0; i < 1000; i++)
		type(BTF_PTR, NULL, 0, false, i + 2);
	integer("int", 4, 1, 32);
}
static void unknown_kind(void)
{
	type((enum btf_kind)30, NULL, 0, false, 0);
}

static void test_refused(void **state)
{
	static const struct {
		void (*make)(void);
		const char *why;
	} cases[] = {
		{bad_name, "type 1: its name"},
		{bad_member_name, "type 1: a name"},
		{bad_text, "a name"},
		{too_many, "type 1: it is cut off"},
		{cut, "type 2: it is cut off"},
		{out_of_range, "type 1: it refers"},
		{array_of_nothing, "type 1: an array"},
		{function_of_struct, "type 2: it refers"},
		{member_of_function, "type 3: a member"},
		{section_of_types, "type 2: a member"},
		{typedef_loop, "type 1: it contains itself"},
		{pointer_loop, "type 1: it contains itself"},
		{struct_in_itself, "type 1: it contains itself"},
		{prototype_loop, "type 1: it contains itself"},
		{too_deep, "nested too deep"},
		{too_deep_upward, "nested too deep"},
		{unknown_kind, "type 1: a kind"},
	};

	for (size_t i = 0; i < array_len(cases); i++) {
		cases[i].make();
		refused(cases[i].why);
		teardown(state);
		setup(state);
	}
}

/* The rule, not an error: what a pointer leads back to. */
static void test_list(void **state)
{
	(void)state;
	type(BTF_STRUCT, "list_head", 1, false, 8);
	item("next", 2, 0);
	type(BTF_PTR, NULL, 0, false, 3);
	type(BTF_CONST, NULL, 0, false, 1);
	check(ARCH_AMD64, NULL,
	      "struct 'list_head' size=8\n"
	      " member 'next' of pointer offset=0\n"
	      "pointer size=8 of const\n"
	      "const of struct\n");
}

static void test_headers(void **state)
{
	static const struct {
		size_t at;
		uint32_t value;
	} cases[] = {{0, 0x0001eb9e}, {0, 0x0002eb9f}, {4, 8},	  {4, 1 << 20},
		     {8, 2},	      {8, 1 << 30},    {12, -1u}, {12, 0},
		     {16, -1u},	      {20, -1u},       {20, 0},	  {20, 1}};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		integer("int", 4, 1, 32);
		finish(NULL, 0);
		for (size_t b = 0; b < 4; b++)
			made.all.data[cases[i].at + b] = (char)(cases[i].value >> 8 * b);
		refused(i == array_len(cases) - 1 ? "type 1: its name" : "its header");
		teardown(state);
		setup(state);
	}
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_numbers),	     test(test_references),
		test(test_records),	     test(test_enumerations),
		test(test_old_enumerations), test(test_functions),
		test(test_functions_arm64),  test(test_result),
		test(test_result_arm64),     test(test_variables),
		test(test_unknown_kind),     test(test_find),
		test(test_refused),	     test(test_list),
		test(test_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
