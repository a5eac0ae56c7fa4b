#include "lab/vmcore/vmcore-log.h"

#include <string.h>

#include "vm/kmsg-text.h"

enum {
	DESC_BITS_MAX = 22, /* log_buf_len=128M: a record for 32 bytes */
	DATA_BITS_MAX = 31,
	UNREAD_MAX = 1 << 16, /* then nothing in it makes sense */
	STRUCT_MAX = 512,
	STATE_SHIFT = 62,
	STATE_COMMITTED = 1,
	STATE_FINALIZED = 2,
	LPOS_NO_DATA = 1,
	LPOS_EMPTY = 3, /* EMPTY_LINE_LPOS, once NO_LPOS: a record without text */
	BLOCK_HEADER = 8,
	CALLER_IS_CPU = 31,
	NSEC = 1000000000,
};

/* Offsets and sizes of members that vmcoreinfo tells, by what it calls them. */
enum {
	DESC_RING,
	DATA_RING,
	COUNT_BITS,
	DESCS,
	INFOS,
	HEAD_ID,
	TAIL_ID,
	SIZE_BITS,
	DATA,
	DESC_SIZE,
	STATE_VAR,
	LPOS,
	BEGIN,
	NEXT,
	INFO_SIZE,
	TS_NSEC,
	TEXT_LEN,
	CALLER_ID,
	N_MEMBERS,
};
static const char *const members[N_MEMBERS] = {
	[DESC_RING] = "OFFSET(printk_ringbuffer.desc_ring)",
	[DATA_RING] = "OFFSET(printk_ringbuffer.text_data_ring)",
	[COUNT_BITS] = "OFFSET(prb_desc_ring.count_bits)",
	[DESCS] = "OFFSET(prb_desc_ring.descs)",
	[INFOS] = "OFFSET(prb_desc_ring.infos)",
	[HEAD_ID] = "OFFSET(prb_desc_ring.head_id)",
	[TAIL_ID] = "OFFSET(prb_desc_ring.tail_id)",
	[SIZE_BITS] = "OFFSET(prb_data_ring.size_bits)",
	[DATA] = "OFFSET(prb_data_ring.data)",
	[DESC_SIZE] = "SIZE(prb_desc)",
	[STATE_VAR] = "OFFSET(prb_desc.state_var)",
	[LPOS] = "OFFSET(prb_desc.text_blk_lpos)",
	[BEGIN] = "OFFSET(prb_data_blk_lpos.begin)",
	[NEXT] = "OFFSET(prb_data_blk_lpos.next)",
	[INFO_SIZE] = "SIZE(printk_info)",
	[TS_NSEC] = "OFFSET(printk_info.ts_nsec)",
	[TEXT_LEN] = "OFFSET(printk_info.text_len)",
	[CALLER_ID] = "OFFSET(printk_info.caller_id)",
};

/* struct printk_ringbuffer (kernel/printk/printk_ringbuffer.h) */
struct ring {
	struct vmcore *v;
	uint64_t at[N_MEMBERS];
	uint64_t descs, infos, data, tail, head;
	uint32_t desc_bits, data_bits;
};

static int read_ring(struct ring *r)
{
	const struct vmcoreinfo *info = vmcore_info(r->v);
	uint64_t prb, desc_ring, data_ring;

	for (size_t i = 0; i < N_MEMBERS; i++) {
		if (!vmcoreinfo_number(info, members[i], &r->at[i]))
			return -ENODATA;
		if (r->at[i] > STRUCT_MAX - 8)
			return -EBADMSG;
	}
	if (!vmcoreinfo_number(info, "SYMBOL(prb)", &prb))
		return -ENODATA;
	if (vmcore_read_u64(r->v, prb, &prb) < 0)
		return -EBADMSG;
	desc_ring = prb + r->at[DESC_RING];
	data_ring = prb + r->at[DATA_RING];
	if (vmcore_read_u32(r->v, desc_ring + r->at[COUNT_BITS], &r->desc_bits) < 0 ||
	    vmcore_read_u64(r->v, desc_ring + r->at[DESCS], &r->descs) < 0 ||
	    vmcore_read_u64(r->v, desc_ring + r->at[INFOS], &r->infos) < 0 ||
	    vmcore_read_u64(r->v, desc_ring + r->at[HEAD_ID], &r->head) < 0 ||
	    vmcore_read_u64(r->v, desc_ring + r->at[TAIL_ID], &r->tail) < 0 ||
	    vmcore_read_u32(r->v, data_ring + r->at[SIZE_BITS], &r->data_bits) < 0 ||
	    vmcore_read_u64(r->v, data_ring + r->at[DATA], &r->data) < 0)
		return -EBADMSG;
	if (r->desc_bits > DESC_BITS_MAX || r->data_bits > DATA_BITS_MAX ||
	    r->head - r->tail >= 1ULL << r->desc_bits)
		return -EBADMSG;
	return 0;
}

struct record {
	uint64_t ts_nsec;
	uint32_t caller;
	bool from_user;
	size_t len;
	char text[UINT16_MAX];
};

