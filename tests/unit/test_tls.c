/* TLS of the stream: which certificates are taken, what is said of those that are not, STARTTLS,
 * resumption, data. */
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "check.h"
#include "imap/stream_private.h"
#include "stream_server.h"

enum identity_name {
	AUTHORITY,
	GOOD,
	EXPIRED,
	FUTURE,
	OTHER,
	SELF_SIGNED,
	UNDER_EXPIRED,
	OLD_AUTHORITY,
	SYSTEM_AUTHORITY, /* in the directory of hashed names */
	UNDER_SYSTEM,
	N_IDENTITIES,
	NONE = -1,
};

static struct identity identities[N_IDENTITIES];
static char directory[128];
static char ca_path[N_IDENTITIES][160];
static char hashed_path[160];

/* This process' system authorities are one, in a directory as c_rehash makes it. */
static void make_system(void)
{
	const X509_NAME *name = X509_get_subject_name(identities[SYSTEM_AUTHORITY].certificate);

	snprintf(hashed_path, sizeof(hashed_path), "%s/%08lx.0", directory,
		 X509_NAME_hash_ex(name, NULL, NULL, NULL));
	identity_write(&identities[SYSTEM_AUTHORITY], hashed_path);
	unsetenv("SSL_CERT_FILE");
	setenv("SSL_CERT_DIR", directory, 1);
}

