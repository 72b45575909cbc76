#include "stream_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "imap/stream_private.h"

static void need(bool good)
{
	if (good)
		return;
	ERR_print_errors_fp(stderr);
	abort();
}

/* ---- servers ---- */

bool peer_start_tls(struct peer *peer)
{
	const char *name;

	peer->ssl = SSL_new(peer->server->ctx);
	SSL_set_fd(peer->ssl, peer->fd);
	if (SSL_accept(peer->ssl) != 1)
		return false;
	name = SSL_get_servername(peer->ssl, TLSEXT_NAMETYPE_host_name);
	snprintf(peer->server->name, sizeof(peer->server->name), "%s", name != NULL ? name : "");
	peer->server->resumed += SSL_session_reused(peer->ssl);
	return true;
}

static void *run_server(void *arg)
{
	struct server *server = arg;
	int fd;

	while ((fd = accept(server->fd, NULL, NULL)) >= 0) {
		struct peer peer = {.server = server, .fd = fd};

		server->connections++;
		if (!server->implicit || peer_start_tls(&peer))
			server->serve(&peer);
		if (peer.ssl != NULL) {
			SSL_shutdown(peer.ssl);
			SSL_free(peer.ssl);
		}
		ERR_clear_error();
		close(fd);
	}
	OPENSSL_thread_stop();
	return NULL;
}

void server_start(struct server *server)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	void *generic = &address;

	server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	need(bind(server->fd, generic, len) == 0 && listen(server->fd, 8) == 0);
	need(getsockname(server->fd, generic, &len) == 0);
	server->port = ntohs(address.sin_port);
	need(pthread_create(&server->thread, NULL, run_server, server) == 0);
}

void server_stop(struct server *server)
{
	shutdown(server->fd, SHUT_RDWR);
	pthread_join(server->thread, NULL);
	close(server->fd);
	SSL_CTX_free(server->ctx);
}

long peer_read(struct peer *peer, void *data, size_t len)
{
	if (peer->ssl != NULL)
		return SSL_read(peer->ssl, data, (int)len);
	return recv(peer->fd, data, len, 0);
}

bool peer_read_line(struct peer *peer, char *line, size_t size)
{
	size_t n = 0;

	while (n + 1 < size && peer_read(peer, line + n, 1) == 1) {
		if (line[n] == '\n') {
			line[n > 0 && line[n - 1] == '\r' ? n - 1 : n] = '\0';
			return true;
		}
		n++;
	}
	line[n] = '\0';
	return false;
}

bool peer_write(struct peer *peer, const void *data, size_t len)
{
	const char *p = data;
	ssize_t n;

	if (peer->ssl != NULL)
		return SSL_write(peer->ssl, data, (int)len) == (int)len;
	for (; len != 0; p += n, len -= (size_t)n) {
		n = send(peer->fd, p, len, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
	}
	return true;
}

bool peer_puts(struct peer *peer, const char *text)
{
	return peer_write(peer, text, strlen(text));
}

void serve_echo(struct peer *peer)
{
	char data[16384];
	long n;

	peer_puts(peer, "* OK hello\r\n");
	while ((n = peer_read(peer, data, sizeof(data))) > 0 && peer_write(peer, data, (size_t)n))
		;
}

void serve_silence(struct peer *peer)
{
	char data[4096];

	while (peer_read(peer, data, sizeof(data)) > 0)
		;
}

/* A listener whose queue is full: further connections hang without an answer. */
int deaf_listener(uint16_t *port, int fillers[2])
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	void *generic = &address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CU_ASSERT_FATAL(bind(fd, generic, len) == 0 && listen(fd, 0) == 0);
	CU_ASSERT_FATAL(getsockname(fd, generic, &len) == 0);
	*port = ntohs(address.sin_port);
	for (int i = 0; i < 2; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		CU_ASSERT(connect(fillers[i], generic, len) == 0 || errno == EINPROGRESS);
	}
	return fd;
}

/* ---- certificates ---- */

