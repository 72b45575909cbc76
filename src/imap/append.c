/* Sending messages (RFC 9051 6.3.12, RFC 7888 for literals that are not asked for, RFC 3502 for
 * several in one command, RFC 4315 for the UIDs they get).
 *
 * A literal's length is promised before its octets. A small message is therefore read and converted
 * first, and if its file is not as long as was said, nothing is sent. A large one is streamed; if it
 * turns out to be of another length, the connection is dropped before the command is complete, so
 * that no server stores a message that never was. A message of some megabytes is worth asking first
 * even where that is not needed: a server that will not have it says so before it is sent.
 *
 * Batches are all or nothing on the server. One that is refused is sent again message by message,
 * so that one bad message costs its neighbours nothing. */
#include "imap/imap_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"

#define SMALL_OCTETS ((uint64_t)256 << 10) /* read before it is sent */
#define BATCH_OCTETS ((uint64_t)1 << 20)   /* of one MULTIAPPEND */
#define BATCH_MESSAGES 64
#define ASK_OCTETS ((uint64_t)4 << 20) /* from here on the server is asked first */
#define WINDOW_COMMANDS 32             /* under way; what a broken connection leaves in doubt */
#define WINDOW_OCTETS ((uint64_t)4 << 20)
#define PIECE_OCTETS ((size_t)64 << 10)

struct command {
	size_t first; /* in sent */
	size_t n;
};

struct appending {
	struct imap_conn *conn;
	struct imap_append *appends;
	const struct imap_append_source *source;
	size_t *sent; /* the numbers of the appends, in the order of sending */
	size_t n_sent;
	size_t sent_room;
	struct command *commands;
	size_t n_commands;
	size_t commands_room;
	size_t *again; /* of a batch that was refused */
	size_t n_again;
	size_t again_room;
	struct text body;  /* of a small message, as it goes on the wire */
	struct text batch; /* a MULTIAPPEND without its beginning */
	size_t batched;    /* messages in it, the last of sent */
	char *piece;
	const char *missing; /* the mailbox that was said to be last; NULL: none was */
	bool stop;           /* no room */
};

/* ---- answers ---- */

static void take_uids(struct appending *work, const struct command *command,
		      const struct status_text *status)
{
	const char *p = status->args.data, *end = p + status->args.len;
	uint32_t *uids = xcalloc(command->n, sizeof(*uids));
	uint64_t uidvalidity;
	size_t n = 0;
	bool good;

	good = scan_number(&p, end, UINT32_MAX, &uidvalidity) && uidvalidity != 0 && p < end &&
	       *p++ == ' ' && uid_set_expand(p, (size_t)(end - p), uids, command->n, &n) == 0 &&
	       n == command->n;
	for (size_t i = 1; i < n && good; i++)
		good = uids[i] > uids[i - 1];
	for (size_t i = 0; i < command->n && good; i++) {
		struct imap_append *append = &work->appends[work->sent[command->first + i]];

		append->uid = uids[i];
		append->uidvalidity = (uint32_t)uidvalidity;
	}
	if (!good)
		log_verbose("the server's APPENDUID makes no sense");
	free(uids);
}

static void describe(struct imap_append *append, const struct status_text *status)
{
	struct reply reply;

	reply_set(&reply, status);
	snprintf(append->text, sizeof(append->text), "%s%s%s%.60s",
		 reply.code[0] != '\0' ? "[" : "", reply.code, reply.code[0] != '\0' ? "] " : "",
		 reply.text);
	append->try_create = strcmp(status->code, "TRYCREATE") == 0;
	append->over_quota = strcmp(status->code, "OVERQUOTA") == 0;
	append->too_big = strcmp(status->code, "TOOBIG") == 0;
}

static void refuse(struct appending *work, const struct command *command,
		   const struct status_text *status)
{
	for (size_t i = 0; i < command->n; i++) {
		struct imap_append *append = &work->appends[work->sent[command->first + i]];

		append->outcome = OUTCOME_REFUSED;
		describe(append, status);
		work->stop = work->stop || append->over_quota;
		if (append->try_create)
			work->missing = append->mailbox;
	}
}

static void send_again(struct appending *work, const struct command *command)
{
	for (size_t i = 0; i < command->n; i++) {
		work->again =
			grow(work->again, work->n_again, &work->again_room, sizeof(*work->again));
		work->again[work->n_again++] = work->sent[command->first + i];
	}
}

