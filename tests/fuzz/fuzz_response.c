/* Any bytes as a server: a connection whose stream is the input runs one call of imap.h, chosen by
 * the first octet, with capabilities chosen by the second. Nothing may crash, hang, leak, or break
 * the promises that callers build on: a body has a beginning and at most one end, octets told are
 * the octets announced, a complete full view told as many messages as exist. The stream is a
 * stand-in in this file, so that no process and no socket is needed. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "imap/imap_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct stream {
	const uint8_t *data;
	size_t left;
	size_t piece; /* the most that one read gives */
};

static struct stream input;

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* ---- the stand-in ---- */

int stream_open(struct stream **stream, const struct stream_options *options, struct error *err)
{
	(void)options, (void)err;
	*stream = &input;
	return 0;
}

void stream_close(struct stream **stream)
{
	*stream = NULL;
}

int stream_start_tls(struct stream *stream, struct error *err)
{
	(void)stream, (void)err;
	return 0;
}

bool stream_is_encrypted(const struct stream *stream)
{
	(void)stream;
	return true;
}

int stream_start_deflate(struct stream *stream, struct error *err)
{
	(void)stream, (void)err;
	return 0;
}

ptrdiff_t stream_read(struct stream *stream, void *data, size_t len, struct error *err)
{
	if (len > stream->piece)
		len = stream->piece;
	if (len > stream->left)
		len = stream->left;
	if (len == 0)
		return error_set(err, ERROR_NETWORK, "the end");
	memcpy(data, stream->data, len);
	stream->data += len;
	stream->left -= len;
	return (ptrdiff_t)len;
}

int stream_write(struct stream *stream, const void *data, size_t len, struct error *err)
{
	(void)stream, (void)err;
	must(len == 0 || data != NULL);
	return 0;
}

int stream_flush(struct stream *stream, struct error *err)
{
	(void)stream, (void)err;
	return 0;
}

void stream_was_away(struct stream *stream)
{
	(void)stream;
}

void stream_get_traffic(const struct stream *stream, struct stream_traffic *traffic)
{
	(void)stream;
	memset(traffic, 0, sizeof(*traffic));
}

/* ---- what the callers expect ---- */

struct body {
	bool open;
	uint64_t announced;
	uint64_t got;
};

static int body_begin(void *ctx, uint32_t uid, uint64_t size)
{
	struct body *body = ctx;

	(void)uid;
	must(!body->open);
	body->open = true;
	body->announced = size;
	body->got = 0;
	return 0;
}

static int body_data(void *ctx, const char *data, size_t len)
{
	struct body *body = ctx;

	must(body->open && data != NULL);
	body->got += len;
	must(body->got <= body->announced);
	return 0;
}

static int body_end(void *ctx, const struct imap_facts *facts, bool has_body)
{
	struct body *body = ctx;

	(void)facts;
	must(has_body == body->open);
	must(!has_body || body->got == body->announced);
	body->open = false;
	return 0;
}

static void view_message(void *ctx, uint32_t uid, struct flags flags)
{
	uint32_t *told = ctx;

	(void)flags;
	must(uid != 0);
	(*told)++;
}

static void view_vanished(void *ctx, uint32_t first, uint32_t last)
{
	(void)ctx;
	must(first != 0 && first <= last);
}

static void view_facts(void *ctx, const struct imap_facts *facts)
{
	(void)ctx;
	must(facts->uid != 0);
}

static void take_facts(void *ctx, const struct imap_facts *facts)
{
	(void)ctx;
	must(facts->uid == 3 || facts->uid == 4 || facts->uid == 9);
}

static void take_flags(void *ctx, uint32_t uid, struct flags flags)
{
	(void)ctx, (void)flags;
	must(uid != 0);
}

static void take_uid(void *ctx, uint32_t uid)
{
	(void)ctx;
	must(uid == 3 || uid == 4 || uid == 9);
}

static int open_message(void *ctx, size_t i)
{
	struct imap_append *appends = ctx;

	appends[i].fd = -1;
	appends[i].size = 0;
	return 0;
}

/* ---- the calls ---- */

static const uint32_t uids[] = {3, 4, 9};

static void run_view(struct imap_conn *conn, bool known, struct error *err)
{
	struct imap_view_request request = {.uidvalidity = known,
					    .modseq = known ? 5 : 0,
					    .uidnext = 9,
					    .probes = uids,
					    .n_probes = known ? ARRAY_SIZE(uids) : 0};
	uint32_t told = 0;
	struct imap_view_sink sink = {&told, view_message, view_vanished, view_facts};
	struct imap_view view;

	if (imap_view(conn, "box", false, &request, &sink, &view, err) < 0)
		return;
	if (view.kind == VIEW_FULL && view.complete)
		must(view.told == told && view.told == view.exists);
}

