/* Logging in: the LOGIN command and SASL (RFC 9051 section 6.2.2, RFC 4959 for the initial
 * response).
 *
 * "auto" takes PLAIN where TLS stands: the server proved who it is, and with an initial response
 * it costs one turn of the line where SCRAM costs three. Without TLS it takes the strongest
 * mechanism that the server offers for a password: one that does not show it first, then those
 * that do, which only run if the address was declared safe (stream_open refuses plain text
 * otherwise). OAuth2 and EXTERNAL are
 * only used when they are asked for: a token cannot be told from a password. */
#include "imap/imap_private.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "base/log.h"
#include "base/memory.h"

struct exchange {
	struct imap_conn *conn;
	const struct imap_options *options;
	enum auth_mechanism mechanism;
	struct scram *scram;
	int step;
	bool verified; /* SCRAM: the server's proof was right */
	bool aborted;
	struct error err; /* why */
};

/* How a try ended: REFUSED by the server, the only case in which another mechanism may be tried.
 * A server that failed to prove itself must not be told the password next. */
enum login_result { LOGIN_DONE, LOGIN_NOT_TAKEN, LOGIN_BROKEN };

static const char *const mechanism_names[] = {
	[AUTH_PLAIN] = "PLAIN",
	[AUTH_CRAM_MD5] = "CRAM-MD5",
	[AUTH_SCRAM_SHA_256] = "SCRAM-SHA-256",
	[AUTH_XOAUTH2] = "XOAUTH2",
	[AUTH_OAUTHBEARER] = "OAUTHBEARER",
	[AUTH_EXTERNAL] = "EXTERNAL",
};

static void wipe(struct text *text)
{
	if (text->data != NULL)
		OPENSSL_cleanse(text->data, text->room);
	text_release(text);
}

static void add_base64(struct text *out, const char *data, size_t len)
{
	size_t room = (len + 2) / 3 * 4 + 1;
	unsigned char *encoded = xmalloc(room);

	EVP_EncodeBlock(encoded, (const unsigned char *)data, (int)len);
	text_puts(out, (const char *)encoded);
	OPENSSL_cleanse(encoded, room);
	free(encoded);
}

/* A challenge as a string; NULL if it is no base64 or holds a NUL. Caller frees. */
static char *decode_base64(const char *data, size_t len)
{
	char *out;
	int got;

	while (len != 0 && ascii_is_space(data[len - 1]))
		len--;
	if (len % 4 != 0 || len > 65536)
		return NULL;
	out = xcalloc(len + 4, 1);
	got = EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)data, (int)len);
	if (got > 0)
		got -= (data[len - 1] == '=') + (data[len - 2] == '=');
	if (got < 0 || memchr(out, '\0', (size_t)got) != NULL) {
		free(out);
		return NULL;
	}
	out[got] = '\0';
	return out;
}

/* ---- what each mechanism says ---- */

static char *new_nonce(void)
{
	unsigned char bytes[18];
	char *nonce = xmalloc(25);

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		abort();
	EVP_EncodeBlock((unsigned char *)nonce, bytes, sizeof(bytes));
	return nonce;
}

static void first_message(struct exchange *exchange, struct text *out)
{
	const char *user = exchange->options->user, *password = exchange->options->password;
	char *nonce;

	switch (exchange->mechanism) {
	case AUTH_PLAIN:
		text_putc(out, '\0');
		text_puts(out, user);
		text_putc(out, '\0');
		text_puts(out, password);
		break;
	case AUTH_XOAUTH2:
		text_printf(out,
			    "user=%s\x01"
			    "auth=Bearer %s\x01\x01",
			    user, password);
		break;
	case AUTH_OAUTHBEARER:
		text_printf(out,
			    "n,a=%s,\x01host=%s\x01port=%u\x01"
			    "auth=Bearer %s\x01\x01",
			    user,
			    exchange->options->stream.host != NULL ? exchange->options->stream.host
								   : "localhost",
			    (unsigned)exchange->options->stream.port, password);
		break;
	case AUTH_SCRAM_SHA_256:
		nonce = new_nonce();
		exchange->scram = scram_new(user, password, nonce);
		free(nonce);
		text_puts(out, scram_first(exchange->scram));
		break;
	case AUTH_EXTERNAL: text_puts(out, user); break;
	case AUTH_AUTO:
	case AUTH_LOGIN:
	case AUTH_CRAM_MD5: break; /* the server begins */
	}
}

