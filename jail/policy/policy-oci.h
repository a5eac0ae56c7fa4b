/*
 * policy-oci.h - seccomp profiles of container engines, in JSON, as policies.
 *
 * Pure. The format is that of Docker, Podman and the OCI runtime specification (config-linux.md,
 * "Seccomp"): JSON is read as YAML, of which it is a subset, so that every mistake has its line and
 * column. Names that no kernel has, and architectures that jail does not run on, are warnings.
 */
#ifndef JAIL_POLICY_POLICY_OCI_H
#define JAIL_POLICY_POLICY_OCI_H

#include "jail/base/yaml.h"
#include "jail/policy/policy.h"

/* Whether the document looks like one: has defaultAction, or at least syscalls. */
bool policy_oci_is(const struct yaml *y);
/* As policy_from_yaml(). Also takes an OCI config.json: its linux.seccomp. */
int policy_from_oci(const struct yaml *y, struct policy *ret, struct err *err);
/*
 * The policy with all it extends as a profile for container engines, appended to out. What the
 * format cannot hold (limits, paths, …) is said in lost, a line each; one about a call begins with
 * its name, and the call is refused then. Always succeeds.
 */
void policy_print_oci(const struct policy *policy, struct buf *out, struct strv *lost);

#endif
