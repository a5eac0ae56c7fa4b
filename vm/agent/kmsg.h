/*
 * kmsg.h - the kernel's log as text, the way dmesg(1) prints it.
 */
#ifndef AGENT_KMSG_H
#define AGENT_KMSG_H

#include "jail/base/str.h"

/* Open for reading from the oldest record on, non-blocking; -1 when there is none. */
int kmsg_open(void);
/* Append records as lines "[    1.234567] text" until out holds max bytes or none is left; whether
 * one came. */
bool kmsg_read(int fd, struct buf *out, size_t max);

#endif
