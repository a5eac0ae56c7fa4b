/* A task in state D that no signal wakes: the parent of a vfork(2) whose child never goes on. */
#include <sys/prctl.h>
#include <unistd.h>

int main(void)
{
	prctl(PR_SET_NAME, "stuck");
	if (vfork() == 0)
		for (;;)
			pause();
	return 0;
}
