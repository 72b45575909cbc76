/* A folder as bytes (value.h): by far the longest of the values, but there are few of them. */
#include "state/value.h"

#include <string.h>

#include "state/bytes.h"

enum folder_bit {
	FOLDER_NOSELECT = 1 << 0,
	FOLDER_PERMANENT_KEYWORDS = 1 << 1,
	FOLDER_READ_ONLY = 1 << 2,
	FOLDER_REMAKING = 1 << 3,
	FOLDER_RESTORING = 1 << 4,
	FOLDER_BITS = (1 << 5) - 1,
};

static void put_string(struct text *out, const char *string)
{
	bytes_put_string(out, string, strlen(string));
}

static void put_stamps(struct text *out, const struct stamp *stamps)
{
	for (size_t i = 0; i < STAMP_COUNT; i++) {
		bytes_put_number(out, stamps[i].inode);
		bytes_put_signed(out, stamps[i].mtime_ns);
		bytes_put_signed(out, stamps[i].ctime_ns);
		bytes_put_byte(out, stamps[i].racy);
	}
}

static void get_stamps(struct bytes *in, struct stamp *stamps)
{
	for (size_t i = 0; i < STAMP_COUNT; i++) {
		stamps[i].inode = bytes_number(in, UINT64_MAX);
		stamps[i].mtime_ns = bytes_signed(in);
		stamps[i].ctime_ns = bytes_signed(in);
		stamps[i].racy = bytes_number(in, 1) != 0;
	}
}

void value_put_folder(struct text *out, const struct folder_record *folder)
{
	text_clear(out);
	bytes_put_byte(out, VALUE_VERSION);
	put_string(out, folder->name);
	put_string(out, folder->wire);
	put_string(out, folder->path);
	put_string(out, folder->mailbox_id);
	bytes_put_byte(out, (uint8_t)folder->delimiter);
	bytes_put_byte(out, (folder->noselect ? FOLDER_NOSELECT : 0) |
				    (folder->permanent_keywords ? FOLDER_PERMANENT_KEYWORDS : 0) |
				    (folder->read_only ? FOLDER_READ_ONLY : 0) |
				    (folder->remaking ? FOLDER_REMAKING : 0) |
				    (folder->restoring ? FOLDER_RESTORING : 0));
	bytes_put_byte(out, folder->special);
	bytes_put_number(out, folder->uidvalidity);
	bytes_put_number(out, folder->uidnext);
	bytes_put_number(out, folder->exists);
	bytes_put_number(out, folder->highestmodseq);
	bytes_put_byte(out, folder->permanent & FLAGS_ALL);
	put_stamps(out, folder->stamps);
	for (size_t i = 0; i < LETTER_COUNT; i++)
		bytes_put_number(out, folder->letters[i]);
	bytes_put_signed(out, folder->last_sync);
	bytes_put_number(out, folder->messages);
	bytes_put_number(out, folder->unread);
	bytes_put_number(out, folder->held);
	bytes_put_number(out, folder->parked);
	bytes_put_number(out, folder->skipped);
	bytes_put_number(out, folder->pending);
}

static const char *get_string(struct bytes *in, struct arena *arena)
{
	size_t len;
	const char *string = bytes_string(in, &len);

	return len > 0 ? arena_strndup(arena, string, len) : "";
}

static uint32_t get_number(struct bytes *in)
{
	return (uint32_t)bytes_number(in, UINT32_MAX);
}

static void get_kind(struct bytes *in, struct folder_record *folder)
{
	unsigned bits, special;

	folder->delimiter = (char)bytes_byte(in);
	bits = bytes_byte(in);
	special = bytes_byte(in);
	if ((bits & ~(unsigned)FOLDER_BITS) != 0 || special > SPECIAL_TRASH)
		in->bad = true;
	folder->noselect = (bits & FOLDER_NOSELECT) != 0;
	folder->permanent_keywords = (bits & FOLDER_PERMANENT_KEYWORDS) != 0;
	folder->read_only = (bits & FOLDER_READ_ONLY) != 0;
	folder->remaking = (bits & FOLDER_REMAKING) != 0;
	folder->restoring = (bits & FOLDER_RESTORING) != 0;
	folder->special = in->bad ? SPECIAL_NONE : (enum special_use)special;
}

bool value_get_folder(struct arena *arena, const void *data, size_t len,
		      struct folder_record *folder)
{
	struct bytes in = {data, (const uint8_t *)data + len, false};

	if (bytes_byte(&in) != VALUE_VERSION)
		in.bad = true;
	folder->name = get_string(&in, arena);
	folder->wire = get_string(&in, arena);
	folder->path = get_string(&in, arena);
	folder->mailbox_id = get_string(&in, arena);
	get_kind(&in, folder);
	folder->uidvalidity = get_number(&in);
	folder->uidnext = get_number(&in);
	folder->exists = get_number(&in);
	folder->highestmodseq = bytes_number(&in, UINT64_MAX);
	folder->permanent = (uint32_t)bytes_number(&in, FLAGS_ALL);
	get_stamps(&in, folder->stamps);
	for (size_t i = 0; i < LETTER_COUNT; i++)
		folder->letters[i] = get_number(&in);
	folder->last_sync = bytes_signed(&in);
	folder->messages = get_number(&in);
	folder->unread = get_number(&in);
	folder->held = get_number(&in);
	folder->parked = get_number(&in);
	folder->skipped = get_number(&in);
	folder->pending = get_number(&in);
	return bytes_ended(&in);
}