static void cram_md5(const struct imap_options *options, const char *challenge, struct text *out)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	HMAC(EVP_md5(), options->password, (int)strlen(options->password),
	     (const unsigned char *)challenge, strlen(challenge), digest, &len);
	text_printf(out, "%s ", options->user);
	for (unsigned i = 0; i < len; i++)
		text_printf(out, "%02x", digest[i]);
}

/* The answer to a challenge; -1 to call it off. */
static int answer(struct exchange *exchange, const char *challenge, struct text *out)
{
	const char *final;

	exchange->step++;
	switch (exchange->mechanism) {
	case AUTH_CRAM_MD5: cram_md5(exchange->options, challenge, out); return 0;
	case AUTH_SCRAM_SHA_256:
		if (exchange->step == 1) {
			final = scram_final(exchange->scram, challenge, &exchange->err);
			if (final != NULL)
				text_puts(out, final);
			return final != NULL ? 0 : -1;
		}
		if (scram_verify(exchange->scram, challenge, &exchange->err) < 0)
			return -1;
		exchange->verified = true;
		return 0;
	case AUTH_XOAUTH2:
	case AUTH_OAUTHBEARER: /* the reason of a refusal: it wants to be acknowledged */
		log_verbose("the server's reason: %s", challenge);
		if (exchange->mechanism == AUTH_OAUTHBEARER)
			text_putc(out, '\x01');
		return 0;
	case AUTH_AUTO:
	case AUTH_PLAIN:
	case AUTH_LOGIN:
	case AUTH_EXTERNAL: break;
	}
	error_set(&exchange->err, ERROR_LOGIN, "the server asked for more than %s has",
		  mechanism_names[exchange->mechanism]);
	return -1;
}

/* ---- the exchange ---- */

static int send_line(struct imap_conn *conn, struct text *line, struct error *err)
{
	int result;

	log_protocol("C: ***");
	text_puts(line, "\r\n");
	result = stream_write(conn->stream, line->data, line->len, err);
	wipe(line);
	return result;
}

static int respond(struct exchange *exchange, bool first, struct error *err)
{
	struct imap_conn *conn = exchange->conn;
	struct text message = {0}, line = {0};
	char *challenge = NULL;
	int result = 0;

	if (first) {
		first_message(exchange, &message);
	} else {
		challenge = decode_base64(text_get(&conn->continuation), conn->continuation.len);
		if (challenge == NULL) {
			error_set(&exchange->err, ERROR_LOGIN,
				  "the server's challenge is no base64");
			result = -1;
		} else {
			result = answer(exchange, challenge, &message);
		}
	}
	exchange->aborted = exchange->aborted || result < 0;
	if (result < 0)
		text_putc(&line, '*');
	else
		add_base64(&line, text_get(&message), message.len);
	wipe(&message);
	free(challenge);
	return send_line(conn, &line, err);
}

/* With an initial response where the server takes one in the command. */
static int start(struct exchange *exchange, bool *first_pending, struct error *err)
{
	struct imap_conn *conn = exchange->conn;
	struct text message = {0};
	bool initial = (conn->capabilities & CAP_SASL_IR) != 0;

	*first_pending = exchange->mechanism != AUTH_CRAM_MD5;
	command_begin(conn, "AUTHENTICATE ");
	text_puts(&conn->out, mechanism_names[exchange->mechanism]);
	if (initial && *first_pending) {
		conn->secret = conn->out.len;
		first_message(exchange, &message);
		text_putc(&conn->out, ' ');
		add_base64(&conn->out, text_get(&message), message.len);
		if (message.len == 0)
			text_putc(&conn->out, '=');
		wipe(&message);
		*first_pending = false;
	}
	if (command_send(conn, 0, 0, err) < 0)
		return -1;
	return exchange->mechanism == AUTH_PLAIN && !*first_pending ? ahead_send(conn, err) : 0;
}

