/*
 * kmsg-text.h - records of /dev/kmsg as text, the way dmesg(1) prints them. Pure.
 */
#ifndef VM_KMSG_TEXT_H
#define VM_KMSG_TEXT_H

#include "jail/base/str.h"

/* Begins the text of a record that user space wrote: the kernel's own facility is 0. */
#define KMSG_TEXT_USER "(user) "

/*
 * One record ("6,339,5140900,-;text\n KEY=value\n"), appended as lines "[    5.140900] text", each
 * line of the text with the stamp, and with KMSG_TEXT_USER behind it. What is no record adds
 * nothing.
 */
void kmsg_text_add(struct buf *out, const char *record);

#endif
