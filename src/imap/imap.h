/* The other side: one connection to an IMAP server (RFC 9051, RFC 3501), blocking, in batches.
 *
 * Commands are pipelined within a call, UID sets are split under 8 KB a line, strings are checked
 * for CR, LF and NUL. libetpan parses what is not hot; FETCH lines of UID, FLAGS, MODSEQ, sizes and
 * dates have a scanner of our own; bodies are streamed. Nothing from the server is trusted.
 *
 * Errors of every call: ERROR_NETWORK, ERROR_SERVER (protocol broken, BYE: the connection is dead),
 * ERROR_STOPPED, ERROR_REFUSED (NO or BAD with the server's words: the session goes on).
 * After anything but ERROR_REFUSED and ERROR_NOT_FOUND the connection may only be closed. */
#ifndef MAILTWIN_IMAP_IMAP_H
#define MAILTWIN_IMAP_IMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/memory.h"
#include "core/fingerprint.h"
#include "core/flags.h"
#include "core/names.h"
#include "core/record.h"
#include "imap/stream.h"

enum imap_capability {
	CAP_APPENDLIMIT = 1 << 0,
	CAP_COMPRESS = 1 << 1, /* COMPRESS=DEFLATE */
	CAP_CONDSTORE = 1 << 2,
	CAP_ENABLE = 1 << 3,
	CAP_GMAIL = 1 << 4, /* X-GM-EXT-1 */
	CAP_ID = 1 << 5,
	CAP_LIST_EXTENDED = 1 << 6,
	CAP_LIST_STATUS = 1 << 7,
	CAP_LITERAL_MINUS = 1 << 8,
	CAP_LITERAL_PLUS = 1 << 9,
	CAP_MOVE = 1 << 10,
	CAP_MULTIAPPEND = 1 << 11,
	CAP_NAMESPACE = 1 << 12,
	CAP_OBJECTID = 1 << 13,
	CAP_QRESYNC = 1 << 14,
	CAP_SPECIAL_USE = 1 << 15,
	CAP_UIDPLUS = 1 << 16,
	CAP_UNSELECT = 1 << 17,
	CAP_UTF8_ACCEPT = 1 << 18,
	CAP_X_GUID = 1 << 19, /* Dovecot's FETCH item X-GUID, found by trying (ID name "Dovecot") */
	CAP_SASL_IR = 1 << 20,
	CAP_LOGINDISABLED = 1 << 21,
	CAP_STARTTLS = 1 << 22,
	CAP_UIDONLY = 1 << 23,
};

enum auth_mechanism {
	AUTH_AUTO,
	AUTH_PLAIN,
	AUTH_LOGIN, /* the LOGIN command */
	AUTH_CRAM_MD5,
	AUTH_SCRAM_SHA_256,
	AUTH_XOAUTH2,
	AUTH_OAUTHBEARER,
	AUTH_EXTERNAL,
};

struct imap_options { /* strings borrowed for the call of imap_open */
	struct stream_options stream;
	const char *user;
	const char *password; /* or the OAuth2 token */
	enum auth_mechanism auth;
	const char *const *disabled; /* extensions never to be used, any ASCII case */
	size_t n_disabled;
	struct keyword_pool *keywords; /* must outlive the connection */
	int compress;                  /* 1 yes, 0 no, -1 auto */
	struct stream_traffic
		*spent;         /* what a connection that failed has cost; NULL: not asked for */
	const char *remembered; /* what imap_remember told in an earlier run; NULL: nothing */
	/* Called once, while the answer to a login of one message is awaited, or after any other login:
	 * work that needs no server costs no time then. Its error ends imap_open. NULL: nothing to do. */
	int (*meanwhile)(void *ctx, struct error *err);
	void *meanwhile_ctx;
};

struct imap_conn;

/* Connects, secures, logs in, reads the capabilities again, sends ID and ENABLE where offered, asks
 * for the namespace. With remembered, what imap_list sends is sent along with the login where that is
 * safe, to be taken up by the first imap_list with_status. Errors also: ERROR_LOGIN, ERROR_CERTIFICATE. A login that is refused for the
 * time being ([UNAVAILABLE], too many connections) is ERROR_NETWORK. */
int imap_open(struct imap_conn **conn, const struct imap_options *options, struct error *err);
/* Says LOGOUT if the connection is healthy, does not wait for the answer longer than 2 s. */
void imap_close(struct imap_conn **conn);

/* What lets a later run send more with its login; "" if nothing. After the first call that waited. */
#define IMAP_REMEMBERED 32
void imap_remember(struct imap_conn *conn, char out[IMAP_REMEMBERED]);