/* A server that waits for our next message has little patience before the login. */
static bool has_said_all(const struct exchange *exchange, bool first_pending)
{
	return !first_pending && exchange->mechanism != AUTH_SCRAM_SHA_256 &&
	       exchange->mechanism != AUTH_CRAM_MD5;
}

static int authenticate(struct exchange *exchange, struct error *err)
{
	struct imap_conn *conn = exchange->conn;
	bool first_pending;

	if (start(exchange, &first_pending, err) < 0)
		return -1;
	if (has_said_all(exchange, first_pending) &&
	    session_meanwhile(conn, exchange->options, err) < 0)
		return -1;
	while (queue_has(conn, conn->reply_tag)) {
		if (conn_read(conn, err) < 0)
			return -1;
		if (!conn->continued)
			continue;
		conn->continued = false;
		if (respond(exchange, first_pending, err) < 0)
			return -1;
		first_pending = false;
	}
	return 0;
}

/* RFC 5802: the server's proof may also come with the tagged OK, which IMAP cannot carry. */
static int scram_checked(struct exchange *exchange, struct error *err)
{
	if (exchange->mechanism != AUTH_SCRAM_SHA_256 || exchange->verified)
		return 0;
	return error_set(err, ERROR_LOGIN,
			 "the server accepted the login without proving that it "
			 "knows the password (SCRAM)");
}

static bool is_temporary(const struct reply *reply)
{
	static const char *const words[] = {"too many",       "temporar",  "try again",
					    "maximum number", "throttled", "unavailable",
					    "simultaneous"};
	struct status_text status = {.text = {reply->text, strlen(reply->text)}};

	if (strcmp(reply->code, "UNAVAILABLE") == 0 || strcmp(reply->code, "INUSE") == 0 ||
	    strcmp(reply->code, "LIMIT") == 0 || strcmp(reply->code, "SERVERBUG") == 0)
		return true;
	if (strcmp(reply->code, "AUTHENTICATIONFAILED") == 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (status_text_says(&status, words[i]))
			return true;
	}
	return false;
}

static enum login_result login_refused(const struct imap_conn *conn,
				       const struct imap_options *options, const char *how,
				       struct error *err)
{
	const struct reply *reply = &conn->reply;
	bool temporary = is_temporary(reply);

	error_set(err, temporary ? ERROR_NETWORK : ERROR_LOGIN,
		  "the server refused the login of %s by %s%s: %s%s%s%s", options->user, how,
		  temporary ? "" : " (are user and password right?)",
		  reply->code[0] != '\0' ? "[" : "", reply->code,
		  reply->code[0] != '\0' ? "] " : "", reply->text);
	return temporary ? LOGIN_BROKEN : LOGIN_NOT_TAKEN;
}

static enum login_result sasl(struct imap_conn *conn, const struct imap_options *options,
			      enum auth_mechanism mechanism, struct error *err)
{
	struct exchange exchange = {.conn = conn, .options = options, .mechanism = mechanism};
	int result = authenticate(&exchange, err);

	scram_free(&exchange.scram);
	if (result < 0)
		return LOGIN_BROKEN;
	if (exchange.aborted) {
		error_set(err, ERROR_LOGIN, "%s", exchange.err.text);
		return LOGIN_BROKEN;
	}
	if (conn->reply.condition != CONDITION_OK)
		return login_refused(conn, options, mechanism_names[mechanism], err);
	return scram_checked(&exchange, err) < 0 ? LOGIN_BROKEN : LOGIN_DONE;
}

static int send_login(struct imap_conn *conn, const struct imap_options *options, struct error *err)
{
	if ((conn->capabilities & CAP_LOGINDISABLED) != 0)
		return error_set(err, ERROR_LOGIN,
				 "the server allows no LOGIN on this connection (LOGINDISABLED); "
				 "check the options tls and auth");
	command_begin(conn, "LOGIN ");
	conn->secret = conn->out.len - 1;
	if (command_string(conn, options->user, err) < 0)
		return -1;
	text_putc(&conn->out, ' ');
	if (command_string(conn, options->password, err) < 0)
		return -1;
	if (command_send(conn, 0, 0, err) < 0 || ahead_send(conn, err) < 0 ||
	    session_meanwhile(conn, options, err) < 0)
		return -1;
	return queue_wait_for(conn, conn->reply_tag, err);
}

