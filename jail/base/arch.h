/*
 * arch.h - the architectures of guests, by their Debian names; and the kernel's and GNU's for them.
 */
#ifndef BASE_ARCH_H
#define BASE_ARCH_H

enum arch { ARCH_AMD64, ARCH_ARM64, ARCH_COUNT };

/* "amd64", "arm64" */
const char *arch_name(enum arch arch);
/* uname -m: "x86_64", "aarch64" */
const char *arch_machine(enum arch arch);
/* Debian's multiarch triplet: "x86_64-linux-gnu", "aarch64-linux-gnu" */
const char *arch_triplet(enum arch arch);
/* Accepts the Debian name and the uname -m name. Returns the arch, or -EINVAL. */
int arch_parse(const char *name);
/* The architecture this program was built for. */
enum arch arch_native(void);

#endif