static void append_done(void *ctx, size_t index, const struct status_text *status)
{
	struct appending *work = ctx;
	struct command command = work->commands[index];

	if (status->condition != CONDITION_OK) {
		refuse(work, &command, status);
		if (command.n > 1 && strcmp(status->code, "TRYCREATE") != 0) {
			work->stop = false;
			send_again(work, &command);
		}
		return;
	}
	for (size_t i = 0; i < command.n; i++)
		work->appends[work->sent[command.first + i]].outcome = OUTCOME_DONE;
	if (strcmp(status->code, "APPENDUID") == 0 && (work->conn->disabled & CAP_UIDPLUS) == 0)
		take_uids(work, &command, status);
}

/* ---- octets ---- */

/* Adds a piece with CR LF for every bare LF; last is the octet before it. */
static void add_converted(struct text *out, const char *data, size_t len, char *last)
{
	const char *end = data + len, *newline;

	while (data < end) {
		newline = memchr(data, '\n', (size_t)(end - data));
		if (newline == NULL) {
			text_add(out, data, (size_t)(end - data));
			break;
		}
		text_add(out, data, (size_t)(newline - data));
		if ((newline > data ? newline[-1] : *last) == '\r')
			text_putc(out, '\n');
		else
			text_add(out, "\r\n", 2);
		*last = '\n';
		data = newline + 1;
	}
	if (len != 0)
		*last = end[-1];
}

/* The next octets of the file; 0 at its end. */
static ssize_t read_piece(struct appending *work, int fd, uint64_t at)
{
	return pread(fd, work->piece, PIECE_OCTETS, (off_t)at);
}

/* A small message into work->body; false if it is not of the size that was said. */
static bool read_small(struct appending *work, const struct imap_append *append)
{
	uint64_t at = 0;
	char last = '\0';
	ssize_t got;

	text_clear(&work->body);
	while ((got = read_piece(work, append->fd, at)) > 0) {
		add_converted(&work->body, work->piece, (size_t)got, &last);
		at += (uint64_t)got;
		if (work->body.len > append->size)
			return false;
	}
	return got == 0 && work->body.len == append->size;
}

/* 1: sent, 0: the file is not of its size, -1: the connection failed. */
static int send_large(struct appending *work, const struct imap_append *append, struct error *err)
{
	uint64_t at = 0, sent = 0;
	char last = '\0';
	ssize_t got;

	log_protocol("C: {%" PRIu64 " bytes}", append->size);
	while ((got = read_piece(work, append->fd, at)) > 0) {
		text_clear(&work->body);
		add_converted(&work->body, work->piece, (size_t)got, &last);
		at += (uint64_t)got;
		sent += work->body.len;
		if (sent > append->size)
			return 0;
		if (stream_write(work->conn->stream, work->body.data, work->body.len, err) < 0)
			return -1;
	}
	return got == 0 && sent == append->size;
}

/* ---- commands ---- */

static void note_sent(struct appending *work, size_t i)
{
	work->sent = grow(work->sent, work->n_sent, &work->sent_room, sizeof(*work->sent));
	work->sent[work->n_sent++] = i;
}

static size_t note_command(struct appending *work, size_t n)
{
	work->commands = grow(work->commands, work->n_commands, &work->commands_room,
			      sizeof(*work->commands));
	work->commands[work->n_commands].first = work->n_sent - n;
	work->commands[work->n_commands].n = n;
	for (size_t i = 0; i < n; i++)
		work->appends[work->sent[work->n_sent - 1 - i]].outcome = OUTCOME_UNKNOWN;
	return work->n_commands++;
}

/* May a literal of that size go out unasked? */
static bool unasked(const struct imap_conn *conn, uint64_t size)
{
	if ((conn->capabilities & CAP_LITERAL_PLUS) != 0)
		return size <= ASK_OCTETS;
	return (conn->capabilities & CAP_LITERAL_MINUS) != 0 && size <= 4096;
}

static int begin(struct appending *work, const char *mailbox, struct error *err)
{
	command_begin(work->conn, "APPEND ");
	return command_string(work->conn, mailbox, err);
}

