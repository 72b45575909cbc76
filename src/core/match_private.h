/* What the files of the match share: walking what is lost and what is new. Private to core. */
#ifndef MAILTWIN_CORE_MATCH_PRIVATE_H
#define MAILTWIN_CORE_MATCH_PRIVATE_H

#include "core/index.h"
#include "core/match.h"

static inline struct message *lost_message(const struct world *world, const struct lost *lost)
{
	return &world->folders[lost->folder].snapshot->messages[lost->message];
}

static inline bool is_lost_here(const struct world *world, const struct lost *lost)
{
	return lost_message(world, lost)->local_presence == PRESENCE_ABSENT &&
	       lost->file.folder == NOWHERE && lost->record.base[0] != '\0';
}

static inline bool is_lost_there(const struct world *world, const struct lost *lost)
{
	return lost_message(world, lost)->remote_presence == PRESENCE_ABSENT &&
	       lost->remote.folder == NOWHERE && state_is_remote(lost->record.state);
}

static inline bool file_is_free(const struct local_message *file)
{
	return !file->taken && !file->unreadable && file->facts != NULL;
}

/* A file of its own, not the edited version of a recorded one. */
static inline bool file_is_new(const struct local_message *file)
{
	return file_is_free(file) && file->replaces == NO_MESSAGE;
}

static inline bool arrival_is_free(const struct remote_message *arrival)
{
	return !arrival->taken && arrival->facts != NULL;
}

static inline struct local_message *file_at(const struct world *world, struct place place)
{
	return &world->folders[place.folder].snapshot->files[place.at];
}

static inline struct remote_message *arrival_at(const struct world *world, struct place place)
{
	return &world->folders[place.folder].snapshot->arrivals[place.at];
}

static inline uint64_t labels_key(uint32_t size, int64_t date)
{
	return index_key_number((uint64_t)date * 31 + size);
}

static inline bool same_labels(const struct record *record, const struct remote_facts *facts)
{
	return record->size == facts->size && record->date == facts->date;
}

/* Sets a mark; true if it was not set and what it asks for is not known. */
static inline bool mark(bool *flag, bool known)
{
	if (known || *flag)
		return false;
	return *flag = true;
}

enum likeness { /* how much beside the header must agree; each pass needs less */
		LIKE_SIZE_AND_DATE,
		LIKE_SIZE,
		LIKE_HEADER_ALONE,
		LIKE_COUNT,
};

bool match_alike(const struct remote_facts *facts, const struct local_facts *file,
		 enum likeness likeness);
/* The free files of one folder by header hash; released by the caller. */
void match_index_headers(const struct snapshot *snapshot, struct index *index);
/* Books a pairing; both are taken, and a record whose file was edited to this loses it. */
void match_pair(struct world *world, struct place remote, struct place file);

#endif
