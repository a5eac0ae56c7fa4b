// SPDX-License-Identifier: GPL-2.0
/*
 * crashme - bugs on request, to see what a kernel says of each: write a name to /proc/crashme;
 * reading it lists them.
 *
 * Each is a function of its own, crashme_NAME, that is in the backtrace: never inlined, and never
 * left by a jump into what it calls. What a kernel cannot see does no harm: the write returns.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/irq_work.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#if __has_include(<linux/panic_notifier.h>)
#include <linux/panic_notifier.h> /* from 5.14 on */
#endif
#include <linux/proc_fs.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/version.h>
#if IS_ENABLED(CONFIG_KFENCE)
#include <linux/kfence.h>
#endif
#ifdef CONFIG_X86
#include <asm/desc_defs.h>
#endif

enum {
	OBJECT_BYTES = 64,
	GUARD_TRIES = 3000, /* of about 1 ms each */
	SPIN_SECONDS = 120,
	LOOK_US = 100, /* a grace period of one run takes about that in an emulated guest */
};

/*
 * Aligned: arm64 kernels from 6.3 on patch what is in front of a function, which gcc before 14 does
 * not align where it thinks that the function is hardly ever called, as it does of one that panics.
 */
#define provocation static noinline __aligned(8) void
/* Last in a function: its last call is no jump, which would take it out of the backtrace. */
#define stay_in_backtrace() asm volatile("")

static int zero, one = 1; /* read with READ_ONCE(): the compiler is not to know */

/* --- memory --- */

/*
 * An object of OBJECT_BYTES; one that KFENCE guards, with nothing but its guard page behind it, if
 * the kernel has KFENCE and it is on: KFENCE takes one allocation of all in each sample interval.
 */
static char *new_object(void)
{
	char *p = kmalloc(OBJECT_BYTES, GFP_KERNEL | __GFP_ZERO);
#if IS_ENABLED(CONFIG_KFENCE)
	int i;

	for (i = 0; __kfence_pool && p && i < GUARD_TRIES; i++) {
		if (is_kfence_address(p) && !((unsigned long)(p + OBJECT_BYTES) & ~PAGE_MASK))
			break;
		kfree(p);
		usleep_range(500, 1000);
		p = kmalloc(OBJECT_BYTES, GFP_KERNEL | __GFP_ZERO);
	}
#endif
	OPTIMIZER_HIDE_VAR(p); /* that it is freed, and how long it is */
	return p;
}

provocation crashme_null_read(void)
{
	int *p = NULL;

	OPTIMIZER_HIDE_VAR(p);
	READ_ONCE(p[4]);
}

provocation crashme_null_write(void)
{
	int *p = NULL;

	OPTIMIZER_HIDE_VAR(p);
	WRITE_ONCE(p[4], 1);
}

provocation crashme_use_after_free(void)
{
	char *p = new_object();

	if (!p)
		return;
	kfree(p);
	READ_ONCE(p[OBJECT_BYTES / 2]);
}

provocation crashme_double_free(void)
{
	char *p = new_object(), *again = p;
	int i;

	OPTIMIZER_HIDE_VAR(again);
	kfree(p);
	kfree(again);
	/* unseen: the list of free objects is a circle, which zeroes in the object break */
	for (i = 0; i < 2; i++) {
		p = kzalloc(OBJECT_BYTES, GFP_KERNEL);
		OPTIMIZER_HIDE_VAR(p);
	}
}

provocation crashme_oob_slab(void)
{
	char *p = new_object();

	if (!p)
		return;
	READ_ONCE(p[OBJECT_BYTES]);
	kfree(p);
	stay_in_backtrace();
}

/* Over the stack protector's canary, and no further. */
provocation crashme_oob_stack(void)
{
	char buffer[32] = "";
	char *p = buffer;
	int i;

	OPTIMIZER_HIDE_VAR(p);
	for (i = 0; i < 8; i++)
		WRITE_ONCE(p[sizeof(buffer) + i], 'x');
}

static volatile int global[16];

provocation crashme_oob_global(void)
{
	unsigned int i = ARRAY_SIZE(global);

	OPTIMIZER_HIDE_VAR(i);
	WRITE_ONCE(one, global[i]); /* not READ_ONCE(), which UBSAN does not look into */
	stay_in_backtrace();
}

provocation crashme_stack_overflow(void)
{
	volatile char frame[512];

	frame[0] = 1;
	if (READ_ONCE(one))
		crashme_stack_overflow();
	frame[1] = frame[0];
}

