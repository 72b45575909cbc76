/* A folder as the three views see it: what the base remembers, what was found on disk, what the
 * server told. Both sides write their observations into one array, ordered by UID; what has no
 * record stands in two lists beside it. "Not seen" is not "absent": a message is ABSENT only when
 * the side was looked at completely, else UNKNOWN (DESIGN section 4, rule 1). */
#ifndef MAILTWIN_CORE_SNAPSHOT_H
#define MAILTWIN_CORE_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/memory.h"
#include "core/record.h"

enum presence {
	PRESENCE_UNKNOWN, /* nothing is proved: nothing may follow from it */
	PRESENCE_HERE,
	PRESENCE_ABSENT,   /* proved */
	PRESENCE_MOVED,    /* absent here, found elsewhere by the match */
	PRESENCE_REPLACED, /* local only: the file's name is there with other contents */
};

/* One with a record; 56 bytes, because there may be a million. Most are as they were, and nobody asks for
 * their names: those stay in the base until somebody does. */
struct message {
	uint64_t name;    /* name_key() of its base name; 0: the record has no file */
	const char *base; /* in the snapshot's arena; NULL: as the record has it */
	uint64_t inode;
	uint32_t uid;
	uint32_t trace;
	struct flags base_local;
	struct flags base_remote;
	struct flags local;
	struct flags remote;
	uint8_t state; /* enum record_state */
	uint8_t local_presence;
	uint8_t remote_presence;
	uint8_t touched; /* the record itself must be written again (base name, inode, state) */
};

struct remote_facts {
	uint32_t size;
	int64_t date;
	struct hash id;
	struct hash header;  /* none until fetched */
	struct hash content; /* none until fetched */
	uint64_t message_id; /* with the header */
};

struct remote_message {             /* on the server, without a record */
	struct remote_facts *facts; /* in the arena; NULL until fetched */
	uint32_t uid;
	struct flags flags;
	uint32_t told;     /* its turn among the arrivals */
	bool taken;        /* the match found out what it is */
	bool wants_header; /* the match could use its header hash */
	bool wants_body;   /* the match could use its content hash */
};

struct local_facts {
	struct hash content;
	struct hash header;
	uint64_t message_id;
	uint64_t size;
	uint64_t wire_size;
	int64_t mtime;
	uint64_t inode;
};

#define NO_MESSAGE SIZE_MAX

struct local_message { /* a file without a record, or with other contents than its record's */
	const char *base;
	struct local_facts *facts; /* in the arena; NULL until read */
	uint64_t inode;
	struct flags flags;
	uint32_t letters; /* the lower-case letters of its name, as bits: keywords of its folder */
	bool taken;
	bool unreadable; /* there, but it cannot be read, or it is still being written */
	size_t replaces; /* the message whose name it has; NO_MESSAGE for most */
};

struct sighting { /* a file as a scan sees it */
	const char *base;
	struct flags flags;
	uint64_t inode;
	uint32_t trace;   /* 0 if its time and size were not looked at */
	uint32_t letters; /* the lower-case letters of its name, as bits */
};

struct suspect { /* a known name with another inode or trace: its contents have to be looked at */
	size_t message;
	uint64_t inode;
};

struct name_slot {
	uint32_t key;     /* a part of the hash */
	uint32_t message; /* plus one; 0: free */
};

struct snapshot {
	struct arena *arena;
	struct message *messages; /* ascending UIDs */
	size_t n;
	size_t room;
	struct remote_message *arrivals;
	size_t n_arrivals;
	size_t room_arrivals;
	struct local_message *files;
	size_t n_files;
	size_t room_files;
	struct suspect *suspects;
	size_t n_suspects;
	size_t room_suspects;
	struct name_slot *names; /* open hash of base names, only while a directory is read */
	size_t n_names;
	size_t near;    /* the message that the last file was */
	bool void_uids; /* the UIDs of the records mean nothing any more: all told is new */
	size_t cursor;  /* where the last UID was found: listings ascend */
	uint32_t vanished;
};

void snapshot_init(struct snapshot *snapshot);
void snapshot_release(struct snapshot *snapshot);

/* Room for as many records as are expected; there may be more or fewer. */
void snapshot_expect(struct snapshot *snapshot, size_t records);
/* By which a base name is known again, never 0; of "" it is. Names of a folder that have the same are told
 * apart by their inodes, and by what the records say. */
uint64_t name_key(const char *base);
void message_set_base(struct message *message, const char *base); /* borrowed */

/* Records come by ascending UID. */
void snapshot_add_record(struct snapshot *snapshot, const struct record *record);
/* A record made up by the match, with its name, anywhere; moves the others. */
struct message *snapshot_insert(struct snapshot *snapshot, const struct record *record);
struct message *snapshot_find(struct snapshot *snapshot, uint32_t uid); /* NULL: none */
/* True if a message in this state is on the server, or has a file, as far as the base knows. */
bool state_is_remote(enum record_state state);
bool state_is_local(enum record_state state);

/* The local side. Unlooked: as the base has it. */
void snapshot_local_same(struct snapshot *snapshot);
void snapshot_local_begin(struct snapshot *snapshot); /* again: forgets what was seen */
void snapshot_local_file(struct snapshot *snapshot, const struct sighting *sighting);
/* A file's time of change (seconds since 1970) and size in one number, never 0. An editor that saves
 * twice often gets the first file's inode again; it hardly gets its time and size. */
uint32_t file_trace(int64_t mtime, uint64_t size);
/* proved: the scan was complete and quiet, so what was not seen is absent. */
void snapshot_local_end(struct snapshot *snapshot, bool proved);

/* A file that turned out to have no record after all. */
void snapshot_add_file(struct snapshot *snapshot, const char *base, struct flags flags,
		       uint64_t inode);

/* The remote side. */
enum listing { LISTING_FULL, LISTING_DELTA };
void snapshot_remote_same(struct snapshot *snapshot);
void snapshot_remote_unknown(struct snapshot *snapshot);
void snapshot_remote_begin(struct snapshot *snapshot);
void snapshot_remote_message(struct snapshot *snapshot, uint32_t uid, struct flags flags);
void snapshot_remote_vanished(struct snapshot *snapshot, uint32_t first, uint32_t last);
/* What was not told is as it was in a delta, absent in a full listing. False if the number of messages
 * that must be there is not EXISTS: nothing may then be derived, look again in full. */
bool snapshot_remote_end(struct snapshot *snapshot, enum listing listing, bool complete,
			 uint32_t exists);
/* They were planned for, and are not needed any more. */
void snapshot_drop_arrivals(struct snapshot *snapshot);
/* After the end: a message that turned out to have no record. */
void snapshot_remote_arrived(struct snapshot *snapshot, uint32_t uid, struct flags flags);
/* The mailbox itself is gone, or not there yet: everything in it is absent. */
void snapshot_remote_gone(struct snapshot *snapshot);
/* What was not seen may be elsewhere: it is unknown, no longer absent. How many that are. */
size_t snapshot_local_doubt(struct snapshot *snapshot);
void snapshot_local_gone(struct snapshot *snapshot);

#endif
