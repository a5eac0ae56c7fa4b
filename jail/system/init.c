#include "jail/system/init.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/wait.h>

#include "jail/system/caps.h"

/* Returns whether payload was among those that ended. */
static bool reap(pid_t payload, int *status)
{
	bool is_over = false;
	pid_t pid;
	int s;

	while ((pid = waitpid(-1, &s, WNOHANG)) > 0) {
		if (pid == payload) {
			*status = s;
			is_over = true;
		}
	}
	return is_over;
}

/*
 * A terminal's signal (SI_KERNEL) reaches the whole foreground group by itself; one that a process
 * of this namespace sends to PID 1 is none of the payload's business. Senders outside have pid 0
 * here.
 */
static bool is_from_outside(const siginfo_t *info)
{
	return info->si_code != SI_KERNEL && info->si_code <= 0 && info->si_pid == 0;
}

int init_run(pid_t payload)
{
	siginfo_t info;
	sigset_t all;
	int status = 0;

	/* what is left of us must not be a way to power: signals to the payload are all we send */
	caps_reduce(UINT64_C(1) << CAP_KILL, NULL);
	sigfillset(&all);
	while (!reap(payload, &status)) {
		int sig = sigwaitinfo(&all, &info);

		if (sig > 0 && sig != SIGCHLD && is_from_outside(&info))
			kill(payload, sig);
	}
	return status;
}
