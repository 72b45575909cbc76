/* Servers for the tests of the stream, in threads of the test: on 127.0.0.1, any port, plain or TLS,
 * with certificates made here. A peer's functions wait and give up on any failure: what a server
 * thinks of the connection is not what is tested. */
#ifndef MAILTWIN_TESTS_UNIT_STREAM_SERVER_H
#define MAILTWIN_TESTS_UNIT_STREAM_SERVER_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "imap/stream.h"

struct peer {
	struct server *server;
	int fd;
	SSL *ssl; /* NULL: plain */
};

typedef void serve_fn(struct peer *peer);

struct server {
	int fd;
	uint16_t port;
	serve_fn *serve;
	SSL_CTX *ctx;  /* NULL: plain only */
	bool implicit; /* TLS from the start */
	int connections;
	int resumed;      /* of them, TLS sessions */
	char name[256];   /* the SNI of the last one; "" if none */
	const void *data; /* the test's */
	pthread_t thread;
};

/* Set serve, and ctx, implicit and data if wanted, before. One connection at a time. */
void server_start(struct server *server);
void server_stop(struct server *server); /* frees ctx too */

long peer_read(struct peer *peer, void *data, size_t len);       /* 0 or less at the end */
bool peer_read_line(struct peer *peer, char *line, size_t size); /* without CR LF */
bool peer_write(struct peer *peer, const void *data, size_t len);
bool peer_puts(struct peer *peer, const char *text);
bool peer_start_tls(struct peer *peer);

void serve_echo(struct peer *peer);    /* "* OK hello", then all that comes */
void serve_silence(struct peer *peer); /* reads only */

/* A listener whose queue is full: further connections hang without an answer. Three descriptors to
 * close. */
int deaf_listener(uint16_t *port, int fillers[2]);

/* ---- certificates ---- */

struct identity {
	EVP_PKEY *key;
	X509 *certificate;
};

/* names as in an OpenSSL configuration: "DNS:a,IP:1.2.3.4". Days from now. issuer NULL: itself. */
struct identity identity_new(const char *names, int first_day, int last_day,
			     const struct identity *issuer);
void identity_free(struct identity *identity);
SSL_CTX *identity_context(const struct identity *identity);
void identity_write(const struct identity *identity, const char *path);
void identity_fingerprint(const struct identity *identity, char text[65]);

/* ---- the other end: the stream ---- */

extern const struct stream_options plain_options; /* of 127.0.0.1, no port yet */

struct stream *open_to(const struct server *server);
struct stream *open_tunnel(const char *command);
bool read_all(struct stream *stream, char *data, size_t len, struct error *err);
bool says(struct stream *stream, const char *text);
/* All until the end, as text; at most 4095 octets. */
void read_to_end(struct stream *stream, char text[4096], struct error *err);
/* The text is a part of the error's. */
void expect_error(const struct error *err, enum error_kind kind, const char *text);
double seconds_since(int64_t start); /* of wire_clock_ms */

#endif
