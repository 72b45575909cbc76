/* What the files of the session share: the connection, the reader of responses, the queue of
 * commands. Nothing here is for other floors; they use imap.h. */
#ifndef MAILTWIN_IMAP_IMAP_PRIVATE_H
#define MAILTWIN_IMAP_IMAP_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"
#include "imap/imap.h"

/* ---- framer.c: octets become lines and literals ---- */

#define LINE_MAX_OCTETS ((size_t)8 << 20)      /* a SEARCH or VANISHED of a million messages */
#define LITERAL_MAX_OCTETS ((uint64_t)1 << 20) /* of a literal that is not a body */

struct reader {
	struct stream *stream;
	char *data;
	size_t room;
	size_t start; /* first octet not yet given out */
	size_t end;
	bool careful; /* takes no octet behind the line it is asked for */
};

struct line { /* borrowed from the reader or the assembled response until the next read */
	const char *data;
	size_t len; /* without CR LF */
};

void reader_init(struct reader *reader, struct stream *stream);
void reader_release(struct reader *reader);
int reader_line(struct reader *reader, struct line *line, struct error *err);
/* At least one octet, at most max, in place. */
int reader_some(struct reader *reader, uint64_t max, struct line *piece, struct error *err);
int reader_skip(struct reader *reader, uint64_t len, struct error *err);
/* 1: the line announces a literal of *size octets after its first *cut octets, 0: it does not,
 * -1: it announces 4 GiB or more. */
int line_literal(const struct line *line, size_t *cut, uint64_t *size, struct error *err);
/* Completes a response whose first line was read: all literals are put in place, so that it is one
 * piece ending in CR LF. Bounded. */
int reader_assemble(struct reader *reader, const struct line *first, struct text *out,
		    struct error *err);

/* ---- response.c ---- */

enum condition { CONDITION_OK, CONDITION_NO, CONDITION_BAD, CONDITION_BYE, CONDITION_PREAUTH };

struct status_text { /* borrowed until the next read */
	enum condition condition;
	char code[32];    /* upper case; "" if there is none */
	struct line args; /* of the code */
	struct line text; /* for people */
};

/* Reads "OK [CODE args] text" at p; false if it is none. */
bool status_text_parse(const char *p, size_t len, struct status_text *status);
bool status_text_says(const struct status_text *status, const char *words); /* any ASCII case */
/* The UIDs of a set such as "3,7:9", in its order; a range counts from its lower end. -1 if it is
 * malformed or has more than max of them. */
int uid_set_expand(const char *p, size_t len, uint32_t *uids, size_t max, size_t *n);
/* A decimal number up to max; moves *p. */
bool scan_number(const char **p, const char *end, uint64_t max, uint64_t *value);

/* ---- fetch.c ---- */

enum fetch_item {
	ITEM_UID = 1 << 0,
	ITEM_FLAGS = 1 << 1,
	ITEM_MODSEQ = 1 << 2,
	ITEM_SIZE = 1 << 3,
	ITEM_DATE = 1 << 4,
	ITEM_ID = 1 << 5,
	ITEM_BODY = 1 << 6, /* and it was not NIL */
};

struct fetch {
	uint32_t seq;
	unsigned items; /* enum fetch_item */
	uint64_t modseq;
	struct imap_facts facts;
};

/* The date and time of an INTERNALDATE without its quotes; INT64_MIN if it makes no sense. */
int64_t fetch_date(const char *p, size_t len);

struct imap_conn;
/* The rest of a FETCH response, whose first line goes on at p. */
int fetch_read(struct imap_conn *conn, uint32_t seq, const char *p, const char *end,
	       struct error *err);

#define FLAG_CACHE_SLOTS 64
struct flag_cache_entry {
	char text[58];
	uint16_t len; /* 0: free */
	struct flags flags;
};

/* ---- queue.c: what is under way ---- */

struct list_entry {
	const char *wire;
	char delimiter;
	bool noselect;
	bool noinferiors;
	enum special_use special;
};