static bool is_missing(const struct appending *work, const char *mailbox)
{
	return work->missing != NULL && strcmp(work->missing, mailbox) == 0;
}

/* " (flags) "date" {size}": what stands before each message. */
static void put_head(struct imap_conn *conn, const struct imap_append *append, bool plus)
{
	command_flags(conn, append->flags);
	command_date(conn, append->date);
	text_printf(&conn->out, " {%" PRIu64 "%s}\r\n", append->size, plus ? "+" : "");
}

/* The server may have refused and closed while we were writing; its words are worth having. */
static int broken(struct appending *work, struct error *err)
{
	struct error ignored;

	if (err != NULL && err->kind != ERROR_STOPPED) {
		while (work->conn->queue_len != 0 && conn_read(work->conn, &ignored) == 0)
			continue;
	}
	work->conn->dead = true;
	return -1;
}

/* The promise cannot be kept. What was sent before is answered first, then the connection goes. */
static int give_up(struct appending *work, struct imap_append *append, struct error *err)
{
	struct error ignored;

	while (work->conn->queue_len > 1 && conn_read(work->conn, &ignored) == 0)
		continue;
	snprintf(append->text, sizeof(append->text), "the file changed while it was sent");
	return conn_fail(work->conn, err, ERROR_NETWORK,
			 "a file changed while it was sent, so the connection was dropped");
}

static int send_body(struct appending *work, struct imap_append *append, bool small,
		     struct error *err)
{
	int sent = 1;

	if (small) {
		log_protocol("C: {%zu bytes}", work->body.len);
		if (stream_write(work->conn->stream, work->body.data, work->body.len, err) < 0)
			return broken(work, err);
	} else {
		sent = send_large(work, append, err);
	}
	if (sent == 0)
		return give_up(work, append, err);
	if (sent < 0 || stream_write(work->conn->stream, "\r\n", 2, err) < 0)
		return broken(work, err);
	return 0;
}

static int send_one(struct appending *work, size_t i, bool small, struct error *err)
{
	struct imap_append *append = &work->appends[i];
	bool plus = unasked(work->conn, append->size), refused_early;
	size_t index;

	if (begin(work, append->mailbox, err) < 0)
		return -1;
	put_head(work->conn, append, plus);
	note_sent(work, i);
	index = note_command(work, 1);
	if (command_send_open(work->conn, index, append->size, !plus, &refused_early, err) < 0) {
		broken(work, err);
		if (!plus && append->outcome == OUTCOME_UNKNOWN)
			append->outcome = OUTCOME_NOT_SENT; /* its octets never left */
		return -1;
	}
	if (refused_early)
		return 0;
	if (send_body(work, append, small, err) < 0)
		return -1;
	return queue_wait(work->conn, WINDOW_COMMANDS, WINDOW_OCTETS, err);
}

/* ---- batches ---- */

static bool may_batch(const struct appending *work, const struct imap_append *append)
{
	uint32_t need = CAP_MULTIAPPEND | CAP_LITERAL_PLUS;

	return (work->conn->capabilities & need) == need && append->size != 0 &&
	       memchr(work->body.data, '\0', work->body.len) == NULL;
}

static const char *batch_mailbox(const struct appending *work)
{
	return work->appends[work->sent[work->n_sent - 1]].mailbox;
}

/* Its messages are as if they had never been opened. */
static void drop_batch(struct appending *work)
{
	work->n_sent -= work->batched;
	work->batched = 0;
	text_clear(&work->batch);
}

static int flush_batch(struct appending *work, struct error *err)
{
	struct imap_conn *conn = work->conn;
	uint64_t cost = work->batch.len;
	bool refused_early;
	size_t index;

	if (work->batched == 0)
		return 0;
	if (work->stop || is_missing(work, batch_mailbox(work))) {
		drop_batch(work);
		return 0;
	}
	if (begin(work, batch_mailbox(work), err) < 0)
		return -1;
	index = note_command(work, work->batched);
	work->batched = 0;
	if (command_send_open(conn, index, cost, false, &refused_early, err) < 0)
		return broken(work, err);
	log_protocol("C: {%zu bytes of messages}", work->batch.len);
	text_add(&work->batch, "\r\n", 2);
	if (stream_write(conn->stream, work->batch.data, work->batch.len, err) < 0)
		return broken(work, err);
	text_clear(&work->batch);
	return queue_wait(conn, WINDOW_COMMANDS, WINDOW_OCTETS, err);
}