static void make_identities(void)
{
	static const char local[] = "DNS:localhost,IP:127.0.0.1";
	const struct identity *ca = &identities[AUTHORITY], *old = &identities[OLD_AUTHORITY];
	const char *tmp = getenv("TMPDIR");

	identities[AUTHORITY] = identity_new("", -10, 100, NULL);
	identities[OLD_AUTHORITY] = identity_new("", -100, -2, NULL);
	identities[SYSTEM_AUTHORITY] = identity_new("", -10, 100, NULL);
	identities[UNDER_SYSTEM] = identity_new(local, -10, 100, &identities[SYSTEM_AUTHORITY]);
	identities[GOOD] = identity_new(local, -10, 100, ca);
	identities[EXPIRED] = identity_new(local, -100, -3, ca);
	identities[FUTURE] = identity_new(local, 3, 100, ca);
	identities[OTHER] = identity_new("DNS:imap.example.org,IP:192.0.2.7", -10, 100, ca);
	identities[SELF_SIGNED] = identity_new(local, -10, 100, NULL);
	identities[UNDER_EXPIRED] = identity_new(local, -10, 100, old);
	snprintf(directory, sizeof(directory), "%s/test_tls.XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(directory) == NULL)
		abort();
	for (int i = 0; i < N_IDENTITIES; i++) {
		snprintf(ca_path[i], sizeof(ca_path[i]), "%s/%d.pem", directory, i);
		identity_write(&identities[i], ca_path[i]);
	}
	make_system();
}

static void remove_identities(void)
{
	for (int i = 0; i < N_IDENTITIES; i++) {
		unlink(ca_path[i]);
		identity_free(&identities[i]);
	}
	unlink(hashed_path);
	rmdir(directory);
}

/* ---- one connection ---- */

static struct stream_options options_for(const struct server *server, const char *host)
{
	return (struct stream_options){.host = host,
				       .port = server->port,
				       .tls = TLS_IMPLICIT,
				       .ca_file = ca_path[AUTHORITY],
				       .timeout = 10,
				       .stop_fd = -1};
}

static void ignore(struct peer *peer)
{
	char byte;

	peer_read(peer, &byte, 1);
}

/* ---- which certificates are taken ---- */

enum pin { NO_PIN, RIGHT_PIN, WRONG_PIN };

static const struct {
	int identity;
	const char *host;
	int ca;
	enum pin pin;
	enum error_kind kind;
	const char *text;
} trust_rows[] = {
	{GOOD, "localhost", AUTHORITY, NO_PIN, ERROR_NONE, ""},
	{UNDER_SYSTEM, "localhost", NONE, NO_PIN, ERROR_NONE, ""},
	{UNDER_SYSTEM, "localhost", AUTHORITY, NO_PIN, ERROR_CERTIFICATE,
	 "certificate of localhost is not signed by a trusted authority"},
	{GOOD, "127.0.0.1", AUTHORITY, NO_PIN, ERROR_NONE, ""},
	{GOOD, "LocalHost", AUTHORITY, NO_PIN, ERROR_NONE, ""},
	{GOOD, "localhost", GOOD, NO_PIN, ERROR_NONE, ""},
	{GOOD, "localhost", NONE, NO_PIN, ERROR_CERTIFICATE,
	 "certificate of localhost is not signed by a trusted authority (use ca-file or "
	 "fingerprint; its "
	 "SHA-256 fingerprint is "},
	{GOOD, "localhost", SELF_SIGNED, NO_PIN, ERROR_CERTIFICATE,
	 "certificate of localhost is not signed by a trusted authority"},
	{SELF_SIGNED, "localhost", NONE, NO_PIN, ERROR_CERTIFICATE,
	 "certificate of localhost is not signed by a trusted authority"},
	{SELF_SIGNED, "localhost", AUTHORITY, NO_PIN, ERROR_CERTIFICATE,
	 "certificate of localhost is not signed by a trusted authority"},
	{SELF_SIGNED, "localhost", SELF_SIGNED, NO_PIN, ERROR_NONE, ""},
	{EXPIRED, "localhost", AUTHORITY, NO_PIN, ERROR_CERTIFICATE,
	 "certificate of localhost expired on 20"},
	{FUTURE, "localhost", AUTHORITY, NO_PIN, ERROR_CERTIFICATE,
	 "certificate of localhost is not valid before 20"},
	{UNDER_EXPIRED, "localhost", OLD_AUTHORITY, NO_PIN, ERROR_CERTIFICATE,
	 "certificate of test authority, the issuer for localhost, expired on 20"},
	{OTHER, "localhost", AUTHORITY, NO_PIN, ERROR_CERTIFICATE,
	 "certificate is for imap.example.org, 192.0.2.7 and not for localhost"},
	{OTHER, "127.0.0.1", AUTHORITY, NO_PIN, ERROR_CERTIFICATE,
	 "certificate is for imap.example.org, 192.0.2.7 and not for 127.0.0.1"},
	{GOOD, "localhost", NONE, RIGHT_PIN, ERROR_NONE, ""},
	{EXPIRED, "localhost", NONE, RIGHT_PIN, ERROR_NONE, ""},
	{FUTURE, "localhost", NONE, RIGHT_PIN, ERROR_NONE, ""},
	{OTHER, "localhost", NONE, RIGHT_PIN, ERROR_NONE, ""},
	{SELF_SIGNED, "127.0.0.1", NONE, RIGHT_PIN, ERROR_NONE, ""},
	{SELF_SIGNED, "127.0.0.1", NONE, WRONG_PIN, ERROR_CERTIFICATE,
	 "certificate of 127.0.0.1 has another fingerprint than the configuration: "},
	{GOOD, "localhost", AUTHORITY, RIGHT_PIN, ERROR_NONE, ""},
	{GOOD, "localhost", AUTHORITY, WRONG_PIN, ERROR_CERTIFICATE,
	 "certificate of localhost has another fingerprint"},
	{OTHER, "localhost", AUTHORITY, RIGHT_PIN, ERROR_CERTIFICATE,
	 "certificate is for imap.example.org"},
	{EXPIRED, "localhost", AUTHORITY, RIGHT_PIN, ERROR_CERTIFICATE,
	 "certificate of localhost expired on 20"},
};

static void try_row(size_t i, struct server *server)
{
	struct stream_options options = options_for(server, trust_rows[i].host);
	struct stream *stream;
	struct error err = {0};
	char pin[65];
	bool good;

	identity_fingerprint(&identities[trust_rows[i].identity], pin);
	if (trust_rows[i].pin == WRONG_PIN)
		pin[63] = pin[63] == '0' ? '1' : '0';
	options.fingerprint = trust_rows[i].pin == NO_PIN ? NULL : pin;
	options.ca_file = trust_rows[i].ca == NONE ? NULL : ca_path[trust_rows[i].ca];
	stream_open(&stream, &options, &err);
	good = err.kind == trust_rows[i].kind && starts_with(err.text, trust_rows[i].text) &&
	       (stream != NULL) == (trust_rows[i].kind == ERROR_NONE);
	if (good && stream != NULL)
		good = stream_is_encrypted(stream) && says(stream, "* OK hello\r\n");
	if (!good)
		fprintf(stderr, "row %zu: kind %d, %s\n", i, (int)err.kind, err.text);
	CU_ASSERT(good);
	stream_close(&stream);
}

static void test_trust(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(trust_rows); i++) {
		struct server server = {.serve = serve_echo, .implicit = true};

		server.ctx = identity_context(&identities[trust_rows[i].identity]);
		server_start(&server);
		try_row(i, &server);
		server_stop(&server);
	}
}

