/*
 * kmsg-text.h - records of /dev/kmsg as text, the way dmesg(1) prints them. Pure.
 */
#ifndef VM_KMSG_TEXT_H
#define VM_KMSG_TEXT_H

#include "jail/base/str.h"

/*
 * One record ("6,339,5140900,-;text\n KEY=value\n"), appended as lines "[    5.140900] text", each
 * line of the text with the stamp. What is no record adds nothing.
 */
void kmsg_text_add(struct buf *out, const char *record);

#endif