uint32_t
imap_capabilities(const struct imap_conn *conn); /* enum imap_capability, disabled taken out */
const struct namespace *imap_namespace(const struct imap_conn *conn);
uint64_t imap_append_limit(const struct imap_conn *conn); /* octets; 0: none known */
void imap_get_traffic(const struct imap_conn *conn, struct stream_traffic *traffic);
/* A turn of the line takes long (20 ms), longer than a server needs for most that it is asked. */
bool imap_is_far(const struct imap_conn *conn);

/* ---- mailboxes ---- */

struct imap_status { /* what LIST-STATUS, STATUS or SELECT told; known says which */
	bool known;
	uint32_t uidvalidity;
	uint32_t uidnext; /* 0: not told (Courier's SELECT) */
	uint32_t exists;
	uint64_t highestmodseq; /* 0: none */
	const char *mailbox_id; /* "" : none; in the arena of the call */
};

struct imap_mailbox {     /* strings in the arena of the call, never NULL */
	const char *name; /* as in core/names.h */
	const char *wire;
	char delimiter;
	bool noselect;
	bool noinferiors;
	enum special_use special;
	struct imap_status status; /* known only for mailboxes that can be selected */
};

/* The mailboxes of the personal namespace, sorted by name, duplicates taken out. With LIST-STATUS in
 * one command, else with one pipelined STATUS each when with_status. A complete answer (tagged OK)
 * or an error. */
int imap_list(struct imap_conn *conn, struct arena *arena, bool with_status,
	      struct imap_mailbox **mailboxes, size_t *n, struct error *err);

struct imap_creation {
	const char *mailbox; /* the wire name */
	/* out */
	bool made;
	struct error err; /* why it was not; ALREADYEXISTS: ERROR_REFUSED, but for INBOX success */
};
/* CREATE of all in one write, in this order, then SUBSCRIBE of those that were made (a failure there is not
 * an error). Fails only with the connection. */
int imap_create(struct imap_conn *conn, struct imap_creation *list, size_t n, struct error *err);
/* mailbox: the wire name. ERROR_NOT_FOUND if the server says so. */
int imap_delete(struct imap_conn *conn, const char *mailbox, struct error *err);
int imap_rename(struct imap_conn *conn, const char *from, const char *to, struct error *err);
/* 1: SELECT answers OK, 0: it answers NO (not BAD, BYE or silence). Leaves it unselected. */
int imap_exists(struct imap_conn *conn, const char *mailbox, struct error *err);

struct imap_selected {
	struct imap_status status;
	uint32_t permanent;      /* system flags of PERMANENTFLAGS; all if it was not sent */
	bool permanent_keywords; /* \* */
	bool read_only;
};

struct imap_facts {
	uint32_t uid;
	struct flags flags;
	uint32_t size;  /* RFC822.SIZE; 0 if it was not told or does not fit */
	int64_t date;   /* INTERNALDATE, seconds since 1970; INT64_MIN if it makes no sense */
	struct hash id; /* EMAILID, X-GM-MSGID or X-GUID */
};

/* The messages of a mailbox as told by a view. */
struct imap_view_sink {
	void *ctx;
	/* Ascending UIDs in a full listing; any order in a delta. */
	void (*message)(void *ctx, uint32_t uid, struct flags flags);
	void (*vanished)(void *ctx, uint32_t first, uint32_t last);
	/* Of the request's probes; those that are gone are left out. NULL without probes. */
	void (*facts)(void *ctx, const struct imap_facts *facts);
};

struct imap_view_request {
	/* What the base remembers; uidvalidity 0 or modseq 0: only a full listing will do. */
	uint32_t uidvalidity;
	uint64_t modseq;
	uint32_t uidnext; /* remembered: UIDs below it are known or gone */
	bool full;        /* no shortcut */
	/* A few messages, ascending, whose facts are told along with the view. Borrowed until they are
	 * sent. */
	const uint32_t *probes;
	size_t n_probes;
};

enum imap_view_kind {
	VIEW_FULL,  /* every message was told */
	VIEW_DELTA, /* QRESYNC: changed and new ones, and the vanished */
	VIEW_FLAGS, /* CONDSTORE: changed and new ones; removals only by the count */
};

struct imap_view {
	struct imap_selected selected;
	enum imap_view_kind kind;
	uint32_t told;   /* messages told (full: must equal exists) */
	bool complete;   /* full: told == EXISTS at the end and tagged OK; delta: tagged OK */
	uint32_t exists; /* at the end, with every EXISTS and EXPUNGE since applied */
};

