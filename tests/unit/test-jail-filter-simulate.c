#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jail/filter/simulate.h"

#define S(code, k) BPF_STMT(code, k)
#define J(code, k, t, f) BPF_JUMP(BPF_JMP | (code) | BPF_K, k, t, f)
#define RETURN(k) S(BPF_RET | BPF_K, k)
#define RETURN_A S(BPF_RET | BPF_A, 0)
#define LOAD(k) S(BPF_LD | BPF_W | BPF_ABS, k)
#define A_IS(k) S(BPF_LD | BPF_IMM, k)
#define X_IS(k) S(BPF_LDX | BPF_IMM, k)
#define ALU(op, k) S(BPF_ALU | (op) | BPF_K, k)
#define ALU_X(op) S(BPF_ALU | (op) | BPF_X, 0)

enum { INSNS = 8 };

static size_t length(const struct sock_filter *insns)
{
	size_t n = INSNS;

	while (n && !insns[n - 1].code && !insns[n - 1].k)
		n--;
	return n;
}

/* What the kernel of this host has to say about a program: 0, or an errno; -1: none is to be had.
 */
static int kernels_word(const struct filter *filter)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		/* in front, so that this process can end: what follows is looked at, and not run */
		struct sock_filter insns[INSNS + 3] = {LOAD(0), J(BPF_JGE, 0, 0, 1),
						       RETURN(SECCOMP_RET_ALLOW)};
		struct sock_fprog program = {(unsigned short)(filter->n + 3), insns};

		memcpy(insns + 3, filter->insns, filter->n * sizeof(*insns));
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		_exit(syscall(SYS_seccomp, 1, 0, &program) < 0 ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) == ENOSYS)
		return -1;
	return WEXITSTATUS(status);
}

static void programs_that_the_kernel_refuses(void **state)
{
	static const struct {
		const char *want; /* NULL: it is taken */
		struct sock_filter insns[INSNS];
	} table[] = {
		{NULL, {RETURN(0)}},
		{NULL, {A_IS(1), RETURN_A}},
		{NULL, {LOAD(60), RETURN_A}},
		{NULL, {S(BPF_LD | BPF_W | BPF_LEN, 0), RETURN_A}},
		{NULL, {A_IS(1), S(BPF_ST, 15), S(BPF_LD | BPF_MEM, 15), RETURN_A}},
		{NULL, {J(BPF_JEQ, 0, 0, 0), RETURN(0)}},
		{NULL, {S(BPF_JMP | BPF_JA, 1), RETURN(1), RETURN(0)}},
		{"instruction 0 (code 0x20): loads from outside struct seccomp_data, or not a word",
		 {LOAD(64), RETURN_A}},
		{"instruction 0 (code 0x20): loads from outside", {LOAD(2), RETURN_A}},
		{"instruction 0 (code 0x28): not an instruction for system-call filters",
		 {S(BPF_LD | BPF_H | BPF_ABS, 0), RETURN_A}},
		{"instruction 0 (code 0x40): not an instruction",
		 {S(BPF_LD | BPF_W | BPF_IND, 0), RETURN_A}},
		{"instruction 0 (code 0x94): not an instruction", {ALU(BPF_MOD, 3), RETURN_A}},
		{"instruction 0 (code 0x34): divides by 0", {ALU(BPF_DIV, 0), RETURN_A}},
		{"instruction 0 (code 0x64): shifts by 32 or more", {ALU(BPF_LSH, 32), RETURN_A}},
		{"instruction 0 (code 0x15): jumps out of the program",
		 {J(BPF_JEQ, 0, 1, 0), RETURN(0)}},
		{"instruction 0 (code 0x15): jumps out of the program",
		 {J(BPF_JEQ, 0, 0, 1), RETURN(0)}},
		{"instruction 1 (code 0x05): jumps out of the program",
		 {A_IS(1), S(BPF_JMP | BPF_JA, 1), RETURN(0)}},
		{"instruction 0 (code 0x05): jumps out of the program",
		 {S(BPF_JMP | BPF_JA, UINT32_MAX), RETURN(0)}},
		{"instruction 1 (code 0x00): the last one has to return", {RETURN(0), A_IS(1)}},
		{"instruction 0 (code 0x02): there are 16 words of memory",
		 {S(BPF_ST, 16), RETURN(0)}},
		{"instruction 0 (code 0x60): loads memory that nothing was stored to",
		 {S(BPF_LD | BPF_MEM, 3), RETURN_A}},
		/* only by one of two ways */
		{"instruction 3 (code 0x60): loads memory that nothing was stored to",
		 {A_IS(1), J(BPF_JEQ, 1, 1, 0), S(BPF_ST, 3), S(BPF_LD | BPF_MEM, 3), RETURN_A}},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		struct sock_filter insns[INSNS];
		const struct filter filter = {insns, length(table[i].insns)};
		struct err err = {0};
		int r, kernel;

		memcpy(insns, table[i].insns, sizeof(insns));
		r = filter_check(&filter, &err);
		if (!table[i].want ? r != 0 : r != -EINVAL || !str_starts(err.msg, table[i].want))
			fail_msg("row %zu: %d %s", i, r, err.msg);
		kernel = kernels_word(&filter);
		if (kernel >= 0 && kernel != (r < 0 ? EINVAL : 0))
			fail_msg("row %zu: the kernel says %d", i, kernel);
	}
}

