/*
 * vmcore-log.h - the kernel's log buffer in a dump, complete: also what never reached a console.
 *
 * The lockless ring buffer of 5.10 on (kernel/printk/printk_ringbuffer.c), by vmcoreinfo's offsets.
 * Untrusted: bounded, loops end, records that do not fit are passed over and counted.
 */
#ifndef LAB_VMCORE_LOG_H
#define LAB_VMCORE_LOG_H

#include "lab/vmcore/vmcore.h"

/*
 * Append the records to out as dmesg prints them: "[    1.234567] text", with "[  T123]" of the
 * caller where the kernel keeps it behind the time; a record of several lines has the prefix on
 * each, and one that user space wrote KMSG_TEXT_USER (vm/kmsg-text.h) behind it. Bytes are the
 * guest's. At most max bytes, the newest. *lost: records that were damaged.
 * -ENODATA: vmcoreinfo lacks what is needed; -EBADMSG: the buffer makes no sense.
 */
int vmcore_log(struct vmcore *v, size_t max, struct buf *out, size_t *lost, struct err *err);

#endif