/* The fingerprint that is shown is the one that can be configured. */
static void test_shown_fingerprint(void)
{
	struct server server = {.serve = serve_echo, .implicit = true};
	struct stream_options options;
	struct stream *stream;
	struct error err = {0};
	char *end;

	server.ctx = identity_context(&identities[SELF_SIGNED]);
	server_start(&server);
	options = options_for(&server, "localhost");
	CU_ASSERT(stream_open(&stream, &options, &err) == -1);
	options.ca_file = NULL;
	options.fingerprint = strstr(err.text, "fingerprint is ");
	CU_ASSERT_FATAL(options.fingerprint != NULL);
	options.fingerprint += strlen("fingerprint is ");
	end = strchr(err.text, ')');
	CU_ASSERT_FATAL(end != NULL);
	*end = '\0';
	CU_ASSERT(stream_open(&stream, &options, NULL) == 0);
	stream_close(&stream);
	server_stop(&server);
}

/* ---- what the server is told, and what it does wrong ---- */

static void test_server_name(void)
{
	struct server server = {.serve = serve_echo, .implicit = true};
	struct stream_options options;
	struct stream *stream;

	server.ctx = identity_context(&identities[GOOD]);
	server_start(&server);
	options = options_for(&server, "localhost");
	CU_ASSERT(stream_open(&stream, &options, NULL) == 0 && says(stream, "* OK hello\r\n"));
	CU_ASSERT_STRING_EQUAL(server.name, "localhost");
	stream_close(&stream);
	options.host = "127.0.0.1";
	CU_ASSERT(stream_open(&stream, &options, NULL) == 0 && says(stream, "* OK hello\r\n"));
	CU_ASSERT_STRING_EQUAL(server.name, "");
	stream_close(&stream);
	server_stop(&server);
}

static void serve_plain_greeting(struct peer *peer)
{
	peer_puts(peer, "* OK this is a greeting in plain text, and it goes on for a while\r\n");
	ignore(peer);
}

static void serve_nothing(struct peer *peer)
{
	char data[4096];

	peer_read(peer, data, sizeof(data)); /* so that closing is no reset */
}

static void expect_handshake_error(serve_fn *serve, SSL_CTX *ctx, enum error_kind kind,
				   const char *text)
{
	struct server server = {.serve = serve, .ctx = ctx, .implicit = ctx != NULL};
	struct stream_options options;
	struct stream *stream;
	struct error err = {0};

	server_start(&server);
	options = options_for(&server, "127.0.0.1");
	options.timeout = 1;
	CU_ASSERT(stream_open(&stream, &options, &err) == -1);
	if (err.kind != kind || strstr(err.text, text) == NULL)
		fprintf(stderr, "kind %d: %s\n", (int)err.kind, err.text);
	CU_ASSERT(err.kind == kind && strstr(err.text, text) != NULL);
	server_stop(&server);
}

