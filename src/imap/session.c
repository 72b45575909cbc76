/* A session from greeting to LOGOUT.
 *
 * What a server can do is asked again whenever it may have changed: after STARTTLS (what was said
 * in plain text is forgotten) and after the login, unless the server told by itself. Then ID,
 * ENABLE and NAMESPACE go out in one write with the first command. DEFLATE starts later, when the
 * turns so far show that the line is long and there is enough to send: on a near server it costs
 * more than it saves, and for a few lines its own turn is the cost. */
#include "imap/imap_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0"
#endif

static int ask_capabilities(struct imap_conn *conn, struct error *err)
{
	capabilities_clear(conn);
	command_begin(conn, "CAPABILITY");
	if (command_run(conn, "asking for the server's capabilities", err) < 0)
		return -1;
	if (!conn->capabilities_told)
		log_verbose("the server did not tell its capabilities");
	return 0;
}

/* ---- opening ---- */

struct greeting {
	bool seen;
	enum condition condition;
};

static void greeting_code(void *ctx, const struct status_text *status)
{
	struct greeting *greeting = ctx;

	greeting->seen = true;
	greeting->condition = status->condition;
}

/* A server that wants TLS first waits for us, as we wait for it. */
static int no_greeting(const struct imap_conn *conn, const struct imap_options *options,
		       struct error *err)
{
	bool plain = !stream_is_encrypted(conn->stream) && options->stream.tunnel == NULL;
	struct stream_traffic traffic;
	struct error why;

	if (err == NULL)
		return -1;
	why = *err;
	stream_get_traffic(conn->stream, &traffic);
	if (plain && traffic.bytes_in == 0 && why.kind == ERROR_NETWORK)
		error_set(err, why.kind, "%s (is port %u one for tls = 'implicit'?)", why.text,
			  (unsigned)options->stream.port);
	return error_wrap(err, "waiting for the server's greeting");
}

static int read_greeting(struct imap_conn *conn, const struct imap_options *options, bool *preauth,
			 struct error *err)
{
	struct greeting greeting = {false, CONDITION_OK};
	struct operation operation = {.ctx = &greeting, .code = greeting_code};

	conn->operation = &operation;
	while (!greeting.seen) {
		if (conn_read(conn, err) < 0) {
			conn->operation = NULL;
			return no_greeting(conn, options, err);
		}
	}
	conn->operation = NULL;
	if (greeting.condition != CONDITION_OK && greeting.condition != CONDITION_PREAUTH)
		return conn_fail(conn, err, ERROR_SERVER, "the server's greeting makes no sense");
	conn->greeting_told = conn->capabilities_told;
	*preauth = greeting.condition == CONDITION_PREAUTH;
	return 0;
}

/* Nothing that came in plain text counts afterwards, and nothing may be left over from it: it was
 * perhaps not the server who said it. */
static int start_tls(struct imap_conn *conn, struct error *err)
{
	if (!conn->capabilities_told && ask_capabilities(conn, err) < 0)
		return -1;
	if ((conn->capabilities & CAP_STARTTLS) == 0)
		return error_set(err, ERROR_CERTIFICATE,
				 "the server offers no STARTTLS; nothing was sent to it");
	command_begin(conn, "STARTTLS");
	if (command_run(conn, "STARTTLS", err) < 0) {
		if (err != NULL && err->kind == ERROR_REFUSED)
			err->kind = ERROR_CERTIFICATE;
		return -1;
	}
	if (conn->reader.start != conn->reader.end)
		return error_set(
			err, ERROR_CERTIFICATE,
			"something was sent in plain text after STARTTLS: the connection may "
			"have been tampered with");
	if (stream_start_tls(conn->stream, err) < 0)
		return -1;
	capabilities_clear(conn);
	return 0;
}

static int secure(struct imap_conn *conn, const struct imap_options *options, bool preauth,
		  struct error *err)
{
	bool tunnel = options->stream.tunnel != NULL && options->stream.tunnel[0] != '\0';

	if (tunnel || options->stream.tls == TLS_IMPLICIT)
		return 0;
	if (options->stream.tls == TLS_NONE) {
		if (!preauth)
			return 0;
		return error_set(err, ERROR_CERTIFICATE,
				 "the server greets with PREAUTH on a "
				 "connection that is not secured: refused");
	}
	if (preauth)
		return error_set(err, ERROR_CERTIFICATE,
				 "the server greets with PREAUTH, so STARTTLS "
				 "is not possible: refused");
	return start_tls(conn, err);
}

