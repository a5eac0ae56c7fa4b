#include "lab/scenario/console-frame.h"

#include <ctype.h>
#include <string.h>

#include "jail/base/str.h"

/* "<6>", "4,123,456,-;" (a raw record of /dev/kmsg), "[    1.234567] ", "[    T1] " */
static const char *skip_prefix(const char *p, const char *end, char context[16])
{
	const char *q = p;

	context[0] = '\0';
	if (q + 2 < end && *q == '<' && isdigit((unsigned char)q[1]) && q[2] == '>')
		q += 3;
	else if (q < end && isdigit((unsigned char)*q)) {
		while (q < end && (isdigit((unsigned char)*q) || strchr(",-cf", *q)))
			q++;
		q = q < end && *q == ';' ? q + 1 : p;
	}
	for (int brackets = 0; brackets < 2 && q < end && *q == '['; brackets++) {
		const char *close = memchr(q, ']', end - q);
		const char *word = q + 1;

		while (word < end && *word == ' ')
			word++;
		if (!close || close - q > 40)
			break;
		if (word < close && (*word == 'T' || *word == 'C') &&
		    isdigit((unsigned char)word[1]) && (size_t)(close - word) < 16) {
			memcpy(context, word, close - word);
			context[close - word] = '\0';
		} else if (brackets || !isdigit((unsigned char)*word)) {
			break;
		}
		q = close + 1;
		if (q < end && *q == ' ')
			q++;
	}
	return q;
}

bool console_next_line(const char *data, size_t len, size_t *at, struct console_line *ret)
{
	const char *line = data + *at, *text, *end;
	size_t n;

	if (*at >= len)
		return false;
	end = memchr(line, '\n', len - *at);
	if (!end)
		end = data + len;
	*at = end - data + 1;
	while (end > line && end[-1] == '\r')
		end--;
	while (line < end && *line == '\r')
		line++;
	text = skip_prefix(line, end, ret->context);
	n = (size_t)(end - text) < sizeof(ret->text) ? (size_t)(end - text) : sizeof(ret->text) - 1;
	memcpy(ret->text, text, n);
	ret->text[n] = '\0';
	return true;
}

static size_t name_length(const char *p)
{
	return strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.");
}

/* "name+0x12/0x34" at p */
static bool symbol(const char *p, char ret[CONSOLE_FUNCTION_MAX])
{
	static const char *const suffixes[] = {".isra.", ".constprop.", ".part.", ".cold",
					       ".llvm."};
	size_t n = name_length(p);

	if (!n || n >= CONSOLE_FUNCTION_MAX || isdigit((unsigned char)*p) ||
	    !str_starts(p + n, "+0x"))
		return false;
	memcpy(ret, p, n);
	ret[n] = '\0';
	for (size_t i = 0; i < array_len(suffixes); i++) {
		char *s = strstr(ret, suffixes[i]);

		if (s && s != ret)
			*s = '\0';
	}
	return true;
}

bool console_frame(const char *line, char ret[CONSOLE_FUNCTION_MAX])
{
	const char *p = line;

	if (str_starts(p, "RIP: ")) {
		/* 0033 is user space */
		return (str_starts(p + 5, "0010:") || str_starts(p + 5, "e030:")) &&
		       symbol(p + 10, ret);
	}
	if (str_starts(p, "pc : "))
		return symbol(p + 5, ret);
	if (*p != ' ')
		return false;
	while (*p == ' ')
		p++;
	if (str_starts(p, "[<")) { /* 4.x and older: [<ffffffff81000000>] */
		p = strstr(p, ">]");
		if (!p)
			return false;
		p += 2;
		while (*p == ' ')
			p++;
	}
	return *p != '?' && symbol(p, ret);
}

