/* What is to be done about folders: the base's folders, the server's mailboxes and the directories on
 * disk become one list (DESIGN section 5, "Folders"). Pure. */
#ifndef MAILTWIN_CORE_FOLDERS_H
#define MAILTWIN_CORE_FOLDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/memory.h"
#include "core/layout.h"
#include "core/names.h"
#include "core/record.h"

struct remote_mailbox { /* as LIST told; strings borrowed, never NULL */
	const char *name;
	const char *wire;
	const char *mailbox_id;
	uint32_t uidvalidity; /* 0: not told */
	char delimiter;
	bool noselect;
	enum special_use special;
};

struct local_place { /* a directory; strings borrowed */
	const char *path;
	bool plain;      /* holds only others */
	bool damaged;    /* a symlink or a mount point where something of ours should be */
	bool incomplete; /* cur, new or tmp is missing */
	uint64_t inode;
};

enum folder_verb {
	FOLDER_SYNC,          /* on both sides */
	FOLDER_CREATE_LOCAL,  /* new on the server */
	FOLDER_CREATE_REMOTE, /* new on disk */
	FOLDER_DELETE_LOCAL,  /* gone on the server */
	FOLDER_DELETE_REMOTE, /* gone on disk */
	FOLDER_RENAME_LOCAL,  /* then sync */
	FOLDER_RENAME_REMOTE, /* then sync */
	FOLDER_FORGET,        /* gone on both sides */
	FOLDER_IGNORE,        /* not chosen, or nothing to do */
	FOLDER_BAD,           /* cannot be synced: reason says why */
};

#define NO_INDEX SIZE_MAX

/* Numbers in docs/sync-rules.md, F: below the count. Those with a name are given elsewhere too. */
#define FOLDER_RULE_COUNT 24
#define FOLDER_RULE_BARRED 12
#define FOLDER_RULE_HELD 20     /* its removal is not clean: sync/hold.c */
#define FOLDER_RULE_UNPROVED 22 /* its absence could not be proved: sync/tree.c */

struct folder_plan {
	enum folder_verb verb;
	int rule;
	size_t base;        /* index in the base's folders; NO_INDEX: it is new */
	size_t mailbox;     /* index in the mailboxes; NO_INDEX: not on the server */
	size_t place;       /* index in the directories; NO_INDEX: not on disk */
	const char *name;   /* in the arena */
	const char *wire;   /* of the mailbox that is, or shall be */
	const char *path;   /* of the directory that is, or shall be */
	const char *reason; /* for FOLDER_BAD and FOLDER_IGNORE */
	bool chosen;
};

struct folders_input {
	const struct folder_record *base;
	size_t n_base;
	const struct remote_mailbox *mailboxes;
	size_t n_mailboxes;
	const struct local_place *places;
	size_t n_places;
	const struct namespace *ns;
	enum layout layout;
	const char *const *patterns;
	size_t n_patterns;
	bool delete_folders;
	bool server_writable; /* two-way */
	bool keep_local;      /* archive: what the server drops stays */
	bool may_delete;      /* not in a re-pairing run */
};

/* One plan a folder, sorted by name; array and strings in the arena. */
struct folder_plan *folders_plan(const struct folders_input *input, struct arena *arena, size_t *n);

#endif
