/* What the parts of one sync run share. Private to src/sync; engine.c tells the story. */
#ifndef MAILTWIN_SYNC_ACCOUNT_H
#define MAILTWIN_SYNC_ACCOUNT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/memory.h"
#include "core/decide.h"
#include "core/folders.h"
#include "core/index.h"
#include "core/match.h"
#include "core/snapshot.h"
#include "imap/imap.h"
#include "maildir/maildir.h"
#include "state/state.h"
#include "sync/config.h"
#include "sync/sync.h"

#define NO_FOLDER UINT32_MAX
#define NO_LOST UINT32_MAX

/* One thing to do, found by the planner, carried out by the executors. Which fields a verb uses:
 *   DOWNLOAD                  folder, uid; lost: the old record to be replaced by it
 *   UPLOAD, REPLACE           folder, file; lost: the old record (forgotten; REPLACE: destroyed after)
 *   PAIR                      folder, uid, file (file_folder: usually the same)
 *   MOVE_LOCAL, MOVE_BACK     folder, uid: where the server has it; file: where the file is; lost
 *   MOVE_REMOTE               folder, uid: where the server has it; file_folder: where it shall be;
 *                             file: the file there (NULL: into the trash); lost
 *   COPY (MOVE_REMOTE, copy)  likewise, no lost: the original stays
 *   FLAGS, DELETE_*, EXPUNGE, KEEP, FORGET   folder, uid */
struct action { /* 72 bytes, because the first run has one for each message */
	enum verb verb : 7;
	bool copy : 1;
	bool held;
	bool done;
	bool skipped;    /* its object was not as planned */
	uint32_t folder; /* index in the account's folders */
	uint32_t uid;
	uint32_t file_folder;
	struct flags local, remote; /* as they were seen */
	struct flag_change flags;
	uint32_t stray_letters;     /* of a moved file's name: to be taken off, as bits of a..z */
	uint32_t lost;              /* index in the world's list; NO_LOST: none */
	const char *base;           /* base name of the file; NULL: none */
	struct local_facts *file;   /* of a file without a record; NULL: as in the record */
	struct remote_facts *facts; /* of the arrival; NULL if they were not needed */
};

/* What is known of a folder's directory before the server answered (disk.c). */
enum early {
	EARLY_NOTHING,
	EARLY_SAME, /* its stamps are those of the base */
	EARLY_READ, /* records and files are in the snapshot; whoever takes them up sets NOTHING */
};

struct sync_folder {
	struct folder_record record; /* strings in the account's arena; id 0 until it is made */
	struct folder_plan plan;
	const struct folder_record *base; /* as the run found it; NULL for a new one */
	const char *wire_now;             /* where it is until the plan's rename was carried out */
	const char *path_now;
	struct imap_status status; /* of this run's snapshot */
	atomic_uint unseen;        /* UIDs from here on were not asked for since; 0: from UIDNEXT */
	struct stamp stamps[STAMP_COUNT];
	struct snapshot snapshot;
	enum early early;
	struct tally tally; /* of its records, as they were loaded */
	bool loaded;        /* the snapshot holds its records and both views */
	bool named;         /* on the command line, or nothing was */
	bool adopt;         /* never completed: what is on both sides is paired by header */
	bool repair;        /* likewise, and nothing is deleted in this run */
	bool void_uids;     /* the UIDs of its records mean nothing any more */
	bool plan_told;     /* its creation, rename or removal was carried out */
	bool remote_same;   /* as the base remembers it, as far as LIST and the stamps tell */
	bool local_same;
	struct probes *probes; /* what was told along with the view; NULL: nothing was asked */
	bool viewed;           /* its view was read, and has yet to be checked */
	bool view_good;        /* its count agreed */
	bool local_unproved;   /* its directory changed under the scan: files may be there unseen */
	bool local_looked;     /* in this run: its stamps are of this run */
	bool remote_looked;
	/* Something was left undone: its stamps and MODSEQ are not committed. By whoever moves into it too. */
	atomic_bool incomplete;
	bool failed;      /* no more of it in this run */
	bool undescribed; /* the server told nothing of something that is new there */
	bool letters_changed;
	uint32_t letters_seen; /* bits of a..z that file names have */
	bool letters_known;    /* they were looked for in this run */
	uint32_t permanent;    /* system flags that the server keeps */
	bool permanent_keywords;
	bool read_only;
	uint32_t parked_names; /* files whose names cannot hold the flags that they should have */
	uint32_t paired;       /* messages both sides had when the run began */
	uint32_t strays;       /* files that lose their record in this run and are not sent */
	char **second_names;   /* of files that have two, "cur/NAME"; in the snapshot's arena */
	size_t n_second_names;
	size_t room_second_names;
	struct maildir_folder *dir;
	struct index names; /* of the files that are there, once a move asked for them */
	struct action *actions;
	size_t n_actions;
	size_t room_actions;
	struct flag_job *flag_jobs; /* of messages that are in it now, while flags are changed */
	size_t n_flag_jobs;
};