bool console_frame_is_machinery(const char *function)
{
	/* '*' at the end: a prefix */
	static const char *const skip[] = {
		/* reports and panics */
		"dump_stack*",
		"__dump_stack",
		"show_stack*",
		"dump_backtrace*",
		"show_regs*",
		"print_*",
		"kasan_*",
		"__kasan_*",
		"__asan_*",
		"__hwasan_*",
		"kmsan_*",
		"__msan_*",
		"kcsan_*",
		"__tsan_*",
		"kfence_*",
		"__kfence_*",
		"check_region_inline",
		"check_memory_region",
		"__ubsan_*",
		"ubsan_*",
		"report_bug",
		"__report_bug",
		"__warn*",
		"warn_slowpath*",
		"panic",
		"vpanic",
		"nmi_panic",
		"die",
		"die_*",
		"__die*",
		"oops_*",
		"crash_kexec",
		"__crash_kexec",
		"machine_kexec",
		"_printk",
		"printk",
		"vprintk*",
		"fortify_panic",
		"__fortify_panic",
		"fortify_report",
		"debug_*",
		"__debug_*",
		"object_*",
		"slab_err",
		"refcount_warn_saturate",
		"__stack_chk_fail",
		/* exceptions and interrupts */
		"do_trap",
		"do_error_trap",
		"do_invalid_op",
		"handle_bug",
		"exc_*",
		"asm_exc_*",
		"invalid_op",
		"page_fault*",
		"do_user_addr_fault",
		"do_kern_addr_fault",
		"kernelmode_fixup_or_oops",
		"no_context",
		"bad_area*",
		"__bad_area*",
		"el1_*",
		"el1h_*",
		"el1t_*",
		"do_mem_abort",
		"do_translation_fault",
		"do_page_fault",
		"__do_kernel_fault",
		"do_undefinstr",
		"do_el1_*",
		"bug_handler",
		"bug_brk_handler",
		"brk_handler",
		"call_break_hook",
		"call_el1_break_hook",
		"do_debug_exception",
		"asm_sysvec_*",
		"sysvec_*",
		"__sysvec_*",
		"asm_call_*",
		"asm_common_interrupt",
		"common_interrupt",
		"nmi_*",
		"asm_*",
		"end_repeat_nmi",
		"default_do_nmi",
		/* the clock that finds stalls */
		"update_process_times",
		"tick_*",
		"hrtimer_*",
		"__hrtimer_*",
		"sched_tick",
		"scheduler_tick",
		"rcu_*",
		"check_cpu_stall",
		"watchdog_*",
		"softlockup_*",
		"trigger_*",
		"arch_trigger_*",
		"sched_show_task",
		"local_apic_timer_interrupt",
		"smp_call_function*",
		"smp_apic_timer_interrupt",
		"apic_timer_interrupt",
		"arch_timer_handler*",
		"handle_percpu_devid_irq",
		"handle_irq*",
		"generic_handle*",
		"__handle_domain_irq",
		"handle_domain_irq",
		"gic_handle_irq*",
		"__gic_handle*",
		"call_on_irq_stack",
		"do_interrupt_handler",
		"irq_*",
		"__irq_*",
		/* where every stack begins */
		"kthread",
		"ret_from_fork*",
		"do_syscall_64",
		"entry_SYSCALL*",
		"entry_INT80*",
		"invoke_syscall",
		"el0_*",
		"el0t_*",
		"do_el0_*",
		"ret_fast_syscall",
		/* memory and strings */
		"memcpy*",
		"__memcpy*",
		"memset*",
		"__memset*",
		"memmove*",
		"__memmove*",
		"memcmp",
		"strlen",
		"strnlen",
		"strcmp",
		"strncmp",
		"strcpy",
		"strncpy",
		"strscpy",
		"sized_str*",
		"kmalloc*",
		"__kmalloc*",
		"kzalloc",
		"kfree",
		"kvfree",
		"kmem_cache_*",
		"__kmem_cache_*",
		"slab_*",
		"__slab_*",
		"___slab_*",
		"krealloc",
		"vmalloc",
		"__vmalloc*",
		"copy_from_user",
		"copy_to_user",
		"_copy_*",
		"__copy_*",
		"__arch_copy_*",
		"raw_copy_*",
		"copy_user_*",
		"rep_movs*",
		"check_heap_object",
		"__check_object_size",
		"usercopy_abort",
		/* lists and locks */
		"__list_*",
		"list_*",
		"lock_acquire*",
		"__lock_acquire",
		"lock_release",
		"lockdep_*",
		"__lockdep_*",
		"mark_*",
		"check_*lock",
		"check_noncircular",
		"check_prev*",
		"validate_chain",
		"register_lock_class",
		"assign_lock_key",
		"_raw_*",
		"__raw_*",
		"do_raw_*",
		"queued_*",
		"native_queued_*",
		"spin_bug",
		"mutex_lock*",
		"__mutex_*",
		"mutex_unlock",
		"down_read*",
		"down_write*",
		"__down_*",
		"up_read",
		"up_write",
		"rwsem_*",
		"percpu_down_*",
		"percpu_rwsem_*",
		"__percpu_*",
		"lock_sock*",
		"__lock_sock",
		"__might_*",
		"___might_*",
		/* the scheduler */
		"schedule*",
		"__schedule*",
		"io_schedule*",
		"preempt_schedule*",
		"__switch_to*",
		"context_switch",
		"wait_for_*",
		"__wait_*",
		"do_wait_for_*",
		"out_of_line_wait*",
		"bit_wait*",
		"dequeue_task*",
	};

	for (size_t i = 0; i < array_len(skip); i++) {
		size_t n = strlen(skip[i]);

		if (skip[i][n - 1] == '*' ? strncmp(function, skip[i], n - 1) == 0
					  : str_eq(function, skip[i]))
			return true;
	}
	return false;
}

const char *console_syscall_name(const char *function)
{
	static const char *const entries[] = {"__x64_sys_", "__arm64_sys_", "__ia32_sys_",
					      "__se_sys_",  "__do_sys_",    "ksys_"};

	for (size_t i = 0; i < array_len(entries); i++)
		if (str_starts(function, entries[i]) && function[strlen(entries[i])])
			return function + strlen(entries[i]);
	return function;
}