static void set_subject(X509 *certificate, const char *names)
{
	const unsigned char *name =
		(const unsigned char *)(*names != '\0' ? "test server" : "test authority");

	X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, name, -1,
				   -1, 0);
}

static void add_extension(X509 *certificate, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	need(extension != NULL && X509_add_ext(certificate, extension, -1));
	X509_EXTENSION_free(extension);
}

struct identity identity_new(const char *names, int first_day, int last_day,
			     const struct identity *issuer)
{
	static long serial = 1;
	struct identity made = {.key = EVP_EC_gen("P-256"), .certificate = X509_new()};
	X509 *x = made.certificate;

	need(made.key != NULL && x != NULL);
	if (issuer == NULL)
		issuer = &made;
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
	X509_gmtime_adj(X509_getm_notBefore(x), (long)first_day * 86400);
	X509_gmtime_adj(X509_getm_notAfter(x), (long)last_day * 86400);
	set_subject(x, names);
	X509_set_issuer_name(x, X509_get_subject_name(issuer->certificate));
	X509_set_pubkey(x, made.key);
	add_extension(x, NID_basic_constraints, *names != '\0' ? "CA:FALSE" : "critical,CA:TRUE");
	if (*names != '\0')
		add_extension(x, NID_subject_alt_name, names);
	need(X509_sign(x, issuer->key, EVP_sha256()) != 0);
	return made;
}

void identity_free(struct identity *identity)
{
	EVP_PKEY_free(identity->key);
	X509_free(identity->certificate);
}

SSL_CTX *identity_context(const struct identity *identity)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	need(ctx != NULL && SSL_CTX_use_certificate(ctx, identity->certificate) == 1 &&
	     SSL_CTX_use_PrivateKey(ctx, identity->key) == 1);
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"test", 4);
	return ctx;
}

void identity_write(const struct identity *identity, const char *path)
{
	FILE *file = fopen(path, "w");

	need(file != NULL && PEM_write_X509(file, identity->certificate));
	fclose(file);
}

void identity_fingerprint(const struct identity *identity, char text[65])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len;

	need(X509_digest(identity->certificate, EVP_sha256(), digest, &len) && len == 32);
	for (unsigned i = 0; i < len; i++)
		snprintf(text + 2 * (size_t)i, 3, "%02x", digest[i]);
}

/* ---- the other end: the stream ---- */

const struct stream_options plain_options = {
	.host = "127.0.0.1", .tls = TLS_NONE, .timeout = 10, .stop_fd = -1};

struct stream *open_to(const struct server *server)
{
	struct stream_options options = plain_options;
	struct stream *stream;
	struct error err = {0};

	options.port = server->port;
	if (stream_open(&stream, &options, &err) != 0) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	return stream;
}

struct stream *open_tunnel(const char *command)
{
	struct stream_options options = plain_options;
	struct stream *stream;

	options.tunnel = command;
	CU_ASSERT_FATAL(stream_open(&stream, &options, NULL) == 0);
	return stream;
}

bool read_all(struct stream *stream, char *data, size_t len, struct error *err)
{
	ptrdiff_t n;

	for (; len != 0; data += n, len -= (size_t)n) {
		n = stream_read(stream, data, len, err);
		if (n <= 0)
			return false;
	}
	return true;
}

bool says(struct stream *stream, const char *text)
{
	char data[256] = "";

	return read_all(stream, data, strlen(text), NULL) && strcmp(data, text) == 0;
}

/* All until the end, as text; at most 4095 octets. */
void read_to_end(struct stream *stream, char text[4096], struct error *err)
{
	size_t len = 0;
	ptrdiff_t n;

	while (len < 4095 && (n = stream_read(stream, text + len, 4095 - len, err)) > 0)
		len += (size_t)n;
	text[len] = '\0';
}

void expect_error(const struct error *err, enum error_kind kind, const char *text)
{
	bool good = err->kind == kind && strstr(err->text, text) != NULL;

	if (!good)
		fprintf(stderr, "kind %d: %s\n", (int)err->kind, err->text);
	CU_ASSERT(good);
}

double seconds_since(int64_t start)
{
	return (double)(wire_clock_ms() - start) / 1000;
}