/* SELECTs (examine: EXAMINE) and tells what changed since, by QRESYNC, else CONDSTORE, else all
 * of it. read_only: of the selection. A UIDVALIDITY other than the request's makes it full.
 * One round trip for QRESYNC. mailbox: wire name. ERROR_NOT_FOUND, ERROR_REFUSED. */
int imap_view(struct imap_conn *conn, const char *mailbox, bool examine,
	      const struct imap_view_request *request, const struct imap_view_sink *sink,
	      struct imap_view *view, struct error *err);

/* Several mailboxes in one burst: each begin sends its commands and waits for nothing, each finish
 * reads the answers to the oldest one begun; they are called in the same order. Between a begin and
 * the last finish only further begins, finishes and imap_close may be called.
 * A begin that fails with ERROR_REFUSED sent nothing: IMAP_MOST_BEGUN or too many octets are under
 * way, or the mailbox cannot be had without waiting. Then all that is begun is finished and the
 * mailbox is asked by imap_view, or imap_select and imap_fetch_bodies. A finish that fails with
 * ERROR_REFUSED, ERROR_NOT_FOUND or ERROR_LOCAL does not touch the others; after any other failure
 * all that was begun is gone. The mailbox finished last is the selected one. */
#define IMAP_MOST_BEGUN 64
int imap_view_begin(struct imap_conn *conn, const char *mailbox, bool examine,
		    const struct imap_view_request *request, struct error *err);
/* Whether one more may be begun; else the oldest ones are finished first. */
bool imap_begun_has_room(const struct imap_conn *conn);
/* The server gets what was begun now, and works while something else is done here; otherwise it goes out
 * when the first answer is read. A failure shows in the next finish. */
void imap_begun_send(struct imap_conn *conn);
/* As imap_view; but where it would have to ask again (another UIDVALIDITY, nothing to build on) *again
 * is set instead, what was told and view do not count, and imap_view is to be called when all
 * begun are finished. The mailbox_id of view is good until the next finish. */
int imap_view_finish(struct imap_conn *conn, const struct imap_view_sink *sink,
		     struct imap_view *view, bool *again, struct error *err);

/* Only SELECT or EXAMINE; nothing is sent if it is selected that way already. */
int imap_select(struct imap_conn *conn, const char *mailbox, bool examine,
		struct imap_selected *selected, struct error *err);
int imap_unselect(struct imap_conn *conn, struct error *err);
/* The mailbox that is wanted next: the imap_store_many, imap_move or imap_copy that follows sends its SELECT
 * along, behind its own commands, and imap_select finds it selected. Only a hint: where it cannot be
 * sent so, or is refused, imap_select asks by itself. */
void imap_select_next(struct imap_conn *conn, const char *mailbox, bool examine);

/* ---- messages of the selected mailbox; uids ascending, without duplicates ---- */

/* UID, FLAGS, INTERNALDATE, RFC822.SIZE and the server-side id. Messages that are gone are left out;
 * a UID that was not told is asked for once more by itself. The mailbox is selected first if it is not,
 * in the same write; selected is filled before fn is called. Errors also as of imap_select. */
typedef void imap_facts_fn(void *ctx, const struct imap_facts *facts);
struct imap_facts_request {
	const char *mailbox; /* the wire name */
	bool examine;
	const uint32_t *uids;
	size_t n;
	imap_facts_fn *fn;
	void *ctx;
};
int imap_fetch_facts(struct imap_conn *conn, const struct imap_facts_request *request,
		     struct imap_selected *selected, struct error *err);

enum imap_section {
	SECTION_ALL,
	SECTION_HEADER,
	SECTION_NONE, /* in a burst: only the facts, and of the sink only end is called */
};

/* Streams BODY.PEEK[] (or the header) with the facts. begin is called when the first octet is about to
 * come (uid may be 0: the server may tell it later), data for each piece, end with all facts when the
 * FETCH response is complete. has_body is false when the server gave none (NIL or nothing). A callback
 * that returns other than 0 makes the call fail with ERROR_LOCAL after the rest of the response was
 * read and skipped: the connection stays usable. uids are asked as ranges. refused: the server said NO
 * (the messages told before are good). */
struct imap_body_sink {
	void *ctx;
	int (*begin)(void *ctx, uint32_t uid, uint64_t size);
	int (*data)(void *ctx, const char *data, size_t len);
	int (*end)(void *ctx, const struct imap_facts *facts, bool has_body);
};
int imap_fetch_bodies(struct imap_conn *conn, const uint32_t *uids, size_t n,
		      enum imap_section section, const struct imap_body_sink *sink,
		      struct error *err);

/* The same for several mailboxes in one burst, as imap_view_begin: SELECT or EXAMINE, then the fetch. At
 * most IMAP_MOST_BEGUN_UIDS, which are copied. selected (may be NULL) is filled before the sink is
 * called. What the server leaves out is not asked for again. */