/* What an operation wants of the responses that come while it runs. NULL: nothing. */
struct operation {
	void *ctx;
	void (*fetch)(void *ctx, const struct fetch *fetch);
	void (*vanished)(void *ctx, uint32_t first, uint32_t last, bool earlier);
	void (*list)(void *ctx, const struct list_entry *entry);
	void (*status)(void *ctx, const char *wire, const struct imap_status *status);
	void (*search)(void *ctx, uint32_t number);
	void (*code)(void *ctx, const struct status_text *status); /* of untagged conditions */
	void (*done)(void *ctx, size_t index, const struct status_text *status);
	/* Bodies: as in struct imap_body_sink, but cannot fail. */
	void (*body_begin)(void *ctx, uint32_t uid, uint64_t size);
	void (*body_data)(void *ctx, const char *data, size_t len);
};

struct pending {
	uint32_t tag;
	size_t index; /* the operation's number for the command */
	uint64_t cost;
};

struct reply { /* a copy of a tagged answer */
	enum condition condition;
	char code[32];
	char text[200];
};

#define SYNC_MAX 4

/* One begun and not finished (burst.c). */
struct begun {
	void *work;
	void (*work_free)(void *work); /* tells the kind too */
	uint32_t tag;                  /* of its last command */
	size_t octets;
};

struct imap_conn {
	struct stream *stream;
	struct reader reader;
	struct text assembled;
	struct keyword_pool *keywords;
	struct flag_cache_entry flag_cache[FLAG_CACHE_SLOTS];

	struct imap_conn *self; /* for imap_capabilities, which may have to read */
	bool setting_up;        /* ID, ENABLE, NAMESPACE are under way */
	bool list_ahead;  /* behind them the LIST with STATUS, if it was sent with the login */
	bool may_deflate; /* once it pays */
	bool meanwhile_done;

	/* the server */
	uint32_t capabilities;
	uint32_t disabled;
	uint32_t announced;  /* the capabilities after the login, as the server told them */
	uint32_t ahead;      /* what they are taken to be before it; 0: unknown */
	uint32_t mechanisms; /* 1 << enum auth_mechanism */
	bool capabilities_told;
	bool greeting_told; /* the greeting did */
	bool auth_told;     /* the list had an AUTH= word */
	bool enabled_qresync;
	bool enabled_utf8;
	bool utf8_only;
	bool is_dovecot;
	uint64_t append_limit;
	struct namespace ns;
	char *ns_prefix;
	char **foreign; /* prefixes of others' and shared namespaces */
	size_t n_foreign;

	/* the command being built and those under way */
	struct text out;
	size_t syncs[SYNC_MAX]; /* where the server must ask for more */
	size_t n_syncs;
	size_t secret; /* the log shows the command up to here; 0: all of it */
	uint32_t last_tag;
	uint32_t reply_tag; /* of the command whose answer is kept in reply */
	struct pending *queue;
	size_t queue_first;
	size_t queue_len;
	size_t queue_room;
	uint64_t queue_cost;
	const struct operation *operation;
	struct reply reply; /* to the command sent last, or to the login */
	bool continued;     /* a "+" came */
	struct text continuation;

	/* what was begun: a ring */
	struct begun begun[IMAP_MOST_BEGUN];
	size_t begun_first;
	size_t n_begun;
	size_t burst_octets;

	/* the selection */
	char *selected; /* wire name; NULL: none */
	bool examined;
	bool selecting;
	char *next; /* what imap_select_next named; NULL: nothing */
	bool next_examined;
	uint32_t next_tag; /* of its SELECT; 0: not sent */
	struct imap_selected selection;
	char mailbox_id[256];
	uint32_t exists;

	bool dead;
	bool closing;
	char bye[200];
};

/* Puts a tag; what is added to conn->out follows. */
void command_begin(struct imap_conn *conn, const char *verb);
/* Quoted, or as a literal. ERROR_REFUSED if it cannot be sent. */
int command_string(struct imap_conn *conn, const char *string, struct error *err);
/* Must the server ask for this string before the rest of the command is sent? */
bool command_string_waits(const struct imap_conn *conn, const char *string);
/* " (\Seen junk)"; false if nothing storable is left (nothing is added). */
bool command_flags(struct imap_conn *conn, struct flags flags);
void command_date(struct imap_conn *conn, int64_t date); /* " \"...\""; nothing if out of range */
/* As many of the UIDs as a line may hold, as ranges, at most max; how many were put. */
size_t command_uids(struct imap_conn *conn, const uint32_t *uids, size_t n, size_t max);
/* Ends the line, writes it, and remembers the command. Waits for "+" where a literal needs it;
 * then *sent tells whether the whole command went out (false: it was refused before). */
