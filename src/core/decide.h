/* The rules: what is to be done about one message, given what the base remembers of it and what
 * each side has (DESIGN section 5). No I/O, no clock, no globals. Every rule has a number, the
 * same in docs/sync-rules.md, here and in the tests. */
#ifndef MAILTWIN_CORE_DECIDE_H
#define MAILTWIN_CORE_DECIDE_H

#include <stdbool.h>

#include "core/flags.h"
#include "core/snapshot.h"

struct triple {
	bool recorded; /* the base has a record of it */
	enum record_state state;
	enum presence local;
	enum presence remote;
	struct flags base_local;
	struct flags base_remote;
	struct flags now_local;  /* where it is HERE, MOVED or REPLACED */
	struct flags now_remote; /* where it is HERE or MOVED */
};

enum stance {
	STANCE_TWO_WAY,
	STANCE_MIRROR,    /* the server is never written, local changes are undone */
	STANCE_ARCHIVE,   /* as mirror, and what the server drops is kept */
	STANCE_READ_ONLY, /* this mailbox cannot be written: local changes stay, and are reported */
};

struct policy {
	enum stance stance;
	bool repair; /* re-pairing: nothing may be deleted in this run */
	bool restored; /* the base or the Maildir came back from a backup: a place here proves nothing */
	bool expunge;      /* what both sides marked as deleted in an earlier run is removed */
	uint32_t storable; /* system flags that the server keeps */
	bool storable_keywords;
};

enum verb {
	VERB_NOTHING,
	VERB_PAIR,          /* both new and the same message: write the record, then merge flags */
	VERB_DOWNLOAD,      /* fetch it; an old record is replaced */
	VERB_UPLOAD,        /* send the file; an old record is forgotten */
	VERB_REPLACE,       /* send the new contents, then destroy the old message */
	VERB_MOVE_LOCAL,    /* rename the file to where the server has the message */
	VERB_MOVE_REMOTE,   /* move the message to where the file is */
	VERB_MOVE_BACK,     /* rename the file back to the folder the server has it in */
	VERB_SPLIT,         /* edited here and moved there: send the new, fetch the moved */
	VERB_FLAGS,         /* change flags on either side; write the record */
	VERB_DELETE_LOCAL,  /* destroy the file, then forget */
	VERB_DELETE_REMOTE, /* destroy the message on the server, then forget */
	VERB_EXPUNGE,       /* destroy both */
	VERB_KEEP,          /* from now on a file that the server dropped */
	VERB_FORGET,        /* both are gone */
	VERB_REPORT,        /* a local change that may not be sent: say so, leave it */
};

struct flag_change {
	struct flags local_add, local_remove;
	struct flags remote_add, remote_remove;
};

struct decision {
	enum verb verb;
	uint8_t rule;             /* number in docs/sync-rules.md */
	struct flag_change flags; /* for every verb that leaves the message on both sides */
};

/* Rule numbers, for coverage: below this. */
#define RULE_COUNT 64

struct decision decide(const struct triple *triple, const struct policy *policy,
		       struct keyword_pool *pool);

/* Three-way merge of flags: what each side must change. Per flag against each side's own base; where
 * both changed it and differ: set wins, for \Deleted cleared wins. */
struct flag_change flags_merge(const struct triple *triple, struct keyword_pool *pool);
/* Two copies without a common base: the union, for \Deleted the intersection. */
struct flag_change flags_unite(struct flags local, struct flags remote, struct keyword_pool *pool);
bool flag_change_empty(const struct flag_change *change);

const char *verb_name(enum verb verb);

#endif
