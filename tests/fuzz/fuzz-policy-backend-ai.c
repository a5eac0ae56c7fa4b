/* Policies of Backend.AI Jail. */
#include "jail/policy/policy-backend-ai.h"

#define FORMAT_IS policy_backend_ai_is
#define FORMAT_READ policy_from_backend_ai
#define FORMAT_PRINT policy_print_backend_ai
#include "tests/fuzz/policy-format.h"