int command_send(struct imap_conn *conn, size_t index, uint64_t cost, struct error *err);
/* The same without the end of the line, for a literal of the caller's that follows. */
int command_send_open(struct imap_conn *conn, size_t index, uint64_t cost, bool wait, bool *refused,
		      struct error *err);

/* Reads until at most commands and cost are under way. */
int queue_wait(struct imap_conn *conn, size_t commands, uint64_t cost, struct error *err);
int queue_drain(struct imap_conn *conn, struct error *err);
/* Until that command is answered. */
int queue_wait_for(struct imap_conn *conn, uint32_t tag, struct error *err);
/* Is the command with that tag still without answer? */
bool queue_has(const struct imap_conn *conn, uint32_t tag);
/* Takes the command out and tells the operation. -1: no such command. */
int queue_answer(struct imap_conn *conn, uint32_t tag, const struct status_text *status);
/* The built command alone: sends it and waits. 0 on OK; else ERROR_REFUSED with what and the
 * server's words; conn->reply has the answer. */
int command_run(struct imap_conn *conn, const char *what, struct error *err);
/* Fails if the connection can no longer be used; sets the operation. */
int operation_begin(struct imap_conn *conn, const struct operation *operation, struct error *err);
/* The same with the set-up still under way: its answers come before those to what is sent now. */
int operation_begin_early(struct imap_conn *conn, const struct operation *operation,
			  struct error *err);
void operation_end(struct imap_conn *conn);

/* Reads one response and deals with it. */
int conn_read(struct imap_conn *conn, struct error *err);
int conn_fail(struct imap_conn *conn, struct error *err, enum error_kind kind, const char *text);
void reply_set(struct reply *reply, const struct status_text *status);
bool reply_says_missing(const struct reply *reply); /* the mailbox does not exist */
int refused(struct error *err, const char *what, const struct reply *reply);

/* ---- etpan.c: libetpan's parser over one complete response ---- */

/* An untagged response other than conditions and those that begin with a number. -1 where a
 * response that must not be missed makes no sense. */
int etpan_dispatch(struct imap_conn *conn, const char *data, size_t len, struct error *err);

/* ---- namespace.c ---- */

/* What follows the word NAMESPACE; false if it makes no sense. */
bool namespace_take(struct imap_conn *conn, const char *p, size_t len);

/* ---- capabilities.c ---- */

void capabilities_take(struct imap_conn *conn, const char *p, size_t len);
void capabilities_word(struct imap_conn *conn, const char *word);
void capabilities_clear(struct imap_conn *conn);
void capabilities_disable(struct imap_conn *conn, const struct imap_options *options);
/* Draws the consequences once the last list was read. */
void capabilities_settle(struct imap_conn *conn);

/* ---- ahead.c ---- */

void ahead_prepare(struct imap_conn *conn, const struct imap_options *options);
/* The login was sent as one command that asks for nothing more: sends what goes along with it. */
int ahead_send(struct imap_conn *conn, struct error *err);
/* After the login: whether what was sent along was right. If not, its answers are dropped. */
int ahead_judge(struct imap_conn *conn, struct error *err);

/* ---- mailboxes.c ---- */

/* Sends LIST, with_status: with what it needs to tell the STATUS of each. */
int list_put(struct imap_conn *conn, bool with_status, struct error *err);

/* ---- session.c, auth.c, scram.c ---- */

/* The login was sent: calls what imap_open was given to do meanwhile, once. */
int session_meanwhile(struct imap_conn *conn, const struct imap_options *options,
		      struct error *err);
/* ID, ENABLE and NAMESPACE as far as the server knows them. */
int session_put_setup(struct imap_conn *conn, struct error *err);