struct account;

struct worker {
	struct account *account;
	struct imap_conn *conn; /* NULL until it is needed */
	struct sync_folder
		*next; /* that comes after this one, in a pass that is chained; or NULL */
	struct state_batch *batch;
};

/* The tables of docs/sync-rules.md whose rows are counted, in the order of the run. */
enum rule_table {
	RULES_REPAIR,
	RULES_FOLDERS, /* in the plans until they are told */
	RULES_MATCH,   /* in the world, likewise */
	RULES_DECIDE,
	RULES_GUARD,
	RULES_ATTEMPTS,
	RULE_TABLES,
};

/* The disk as it was found before the server answered (disk.c). */
struct disk {
	struct local_folder *places; /* what the root holds, by path; in the account's arena */
	size_t n_places;
	struct folder_record *base; /* likewise */
	size_t n_base;
	struct sync_folder *early; /* one for each of base; NULL: nothing was looked at */
	bool early_now; /* under way: what there is to tell is told by whoever looks for good */
};

struct account {
	const struct account_config *config;
	const char *password;
	const struct sync_options *options;
	const struct sync_report *report;
	struct sync_summary *summary;
	struct arena *arena;
	struct keyword_pool *keywords;
	struct state *state;
	struct state_meta meta;
	struct maildir *maildir;
	int lock_fd;
	int sentinel_fd;
	bool repair;           /* of the whole account: nothing is deleted in this run */
	bool fresh;            /* the base is empty */
	bool full;             /* no shortcut in this run */
	atomic_bool committed; /* something was: the epoch is raised */
	bool stop_uploads;     /* over quota */
	struct disk disk;
	struct sync_folder *folders;
	size_t n_folders;
	uint32_t trash; /* index of the folder removals go to, or NO_FOLDER */
	struct attempt *attempts;
	size_t n_attempts;
	struct index attempt_names;
	struct world world;
	struct worker *workers;
	unsigned n_workers;
	pthread_mutex_t mutex; /* report, summary, arena, rules */
	struct stream_traffic traffic;
	uint32_t rules[RULE_TABLES][RULE_COUNT]; /* how often each was the answer */
	uint64_t done, total, bytes;             /* of the phase, for progress */
};

/* ---- open.c ---- */
int account_open(struct account *account, struct error *err);
void account_close(struct account *account);
void folder_release(struct sync_folder *folder); /* what it owns; not the folder */
/* The fresh uuid and sentinel of a new account, and the epoch of one that commits; before any effect. */
int account_begin_writing(struct account *account, struct error *err);
int account_raise_epoch(struct account *account, struct error *err);
int account_note_full_check(struct account *account, struct error *err); /* after a full run */

/* Records that may be committed in any portions are, also those of several folders together: a transaction holds
 * each page that it changes in memory, and a record may mean two. */
#define COMMIT_AT_ONCE 256
/* Commits the worker's batch if it is large enough. */
int worker_commit_some(struct worker *worker, struct error *err);
/* What such a pass has left in the batches, whatever became of the pass (result): returns result, or -1. */
int workers_commit(struct account *account, int result, struct error *err);

/* ---- workers.c ---- */
typedef int folder_fn(struct worker *worker, struct sync_folder *folder, struct error *err);
typedef bool folder_wants_fn(const struct account *account, const struct sync_folder *folder);
/* A pass calls fn for every folder for which wants says so, on up to `connections` connections. An error that
 * concerns one folder is reported and leaves that folder incomplete; any other ends the run.
 * remote: of those, the folders in which something is asked of the server or changed there; NULL: all of them.
 * Elsewhere a worker may be without a connection, so that none is opened to change files alone.
 * It can send ahead: begin sends what the folder needs and waits for nothing, finish reads the
 * answers, both for up to AHEAD folders in turn; fn does what they leave. begin: 0 begun, 1 nothing was
 * sent: fn does it. finish: 0 done, 1 fn does the rest. NULL: no sending ahead.
 * chained: there is nothing to send ahead but a SELECT: fn sends that of the worker's next folder along.
 * together does as many folders at once, and deals with what fails in one of them (folder_fail). Any
 * error ends the run, but after a connection that broke fn does what is left of each folder. */