static bool fits_batch(const struct appending *work, const struct imap_append *append)
{
	return work->batched == 0 || (work->batched < BATCH_MESSAGES &&
				      work->batch.len + work->body.len <= BATCH_OCTETS &&
				      strcmp(batch_mailbox(work), append->mailbox) == 0);
}

static int add_to_batch(struct appending *work, size_t i, struct error *err)
{
	struct imap_conn *conn = work->conn;

	if (!fits_batch(work, &work->appends[i]) && flush_batch(work, err) < 0)
		return -1;
	text_clear(&conn->out);
	put_head(conn, &work->appends[i], true);
	text_add(&work->batch, conn->out.data, conn->out.len);
	text_add(&work->batch, work->body.data, work->body.len);
	note_sent(work, i);
	work->batched++;
	return 0;
}

/* ---- the work ---- */

static int send_opened(struct appending *work, size_t i, bool batches, struct error *err)
{
	struct imap_append *append = &work->appends[i];
	uint64_t limit = work->conn->append_limit;
	bool small = append->size <= SMALL_OCTETS;

	if ((limit != 0 && append->size > limit) || append->size > UINT32_MAX) {
		append->outcome = OUTCOME_REFUSED;
		append->too_big = true;
		snprintf(append->text, sizeof(append->text), "larger than the server allows");
		return 0;
	}
	if (small && !read_small(work, append)) {
		snprintf(append->text, sizeof(append->text), "the file changed while it was read");
		return 0;
	}
	if (small && batches && may_batch(work, append))
		return add_to_batch(work, i, err);
	if (flush_batch(work, err) < 0)
		return -1;
	return send_one(work, i, small, err);
}

static int send_message(struct appending *work, size_t i, bool batches, struct error *err)
{
	struct imap_append *append = &work->appends[i];
	int result;

	append->outcome = OUTCOME_NOT_SENT;
	if (is_missing(work, append->mailbox))
		return 0;
	if (work->source != NULL && work->source->open(work->source->ctx, i) != 0)
		return 0;
	result = send_opened(work, i, batches, err);
	if (work->source != NULL && work->source->close != NULL)
		work->source->close(work->source->ctx, i);
	return result;
}

static int send_all(struct appending *work, size_t n, struct error *err)
{
	for (size_t i = 0; i < n && !work->stop; i++) {
		if (send_message(work, i, true, err) < 0)
			return -1;
	}
	if (flush_batch(work, err) < 0)
		return -1;
	return queue_drain(work->conn, err);
}

static int send_refused_again(struct appending *work, struct error *err)
{
	for (size_t i = 0; i < work->n_again && !work->stop; i++) {
		struct imap_append *append = &work->appends[work->again[i]];

		append->over_quota = append->too_big = append->try_create = false;
		append->text[0] = '\0';
		if (send_message(work, work->again[i], false, err) < 0)
			return -1;
	}
	return queue_drain(work->conn, err);
}

static void release(struct appending *work)
{
	free(work->sent);
	free(work->commands);
	free(work->again);
	free(work->piece);
	text_release(&work->body);
	text_release(&work->batch);
}

int imap_append(struct imap_conn *conn, struct imap_append *appends, size_t n,
		const struct imap_append_source *source, struct error *err)
{
	struct appending work = {.conn = conn, .appends = appends, .source = source};
	struct operation operation = {.ctx = &work, .done = append_done};
	struct error own;
	int result;

	if (err == NULL)
		err = &own;
	for (size_t i = 0; i < n; i++) {
		appends[i].outcome = OUTCOME_NOT_SENT;
		appends[i].uid = appends[i].uidvalidity = 0;
		appends[i].try_create = appends[i].over_quota = appends[i].too_big = false;
		appends[i].text[0] = '\0';
	}
	if (session_prepare(conn, n, err) < 0 || operation_begin(conn, &operation, err) < 0)
		return -1;
	work.piece = xmalloc(PIECE_OCTETS);
	result = send_all(&work, n, err);
	if (result == 0 && work.n_again != 0)
		result = send_refused_again(&work, err);
	operation_end(conn);
	release(&work);
	return result;
}
