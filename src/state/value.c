#include "state/value.h"

#include <stdlib.h>
#include <string.h>

#include "state/bytes.h"

enum present { /* what follows in a record or an attempt */
	       HAS_CONTENT = 1 << 0,
	       HAS_HEADER = 1 << 1,
	       HAS_ID = 1 << 2,
	       HAS_REASON = 1 << 3,
	       HAS_REMOTE = 1 << 4, /* the server's flags differ from the local ones */
	       HAS_TRACE = 1 << 5,
	       HAS_RECORD = (1 << 6) - 1,
	       HAS_MESSAGE_ID = 1 << 6, /* of an attempt */
	       HAS_ATTEMPT = HAS_CONTENT | HAS_HEADER | HAS_REASON | HAS_MESSAGE_ID,
};

static struct bytes begin(const void *data, size_t len)
{
	struct bytes in = {data, (const uint8_t *)data + len, false};

	if (bytes_byte(&in) != VALUE_VERSION)
		in.bad = true;
	return in;
}

static void begin_put(struct text *out)
{
	text_clear(out);
	bytes_put_byte(out, VALUE_VERSION);
}

/* Flags: the system flags, the number of keywords, and their ids as distances. */
static void put_flags(struct text *out, struct keyword_codec *codec, struct flags flags)
{
	uint32_t some[16];
	uint32_t *ids = some;
	uint32_t before = 0;
	size_t n = 0;

	if (flags.keywords != KEYWORDS_NONE)
		n = keywords_ids(codec->pool, flags.keywords, some, ARRAY_SIZE(some));
	if (n > ARRAY_SIZE(some)) {
		ids = xreallocarray(NULL, n, sizeof(*ids));
		keywords_ids(codec->pool, flags.keywords, ids, n);
	}
	bytes_put_byte(out, flags.system & FLAGS_ALL);
	bytes_put_number(out, n);
	for (size_t i = 0; i < n; i++) {
		bytes_put_number(out, ids[i] - before);
		before = ids[i];
	}
	if (ids != some)
		free(ids);
}

static uint32_t read_keywords(struct bytes *in, struct keyword_codec *codec)
{
	const uint8_t *start = in->at;
	uint64_t n = bytes_number(in, UINT32_MAX);
	uint32_t count = n > 0 ? keyword_count(codec->pool) : 0;
	uint32_t set = KEYWORDS_NONE;
	uint32_t id = 0;

	for (; n > 0 && !in->bad; n--) {
		uint32_t distance = (uint32_t)bytes_number(in, count - id);

		if (distance == 0)
			in->bad = true;
		if (in->bad)
			return KEYWORDS_NONE;
		id += distance;
		set = keywords_add(codec->pool, set, id);
	}
	if (!in->bad && (size_t)(in->at - start) <= sizeof(codec->last)) {
		codec->last_len = (size_t)(in->at - start);
		memcpy(codec->last, start, codec->last_len);
		codec->last_set = set;
	}
	return set;
}

static struct flags get_flags(struct bytes *in, struct keyword_codec *codec)
{
	struct flags flags = {0, 0};
	uint8_t system = bytes_byte(in);
	uint32_t set;

	if ((system & ~FLAGS_ALL) != 0)
		in->bad = true;
	if (in->bad)
		return flags;
	if (codec->last_len > 0 && (size_t)(in->end - in->at) >= codec->last_len &&
	    memcmp(in->at, codec->last, codec->last_len) == 0) {
		in->at += codec->last_len;
		set = codec->last_set;
	} else {
		set = read_keywords(in, codec);
	}
	flags.system = system;
	flags.keywords = set & 0xffffffU;
	return flags;
}

static unsigned reason_present(const char *reason)
{
	return reason != NULL && reason[0] != '\0' ? HAS_REASON : 0;
}

static unsigned hash_present(const struct hash *hash, unsigned bit)
{
	return hash_is_none(hash) ? 0 : bit;
}

static void put_reason(struct text *out, const char *reason, size_t room)
{
	bytes_put_string(out, reason, strnlen(reason, room - 1));
}