static void test_handshakes_that_fail(void)
{
	SSL_CTX *old = identity_context(&identities[GOOD]);

	SSL_CTX_set_security_level(old, 0);
	SSL_CTX_set_min_proto_version(old, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(old, TLS1_1_VERSION);
	expect_handshake_error(ignore, old, ERROR_CERTIFICATE,
			       "127.0.0.1 offers nothing newer than TLS 1.1");
	expect_handshake_error(serve_plain_greeting, NULL, ERROR_CERTIFICATE,
			       " does not speak TLS (is it one for tls = 'starttls'?)");
	expect_handshake_error(serve_nothing, NULL, ERROR_NETWORK,
			       "127.0.0.1 closed the connection");
	expect_handshake_error(serve_silence, NULL, ERROR_NETWORK,
			       "no answer from 127.0.0.1 for 1 second");
}

/* ---- STARTTLS ---- */

/* data: sent in the same piece as the answer. */
static void serve_starttls(struct peer *peer)
{
	char line[256], answer[256];
	const char *more = peer->server->data;

	peer_puts(peer, "* OK hello\r\n");
	if (!peer_read_line(peer, line, sizeof(line)))
		return;
	snprintf(answer, sizeof(answer), "a OK begin\r\n%s", more != NULL ? more : "");
	peer_puts(peer, answer);
	if (peer_start_tls(peer) && peer_read_line(peer, line, sizeof(line)))
		peer_puts(peer, strcmp(line, "b NOOP") == 0 ? "b OK\r\n" : "b BAD\r\n");
	ignore(peer);
}

static int try_starttls(struct server *server, const char *host, struct stream **stream,
			struct error *err)
{
	struct stream_options options = options_for(server, host);

	options.tls = TLS_STARTTLS;
	CU_ASSERT_FATAL(stream_open(stream, &options, err) == 0);
	CU_ASSERT(!stream_is_encrypted(*stream) && says(*stream, "* OK hello\r\n"));
	CU_ASSERT(stream_write(*stream, "a STARTTLS\r\n", 12, err) == 0);
	CU_ASSERT(says(*stream, "a OK begin\r\n"));
	return stream_start_tls(*stream, err);
}

static void test_starttls(void)
{
	struct server server = {.serve = serve_starttls};
	struct stream *stream;
	struct error err = {0};

	server.ctx = identity_context(&identities[GOOD]);
	server_start(&server);
	CU_ASSERT(try_starttls(&server, "localhost", &stream, &err) == 0);
	CU_ASSERT(stream_is_encrypted(stream));
	CU_ASSERT(stream_write(stream, "b NOOP\r\n", 8, &err) == 0 && says(stream, "b OK\r\n"));
	CU_ASSERT(stream_start_tls(stream, &err) == -1 && err.kind == ERROR_CERTIFICATE);
	stream_close(&stream);
	server_stop(&server);
}

static void test_starttls_wrong_name(void)
{
	struct server server = {.serve = serve_starttls};
	struct stream *stream;
	struct error err = {0};

	server.ctx = identity_context(&identities[OTHER]);
	server_start(&server);
	CU_ASSERT(try_starttls(&server, "localhost", &stream, &err) == -1);
	CU_ASSERT(err.kind == ERROR_CERTIFICATE && starts_with(err.text, "certificate is for"));
	stream_close(&stream);
	server_stop(&server);
}

static void test_starttls_injection(void)
{
	struct server server = {.serve = serve_starttls, .data = "* CAPABILITY IMAP4rev1\r\n"};
	struct stream *stream;
	struct error err = {0};
	char byte;

	server.ctx = identity_context(&identities[GOOD]);
	server_start(&server);
	CU_ASSERT(try_starttls(&server, "localhost", &stream, &err) == -1);
	CU_ASSERT(err.kind == ERROR_CERTIFICATE);
	CU_ASSERT(strstr(err.text, "sent 24 octets in plain text after STARTTLS") != NULL);
	CU_ASSERT(stream_pending(stream) == 0 && stream_read(stream, &byte, 1, &err) == -1);
	CU_ASSERT(err.kind == ERROR_CERTIFICATE);
	stream_close(&stream);
	server_stop(&server);
}

/* ---- data and resumption ---- */

static void test_resumption(int version)
{
	struct server server = {.serve = serve_echo, .implicit = true};
	struct stream_options options;
	struct stream *streams[3];

	server.ctx = identity_context(&identities[GOOD]);
	SSL_CTX_set_max_proto_version(server.ctx, version);
	server_start(&server);
	options = options_for(&server, "localhost");
	for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
		CU_ASSERT_FATAL(stream_open(&streams[i], &options, NULL) == 0);
		CU_ASSERT(says(streams[i], "* OK hello\r\n"));
		stream_close(&streams[i]);
	}
	options.ca_file = ca_path[GOOD]; /* trusted for another reason: no session of before */
	CU_ASSERT_FATAL(stream_open(&streams[0], &options, NULL) == 0);
	CU_ASSERT(says(streams[0], "* OK hello\r\n"));
	stream_close(&streams[0]);
	server_stop(&server);
	CU_ASSERT(server.connections == 4 && server.resumed == 2);
}

