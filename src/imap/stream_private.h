/* What the parts of the stream share.
 *
 *     stream.c    the two buffers, reading, writing, and the spill that prevents a deadlock
 *     driver.c    the same stream as libetpan sees it
 *     wire.c      the socket: waiting with a deadline, sending, receiving, counting
 *     host.c      is the configured host something that can be looked up?
 *     resolve.c   looking it up, without being at the mercy of the resolver
 *     connect.c   addresses in turn
 *     tunnel.c    a command instead of a connection
 *     tls.c       the handshake and what goes through it
 *     trust.c     which certificates are trusted
 *     explain.c   in plain words why one is not
 *     tickets.c   TLS sessions, for the next connection to the same server
 *     deflate.c   RFC 4978
 *
 * Two kinds of functions. Those named ..._now never wait: they return what they moved, 0 if they
 * would have to wait (then stream->want_read or want_write say for what), -1 on failure. All others
 * may wait. Whoever fails first notes it in the stream with stream_fail; every later failure is
 * swallowed, so the reason that a caller gets to see is the first one, and it stays. */
#ifndef MAILTWIN_IMAP_STREAM_PRIVATE_H
#define MAILTWIN_IMAP_STREAM_PRIVATE_H

#include <netdb.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "imap/stream.h"

#define STREAM_IN_SIZE ((size_t)64 << 10)   /* the input buffer */
#define STREAM_OUT_SIZE ((size_t)16 << 10)  /* the output buffer: one TLS record */
#define STREAM_SPILL_MAX ((size_t)16 << 20) /* input kept while the server does not read */
#define DIGEST_SIZE 32
#define DIGEST_TEXT_SIZE (DIGEST_SIZE * 3) /* AA:BB:..., terminated */

struct zip;

struct stream {
	char *host; /* as configured; "the tunnel" for a tunnel. For messages */
	uint16_t port;
	int timeout; /* milliseconds */
	int stop_fd;
	int fd;
	struct error error; /* the first failure; stays */
	atomic_bool cancelled;
	struct stream_traffic traffic;
	bool wrote;        /* since the last read from the wire */
	uint64_t wrote_at; /* microseconds: the first octet of this turn */
	bool untimed;      /* when the answer to it came was not seen */
	short want_read;   /* what the last ..._now waits for: POLLIN or POLLOUT */
	short want_write;

	char *in; /* allocated with the first read; in[start..end) is unread */
	size_t in_start;
	size_t in_end;
	size_t in_room;
	char *out; /* allocated with the first write */
	size_t out_len;

	SSL *ssl;      /* NULL: plain */
	char *ca_file; /* NULL: the system's */
	bool pinned;   /* a fingerprint was configured */
	unsigned char pin[DIGEST_SIZE];
	char *ticket_key; /* which TLS sessions fit this stream */

	struct zip *zip; /* DEFLATE; NULL: none */

	pid_t tunnel_pid; /* 0: none */

	struct _mailstream *mailstream; /* NULL until asked for */
};

/* ---- wire.c ---- */

int stream_fail(struct stream *stream, enum error_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int64_t wire_clock_ms(void); /* monotonic */
/* Until the socket is ready for events (POLLIN, POLLOUT) or fails, for at most the stream's timeout.
 * revents may be NULL. */
int wire_wait(struct stream *stream, short events, short *revents);
int wire_check_stop(struct stream *stream);
/* The time is over: sets the error. */
int wire_no_answer(struct stream *stream);
/* As recv and send; errno EAGAIN is 0, end of input fails. */
ptrdiff_t socket_receive_now(struct stream *stream, void *data, size_t len);
ptrdiff_t socket_send_now(struct stream *stream, const void *data, size_t len);

/* ---- stream.c ---- */

/* The same as stream_read, stream_write and stream_flush, without libetpan's buffers. */
ptrdiff_t stream_read_low(struct stream *stream, char *data, size_t len);
int stream_write_low(struct stream *stream, const char *data, size_t len);
int stream_flush_low(struct stream *stream);

/* ---- driver.c ---- */

size_t driver_pending(const struct stream *stream); /* octets in libetpan's read buffer */
size_t driver_take(struct stream *stream, void *data, size_t len);
int driver_flush(struct stream *stream);
void driver_release(struct stream *stream);

/* ---- host.c ---- */

bool host_is_literal(const char *host); /* an IP address, perhaps with %zone */
int host_check(const char *host, struct error *err);

/* ---- resolve.c, connect.c ---- */

int resolve_host(struct stream *stream, struct addrinfo **list); /* freeaddrinfo */
bool address_is_loopback(const struct sockaddr *address);
int connect_any(struct stream *stream, const struct addrinfo *list);
int connect_host(struct stream *stream, const struct stream_options *options);

/* ---- tunnel.c ---- */

int tunnel_open(struct stream *stream, const char *command);
void tunnel_close(struct stream *stream);
int tunnel_ended(struct stream *stream); /* after end of input: sets the error */

/* ---- tls.c ---- */

int tls_start(struct stream *stream);
ptrdiff_t tls_read_now(struct stream *stream, char *data, size_t len);
ptrdiff_t tls_write_now(struct stream *stream, const char *data, size_t len);
void tls_release(struct stream *stream);
void tls_name(const struct stream *stream, char *name, size_t size);

/* ---- trust.c ---- */

int fingerprint_parse(const char *text, unsigned char digest[DIGEST_SIZE]); /* 0 or -1 */
/* What stream_options say about trust, checked before anything is sent. */
int trust_prepare(struct stream *stream, const struct stream_options *options, struct error *err);
int trust_apply(struct stream *stream, SSL *ssl);
/* After the handshake: is it the certificate of the fingerprint? */
int trust_check_pin(struct stream *stream, SSL *ssl);

/* ---- explain.c ---- */

void certificate_digest(const X509 *certificate, char text[DIGEST_TEXT_SIZE]);
/* Sets the error for a verification that failed at this certificate of the chain. */
int certificate_explain(struct stream *stream, X509_STORE_CTX *ctx);

/* ---- tickets.c ---- */

void ticket_store(const char *key, SSL_SESSION *session); /* takes the reference */
SSL_SESSION *ticket_get(const char *key);                 /* a reference of the caller's, or NULL */

/* ---- deflate.c ---- */

int deflate_start(struct stream *stream);
bool deflate_has_input(const struct stream *stream);
ptrdiff_t deflate_read_now(struct stream *stream, char *data, size_t len);
/* Compresses, and sends; flush: so that the other side can read all of it. */
int deflate_send(struct stream *stream, const char *data, size_t len, bool flush);
void deflate_release(struct stream *stream);

/* ---- between the layers (stream.c): plain or TLS, without compression ---- */

ptrdiff_t layer_read_now(struct stream *stream, char *data, size_t len);
int layer_send(struct stream *stream, const char *data, size_t len); /* all of it */

#endif
