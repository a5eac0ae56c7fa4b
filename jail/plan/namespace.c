#include "jail/plan/namespace.h"

#include <sched.h>
#include <string.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

const struct ns_kind ns_kinds[NS_COUNT] = {
	{NS_USER, "user", CLONE_NEWUSER, "CONFIG_USER_NS", "max_user_namespaces", "3.8"},
	{NS_MOUNT, "mount", CLONE_NEWNS, "CONFIG_NAMESPACES", "max_mnt_namespaces", "2.4.19"},
	{NS_UTS, "uts", CLONE_NEWUTS, "CONFIG_UTS_NS", "max_uts_namespaces", "2.6.19"},
	{NS_IPC, "ipc", CLONE_NEWIPC, "CONFIG_IPC_NS", "max_ipc_namespaces", "2.6.19"},
	{NS_NET, "net", CLONE_NEWNET, "CONFIG_NET_NS", "max_net_namespaces", "2.6.24"},
	{NS_CGROUP, "cgroup", CLONE_NEWCGROUP, "CONFIG_CGROUPS", "max_cgroup_namespaces", "4.6"},
	{NS_PID, "pid", CLONE_NEWPID, "CONFIG_PID_NS", "max_pid_namespaces", "2.6.24"},
	{NS_TIME, "time", CLONE_NEWTIME, "CONFIG_TIME_NS", "max_time_namespaces", "5.6"},
};

int ns_parse(const char *name, unsigned int *mask, struct err *err)
{
	const char *names[NS_COUNT];
	const char *near;

	if (str_eq(name, "all")) {
		*mask |= (1U << NS_COUNT) - 1;
		return 0;
	}
	for (size_t i = 0; i < NS_COUNT; i++) {
		if (str_eq(name, ns_kinds[i].name)) {
			*mask |= ns_kinds[i].bit;
			return 0;
		}
		names[i] = ns_kinds[i].name;
	}
	near = str_nearest(name, names, NS_COUNT);
	if (near)
		return err_set(err, EINVAL,
			       "--namespace: unknown namespace '%.40s' (did you mean '%s'?)", name,
			       near);
	return err_set(
		err, EINVAL,
		"--namespace: unknown namespace '%.40s' (user, mount, pid, ipc, uts, net, cgroup, "
		"time or all)",
		name);
}

void ns_print(unsigned int mask, struct buf *out)
{
	const char *separator = "";

	for (size_t i = 0; i < NS_COUNT; i++) {
		if (!(mask & ns_kinds[i].bit))
			continue;
		buf_addf(out, "%s%s", separator, ns_kinds[i].name);
		separator = ",";
	}
}