static void get_reason(struct bytes *in, unsigned present, char *reason, size_t room)
{
	reason[0] = '\0';
	if ((present & HAS_REASON) == 0)
		return;
	bytes_string_into(in, reason, room);
	if (reason[0] == '\0')
		in->bad = true;
}

static struct hash get_hash(struct bytes *in, bool present)
{
	struct hash hash = {{0}};

	if (!present)
		return hash;
	hash = bytes_hash(in);
	if (hash_is_none(&hash))
		in->bad = true;
	return hash;
}

void value_put_record(struct text *out, struct keyword_codec *codec, const struct record *record)
{
	unsigned present = reason_present(record->reason) |
			   hash_present(&record->content, HAS_CONTENT) |
			   hash_present(&record->header, HAS_HEADER) |
			   hash_present(&record->id, HAS_ID) | (record->trace != 0 ? HAS_TRACE : 0);

	if (!flags_equal(record->local, record->remote))
		present |= HAS_REMOTE;
	begin_put(out);
	bytes_put_byte(out, record->state);
	bytes_put_byte(out, present);
	bytes_put_string(out, record->base, strlen(record->base));
	put_flags(out, codec, record->local);
	if (present & HAS_REMOTE)
		put_flags(out, codec, record->remote);
	bytes_put_number(out, record->size);
	bytes_put_signed(out, record->date);
	bytes_put_number(out, record->inode);
	if (present & HAS_TRACE)
		bytes_put_number(out, record->trace);
	if (present & HAS_CONTENT)
		bytes_put_hash(out, &record->content);
	if (present & HAS_HEADER)
		bytes_put_hash(out, &record->header);
	if (present & HAS_ID)
		bytes_put_hash(out, &record->id);
	if (present & HAS_REASON)
		bytes_put_string(out, record->reason, strlen(record->reason));
}

bool value_get_record(struct keyword_codec *codec, const void *data, size_t len,
		      struct record *record)
{
	struct bytes in = begin(data, len);
	unsigned state = bytes_byte(&in);
	unsigned present = bytes_byte(&in);
	size_t base_len, reason_len;

	if (state < RECORD_PAIRED || state > RECORD_KEPT || (present & ~(unsigned)HAS_RECORD) != 0)
		in.bad = true;
	record->state = in.bad ? RECORD_PAIRED : (enum record_state)state;
	record->base = bytes_string(&in, &base_len);
	record->local = get_flags(&in, codec);
	record->remote = present & HAS_REMOTE ? get_flags(&in, codec) : record->local;
	if ((present & HAS_REMOTE) && flags_equal(record->local, record->remote))
		in.bad = true;
	record->size = (uint32_t)bytes_number(&in, UINT32_MAX);
	record->date = bytes_signed(&in);
	record->inode = bytes_number(&in, UINT64_MAX);
	record->trace = present & HAS_TRACE ? (uint32_t)bytes_number(&in, UINT32_MAX) : 0;
	if ((present & HAS_TRACE) && record->trace == 0)
		in.bad = true;
	record->content = get_hash(&in, present & HAS_CONTENT);
	record->header = get_hash(&in, present & HAS_HEADER);
	record->id = get_hash(&in, present & HAS_ID);
	record->reason = present & HAS_REASON ? bytes_string(&in, &reason_len) : "";
	if ((present & HAS_REASON) && reason_len == 0)
		in.bad = true;
	return bytes_ended(&in);
}

void value_put_attempt(struct text *out, struct keyword_codec *codec, const struct attempt *attempt)
{
	unsigned present = reason_present(attempt->reason) |
			   hash_present(&attempt->content, HAS_CONTENT) |
			   hash_present(&attempt->header, HAS_HEADER) |
			   (attempt->message_id != 0 ? HAS_MESSAGE_ID : 0);

	begin_put(out);
	bytes_put_byte(out, attempt->kind);
	bytes_put_byte(out, attempt->state);
	bytes_put_byte(out, present);
	bytes_put_number(out, attempt->uidvalidity);
	bytes_put_number(out, attempt->uidnext);
	if (present & HAS_CONTENT)
		bytes_put_hash(out, &attempt->content);
	if (present & HAS_HEADER)
		bytes_put_hash(out, &attempt->header);
	if (present & HAS_MESSAGE_ID)
		bytes_put_number(out, attempt->message_id);
	bytes_put_signed(out, attempt->date);
	put_flags(out, codec, attempt->flags);
	bytes_put_number(out, attempt->inode);
	bytes_put_number(out, attempt->old_folder);
	bytes_put_number(out, attempt->old_uid);
	bytes_put_number(out, attempt->tries);
	bytes_put_signed(out, attempt->time);
	if (present & HAS_REASON)
		put_reason(out, attempt->reason, sizeof(attempt->reason));
}

