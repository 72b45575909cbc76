/* One sync run of one account, for whoever reports it. */
#ifndef MAILTWIN_SYNC_SYNC_H
#define MAILTWIN_SYNC_SYNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "core/guard.h"
#include "sync/config.h"

enum change_verb { /* the order and the names of the JSON, DESIGN section 8 */
		   CHANGE_DOWNLOAD,
		   CHANGE_UPLOAD,
		   CHANGE_MOVE_LOCAL,
		   CHANGE_MOVE_REMOTE,
		   CHANGE_COPY_REMOTE,
		   CHANGE_FLAGS_LOCAL,
		   CHANGE_FLAGS_REMOTE,
		   CHANGE_DELETE_LOCAL,
		   CHANGE_DELETE_REMOTE,
		   CHANGE_FOLDER_CREATE_LOCAL,
		   CHANGE_FOLDER_CREATE_REMOTE,
		   CHANGE_FOLDER_DELETE_LOCAL,
		   CHANGE_FOLDER_DELETE_REMOTE,
		   CHANGE_FOLDER_RENAME_LOCAL,
		   CHANGE_FOLDER_RENAME_REMOTE,
		   CHANGE_COUNT,
};
const char *change_verb_name(enum change_verb verb); /* "download", "move-local", ... */

struct sync_change { /* NULL and 0 where it does not apply */
	enum change_verb verb;
	const char *folder;
	uint32_t uid;
	const char *file; /* base name */
	const char *to;   /* folder */
};

enum problem_kind { /* likewise */
		    PROBLEM_HELD,
		    PROBLEM_REFUSED,
		    PROBLEM_SKIPPED,
		    PROBLEM_PARKED,
		    PROBLEM_UNREADABLE,
		    PROBLEM_NAME,
		    PROBLEM_FOLDER,
		    PROBLEM_NETWORK,
		    PROBLEM_LOGIN,
		    PROBLEM_CERTIFICATE,
		    PROBLEM_LOCAL,
		    PROBLEM_HOOK,
		    PROBLEM_COUNT,
};
const char *problem_kind_name(enum problem_kind kind);

enum sync_phase { /* for the progress line */
		  PHASE_CONNECT,
		  PHASE_LOOK,
		  PHASE_DOWNLOAD,
		  PHASE_UPLOAD,
		  PHASE_CHANGE,
		  PHASE_FINISH,
};

/* Called from several threads, one at a time. Strings are borrowed. */
struct sync_report {
	void *ctx;
	void (*change)(void *ctx, const struct sync_change *change);
	void (*problem)(void *ctx, enum problem_kind kind, const char *folder, const char *message);
	/* done and total count messages; bytes: octets of bodies so far. */
	void (*progress)(void *ctx, enum sync_phase phase, const char *folder, uint64_t done,
			 uint64_t total, uint64_t bytes);
};

struct sync_summary { /* a dry run counts what is planned */
	uint64_t folders;
	uint64_t messages;
	uint64_t changes[CHANGE_COUNT];
	uint64_t held;
	uint64_t refused;
	uint64_t skipped;
	uint64_t problems; /* things left undone; exit 1 if nothing worse */
	uint64_t bytes_in;
	uint64_t bytes_out;
	uint64_t round_trips;
	bool disk_changed; /* for after-sync */
};

struct sync_options {
	bool dry_run;
	bool full; /* ignore all shortcuts */
	bool wait;
	enum deletion_policy deletions;
	const char *const *patterns; /* folders named on the command line; n 0: all */
	size_t n_patterns;
};

/* The whole run. password may be NULL with a tunnel that needs no login. 0: everything that could
 * be tried was tried; the summary's held and problems say what was left. -1: the account stopped,
 * err says why (its kind gives the exit status). The summary is filled in either way. */
int sync_account(const struct account_config *account, const char *password,
		 const struct sync_options *options, const struct sync_report *report,
		 struct sync_summary *summary, struct error *err);

/* From a signal handler: the first call finishes what is in flight and records it, the second stops
 * at once. */
void sync_stop(void);

/* One folder of either side, for the command `folders`. Strings in the arena. */
struct folder_line {
	const char *name;
	const char *remote; /* wire name; NULL: not on the server */
	const char *local;  /* path below the root; NULL: not on disk */
	enum special_use special;
	bool chosen;
	const char *reason; /* why it is not chosen, or cannot be synced; NULL */
};
int sync_list_folders(const struct account_config *account, const char *password,
		      struct arena *arena, struct folder_line **lines, size_t *n,
		      struct error *err);

#endif
