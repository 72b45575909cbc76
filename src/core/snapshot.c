#include "core/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "core/index.h"

void snapshot_init(struct snapshot *snapshot)
{
	memset(snapshot, 0, sizeof(*snapshot));
	snapshot->arena = arena_new();
}

void snapshot_release(struct snapshot *snapshot)
{
	arena_free(&snapshot->arena);
	free(snapshot->messages);
	free(snapshot->arrivals);
	free(snapshot->files);
	free(snapshot->suspects);
	free(snapshot->names);
	memset(snapshot, 0, sizeof(*snapshot));
}

bool state_is_remote(enum record_state state)
{
	return state != RECORD_HELD_REMOTE && state != RECORD_KEPT;
}

bool state_is_local(enum record_state state)
{
	return state != RECORD_HELD_LOCAL && state != RECORD_SKIPPED && state != RECORD_UNFETCHED;
}

uint64_t name_key(const char *base)
{
	uint64_t key = index_key_string(base);

	if (base[0] == '\0')
		return 0;
	return key != 0 ? key : 1;
}

void message_set_base(struct message *message, const char *base)
{
	message->name = name_key(base);
	message->base = base;
}

static struct message message_of(const struct record *record)
{
	return (struct message){
		.name = name_key(record->base),
		.base = record->base[0] == '\0' ? "" : NULL,
		.inode = record->inode,
		.uid = record->uid,
		.trace = record->trace,
		.base_local = record->local,
		.base_remote = record->remote,
		.local = record->local,
		.remote = record->remote,
		.state = (uint8_t)record->state,
	};
}

void snapshot_expect(struct snapshot *snapshot, size_t records)
{
	if (records <= snapshot->room)
		return;
	snapshot->messages =
		xreallocarray(snapshot->messages, records, sizeof(*snapshot->messages));
	snapshot->room = records;
}

void snapshot_add_record(struct snapshot *snapshot, const struct record *record)
{
	snapshot->messages =
		grow(snapshot->messages, snapshot->n, &snapshot->room, sizeof(*snapshot->messages));
	snapshot->messages[snapshot->n++] = message_of(record);
}

/* The first message with this UID or a higher one. Listings ascend, so look near the last. */
static size_t lower_bound(struct snapshot *snapshot, uint32_t uid)
{
	size_t low = 0, high = snapshot->n, at = snapshot->cursor;

	if (at < snapshot->n && snapshot->messages[at].uid < uid) {
		if (at + 1 == snapshot->n || snapshot->messages[at + 1].uid >= uid)
			return snapshot->cursor = at + 1;
		low = at + 1;
	}
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (snapshot->messages[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return snapshot->cursor = low;
}

struct message *snapshot_find(struct snapshot *snapshot, uint32_t uid)
{
	size_t at = lower_bound(snapshot, uid);

	return at < snapshot->n && snapshot->messages[at].uid == uid ? &snapshot->messages[at]
								     : NULL;
}

struct message *snapshot_insert(struct snapshot *snapshot, const struct record *record)
{
	size_t at = lower_bound(snapshot, record->uid);
	struct message *messages;

	snapshot->messages = messages =
		grow(snapshot->messages, snapshot->n, &snapshot->room, sizeof(*messages));
	memmove(messages + at + 1, messages + at, (snapshot->n - at) * sizeof(*messages));
	snapshot->n++;
	messages[at] = message_of(record);
	message_set_base(&messages[at], arena_strdup(snapshot->arena, record->base));
	messages[at].touched = true;
	for (size_t i = 0; i < snapshot->n_files; i++) {
		if (snapshot->files[i].replaces != NO_MESSAGE && snapshot->files[i].replaces >= at)
			snapshot->files[i].replaces++;
	}
	for (size_t i = 0; i < snapshot->n_suspects; i++) {
		if (snapshot->suspects[i].message >= at)
			snapshot->suspects[i].message++;
	}
	return &messages[at];
}

/* ---- local ---- */

void snapshot_local_same(struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n; i++) {
		struct message *message = &snapshot->messages[i];

		message->local = message->base_local;
		message->local_presence = state_is_local(message->state) && message->name != 0
						  ? PRESENCE_HERE
						  : PRESENCE_ABSENT;
	}
}

/* Where the name is in the open hash, or would be. */
static struct name_slot *name_slot(const struct snapshot *snapshot, uint64_t key)
{
	size_t at = (size_t)(((key >> 32) * snapshot->n_names) >> 32);
	struct name_slot *slot = &snapshot->names[at];

	while (slot->message != 0 &&
	       (slot->key != (uint32_t)key || snapshot->messages[slot->message - 1].name != key))
		slot = &snapshot->names[++at < snapshot->n_names ? at : (at = 0)];
	return slot;
}

static void index_names(struct snapshot *snapshot)
{
	snapshot->n_names = 16 + snapshot->n + snapshot->n / 3;
	snapshot->names = xcalloc(snapshot->n_names, sizeof(*snapshot->names));
	for (size_t i = 0; i < snapshot->n; i++) {
		uint64_t key = snapshot->messages[i].name;

		if (key != 0)
			*name_slot(snapshot, key) = (struct name_slot){.key = (uint32_t)key,
								       .message = (uint32_t)i + 1};
	}
}

void snapshot_local_begin(struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n; i++)
		snapshot->messages[i].local_presence = PRESENCE_UNKNOWN;
	snapshot->n_files = 0;
	snapshot->n_suspects = 0;
	snapshot->near = 0;
}