static enum login_result login(struct imap_conn *conn, const struct imap_options *options,
			       struct error *err)
{
	if (send_login(conn, options, err) < 0)
		return LOGIN_BROKEN;
	if (conn->reply.condition != CONDITION_OK)
		return login_refused(conn, options, "LOGIN", err);
	return LOGIN_DONE;
}

static bool offers(const struct imap_conn *conn, enum auth_mechanism mechanism)
{
	return (conn->mechanisms & 1U << mechanism) != 0;
}

static bool can_login(const struct imap_conn *conn)
{
	return (conn->capabilities & CAP_LOGINDISABLED) == 0;
}

static enum auth_mechanism choose(const struct imap_conn *conn, const struct imap_options *options)
{
	if (options->auth != AUTH_AUTO)
		return options->auth;
	if (stream_is_encrypted(conn->stream) && offers(conn, AUTH_PLAIN))
		return AUTH_PLAIN;
	if (offers(conn, AUTH_SCRAM_SHA_256))
		return AUTH_SCRAM_SHA_256;
	if (offers(conn, AUTH_CRAM_MD5) && !stream_is_encrypted(conn->stream))
		return AUTH_CRAM_MD5;
	if (offers(conn, AUTH_PLAIN))
		return AUTH_PLAIN;
	if (!can_login(conn) && offers(conn, AUTH_CRAM_MD5))
		return AUTH_CRAM_MD5;
	return AUTH_LOGIN;
}

/* The server may have another secret for SCRAM or CRAM-MD5 than for LOGIN, or none. */
static bool second_try(const struct imap_conn *conn, const struct imap_options *options,
		       enum auth_mechanism *mechanism)
{
	if (options->auth != AUTH_AUTO || !stream_is_encrypted(conn->stream))
		return false;
	if (*mechanism != AUTH_SCRAM_SHA_256 && *mechanism != AUTH_CRAM_MD5)
		return false;
	*mechanism = AUTH_LOGIN;
	return can_login(conn);
}

static int check_secrets(const struct imap_options *options, struct error *err)
{
	if (options->user == NULL || options->password == NULL)
		return error_set(err, ERROR_CONFIG, "a login needs a user and a password");
	if (strpbrk(options->user, "\r\n\x01") != NULL)
		return error_set(err, ERROR_CONFIG, "the user's name has a control character");
	if (strpbrk(options->password, "\r\n\x01") != NULL)
		return error_set(err, ERROR_CONFIG, "the password has a control character");
	return 0;
}

static enum login_result attempt(struct imap_conn *conn, const struct imap_options *options,
				 enum auth_mechanism mechanism, struct error *err)
{
	log_verbose("logging in as %s (%s)", options->user,
		    mechanism == AUTH_LOGIN ? "LOGIN" : mechanism_names[mechanism]);
	if (mechanism == AUTH_LOGIN)
		return login(conn, options, err);
	if (!offers(conn, mechanism) && conn->auth_told) {
		error_set(err, ERROR_LOGIN, "the server does not offer %s",
			  mechanism_names[mechanism]);
		return LOGIN_BROKEN;
	}
	return sasl(conn, options, mechanism, err);
}

int auth_login(struct imap_conn *conn, const struct imap_options *options, struct error *err)
{
	enum auth_mechanism mechanism = choose(conn, options);
	struct imap_options checked = *options;
	enum login_result result;

	if (mechanism == AUTH_EXTERNAL && checked.password == NULL)
		checked.password = "";
	if (check_secrets(&checked, err) < 0)
		return -1;
	result = attempt(conn, &checked, mechanism, err);
	if (result == LOGIN_NOT_TAKEN && second_try(conn, &checked, &mechanism))
		result = attempt(conn, &checked, mechanism, err);
	if (conn->out.data != NULL)
		OPENSSL_cleanse(conn->out.data, conn->out.room);
	text_clear(&conn->out);
	return result == LOGIN_DONE ? 0 : -1;
}