provocation crashme_list_corruption(void)
{
	LIST_HEAD(head);
	LIST_HEAD(first);
	LIST_HEAD(second);

	list_add(&first, &head);
	first.prev = &second; /* which is not before it */
	list_add(&second, &head);
	stay_in_backtrace();
}

provocation crashme_refcount(void)
{
	refcount_t count = REFCOUNT_INIT(REFCOUNT_MAX);

	refcount_inc(&count);
	stay_in_backtrace();
}

/* --- assertions and traps --- */

provocation crashme_bug(void)
{
	BUG_ON(READ_ONCE(one));
}

provocation crashme_warn(void)
{
	WARN_ON(READ_ONCE(one));
	stay_in_backtrace();
}

/* arm64 divides by zero without a word */
provocation crashme_divide(void)
{
	WRITE_ONCE(one, READ_ONCE(one) / READ_ONCE(zero));
}

static void crashme_panic_in_irq(struct irq_work *work)
{
	int *p = NULL;

	OPTIMIZER_HIDE_VAR(p);
	WRITE_ONCE(p[4], 1);
}

provocation start_panic_in_irq(void)
{
	static struct irq_work work;

	init_irq_work(&work, crashme_panic_in_irq);
	irq_work_queue(&work);
	irq_work_sync(&work);
	stay_in_backtrace();
}

/* Once: the panic that this makes calls its notifiers, too. */
static int crashme_at_panic(struct notifier_block *block, unsigned long event, void *message)
{
	static bool again;
	bool first = !again;

	again = true;
	BUG_ON(first);
	return NOTIFY_DONE;
}

provocation crashme_panic_twice(void)
{
	static struct notifier_block block = {.notifier_call = crashme_at_panic};

	atomic_notifier_chain_register(&panic_notifier_list, &block);
	/* as far as the compiler knows it returns, so that the address after it is in here */
	if (READ_ONCE(one))
		panic("crashme: asked to panic twice");
}

static bool at_exit;

provocation arm_panic_unload(void)
{
	WRITE_ONCE(at_exit, true);
}

provocation crashme_panic_unload(void)
{
	panic("crashme: asked to panic when unloaded");
}

#ifdef CONFIG_X86
/* Neither the trap nor the fault about it finds a gate. */
provocation crashme_triple_fault(void)
{
	struct desc_ptr none = {};

	asm volatile("lidt %0; int3" : : "m"(none));
}
#endif

/* --- locks and time --- */

static DEFINE_MUTEX(lock_a);
static DEFINE_MUTEX(lock_b);

/* Two tasks run this, the second with the locks' order reversed: each has one when it asks for the
 * other. */
static noinline int crashme_deadlock_abba(void *reversed)
{
	static DECLARE_COMPLETION(has_a);
	static DECLARE_COMPLETION(has_b);

	mutex_lock(reversed ? &lock_b : &lock_a);
	complete(reversed ? &has_b : &has_a);
	wait_for_completion(reversed ? &has_a : &has_b);
	mutex_lock(reversed ? &lock_a : &lock_b);
	mutex_unlock(&lock_a);
	mutex_unlock(&lock_b);
	return 0;
}

provocation start_deadlock_abba(void)
{
	if (IS_ERR(kthread_run(crashme_deadlock_abba, &one, "crashme")))
		return;
	crashme_deadlock_abba(NULL);
	stay_in_backtrace();
}

provocation crashme_deadlock_recursive(void)
{
	mutex_lock(&lock_a);
	mutex_lock(&lock_a);
	mutex_unlock(&lock_a);
}

provocation crashme_sleep_in_atomic(void)
{
	static DEFINE_SPINLOCK(lock);

	spin_lock_bh(&lock);
	might_sleep();
	schedule_timeout_uninterruptible(1);
	spin_unlock_bh(&lock);
	stay_in_backtrace();
}

provocation crashme_hung_task(void)
{
	for (;;) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		schedule();
	}
}

static __always_inline void spin(void)
{
	unsigned long end = jiffies + SPIN_SECONDS * HZ;

	while (time_before(jiffies, end))
		cpu_relax();
}

provocation crashme_soft_lockup(void)
{
	preempt_disable();
	spin();
	preempt_enable();
}

static bool rcu_asked;

static void rcu_answered(struct rcu_head *head)
{
	WRITE_ONCE(rcu_asked, false);
}

unsigned long
rcu_get_gp_seq(void); /* exported, and in no public header; the low 2 bits: in progress */