bool value_get_attempt(struct keyword_codec *codec, const void *data, size_t len,
		       struct attempt *attempt)
{
	struct bytes in = begin(data, len);
	unsigned kind = bytes_byte(&in);
	unsigned state = bytes_byte(&in);
	unsigned present = bytes_byte(&in);

	if (kind < ATTEMPT_APPEND || kind > ATTEMPT_MOVE || state < ATTEMPT_OPEN ||
	    state > ATTEMPT_PARKED || (present & ~(unsigned)HAS_ATTEMPT) != 0)
		in.bad = true;
	attempt->kind = in.bad ? ATTEMPT_APPEND : (enum attempt_kind)kind;
	attempt->state = in.bad ? ATTEMPT_OPEN : (enum attempt_state)state;
	attempt->uidvalidity = (uint32_t)bytes_number(&in, UINT32_MAX);
	attempt->uidnext = (uint32_t)bytes_number(&in, UINT32_MAX);
	attempt->content = get_hash(&in, present & HAS_CONTENT);
	attempt->header = get_hash(&in, present & HAS_HEADER);
	attempt->message_id = present & HAS_MESSAGE_ID ? bytes_number(&in, UINT64_MAX) : 0;
	if ((present & HAS_MESSAGE_ID) && attempt->message_id == 0)
		in.bad = true;
	attempt->date = bytes_signed(&in);
	attempt->flags = get_flags(&in, codec);
	attempt->inode = bytes_number(&in, UINT64_MAX);
	attempt->old_folder = (uint32_t)bytes_number(&in, UINT32_MAX);
	attempt->old_uid = (uint32_t)bytes_number(&in, UINT32_MAX);
	attempt->tries = (uint32_t)bytes_number(&in, UINT32_MAX);
	attempt->time = bytes_signed(&in);
	get_reason(&in, present, attempt->reason, sizeof(attempt->reason));
	return bytes_ended(&in);
}

void value_put_meta(struct text *out, const struct state_meta *meta)
{
	begin_put(out);
	put_reason(out, meta->uuid, sizeof(meta->uuid));
	bytes_put_number(out, meta->epoch);
	bytes_put_signed(out, meta->full_check);
	put_reason(out, meta->server, sizeof(meta->server));
	put_reason(out, meta->capabilities, sizeof(meta->capabilities));
}

bool value_get_meta(const void *data, size_t len, struct state_meta *meta)
{
	struct bytes in = begin(data, len);

	bytes_string_into(&in, meta->uuid, sizeof(meta->uuid));
	meta->epoch = bytes_number(&in, UINT64_MAX);
	meta->full_check = bytes_signed(&in);
	bytes_string_into(&in, meta->server, sizeof(meta->server));
	bytes_string_into(&in, meta->capabilities, sizeof(meta->capabilities));
	return bytes_ended(&in);
}

void value_put_number(struct text *out, uint32_t number)
{
	begin_put(out);
	bytes_put_number(out, number);
}

bool value_get_number(const void *data, size_t len, uint32_t *number)
{
	struct bytes in = begin(data, len);

	*number = (uint32_t)bytes_number(&in, UINT32_MAX);
	return bytes_ended(&in);
}

void value_put_name(struct text *out, const char *name)
{
	begin_put(out);
	bytes_put_string(out, name, strlen(name));
}

bool value_get_name(const void *data, size_t len, const char **name)
{
	struct bytes in = begin(data, len);
	size_t name_len;

	*name = bytes_string(&in, &name_len);
	return bytes_ended(&in);
}