static int log_in(struct imap_conn *conn, const struct imap_options *options, struct error *err)
{
	if (!conn->capabilities_told && ask_capabilities(conn, err) < 0)
		return -1;
	conn->capabilities_told = false;
	ahead_prepare(conn, options);
	if (auth_login(conn, options, err) < 0 || ahead_judge(conn, err) < 0)
		return -1;
	if (conn->capabilities_told)
		return 0;
	return ask_capabilities(conn, err);
}

/* Some servers refuse to SELECT before an ID was sent; none may be empty. */
int session_put_setup(struct imap_conn *conn, struct error *err)
{
	if ((conn->capabilities & CAP_ID) != 0) {
		command_begin(conn,
			      "ID (\"name\" \"mailtwin\" \"version\" \"" PACKAGE_VERSION "\")");
		if (command_send(conn, 0, 0, err) < 0)
			return -1;
	}
	if ((conn->capabilities & CAP_QRESYNC) != 0) {
		command_begin(conn, "ENABLE QRESYNC");
		if (command_send(conn, 0, 0, err) < 0)
			return -1;
	}
	if (conn->utf8_only && (conn->capabilities & CAP_UTF8_ACCEPT) != 0) {
		command_begin(conn, "ENABLE UTF8=ACCEPT");
		if (command_send(conn, 0, 0, err) < 0)
			return -1;
	}
	if ((conn->capabilities & CAP_NAMESPACE) != 0) {
		command_begin(conn, "NAMESPACE");
		if (command_send(conn, 0, 0, err) < 0)
			return -1;
	}
	return 0;
}

int session_finish_setup(struct imap_conn *conn, struct error *err)
{
	if (!conn->setting_up)
		return 0;
	if (queue_drain(conn, err) < 0)
		return -1;
	conn->setting_up = false;
	conn->list_ahead = false; /* if nobody waited for it, it is sent again */
	if (!conn->enabled_qresync)
		conn->capabilities &= ~(uint32_t)CAP_QRESYNC;
	if (conn->is_dovecot && (conn->disabled & CAP_X_GUID) == 0)
		conn->capabilities |= CAP_X_GUID;
	return 0;
}

static void delimiter_list(void *ctx, const struct list_entry *entry)
{
	struct imap_conn *conn = ctx;

	conn->ns.delimiter = entry->delimiter;
}

/* A server without NAMESPACE tells its delimiter in a list of nothing. */
static int ask_delimiter(struct imap_conn *conn, struct error *err)
{
	struct operation operation = {.ctx = conn, .list = delimiter_list};
	int result;

	conn->operation = &operation;
	command_begin(conn, "LIST \"\" \"\"");
	result = command_send(conn, 0, 0, err);
	if (result == 0)
		result = queue_drain(conn, err);
	conn->operation = NULL;
	return result;
}

static int start_deflate(struct imap_conn *conn, struct error *err)
{
	struct error own;
	int result;

	if (err == NULL)
		err = &own;
	command_begin(conn, "COMPRESS DEFLATE");
	conn->reader.careful = true; /* what follows the answer is compressed */
	result = command_run(conn, "COMPRESS", err);
	conn->reader.careful = false;
	if (result == 0)
		return stream_start_deflate(conn->stream, err);
	if (err->kind != ERROR_REFUSED)
		return -1;
	log_verbose("%s", err->text);
	error_clear(err);
	return 0;
}

#define FAR_US 20000
#define DEFLATE_MESSAGES 16
#define DEFLATE_OCTETS ((uint64_t)64 << 10)

bool imap_is_far(const struct imap_conn *conn)
{
	struct stream_traffic traffic;

	stream_get_traffic(conn->stream, &traffic);
	return traffic.fastest_turn >= FAR_US;
}

/* A long line is seldom as fast as a server compresses. COMPRESS costs a turn of it, so a run with little to do
 * is quicker without. */
static bool deflate_pays(const struct imap_conn *conn, size_t messages)
{
	struct stream_traffic traffic;

	stream_get_traffic(conn->stream, &traffic);
	return imap_is_far(conn) && (messages >= DEFLATE_MESSAGES ||
				     traffic.bytes_in + traffic.bytes_out >= DEFLATE_OCTETS);
}

int session_prepare(struct imap_conn *conn, size_t messages, struct error *err)
{
	if (conn->dead || conn->n_begun != 0)
		return 0; /* whoever begins something finds out */
	if (session_finish_setup(conn, err) < 0)
		return -1;
	if (!conn->may_deflate || conn->queue_len != 0 || !deflate_pays(conn, messages))
		return 0;
	conn->may_deflate = false;
	return start_deflate(conn, err);
}