static bool is_named(const struct snapshot *snapshot, size_t at, uint64_t key)
{
	return at < snapshot->n && snapshot->messages[at].name == key;
}

static bool is_near(struct snapshot *snapshot, size_t at, size_t reach, uint64_t key)
{
	for (size_t i = 0; i <= reach; i++) {
		if (is_named(snapshot, at + i, key)) {
			snapshot->near = at + i;
			return true;
		}
		if (is_named(snapshot, at - i, key)) {
			snapshot->near = at - i;
			return true;
		}
	}
	return false;
}

/* Many file systems list files as they were made, or backwards, which is the order of the records: most
 * files are neighbours of the one before. The table is made when one is not. */
static struct message *find_name(struct snapshot *snapshot, const char *base)
{
	bool orderly = snapshot->names == NULL;
	size_t reach = orderly ? 16 : 2;
	uint64_t key = name_key(base);
	uint32_t found;

	if (is_near(snapshot, snapshot->near, reach, key) ||
	    (orderly &&
	     (is_near(snapshot, 0, reach, key) || is_near(snapshot, snapshot->n - 1, reach, key))))
		return &snapshot->messages[snapshot->near];
	if (orderly)
		index_names(snapshot);
	found = name_slot(snapshot, key)->message;
	if (found == 0)
		return NULL;
	snapshot->near = found - 1;
	return &snapshot->messages[snapshot->near];
}

void snapshot_add_file(struct snapshot *snapshot, const char *base, struct flags flags,
		       uint64_t inode)
{
	snapshot->files = grow(snapshot->files, snapshot->n_files, &snapshot->room_files,
			       sizeof(*snapshot->files));
	snapshot->files[snapshot->n_files++] = (struct local_message){
		.base = arena_strdup(snapshot->arena, base),
		.inode = inode,
		.flags = flags,
		.replaces = NO_MESSAGE,
	};
}

uint32_t file_trace(int64_t mtime, uint64_t size)
{
	uint32_t trace = (uint32_t)index_key_number((uint64_t)mtime * 31 + size);

	return trace != 0 ? trace : 1;
}

static bool is_same_file(const struct message *message, const struct sighting *sighting)
{
	return message->inode == sighting->inode &&
	       (sighting->trace == 0 || message->trace == 0 || sighting->trace == message->trace);
}

void snapshot_local_file(struct snapshot *snapshot, const struct sighting *sighting)
{
	struct message *message = find_name(snapshot, sighting->base);

	if (message == NULL) {
		snapshot_add_file(snapshot, sighting->base, sighting->flags, sighting->inode);
		snapshot->files[snapshot->n_files - 1].letters = sighting->letters;
		return;
	}
	message->local = sighting->flags;
	message->local_presence = PRESENCE_HERE;
	if (is_same_file(message, sighting))
		return;
	snapshot->suspects = grow(snapshot->suspects, snapshot->n_suspects,
				  &snapshot->room_suspects, sizeof(*snapshot->suspects));
	snapshot->suspects[snapshot->n_suspects++] =
		(struct suspect){.message = snapshot->near, .inode = sighting->inode};
}

void snapshot_local_end(struct snapshot *snapshot, bool proved)
{
	for (size_t i = 0; i < snapshot->n; i++) {
		struct message *message = &snapshot->messages[i];

		if (message->local_presence == PRESENCE_UNKNOWN && (proved || message->name == 0))
			message->local_presence = PRESENCE_ABSENT;
	}
	free(snapshot->names);
	snapshot->names = NULL;
}

size_t snapshot_local_doubt(struct snapshot *snapshot)
{
	size_t n = 0;

	for (size_t i = 0; i < snapshot->n; i++) {
		struct message *message = &snapshot->messages[i];

		if (message->local_presence != PRESENCE_ABSENT || message->name == 0)
			continue;
		message->local_presence = PRESENCE_UNKNOWN;
		n++;
	}
	return n;
}

void snapshot_local_gone(struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n; i++)
		snapshot->messages[i].local_presence = PRESENCE_ABSENT;
}

/* ---- remote ---- */

static void remote_set(struct snapshot *snapshot, enum presence presence)
{
	for (size_t i = 0; i < snapshot->n; i++) {
		struct message *message = &snapshot->messages[i];

		message->remote = message->base_remote;
		message->remote_presence = state_is_remote(message->state) && !snapshot->void_uids
						   ? (uint8_t)presence
						   : PRESENCE_ABSENT;
	}
}