typedef int folders_fn(struct worker *worker, struct sync_folder **folders, size_t n,
		       struct error *err);
struct folder_pass {
	folder_wants_fn *wants;
	folder_wants_fn *remote;
	folder_fn *begin;
	folder_fn *finish;
	folder_fn *fn;
	folders_fn *together; /* instead of begin and finish */
	bool chained;         /* likewise */
};
/* That many folders at most, on a long line; and on a short one, where turns cost little. */
#define AHEAD IMAP_MOST_BEGUN
#define AHEAD_NEAR 16
/* Calls fn once for each of n workers, at the same time. Fails with what failed first. */
typedef int worker_fn(struct worker *worker, void *ctx, struct error *err);
int workers_run(struct account *account, size_t n, worker_fn *fn, void *ctx, struct error *err);
int workers_pass(struct account *account, const struct folder_pass *pass, struct error *err);
/* Another connection costs several round trips: one more for this many folders, or messages. */
#define FOLDERS_A_CONNECTION 8
#define MESSAGES_A_CONNECTION 200
/* How many workers are worth their connections: those that are open are free. together: folders whose commands
 * go out in one write. */
size_t workers_worth(const struct account *account, size_t folders, size_t messages,
		     size_t together);
int worker_connect(struct worker *worker, struct error *err);
/* The first connection of a run, after which the mailboxes are listed: meanwhile (disk.c) is called
 * once, while the answer to the login is awaited. */
typedef int meanwhile_fn(void *account, struct error *err);
int worker_connect_first(struct worker *worker, meanwhile_fn *meanwhile, struct error *err);
void workers_close(struct account *account);
/* True for an error that one folder or message has, so that others may go on. */
bool error_is_local_to_folder(const struct error *err);
/* Of such an error: it is told, and no more is done in the folder. */
void folder_fail(struct account *account, struct sync_folder *folder, const struct error *err);
bool sync_is_stopping(void);
int check_stop(struct error *err); /* -1, ERROR_STOPPED, if it was asked to stop */

/* ---- ask.c ---- */
/* Selects the folder's mailbox as this run uses it. ERROR_CHANGED if it is another one than was looked at:
 * UIDs of that look would name other messages (RFC 9051 section 2.3.1.1). */
int worker_select(struct worker *worker, const struct sync_folder *folder, struct error *err);
/* The folder that is selected next: its SELECT goes out with what changes or moves messages of this one. */
void worker_select_next(struct worker *worker, const struct sync_folder *folder);
/* Selects it and asks for the facts of its messages, in one turn; fn is called only if it is that mailbox. */
int worker_fetch_facts(struct worker *worker, const struct sync_folder *folder,
		       const uint32_t *uids, size_t n, imap_facts_fn *fn, void *ctx,
		       struct error *err);
int check_selected(const struct sync_folder *folder, const struct imap_selected *selected,
		   struct error *err);
/* Sends SELECT and a fetch along with those of other folders, as the begin of a pass: 0, 1 or -1. */
int worker_fetch_begin(struct worker *worker, const struct sync_folder *folder,
		       const uint32_t *uids, size_t n, enum imap_section section,
		       struct error *err);
/* The answer to one of SECTION_NONE; as worker_fetch_facts, but what is left out is not asked again. */
int worker_facts_finish(struct worker *worker, const struct sync_folder *folder, imap_facts_fn *fn,
			void *ctx, struct error *err);

/* ---- tree.c ---- */
/* What the folder rules want to know of both sides; in the account's arena. */
struct remote_mailbox *tree_mailboxes(struct account *account, const struct imap_mailbox *found,
				      size_t n);
struct local_place *tree_places(struct account *account, const struct local_folder *found,
				size_t n);
int tree_look(struct account *account, struct error *err);
int tree_remove(struct account *account, struct error *err);
bool folder_is_exempt(const struct account *account, const struct sync_folder *folder);
/* On the command line, or nothing was. */
bool folder_is_named(const struct account *account, const char *name);

/* ---- tree_make.c ---- */
int tree_make(struct account *account, struct error *err);

