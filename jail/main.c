/* jail - run a program in a sandbox (docs/jail.1), and tools for its policies (docs/jail-policy.1)
 */
#include <fcntl.h>
#include <unistd.h>

#include "jail/base/str.h"
#include "jail/cmd-policy.h"
#include "jail/cmd-run.h"

/* One that was closed would become a log or a socket, and what is printed would go there. */
static void fill_standard_fds(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", O_RDWR | O_CLOEXEC); /* closed for the command still */
}

int main(int argc, char **argv)
{
	fill_standard_fds();
	/* the verb wins: a command of that name comes after -- */
	if (argc > 1 && str_eq(argv[1], "policy"))
		return cmd_policy(argc - 1, argv + 1);
	return cmd_run(argc, argv);
}