int session_meanwhile(struct imap_conn *conn, const struct imap_options *options, struct error *err)
{
	if (options->meanwhile == NULL || conn->meanwhile_done)
		return 0;
	conn->meanwhile_done = true;
	if (stream_flush(conn->stream, err) < 0 ||
	    options->meanwhile(options->meanwhile_ctx, err) < 0)
		return -1;
	stream_was_away(conn->stream);
	return 0;
}

/* The set-up is not waited for: its answers come with those to the first command, so that an
 * account where nothing changed costs one round trip after the login. wanted: of DEFLATE. */
static int set_up(struct imap_conn *conn, int wanted, struct error *err)
{
	bool offered;

	conn->announced = conn->capabilities;
	capabilities_settle(conn);
	offered = (conn->capabilities & CAP_COMPRESS) != 0;
	if (!conn->list_ahead && session_put_setup(conn, err) < 0)
		return -1;
	conn->setting_up = true;
	if ((conn->capabilities & CAP_NAMESPACE) == 0 && ask_delimiter(conn, err) < 0)
		return -1;
	conn->may_deflate = offered && wanted < 0;
	return offered && wanted > 0 ? start_deflate(conn, err) : 0;
}

static int establish(struct imap_conn *conn, const struct imap_options *options, struct error *err)
{
	bool preauth = false;

	if (stream_open(&conn->stream, &options->stream, err) < 0)
		return -1;
	reader_init(&conn->reader, conn->stream);
	if (read_greeting(conn, options, &preauth, err) < 0 ||
	    secure(conn, options, preauth, err) < 0)
		return -1;
	if (!preauth && log_in(conn, options, err) < 0)
		return -1;
	if (preauth && !conn->capabilities_told && ask_capabilities(conn, err) < 0)
		return -1;
	if (set_up(conn, options->compress, err) < 0)
		return -1;
	return session_meanwhile(conn, options,
				 err); /* the login left no time, or there was none */
}

int imap_open(struct imap_conn **conn, const struct imap_options *options, struct error *err)
{
	struct imap_conn *new = xcalloc(1, sizeof(*new));

	*conn = NULL;
	new->self = new;
	new->keywords = options->keywords;
	new->ns_prefix = xstrdup("");
	new->ns.prefix = new->ns_prefix;
	new->ns.delimiter = '/';
	capabilities_disable(new, options);
	if (establish(new, options, err) < 0) {
		new->dead = true;
		if (options->spent != NULL && new->stream != NULL)
			stream_get_traffic(new->stream, options->spent);
		imap_close(&new);
		return -1;
	}
	*conn = new;
	return 0;
}

/* ---- closing ---- */

/* The answer is not waited for: the server has everything that matters when the connection ends
 * in order, and a slow one must not hold us up. */
static void log_out(struct imap_conn *conn)
{
	if (conn->dead || conn->stream == NULL || (conn->queue_len != 0 && !conn->setting_up))
		return;
	conn->closing = true;
	command_begin(conn, "LOGOUT");
	if (command_send(conn, 0, 0, NULL) == 0)
		stream_flush(conn->stream, NULL);
}

void imap_close(struct imap_conn **conn)
{
	struct imap_conn *old = *conn;

	if (old == NULL)
		return;
	burst_drop(old);
	log_out(old);
	if (old->stream != NULL)
		stream_close(&old->stream);
	reader_release(&old->reader);
	text_release(&old->assembled);
	text_release(&old->out);
	text_release(&old->continuation);
	for (size_t i = 0; i < old->n_foreign; i++)
		free(old->foreign[i]);
	free(old->foreign);
	free(old->ns_prefix);
	free(old->queue);
	free(old->selected);
	free(old->next);
	free(old);
	*conn = NULL;
}

/* These two are asked before the first command, perhaps; a failure shows in the next one. */
uint32_t imap_capabilities(const struct imap_conn *conn)
{
	if (!conn->dead)
		session_finish_setup(conn->self, NULL);
	return conn->capabilities;
}

const struct namespace *imap_namespace(const struct imap_conn *conn)
{
	if (!conn->dead)
		session_finish_setup(conn->self, NULL);
	return &conn->ns;
}

uint64_t imap_append_limit(const struct imap_conn *conn)
{
	return conn->append_limit;
}

void imap_get_traffic(const struct imap_conn *conn, struct stream_traffic *traffic)
{
	stream_get_traffic(conn->stream, traffic);
}