static void run_appends(struct imap_conn *conn, struct error *err)
{
	struct imap_append appends[3];
	struct imap_append_source source = {appends, open_message, NULL};

	memset(appends, 0, sizeof(appends));
	for (int i = 0; i < 3; i++)
		appends[i].mailbox = i < 2 ? "box" : "other";
	imap_append(conn, appends, 3, &source, err);
	for (int i = 0; i < 3; i++)
		must(appends[i].outcome == OUTCOME_DONE || appends[i].uid == 0);
}

static void run_destroy(struct imap_conn *conn, struct error *err)
{
	size_t left;

	imap_destroy(conn, uids, 3, take_uid, NULL, &left, err);
	must(left <= 3);
}

static void run_store(struct imap_conn *conn, struct error *err)
{
	struct flags flags = {FLAG_SEEN, 0};

	imap_store(conn, uids, 3, true, flags, take_flags, NULL, err);
}

static void run_burst(struct imap_conn *conn, const struct imap_body_sink *sink, struct error *err)
{
	static const enum imap_section sections[] = {SECTION_NONE, SECTION_HEADER, SECTION_ALL};
	struct imap_selected selected;

	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		if (imap_fetch_begin(conn, "box", false, uids, 3, sections[i], err) < 0)
			return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		imap_fetch_finish(conn, &selected, sink, err);
}

static void run(struct imap_conn *conn, unsigned which, struct arena *arena, struct error *err)
{
	struct body body = {false, 0, 0};
	struct imap_body_sink sink = {&body, body_begin, body_data, body_end};
	struct imap_mailbox *mailboxes;
	struct imap_copy_result result;
	struct imap_facts_request facts = {
		.mailbox = "box", .uids = uids, .n = 3, .fn = take_facts};
	struct imap_selected selected;
	uint32_t targets[3];
	size_t n;

	bool more = which >= 'd'; /* of it: the next mailbox along, several in a burst */

	if (more)
		imap_select_next(conn, "next", false);
	switch (which % 10) {
	case 0: imap_list(conn, arena, true, &mailboxes, &n, err); break;
	case 1: run_view(conn, false, err); break;
	case 2: run_view(conn, true, err); break;
	case 3: imap_fetch_facts(conn, &facts, &selected, err); break;
	case 4:
		if (more)
			run_burst(conn, &sink, err);
		else
			imap_fetch_bodies(conn, uids, 3, SECTION_ALL, &sink, err);
		break;
	case 5: run_store(conn, err); break;
	case 6: run_appends(conn, err); break;
	case 7: (more ? imap_move : imap_copy)(conn, uids, 3, "box", targets, &result, err); break;
	case 8: run_destroy(conn, err); break;
	case 9: imap_exists(conn, "box", err); break;
	}
}

static struct imap_conn *open_session(unsigned capabilities, struct keyword_pool *pool,
				      struct error *err)
{
	static const char *const no_qresync[] = {"QRESYNC"};
	struct imap_options options = {.user = "user", .password = "pencil", .keywords = pool};
	struct imap_conn *conn;

	options.auth = capabilities % 8;
	options.disabled = no_qresync;
	options.n_disabled = capabilities / 8 % 2;
	options.stream.tls = capabilities / 16 % 3;
	options.compress = 1;
	return imap_open(&conn, &options, err) == 0 ? conn : NULL;
}

static struct imap_conn *make_session(unsigned capabilities, struct keyword_pool *pool)
{
	struct imap_conn *conn = xcalloc(1, sizeof(*conn));

	conn->self = conn;
	conn->stream = &input;
	conn->keywords = pool;
	conn->ns_prefix = xstrdup("");
	conn->ns.prefix = conn->ns_prefix;
	conn->ns.delimiter = '/';
	conn->enabled_qresync = (capabilities & 1) != 0;
	conn->capabilities = CAP_ENABLE | CAP_OBJECTID;
	if ((capabilities & 1) != 0)
		conn->capabilities |= CAP_QRESYNC;
	if ((capabilities & 2) != 0)
		conn->capabilities |= CAP_CONDSTORE | CAP_LIST_STATUS;
	if ((capabilities & 4) != 0)
		conn->capabilities |= CAP_UIDPLUS | CAP_MOVE;
	if ((capabilities & 8) != 0)
		conn->capabilities |= CAP_LITERAL_PLUS | CAP_MULTIAPPEND;
	reader_init(&conn->reader, conn->stream);
	return conn;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct keyword_pool *pool;
	struct imap_conn *conn;
	struct arena *arena;
	struct error err;

	if (size < 3)
		return 0;
	input.data = data + 3;
	input.left = size - 3;
	input.piece = data[2] >= '0' && data[2] <= '9' ? (size_t)(data[2] - '0') + 1 : 65536;
	pool = keyword_pool_new();
	arena = arena_new();
	conn = data[0] == 'o' ? open_session(data[1], pool, &err) : make_session(data[1], pool);
	if (conn != NULL)
		run(conn, data[0], arena, &err);
	imap_close(&conn);
	arena_free(&arena);
	keyword_pool_free(&pool);
	return 0;
}