/* ---- disk.c: what needs no server, while the server is waited for ---- */
meanwhile_fn disk_list; /* the places and the base */
meanwhile_fn disk_look; /* the same, and the folders whose directories changed */
/* Hands over what was looked at for this plan; false if nothing was, or it was something else. */
bool disk_take(struct account *account, const struct folder_plan *plan, enum special_use special,
	       struct sync_folder *folder);
void disk_release(struct account *account);

/* ---- look.c ---- */
int look_all(struct account *account, struct error *err);
int folder_open_dir(struct account *account, struct sync_folder *folder, struct error *err);
void folder_close_dir(struct sync_folder *folder);
/* Together with its first record that is not simply paired: the folder is looked at in every run. */
void folder_is_pending(struct worker *worker, struct sync_folder *folder);

bool folder_must_look(const struct account *account, const struct sync_folder *folder);
/* Compares the stamps with those of the base, and reads records and files if they differ. What fails, or
 * is to be told, is left for look_all to meet. */
void look_early(struct account *account, struct sync_folder *folder);

/* ---- scan.c: the local side into the snapshot ---- */
int scan_local(struct account *account, struct sync_folder *folder, struct error *err);
/* A large directory is read in a thread while something else is done first. */
void scan_begin_early(struct account *account, struct sync_folder *folder);

/* ---- view.c: the remote side into the snapshot ---- */
struct imap_view_sink view_sink_of(struct sync_folder *folder); /* its snapshot */
struct imap_view_request view_request_of(struct sync_folder *folder, bool full);
/* Books an answer; true if its count agreed and it can be believed. */
bool view_book(struct sync_folder *folder, const struct imap_view *view, bool examined);
/* Asks, or takes the answer that was booked, and checks it. ERROR_REFUSED if it stays doubtful. */
int view_folder(struct worker *worker, struct sync_folder *folder, struct error *err);

/* ---- letters.c ---- */
struct flags letters_to_flags(struct account *account, const struct sync_folder *folder,
			      const char *letters);
uint32_t letters_mask(const char *letters); /* the lower-case ones, as bits */
/* A file that a mail reader moved here kept its letters, which mean something else in this folder: its
 * keywords are those of the record if the letters are. The letters that must go, as bits, in stray. */
struct flags letters_of_moved(struct account *account, const struct sync_folder *from,
			      const struct sync_folder *to, const struct message *message,
			      const struct local_message *file, uint32_t *stray);
/* What a file name in this folder can say of these flags. */
struct flags flags_representable(struct account *account, const struct sync_folder *folder,
				 struct flags flags);
/* Letters of flags; new keywords get one where there is room, recorded and written first. */
int flags_to_file_letters(struct worker *worker, struct sync_folder *folder, struct flags flags,
			  char out[64], struct error *err);
int letters_reconcile(struct account *account, struct sync_folder *folder, struct error *err);
int letters_save(struct worker *worker, struct sync_folder *folder, struct error *err);

/* ---- facts.c: what the match wants to know ---- */
struct local_facts *facts_keep(struct snapshot *snapshot, const struct file_facts *facts);
int facts_of_files(struct account *account, struct error *err);
int facts_of_arrivals(struct account *account, struct error *err);
int headers_of_arrivals(struct account *account, struct error *err);
int bodies_of_arrivals(struct account *account, struct error *err);
/* Of one folder: of all arrivals without facts, or those that the match marked. */
int facts_fetch(struct worker *worker, struct sync_folder *folder, struct error *err);
int headers_fetch(struct worker *worker, struct sync_folder *folder, struct error *err);
int bodies_fetch(struct worker *worker, struct sync_folder *folder, struct error *err);

/* ---- attempts.c: what earlier runs were about to send ---- */
int attempts_read(struct account *account, struct error *err);
/* Of the file with this base name in this folder; NULL if there is none, or none any more. */
struct attempt *attempt_of(const struct account *account, const struct sync_folder *folder,
			   const char *base);
/* The server has made up its mind about it: it was sent long enough ago, as far as the clock can tell. */
bool attempt_is_old(const struct attempt *attempt);
void attempt_forget(struct account *account, struct attempt *attempt); /* before any worker */

/* What became of a message that was just sent, or moved or copied on the server. */
struct stored {
	uint32_t uid; /* 0: not known */
	struct flags wanted;
	struct flags flags; /* on the server */
};

/* ---- appended.c ---- */
/* Finds those of which the server did not tell the UIDs, as their attempts say; what is not certain keeps
 * the UID 0. The mailbox is selected afterwards. */