static void test_resumption_12(void)
{
	test_resumption(TLS1_2_VERSION);
}

static void test_resumption_13(void)
{
	test_resumption(TLS1_3_VERSION);
}

/* Far more in both directions than all buffers hold, and written before any of it is read. */
static void test_bulk(void)
{
	enum { SIZE = 6 << 20 };
	struct server server = {.serve = serve_echo, .implicit = true};
	struct stream_options options;
	struct stream *stream;
	struct stream_traffic traffic;
	struct error err = {0};
	char *out = xmalloc(SIZE), *in = xmalloc(SIZE);

	for (size_t i = 0; i < SIZE; i++)
		out[i] = (char)(i * 31 + i / 1009);
	server.ctx = identity_context(&identities[GOOD]);
	server_start(&server);
	options = options_for(&server, "localhost");
	CU_ASSERT_FATAL(stream_open(&stream, &options, &err) == 0 &&
			says(stream, "* OK hello\r\n"));
	for (size_t at = 0, len = 1; at < SIZE; at += len, len = len * 3 % 70001 + 1) {
		len = len < SIZE - at ? len : SIZE - at;
		CU_ASSERT_FATAL(stream_write(stream, out + at, len, &err) == 0);
	}
	CU_ASSERT(read_all(stream, in, SIZE, &err));
	CU_ASSERT(memcmp(in, out, SIZE) == 0);
	stream_get_traffic(stream, &traffic);
	CU_ASSERT(traffic.bytes_in > SIZE && traffic.bytes_out > SIZE);
	CU_ASSERT(traffic.bytes_in < SIZE + SIZE / 10 && traffic.bytes_out < SIZE + SIZE / 10);
	stream_close(&stream);
	server_stop(&server);
	free(out);
	free(in);
}

int main(void)
{
	static const struct test_case cases[] = {
		{"which certificates are taken", test_trust},
		{"the fingerprint shown can be configured", test_shown_fingerprint},
		{"names are sent, addresses are not", test_server_name},
		{"handshakes that fail", test_handshakes_that_fail},
		{"STARTTLS", test_starttls},
		{"STARTTLS with another certificate", test_starttls_wrong_name},
		{"plain text after STARTTLS", test_starttls_injection},
		{"TLS 1.2 sessions are resumed", test_resumption_12},
		{"TLS 1.3 sessions are resumed", test_resumption_13},
		{"bulk in both directions", test_bulk},
	};
	int status;

	signal(SIGPIPE, SIG_IGN); /* for the servers: SSL_set_fd knows no MSG_NOSIGNAL */
	make_identities();
	status = run_tests("tls", cases, ARRAY_SIZE(cases));
	remove_identities();
	return status;
}
