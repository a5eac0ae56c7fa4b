/* jail - run a program in a sandbox (docs/jail.1), and tools for its policies (docs/jail-policy.1)
 */
#include "jail/base/str.h"
#include "jail/cmd-policy.h"
#include "jail/cmd-run.h"

int main(int argc, char **argv)
{
	/* the verb wins: a command of that name comes after -- */
	if (argc > 1 && str_eq(argv[1], "policy"))
		return cmd_policy(argc - 1, argv + 1);
	return cmd_run(argc, argv);
}