/* Where a record's text is and its room; -ENOENT: it has none, and was lost or never had one. */
static int find_text(const struct ring *r, uint64_t begin, uint64_t next, uint64_t *address,
		     size_t *room)
{
	uint64_t size = 1ULL << r->data_bits;

	if (begin & LPOS_NO_DATA && next & LPOS_NO_DATA)
		return begin == LPOS_EMPTY && next == LPOS_EMPTY ? -ENOENT : -EBADMSG;
	if (begin % 8 || next % 8 || next == begin || next - begin > size)
		return -EBADMSG;
	/*
	 * Positions themselves begin shortly before they wrap (BLK0_LPOS). A block does not: it
	 * begins anew at the start of the buffer.
	 */
	if (begin >> r->data_bits != (next - 1) >> r->data_bits)
		begin = next & ~(size - 1);
	if (next - begin < BLOCK_HEADER)
		return -EBADMSG;
	*address = r->data + (begin & (size - 1)) + BLOCK_HEADER;
	*room = next - begin - BLOCK_HEADER;
	return 0;
}

/* 1: read; 0: there is none yet, or no more, under this number; -EBADMSG. */
static int read_record(const struct ring *r, uint64_t id, struct record *ret)
{
	uint64_t index = id & ((1ULL << r->desc_bits) - 1), begin, next, text = 0, state;
	uint8_t desc[STRUCT_MAX], info[STRUCT_MAX];
	uint16_t text_len;
	size_t room = 0;
	int found;

	if (vmcore_read(r->v, r->descs + index * r->at[DESC_SIZE], desc, r->at[DESC_SIZE]) < 0 ||
	    vmcore_read(r->v, r->infos + index * r->at[INFO_SIZE], info, r->at[INFO_SIZE]) < 0)
		return -EBADMSG;
	memcpy(&state, desc + r->at[STATE_VAR], 8);
	memcpy(&begin, desc + r->at[LPOS] + r->at[BEGIN], 8);
	memcpy(&next, desc + r->at[LPOS] + r->at[NEXT], 8);
	memcpy(&ret->ts_nsec, info + r->at[TS_NSEC], 8);
	memcpy(&text_len, info + r->at[TEXT_LEN], 2);
	memcpy(&ret->caller, info + r->at[CALLER_ID], 4);
	/* facility follows text_len in every kernel (kernel/printk/printk_ringbuffer.h) */
	ret->from_user = info[r->at[TEXT_LEN] + 2] != 0;
	if ((state ^ id) << 2) /* of another turn */
		return -EBADMSG;
	state >>= STATE_SHIFT;
	if (state != STATE_COMMITTED && state != STATE_FINALIZED)
		return 0;
	found = find_text(r, begin, next, &text, &room);
	if (found == -EBADMSG)
		return found;
	ret->len = text_len < room ? text_len : room;
	return vmcore_read(r->v, text, ret->text, ret->len) < 0 ? -EBADMSG : 1;
}

/* With a prefix on each line; in front of what is in out. */
static void add_record(const struct record *r, struct buf *out)
{
	const char *at = r->text, *end = r->text + r->len;
	char prefix[64], caller[16];

	snprintf(caller, sizeof(caller), "%c%u", r->caller >> CALLER_IS_CPU ? 'C' : 'T',
		 r->caller & ~(1U << CALLER_IS_CPU));
	snprintf(prefix, sizeof(prefix), "[%5llu.%06llu][%6s] ",
		 (unsigned long long)r->ts_nsec / NSEC,
		 (unsigned long long)r->ts_nsec % NSEC / 1000, caller);
	do {
		const char *line = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((line ? line : end) - at);

		buf_adds(out, prefix);
		if (r->from_user)
			buf_adds(out, KMSG_TEXT_USER);
		buf_add(out, at, len);
		buf_add(out, "\n", 1);
		at += len + 1;
	} while (at <= end);
}

int vmcore_log(struct vmcore *v, size_t max, struct buf *out, size_t *lost, struct err *err)
{
	auto_free struct record *record = xmalloc(sizeof(*record));
	auto_cleanup(buf) text = {0}; /* records from the newest on */
	auto_free size_t *ends = NULL;
	size_t n = 0, cap = 0, bad = 0, unread = 0;
	struct ring r = {.v = v};
	int found = read_ring(&r);

	if (found < 0)
		return err_set(err, -found, "the kernel's log cannot be read: %s",
			       found == -ENODATA ? "vmcoreinfo does not say where it is"
						 : "its buffer makes no sense");
	for (uint64_t id = r.head; text.len <= max; id--) {
		found = read_record(&r, id & ~(3ULL << STATE_SHIFT), record);
		bad += found < 0;
		unread += found <= 0;
		if (found > 0) {
			if (n == cap) {
				cap = cap ? cap * 2 : 1024;
				ends = xreallocarray(ends, cap, sizeof(*ends));
			}
			add_record(record, &text);
			ends[n++] = text.len;
		}
		if (id == r.tail || unread == UNREAD_MAX)
			break;
	}
	for (size_t i = n; i-- > 0;)
		if (ends[i] <= max)
			buf_add(out, text.data + (i ? ends[i - 1] : 0),
				ends[i] - (i ? ends[i - 1] : 0));
	*lost = bad;
	return 0;
}