int find_appended(struct worker *worker, struct sync_folder *folder, const struct attempt *attempts,
		  size_t n, struct stored **stored, struct error *err);

/* ---- restore.c ---- */
/* Sets what the server dropped of the wanted flags; flags is then what it has. One that it refuses to set is
 * no error. */
int restore_flags(struct worker *worker, struct sync_folder *folder, struct stored **stored,
		  size_t n, struct error *err);

/* ---- recover.c ---- */
int recover(struct account *account, struct error *err);

/* ---- rekey.c ---- */
/* Folders whose UIDs are void get the records of what was matched, all in one transaction. */
int rekey_all(struct account *account, struct error *err);

/* ---- matching.c ---- */
int match_all(struct account *account, struct error *err);
/* Sees to it that message->base is there: of most messages nobody needs it, so it was not read. */
int message_get_base(struct account *account, struct sync_folder *folder, struct message *message,
		     struct error *err);

/* ---- copies.c ---- */
int find_copies(struct account *account, struct error *err); /* among the uploads planned */

/* ---- hold.c ---- */
void leave_undescribed(struct account *account);
void leave_crossing(struct account *account);
void leave_unproved(struct account *account);
void hold_deletions(struct account *account);

/* ---- rules.c ---- */
void note_rule(struct account *account, enum rule_table table, int number); /* from any thread */
void tell_rules(struct account *account);                                   /* at -v, at the end */

/* ---- actions.c: the lists of actions ---- */
#define NO_ACTION SIZE_MAX
struct action *add_action(struct sync_folder *folder, struct action action);
void actions_sort(struct action **list, size_t n); /* by UID */
/* Where it is in a list so sorted; NO_ACTION: nowhere. */
size_t actions_find(struct action *const *list, size_t n, uint32_t uid);
/* Its places and its record's folder are not complete in this run. */
void action_is_left(struct account *account, const struct action *action);
/* Its object was not as planned. */
void action_skip(struct account *account, struct action *action);
/* Forgets the record of a lost message, unless rekey_all did. */
void forget_lost(struct account *account, struct state_batch *batch, uint32_t lost);

/* ---- planner.c ---- */
int plan_all(struct account *account, struct error *err);

/* ---- destroy.c: on the server, by UID; a step of remove_all ---- */
bool wants_destruction(const struct sync_folder *folder);
/* What is not proved to be the record's message is left, told, and keeps its record. */
int destroy_remote(struct worker *worker, struct sync_folder *folder, struct error *err);

/* ---- executors: each a pass over the actions ---- */
int download_all(struct account *account, struct error *err);
int pair_all(struct account *account, struct error *err);
int move_local_all(struct account *account, struct error *err);
int move_remote_all(struct account *account, struct error *err);
int upload_all(struct account *account, struct error *err);
int flag_all(struct account *account, struct error *err);
int forget_all(struct account *account, struct error *err);
int remove_all(struct account *account, struct error *err);
int finish_all(struct account *account, struct error *err);

/* ---- tell.c ---- */
void tell_change(struct account *account, enum change_verb verb, const struct sync_folder *folder,
		 uint32_t uid, const char *file, const struct sync_folder *to);
/* The folder had another name until now. */
void tell_rename(struct account *account, enum change_verb verb, const struct sync_folder *folder);
/* What went with a mailbox that was deleted as a whole. */
void tell_removed_messages(struct account *account, const struct sync_folder *folder);
void tell_problem(struct account *account, enum problem_kind kind, const struct sync_folder *folder,
		  const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void tell_error(struct account *account, const struct sync_folder *folder, const struct error *err);
void tell_progress(struct account *account, enum sync_phase phase, const struct sync_folder *folder,
		   uint64_t done, uint64_t bytes);
void tell_plan(struct account *account); /* of a dry run */

static inline struct sync_folder *folder_at(struct account *account, uint32_t index)
{
	return &account->folders[index];
}

/* The server is only read: mirror and archive. */
static inline bool is_examined(const struct account *account)
{
	return account->config->mode != MODE_TWO_WAY;
}

static inline bool folder_is_usable(const struct sync_folder *folder)
{
	return !folder->failed && folder->plan.verb != FOLDER_BAD;
}

static inline uint32_t folder_number(const struct account *account,
				     const struct sync_folder *folder)
{
	return (uint32_t)(folder - account->folders);
}

#endif