static void size_of_programs(void **state)
{
	struct filter filter = {xcalloc(BPF_MAXINSNS + 1, sizeof(struct sock_filter)), 0};
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i <= BPF_MAXINSNS; i++)
		filter.insns[i] = (struct sock_filter)RETURN(0);
	assert_int_equal(filter_check(&filter, &err), -EINVAL);
	assert_string_equal(err.msg, "a filter has 1 to 4096 instructions, not 0");
	filter.n = BPF_MAXINSNS;
	assert_int_equal(filter_check(&filter, &err), 0);
	filter.n++;
	assert_int_equal(filter_check(&filter, &err), -EINVAL);
	filter_deinit(&filter);
}

static void what_programs_return(void **state)
{
	static const struct {
		struct sock_filter insns[INSNS];
		uint32_t want;
		unsigned int steps;
	} table[] = {
		{{RETURN(7)}, 7, 1},
		{{LOAD(0), RETURN_A}, 59, 2},
		{{LOAD(4), RETURN_A}, 0xc000003e, 2},
		{{LOAD(8), RETURN_A}, 0x9abcdef0, 2},
		{{LOAD(24), RETURN_A}, 0x22222222, 2},
		{{LOAD(28), RETURN_A}, 0x11111111, 2},
		{{S(BPF_LD | BPF_W | BPF_LEN, 0), RETURN_A}, 64, 2},
		{{A_IS(5), J(BPF_JEQ, 5, 1, 0), RETURN(0), RETURN(1)}, 1, 3},
		{{A_IS(5), J(BPF_JGT, 5, 1, 0), RETURN(0), RETURN(1)}, 0, 3},
		{{A_IS(5), J(BPF_JGE, 5, 1, 0), RETURN(0), RETURN(1)}, 1, 3},
		{{A_IS(5), J(BPF_JSET, 2, 1, 0), RETURN(0), RETURN(1)}, 0, 3},
		{{A_IS(UINT32_MAX), J(BPF_JGT, 5, 1, 0), RETURN(0), RETURN(1)}, 1, 3},
		{{A_IS(5), X_IS(5), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 1, 0), RETURN(0),
		  RETURN(1)},
		 1,
		 4},
		{{S(BPF_JMP | BPF_JA, 2), RETURN(1), RETURN(2), RETURN(3)}, 3, 2},
		{{A_IS(7), X_IS(3), ALU_X(BPF_SUB), ALU(BPF_MUL, 5), RETURN_A}, 20, 5},
		{{A_IS(7), ALU(BPF_DIV, 2), ALU(BPF_ADD, 4), ALU(BPF_XOR, 1), RETURN_A}, 6, 5},
		{{A_IS(7), ALU(BPF_LSH, 4), ALU(BPF_RSH, 2), ALU(BPF_OR, 1), RETURN_A}, 29, 5},
		{{A_IS(7), ALU(BPF_AND, 4), S(BPF_ALU | BPF_NEG, 0), RETURN_A}, (uint32_t)-4, 4},
		{{A_IS(7), X_IS(0), ALU_X(BPF_DIV), RETURN(9)}, 0, 3},
		{{A_IS(7), S(BPF_ST, 2), A_IS(1), S(BPF_LDX | BPF_MEM, 2), S(BPF_MISC | BPF_TXA, 0),
		  RETURN_A},
		 7,
		 6},
		{{A_IS(7), S(BPF_MISC | BPF_TAX, 0), S(BPF_STX, 1), A_IS(1), S(BPF_LD | BPF_MEM, 1),
		  RETURN_A},
		 7,
		 6},
	};
	const struct seccomp_data data = {.nr = 59,
					  .arch = 0xc000003e,
					  .instruction_pointer = UINT64_C(0x123456789abcdef0),
					  .args = {0, UINT64_C(0x1111111122222222)}};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		struct sock_filter insns[INSNS];
		const struct filter filter = {insns, length(table[i].insns)};
		unsigned int steps = 0;
		uint32_t got;

		memcpy(insns, table[i].insns, sizeof(insns));
		assert_int_equal(filter_check(&filter, NULL), 0);
		got = filter_simulate(&filter, &data, &steps);
		if (got != table[i].want || steps != table[i].steps)
			fail_msg("row %zu: 0x%x in %u steps", i, got, steps);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs_that_the_kernel_refuses),
		cmocka_unit_test(size_of_programs),
		cmocka_unit_test(what_programs_return),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
