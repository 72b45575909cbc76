/* A byte stream to a server: TCP, TLS (OpenSSL) or a tunnel command, made for libetpan as a
 * mailstream_low of our own, so that every read and write has a deadline and can be stopped.
 *
 * TLS 1.2 and up, SNI, chain, name and date verified (DESIGN section 5, "TLS"). A write that would
 * block while the server is waiting to write drains input into a bounded spill, so pipelining cannot
 * deadlock. Not for several threads at once. */
#ifndef MAILTWIN_IMAP_STREAM_H
#define MAILTWIN_IMAP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum tls_mode { TLS_IMPLICIT, TLS_STARTTLS, TLS_NONE };

struct stream_options {   /* strings borrowed for the call of stream_open */
	const char *host; /* name or IP literal, without brackets */
	uint16_t port;
	enum tls_mode tls;       /* STARTTLS: plain until stream_start_tls */
	const char *ca_file;     /* NULL: the system's */
	const char *fingerprint; /* 64 hex digits, colons and case ignored; NULL: none */
	const char *tunnel;      /* a command for /bin/sh -c instead of a connection; NULL: none */
	bool allow_plaintext;    /* tls = none to an address that is not loopback */
	int timeout;             /* seconds without a byte; 0: 60 */
	int stop_fd;             /* becomes readable when the run is to stop at once; -1: none */
};

struct stream;

struct stream_traffic {
	uint64_t bytes_in; /* octets that crossed the socket */
	uint64_t bytes_out;
	uint64_t round_trips;  /* turns from writing to reading, without handshakes */
	uint64_t fastest_turn; /* microseconds: the shortest of the first few; 0: none yet */
};

/* Connects: addresses in turn, the next after 2 s. Errors: ERROR_NETWORK, ERROR_CERTIFICATE (with
 * the reason: expired, other name, not trusted, other fingerprint), ERROR_CONFIG (bad host, bad
 * fingerprint, unreadable ca_file, plain text to a stranger), ERROR_STOPPED. */
int stream_open(struct stream **stream, const struct stream_options *options, struct error *err);
void stream_close(struct stream **stream);

/* After STARTTLS was answered OK. ERROR_CERTIFICATE if anything was received in plain text after
 * the answer, or TLS cannot be had. */
int stream_start_tls(struct stream *stream, struct error *err);
bool stream_is_encrypted(const struct stream *stream);

/* Starts DEFLATE (RFC 4978) on both directions after COMPRESS was answered OK. */
int stream_start_deflate(struct stream *stream, struct error *err);

/* Reads at least one octet, at most len; the number read, or -1. End of input is ERROR_NETWORK. */
ptrdiff_t stream_read(struct stream *stream, void *data, size_t len, struct error *err);
/* Queues octets; they leave when the buffer is full, with stream_flush, or before a read. */
int stream_write(struct stream *stream, const void *data, size_t len, struct error *err);
int stream_flush(struct stream *stream, struct error *err);
/* Octets received and not yet read. */
size_t stream_pending(const struct stream *stream);

/* The failure that ended the stream: -1 and the error, or 0. For use after libetpan, which reports
 * all failures as the same. What arrived before it can still be read. */
int stream_get_error(const struct stream *stream, struct error *err);

/* The caller did something else since it wrote: if an answer is there by now, nobody knows for how long,
 * and the time of this turn says nothing about the line. */
void stream_was_away(struct stream *stream);

void stream_get_traffic(const struct stream *stream, struct stream_traffic *traffic);

/* The stream as libetpan sees it. Owned by the stream: not for mailstream_close. Both ways of reading
 * and writing may be used in turn. */
struct _mailstream;
struct _mailstream *stream_mailstream(struct stream *stream);

#endif