/*
 * A stall needs a grace period that has begun and does not end. In a guest of one CPU RCU's task
 * has to run for it to begin, and then reports for that CPU: in a softirq later, or, after 6.18, at
 * once (rcu_gp_init(), "rcu: Reduce synchronize_rcu() latency by reporting GP kthread's CPU QS
 * early"), so that it ends before any other task runs. An interrupt comes in between, most often on
 * top of RCU's task: this one looks all the time, and keeps the CPU in a softirq, with no other
 * after it.
 */
static noinline enum hrtimer_restart crashme_rcu_stall(struct hrtimer *timer)
{
	static unsigned long idle;

	/* one that is older may wait for RCU's task only, and 5.10 then names no other */
	if (!(rcu_get_gp_seq() & 3))
		idle = jiffies;
	else if (jiffies - idle <= 1)
		spin();
	hrtimer_forward_now(timer, ns_to_ktime(LOOK_US * NSEC_PER_USEC));
	return HRTIMER_RESTART;
}

provocation start_rcu_stall(void)
{
	static struct rcu_head head;
	static struct hrtimer timer;
	unsigned long end = jiffies + SPIN_SECONDS * HZ;

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	hrtimer_setup(&timer, crashme_rcu_stall, CLOCK_MONOTONIC, HRTIMER_MODE_REL_SOFT);
#else
	hrtimer_init(&timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_SOFT);
	timer.function = crashme_rcu_stall;
#endif
	hrtimer_start(&timer, ns_to_ktime(LOOK_US * NSEC_PER_USEC), HRTIMER_MODE_REL_SOFT);
	for (; time_before(jiffies, end); yield()) {
		if (!READ_ONCE(rcu_asked)) {
			WRITE_ONCE(rcu_asked, true);
			call_rcu(&head, rcu_answered);
		}
	}
	hrtimer_cancel(&timer);
	rcu_barrier();
}

provocation crashme_irqs_off(void)
{
	local_irq_disable();
	for (;;)
		cpu_relax();
}

/* --- /proc/crashme --- */

static const struct {
	const char *name;
	void (*provoke)(void);
} provocations[] = {
	{"null-read", crashme_null_read},
	{"null-write", crashme_null_write},
	{"use-after-free", crashme_use_after_free},
	{"double-free", crashme_double_free},
	{"oob-slab", crashme_oob_slab},
	{"oob-stack", crashme_oob_stack},
	{"oob-global", crashme_oob_global},
	{"stack-overflow", crashme_stack_overflow},
	{"list-corruption", crashme_list_corruption},
	{"refcount", crashme_refcount},
	{"bug", crashme_bug},
	{"warn", crashme_warn},
	{"divide", crashme_divide},
	{"panic-in-irq", start_panic_in_irq},
	{"panic-twice", crashme_panic_twice},
	{"panic-unload", arm_panic_unload}, /* and then rmmod */
#ifdef CONFIG_X86
	{"triple-fault", crashme_triple_fault},
#endif
	{"deadlock-abba", start_deadlock_abba},
	{"deadlock-recursive", crashme_deadlock_recursive},
	{"sleep-in-atomic", crashme_sleep_in_atomic},
	{"hung-task", crashme_hung_task},
	{"soft-lockup", crashme_soft_lockup},
	{"rcu-stall", start_rcu_stall},
	{"irqs-off", crashme_irqs_off},
};

static ssize_t crashme_write(struct file *file, const char __user *from, size_t size, loff_t *pos)
{
	char name[32] = "";
	size_t i;

	if (size >= sizeof(name))
		return -EINVAL;
	if (copy_from_user(name, from, size))
		return -EFAULT;
	for (i = 0; i < ARRAY_SIZE(provocations); i++) {
		if (!sysfs_streq(name, provocations[i].name))
			continue;
		provocations[i].provoke();
		return size;
	}
	return -EINVAL;
}

static int crashme_show(struct seq_file *seq, void *data)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(provocations); i++)
		seq_printf(seq, "%s\n", provocations[i].name);
	return 0;
}

static int crashme_open(struct inode *inode, struct file *file)
{
	return single_open(file, crashme_show, NULL);
}

static const struct proc_ops crashme_ops = {
	.proc_open = crashme_open,
	.proc_read = seq_read,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
	.proc_write = crashme_write,
};

static int __init crashme_init(void)
{
	return proc_create("crashme", 0600, NULL, &crashme_ops) ? 0 : -ENOMEM;
}

static void __exit crashme_exit(void)
{
	remove_proc_entry("crashme", NULL);
	if (READ_ONCE(at_exit))
		crashme_panic_unload();
}

module_init(crashme_init);
module_exit(crashme_exit);
MODULE_DESCRIPTION("Bugs on request, to see what a kernel says of them");
MODULE_LICENSE("GPL");