#define IMAP_MOST_BEGUN_UIDS 2000
int imap_fetch_begin(struct imap_conn *conn, const char *mailbox, bool examine,
		     const uint32_t *uids, size_t n, enum imap_section section, struct error *err);
int imap_fetch_finish(struct imap_conn *conn, struct imap_selected *selected,
		      const struct imap_body_sink *sink, struct error *err);

/* +FLAGS or -FLAGS by UID, not .SILENT: what the server answers goes to fn (uid and the flags it has
 * then; may be NULL). */
typedef void imap_flags_fn(void *ctx, uint32_t uid, struct flags flags);
int imap_store(struct imap_conn *conn, const uint32_t *uids, size_t n, bool add, struct flags flags,
	       imap_flags_fn *fn, void *ctx, struct error *err);

/* Many different changes in one pipelined burst. If the next mailbox was selected along with them, flags
 * that the server told without a UID are not asked for: to fn it is as if they had not been told. */
struct imap_store_request {
	const uint32_t *uids;
	size_t n;
	bool add;
	struct flags flags;
	bool refused; /* out: the server said NO or BAD to this one; reason in text */
	char text[96];
};
int imap_store_many(struct imap_conn *conn, struct imap_store_request *requests, size_t n,
		    imap_flags_fn *fn, void *ctx, struct error *err);

enum imap_outcome {
	OUTCOME_UNKNOWN = 0, /* not answered: it may have happened */
	OUTCOME_DONE,
	OUTCOME_REFUSED, /* it did not happen */
	OUTCOME_NOT_SENT,
};

struct imap_append {
	const char *mailbox; /* the wire name */
	uint64_t size;       /* octets on the wire, every line ending in CR LF */
	int fd; /* the message with LF line ends: bare LF is sent as CR LF; read from 0 */
	struct flags flags;
	int64_t date; /* INTERNALDATE, sent as +0000 */
	/* out */
	enum imap_outcome outcome;
	uint32_t uid;         /* 0: the server did not tell */
	uint32_t uidvalidity; /* of APPENDUID */
	bool try_create;      /* [TRYCREATE] */
	bool over_quota;      /* [OVERQUOTA]: no more in this run */
	bool too_big;
	char text[96]; /* the server's words when refused */
};

/* APPENDs to mailboxes (which need not be selected), pipelined with LITERAL+ or LITERAL-, MULTIAPPEND where
 * it saves anything and only for messages the server is sure to take. Those of one mailbox stand
 * together. Every append gets an outcome, also when the call fails. open opens the i-th file just before
 * it is sent (fd, size), close after: returning -1 leaves that one out (OUTCOME_NOT_SENT). A mailbox that
 * is missing gets nothing more, and none does where the quota is reached. */
struct imap_append_source {
	void *ctx;
	int (*open)(void *ctx, size_t i); /* fills appends[i].fd and size */
	void (*close)(void *ctx, size_t i);
};
int imap_append(struct imap_conn *conn, struct imap_append *appends, size_t n,
		const struct imap_append_source *source, struct error *err);

/* UID MOVE / UID COPY of the selected mailbox's messages. targets[i] is the UID of uids[i] in the target
 * from COPYUID, 0 if it was not told (no UIDPLUS, or the message was not there), IMAP_STAYED if the server
 * said OK to the MOVE and the message is still where it was. ERROR_REFUSED with try_create. MOVE only
 * where CAP_MOVE. */
#define IMAP_STAYED UINT32_MAX
struct imap_copy_result {
	uint32_t uidvalidity; /* of COPYUID; 0: not told */
	uint32_t uidnext;     /* of the target, asked afterwards; 0: not told */
	bool try_create;
};
int imap_move(struct imap_conn *conn, const uint32_t *uids, size_t n, const char *mailbox,
	      uint32_t *targets, struct imap_copy_result *result, struct error *err);
int imap_copy(struct imap_conn *conn, const uint32_t *uids, size_t n, const char *mailbox,
	      uint32_t *targets, struct imap_copy_result *result, struct error *err);

/* Destroys exactly these messages: +FLAGS (\Deleted), then UID EXPUNGE. Without UIDPLUS: EXPUNGE only if
 * UID SEARCH DELETED shows only ours, else they stay marked and *left is their number.
 * fn is called with every UID known to be gone. */
typedef void imap_uid_fn(void *ctx, uint32_t uid);
int imap_destroy(struct imap_conn *conn, const uint32_t *uids, size_t n, imap_uid_fn *fn, void *ctx,
		 size_t *left, struct error *err);

#endif