void snapshot_remote_same(struct snapshot *snapshot)
{
	remote_set(snapshot, PRESENCE_HERE);
}

void snapshot_remote_unknown(struct snapshot *snapshot)
{
	remote_set(snapshot, PRESENCE_UNKNOWN);
}

void snapshot_remote_gone(struct snapshot *snapshot)
{
	remote_set(snapshot, PRESENCE_ABSENT);
	snapshot->n_arrivals = 0;
}

void snapshot_remote_begin(struct snapshot *snapshot)
{
	remote_set(snapshot, PRESENCE_UNKNOWN);
	snapshot->n_arrivals = 0;
	snapshot->vanished = 0;
	snapshot->cursor = 0;
}

static int compare_arrivals(const void *a, const void *b)
{
	const struct remote_message *x = a, *y = b;

	if (x->uid != y->uid)
		return x->uid < y->uid ? -1 : 1;
	return x->told < y->told ? -1 : x->told > y->told;
}

static void add_arrival(struct snapshot *snapshot, uint32_t uid, struct flags flags)
{
	snapshot->arrivals = grow(snapshot->arrivals, snapshot->n_arrivals,
				  &snapshot->room_arrivals, sizeof(*snapshot->arrivals));
	snapshot->arrivals[snapshot->n_arrivals] = (struct remote_message){
		.uid = uid,
		.flags = flags,
		.told = (uint32_t)snapshot->n_arrivals,
	};
	snapshot->n_arrivals++;
}

void snapshot_remote_message(struct snapshot *snapshot, uint32_t uid, struct flags flags)
{
	struct message *message = snapshot->void_uids ? NULL : snapshot_find(snapshot, uid);

	if (message != NULL) {
		message->remote = flags;
		message->remote_presence = PRESENCE_HERE;
		return;
	}
	add_arrival(snapshot, uid, flags);
}

void snapshot_remote_vanished(struct snapshot *snapshot, uint32_t first, uint32_t last)
{
	for (size_t i = lower_bound(snapshot, first);
	     i < snapshot->n && snapshot->messages[i].uid <= last; i++) {
		if (snapshot->messages[i].remote_presence != PRESENCE_ABSENT)
			snapshot->vanished++;
		snapshot->messages[i].remote_presence = PRESENCE_ABSENT;
	}
}

static bool arrivals_ascend(const struct snapshot *snapshot)
{
	for (size_t i = 1; i < snapshot->n_arrivals; i++) {
		if (snapshot->arrivals[i - 1].uid >= snapshot->arrivals[i].uid)
			return false;
	}
	return true;
}

/* A server may tell a message twice (a flag changed while it listed): the last word counts. Nearly always,
 * though, they are told in order, and sorting would take a second list as long as the first. */
static void sort_arrivals(struct snapshot *snapshot)
{
	size_t kept = 0;

	if (arrivals_ascend(snapshot))
		return;
	qsort(snapshot->arrivals, snapshot->n_arrivals, sizeof(*snapshot->arrivals),
	      compare_arrivals);
	for (size_t i = 1; i < snapshot->n_arrivals; i++) {
		if (snapshot->arrivals[i].uid != snapshot->arrivals[kept].uid)
			kept++;
		snapshot->arrivals[kept] = snapshot->arrivals[i];
	}
	snapshot->n_arrivals = kept + 1;
	for (size_t i = 0; i <= kept; i++)
		snapshot->arrivals[i].told = (uint32_t)i;
}

void snapshot_remote_arrived(struct snapshot *snapshot, uint32_t uid, struct flags flags)
{
	add_arrival(snapshot, uid, flags);
	sort_arrivals(snapshot);
}

void snapshot_drop_arrivals(struct snapshot *snapshot)
{
	free(snapshot->arrivals);
	snapshot->arrivals = NULL;
	snapshot->n_arrivals = snapshot->room_arrivals = 0;
}

bool snapshot_remote_end(struct snapshot *snapshot, enum listing listing, bool complete,
			 uint32_t exists)
{
	uint8_t untold = listing == LISTING_FULL ? PRESENCE_ABSENT : PRESENCE_HERE;
	size_t here = 0;

	sort_arrivals(snapshot);
	for (size_t i = 0; i < snapshot->n; i++) {
		struct message *message = &snapshot->messages[i];

		here += message->remote_presence == PRESENCE_HERE ||
			(message->remote_presence == PRESENCE_UNKNOWN && untold == PRESENCE_HERE);
	}
	if (!complete || here + snapshot->n_arrivals != exists)
		return false;
	for (size_t i = 0; i < snapshot->n; i++) {
		if (snapshot->messages[i].remote_presence == PRESENCE_UNKNOWN)
			snapshot->messages[i].remote_presence = untold;
	}
	return true;
}
