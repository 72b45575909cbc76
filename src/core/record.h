/* What the base remembers: folders, messages, attempts (DESIGN section 3). Plain data, seen
 * by the rules in core, kept by state, filled in by sync. */
#ifndef MAILTWIN_CORE_RECORD_H
#define MAILTWIN_CORE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/fingerprint.h"
#include "core/flags.h"

enum record_state {
	RECORD_PAIRED = 1,  /* both sides held it when the record was written */
	RECORD_ARRIVING,    /* its file is about to appear under the base name */
	RECORD_SKIPPED,     /* only on the server, by policy: larger than max-size */
	RECORD_UNFETCHED,   /* only on the server: it could not be fetched or stored (parked) */
	RECORD_HELD_LOCAL,  /* gone locally; its deletion on the server is held by the guard */
	RECORD_HELD_REMOTE, /* gone on the server; its deletion here is held by the guard */
	RECORD_KEPT,        /* gone on the server, kept here for good (archive mode) */
};

struct record {
	uint32_t uid;
	enum record_state state;
	const char *base;    /* base name of the file; "" if it has none. Borrowed */
	struct flags local;  /* as local last had them */
	struct flags remote; /* as the server last had them */
	uint32_t size;       /* RFC822.SIZE as the server reported it: a label, not a length */
	int64_t date;        /* INTERNALDATE, seconds since 1970 */
	uint64_t inode;      /* 0: not known */
	uint32_t trace;      /* of the file's time and size (file_trace); 0: not known */
	struct hash content; /* of the file */
	struct hash header;  /* of the server's header block */
	struct hash id;      /* of EMAILID, X-GM-MSGID or X-GUID; none if the server has none */
	/* Why a SKIPPED or UNFETCHED message is not here; "" or NULL else. Borrowed. */
	const char *reason;
};

/* The identity of a directory's contents. A device number is no identity over a reboot, so
 * there is none. */
struct stamp {
	uint64_t inode;   /* 0: never seen */
	int64_t mtime_ns; /* nanoseconds since 1970 */
	int64_t ctime_ns;
	bool racy; /* it was changed so shortly before we looked that equality proves nothing */
};

enum folder_stamp { STAMP_DIR, STAMP_CUR, STAMP_NEW, STAMP_KEYWORDS, STAMP_COUNT };

enum special_use {
	SPECIAL_NONE,
	SPECIAL_ALL,
	SPECIAL_ARCHIVE,
	SPECIAL_DRAFTS,
	SPECIAL_FLAGGED,
	SPECIAL_IMPORTANT,
	SPECIAL_JUNK,
	SPECIAL_SENT,
	SPECIAL_TRASH,
};

#define LETTER_COUNT 26

struct folder_record {
	uint32_t id; /* from 1, never reused */
	/* Strings are borrowed from whoever made the struct; "" when unknown, never NULL. */
	const char *name;       /* UTF-8, '/' between levels */
	const char *wire;       /* the mailbox as LIST gave it; "" if it is not on the server */
	const char *path;       /* directory relative to the root; "" if it is not on disk */
	const char *mailbox_id; /* OBJECTID's MAILBOXID; "" if the server has none */
	char delimiter;         /* '\0': NIL */
	bool noselect;          /* \Noselect or \NonExistent: only a place for children */
	enum special_use special;
	uint32_t uidvalidity; /* 0: never completed */
	uint32_t uidnext;     /* of the snapshot that completed the folder last */
	uint32_t exists;
	uint64_t highestmodseq;  /* 0: none */
	uint32_t permanent;      /* system flags that the server stores (PERMANENTFLAGS) */
	bool permanent_keywords; /* new keywords can be made there (\*) */
	bool read_only;
	/* Why it is paired again; noted before anything follows from it, gone when it is completed. */
	bool remaking;  /* one side is made anew from the other */
	bool restoring; /* the base or the Maildir came out of a backup */
	struct stamp stamps[STAMP_COUNT];
	uint32_t letters[LETTER_COUNT]; /* keyword id of the letters a..z; 0: none */
	int64_t last_sync; /* seconds since 1970; 0: never. The account may know of a later one */
	uint32_t messages; /* counts for status, as of then */
	uint32_t unread;
	uint32_t held;
	uint32_t parked; /* attempts and records that are given up until something changes */
	uint32_t skipped;
	uint32_t pending; /* records in a state that must be looked at in every run */
};

enum attempt_kind { ATTEMPT_APPEND = 1, ATTEMPT_COPY, ATTEMPT_MOVE };

enum attempt_state {
	ATTEMPT_SETTLED,  /* forgotten in this run; never in the base */
	ATTEMPT_OPEN = 1, /* about to be sent, or sent with unknown outcome */
	ATTEMPT_REFUSED,  /* the server said NO: not again until the file changes */
	ATTEMPT_PARKED,   /* two tries of unknown outcome */
};

/* A message about to be sent to a folder, written before APPEND, COPY and MOVE. Keyed by
 * (folder id, base name). */
struct attempt {
	uint32_t folder;
	const char *base; /* borrowed */
	enum attempt_kind kind;
	enum attempt_state state;
	uint32_t uidvalidity;
	uint32_t uidnext; /* of the target before it was sent */
	struct hash content;
	struct hash header;
	uint64_t message_id; /* see struct fingerprint; 0: none */
	int64_t date;        /* INTERNALDATE sent, seconds since 1970 */
	struct flags flags;
	uint64_t inode;
	uint32_t old_folder; /* of an edit or a move; 0: none */
	uint32_t old_uid;
	uint32_t tries;
	int64_t time;    /* when it was sent, seconds since 1970 */
	char reason[96]; /* the server's words when REFUSED */
};

#endif
