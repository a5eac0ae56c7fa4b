/* Seccomp profiles of container engines. */
#include "jail/policy/policy-oci.h"

#define FORMAT_IS policy_oci_is
#define FORMAT_READ policy_from_oci
#define FORMAT_PRINT policy_print_oci
#include "tests/fuzz/policy-format.h"