/* Waits for the answers to ID, ENABLE and NAMESPACE if they are still out. */
int session_finish_setup(struct imap_conn *conn, struct error *err);
/* The same, and starts DEFLATE if the line is slow and enough is to come: messages is how many are
 * about to be transferred, as far as it is known. */
int session_prepare(struct imap_conn *conn, size_t messages, struct error *err);
int auth_login(struct imap_conn *conn, const struct imap_options *options, struct error *err);

struct scram;
struct scram *scram_new(const char *user, const char *password, const char *nonce);
void scram_free(struct scram **scram);
const char *scram_first(const struct scram *scram);
/* The final message for the server's first; NULL with err. Borrowed from scram. */
const char *scram_final(struct scram *scram, const char *server_first, struct error *err);
int scram_verify(struct scram *scram, const char *server_final, struct error *err);

/* ---- selection.c ---- */

struct selecting { /* a SELECT or EXAMINE under way */
	struct imap_conn *conn;
	const char *mailbox;
	bool examine;
	bool taken; /* it was answered OK */
	struct reply reply;
};

void selection_forget(struct imap_conn *conn);
void selection_code(struct imap_conn *conn, const struct status_text *status);
/* SELECT or EXAMINE as a command not yet sent. */
int selection_put(struct imap_conn *conn, const char *mailbox, bool examine, struct error *err);
/* The same with CONDSTORE, where the server knows it. */
int selection_put_plain(struct imap_conn *conn, const char *mailbox, bool examine,
			struct error *err);
/* Is the mailbox selected, that way? */
bool selection_is(const struct imap_conn *conn, const char *mailbox, bool examine);
/* What is read from now on is the answer to a SELECT. */
void selection_expect(struct imap_conn *conn);
/* The tagged answer came. */
void selection_answer(struct selecting *select, const struct status_text *status);
/* Behind the last command of an operation: sends the SELECT of the next mailbox if there is one that can be
 * sent without waiting; *sent. When all before it is answered, the operation is told nothing more. */
int selection_send_next(struct imap_conn *conn, bool *sent, struct error *err);
/* Is that the tag of the next mailbox's SELECT, with commands before it still to be answered? */
bool selection_is_early(const struct imap_conn *conn, uint32_t tag);
/* The answer to a command was taken: if what comes now is of the next mailbox, it is taken for that. */
void selection_turn(struct imap_conn *conn);
/* Is it the answer to the next mailbox's SELECT? Then it is taken. */
bool selection_next_answer(struct imap_conn *conn, uint32_t tag, const struct status_text *status);
void selection_forget_next(struct imap_conn *conn);
/* -1 with the error of a SELECT that was not taken. */
int selection_refused(const struct selecting *select, struct error *err);

/* ---- burst.c ---- */

/* May commands of that many octets be sent without waiting, the first with that name in it?
 * ERROR_REFUSED if not; nothing was sent then. */
int burst_enter(struct imap_conn *conn, const char *mailbox, size_t octets, struct error *err);
/* The command sent last is the last one of work, which now belongs to the connection. */
void burst_add(struct imap_conn *conn, void *work, void (*work_free)(void *work), size_t octets);
/* The work of the oldest, which must be of that kind; NULL with err. */
void *burst_oldest(struct imap_conn *conn, void (*work_free)(void *work), struct error *err);
/* Reads the answers to the oldest, beginning with its SELECT. */
int burst_read(struct imap_conn *conn, const struct operation *operation, struct error *err);
/* Is that the tag of a command begun after the oldest? */
bool burst_is_early(const struct imap_conn *conn, uint32_t tag);
/* Ends the oldest; all of them if the connection is dead. */
void burst_leave(struct imap_conn *conn);
void burst_drop(struct imap_conn *conn);

/* ---- messages.c ---- */

/* Which of the UIDs the selected mailbox has, asked in a way that the oldest servers get right: for
 * those without UIDPLUS. present has room for n. */
int messages_present(struct imap_conn *conn, const uint32_t *uids, size_t n, uint32_t *present,
		     size_t *n_present, struct error *err);
/* " EMAILID" or what the server has instead; "" if nothing. */
const char *id_item(const struct imap_conn *conn);
bool uid_find(const uint32_t *uids, size_t n, uint32_t uid, size_t *where);

#endif
