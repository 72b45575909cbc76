/* TLS by OpenSSL, 1.2 and up. One SSL_CTX a process. The socket is reached through a BIO of our own,
 * so that octets are counted there, nothing raises SIGPIPE and every wait is ours.
 *
 * Servers send many small records (Dovecot: 4 KiB). OpenSSL reads ahead, and tls_read_now empties it
 * until it has nothing complete, so a read of the stream costs one system call for several records. */
#include "imap/stream_private.h"

#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

static SSL_CTX *context;
static BIO_METHOD *method;

/* ---- the BIO ---- */

static int bio_read(BIO *bio, char *data, size_t len, size_t *done)
{
	struct stream *stream = BIO_get_data(bio);
	ptrdiff_t n;

	BIO_clear_retry_flags(bio);
	n = socket_receive_now(stream, data, len);
	*done = n > 0 ? (size_t)n : 0;
	if (n == 0)
		BIO_set_retry_read(bio);
	return n > 0;
}

static int bio_write(BIO *bio, const char *data, size_t len, size_t *done)
{
	struct stream *stream = BIO_get_data(bio);
	ptrdiff_t n;

	BIO_clear_retry_flags(bio);
	n = socket_send_now(stream, data, len);
	*done = n > 0 ? (size_t)n : 0;
	if (n == 0)
		BIO_set_retry_write(bio);
	return n > 0;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static BIO *bio_new(struct stream *stream)
{
	BIO *bio = BIO_new(method);

	if (bio != NULL) {
		BIO_set_data(bio, stream);
		BIO_set_init(bio, 1);
	}
	return bio;
}

/* ---- the context ---- */

static int new_session(SSL *ssl, SSL_SESSION *session)
{
	const struct stream *stream = SSL_get_app_data(ssl);

	ticket_store(stream->ticket_key, session);
	return 1; /* the reference is ours now */
}

static bool set_up_method(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
	return method != NULL && BIO_meth_set_read_ex(method, bio_read) &&
	       BIO_meth_set_write_ex(method, bio_write) && BIO_meth_set_ctrl(method, bio_ctrl);
}

static void set_up(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL || !set_up_method() ||
	    !SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION)) {
		SSL_CTX_free(ctx);
		return;
	}
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_session_cache_mode(ctx,
				       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
	SSL_CTX_sess_set_new_cb(ctx, new_session);
	context = ctx;
}

static SSL_CTX *get_context(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, set_up);
	return context;
}

/* ---- failures ---- */

static int fail_reason(struct stream *stream, unsigned long code)
{
	const char *text = ERR_reason_error_string(code), *host = stream->host;

	switch (ERR_GET_REASON(code)) {
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_HTTP_REQUEST:
	case SSL_R_PACKET_LENGTH_TOO_LONG:
		return stream_fail(
			stream, ERROR_CERTIFICATE,
			"%s port %u does not speak TLS (is it one for tls = 'starttls'?)", host,
			(unsigned)stream->port);
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
		return stream_fail(stream, ERROR_CERTIFICATE,
				   "%s offers nothing newer than TLS 1.1", host);
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
		return stream_fail(stream, ERROR_CERTIFICATE,
				   "%s asks for a client certificate, which is not supported",
				   host);
	default: /* once it stood, it is the line that broke */
		return stream_fail(
			stream,
			SSL_is_init_finished(stream->ssl) ? ERROR_NETWORK : ERROR_CERTIFICATE,
			"TLS with %s failed: %s", host, text != NULL ? text : "no reason given");
	}
}

/* 0: it waits (for *want), -1: it failed. */
static int handle_failure(struct stream *stream, int result, short *want)
{
	int status = SSL_get_error(stream->ssl, result);
	unsigned long code = ERR_peek_error();

	ERR_clear_error();
	if (status == SSL_ERROR_WANT_READ || status == SSL_ERROR_WANT_WRITE) {
		*want = status == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
		return 0;
	}
	if (stream->error.kind != ERROR_NONE)
		return -1; /* the socket failed, or a certificate was refused */
	if (status == SSL_ERROR_SSL && code != 0)
		return fail_reason(stream, code);
	return stream_fail(stream, ERROR_NETWORK, "%s closed the connection", stream->host);
}

/* ---- the handshake ---- */

static int shake_hands(struct stream *stream)
{
	short want = POLLIN;
	int result;

	for (;;) {
		ERR_clear_error();
		result = SSL_do_handshake(stream->ssl);
		if (result == 1)
			return 0;
		if (handle_failure(stream, result, &want) != 0 ||
		    wire_wait(stream, want, NULL) != 0)
			return -1;
	}
}

/* Without the dot that ends a complete name, or the zone of an address: certificates have neither. */
void tls_name(const struct stream *stream, char *name, size_t size)
{
	size_t len = strcspn(stream->host, "%");

	if (len != 0 && stream->host[len - 1] == '.')
		len--;
	if (len >= size)
		len = size - 1;
	memcpy(name, stream->host, len);
	name[len] = '\0';
}

static bool prepare(struct stream *stream)
{
	char name[256];
	SSL_SESSION *session;
	SSL *ssl = stream->ssl;
	BIO *bio = bio_new(stream);

	if (bio == NULL)
		return false;
	SSL_set_bio(ssl, bio, bio);
	SSL_set_app_data(ssl, stream);
	SSL_set_connect_state(ssl);
	tls_name(stream, name, sizeof(name));
	if (!host_is_literal(stream->host) && !SSL_set_tlsext_host_name(ssl, name))
		return false;
	session = ticket_get(stream->ticket_key);
	if (session != NULL) {
		SSL_set_session(ssl, session);
		SSL_SESSION_free(session);
	}
	return true;
}

int tls_start(struct stream *stream)
{
	SSL_CTX *ctx = get_context();

	stream->ssl = ctx != NULL ? SSL_new(ctx) : NULL;
	if (stream->ssl == NULL || !prepare(stream)) {
		ERR_clear_error();
		return stream_fail(stream, ERROR_CERTIFICATE, "OpenSSL cannot be set up");
	}
	if (trust_apply(stream, stream->ssl) != 0 || shake_hands(stream) != 0 ||
	    trust_check_pin(stream, stream->ssl) != 0)
		return -1;
	log_verbose("%s with %s, %s%s", SSL_get_version(stream->ssl), stream->host,
		    SSL_get_cipher_name(stream->ssl),
		    SSL_session_reused(stream->ssl) ? ", session resumed" : "");
	return 0;
}

/* ---- data ---- */

ptrdiff_t tls_read_now(struct stream *stream, char *data, size_t len)
{
	size_t done = 0, n;
	int result;

	while (done < len) {
		ERR_clear_error();
		result = SSL_read_ex(stream->ssl, data + done, len - done, &n);
		if (result <= 0) {
			result = handle_failure(stream, result, &stream->want_read);
			return done != 0 ? (ptrdiff_t)done : result;
		}
		done += n;
	}
	return (ptrdiff_t)done;
}

ptrdiff_t tls_write_now(struct stream *stream, const char *data, size_t len)
{
	size_t done;
	int result;

	ERR_clear_error();
	result = SSL_write_ex(stream->ssl, data, len, &done);
	return result > 0 ? (ptrdiff_t)done : handle_failure(stream, result, &stream->want_write);
}

/* Without the goodbye OpenSSL takes the session for broken and would not resume it. */
void tls_release(struct stream *stream)
{
	if (stream->ssl == NULL)
		return;
	if (stream->error.kind == ERROR_NONE && SSL_is_init_finished(stream->ssl))
		SSL_shutdown(stream->ssl);
	ERR_clear_error();
	SSL_free(stream->ssl);
	stream->ssl = NULL;
}
