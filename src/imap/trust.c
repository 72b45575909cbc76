/* Which certificates are trusted: a chain to the system's authorities or to those of ca-file, the
 * name and the date; or the one whose fingerprint the user gave; or both.
 *
 * The system's authorities come from the directory of hashed names, where OpenSSL opens only the file
 * it needs; reading the bundle costs 20 ms a process, so that is for systems without such names. */
#include "imap/stream_private.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"

/* ---- fingerprints ---- */

static int hex_value(char c)
{
	c = ascii_lower(c);
	if (ascii_is_digit(c))
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int fingerprint_parse(const char *text, unsigned char digest[DIGEST_SIZE])
{
	size_t n = 0;

	memset(digest, 0, DIGEST_SIZE);
	for (; *text != '\0'; text++) {
		if (*text == ':')
			continue;
		if (n == 2 * DIGEST_SIZE || hex_value(*text) < 0)
			return -1;
		digest[n / 2] = (unsigned char)(digest[n / 2] << 4 | hex_value(*text));
		n++;
	}
	return n == 2 * DIGEST_SIZE ? 0 : -1;
}

int trust_check_pin(struct stream *stream, SSL *ssl)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char text[DIGEST_TEXT_SIZE];
	unsigned len = 0;
	X509 *certificate;
	int status = 0;

	if (!stream->pinned)
		return 0;
	certificate = SSL_get_peer_certificate(ssl);
	if (certificate == NULL)
		return stream_fail(stream, ERROR_CERTIFICATE, "%s has no certificate",
				   stream->host);
	if (!X509_digest(certificate, EVP_sha256(), digest, &len) || len != DIGEST_SIZE ||
	    memcmp(digest, stream->pin, DIGEST_SIZE) != 0) {
		certificate_digest(certificate, text);
		status = stream_fail(
			stream, ERROR_CERTIFICATE,
			"certificate of %s has another fingerprint than the configuration: %s",
			stream->host, text);
	}
	X509_free(certificate);
	return status;
}

/* ---- the stores ---- */

static struct {
	char *ca_file; /* NULL: the system's */
	X509_STORE *store;
} known;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* As c_rehash names them: eight hex digits, a dot, a number. */
static bool is_hashed_name(const char *name)
{
	for (int i = 0; i < 8; i++, name++) {
		if (hex_value(*name) < 0)
			return false;
	}
	return name[0] == '.' && ascii_is_digit(name[1]);
}

static bool has_hashed_names(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	bool found = false;

	if (dir == NULL)
		return false;
	while (!found && (entry = readdir(dir)) != NULL)
		found = is_hashed_name(entry->d_name);
	closedir(dir);
	return found;
}

static bool directory_will_do(void)
{
	const char *path = getenv(X509_get_default_cert_dir_env());

	if (getenv(X509_get_default_cert_file_env()) != NULL)
		return false; /* the user wants that file */
	if (path != NULL)
		return strchr(path, ':') != NULL || has_hashed_names(path);
	return has_hashed_names(X509_get_default_cert_dir());
}

static bool load_system(X509_STORE *store)
{
	X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_hash_dir());

	if (lookup == NULL || !X509_LOOKUP_add_dir(lookup, NULL, X509_FILETYPE_DEFAULT))
		return false;
	if (directory_will_do())
		return true;
	lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
	if (lookup != NULL)
		X509_LOOKUP_load_file(lookup, NULL, X509_FILETYPE_DEFAULT);
	return lookup != NULL; /* a missing bundle shows as a certificate that is not trusted */
}

/* The server's own certificate, or an intermediate one, may stand in ca-file as well. */
static bool load_file(X509_STORE *store, const char *ca_file)
{
	return X509_STORE_load_locations(store, ca_file, NULL) &&
	       X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
}

static X509_STORE *load_store(const char *ca_file)
{
	X509_STORE *store = X509_STORE_new();

	if (store != NULL && !(ca_file != NULL ? load_file(store, ca_file) : load_system(store))) {
		X509_STORE_free(store);
		store = NULL;
	}
	ERR_clear_error();
	return store;
}

static bool is_known(const char *ca_file)
{
	if (known.store == NULL || (known.ca_file == NULL) != (ca_file == NULL))
		return false;
	return ca_file == NULL || strcmp(known.ca_file, ca_file) == 0;
}

/* A reference of the caller's, or NULL. A process has one account, so one store is kept. */
static X509_STORE *get_store(const char *ca_file)
{
	X509_STORE *store;

	pthread_mutex_lock(&lock);
	if (!is_known(ca_file)) {
		store = load_store(ca_file);
		if (store != NULL) {
			X509_STORE_free(known.store);
			free(known.ca_file);
			known.store = store;
			known.ca_file = xstrdup(ca_file);
		}
	} else {
		store = known.store;
	}
	if (store != NULL)
		X509_STORE_up_ref(store);
	pthread_mutex_unlock(&lock);
	return store;
}

/* ---- the stream ---- */

static const char *given(const char *option)
{
	return option != NULL && *option != '\0' ? option : NULL;
}

static int check_ca_file(const char *ca_file, struct error *err)
{
	X509_STORE *store;

	if (access(ca_file, R_OK) != 0)
		return error_errno(err, ERROR_CONFIG, "ca-file '%s' cannot be read", ca_file);
	store = get_store(ca_file);
	if (store == NULL)
		return error_set(err, ERROR_CONFIG, "ca-file '%s' has no certificate in PEM form",
				 ca_file);
	X509_STORE_free(store);
	return 0;
}

int trust_prepare(struct stream *stream, const struct stream_options *options, struct error *err)
{
	const char *ca_file = given(options->ca_file), *pin = given(options->fingerprint);

	stream->pinned = pin != NULL;
	if (pin != NULL && fingerprint_parse(pin, stream->pin) != 0)
		return error_set(err, ERROR_CONFIG,
				 "fingerprint '%s' is not a SHA-256 of 64 hex digits (openssl x509 "
				 "-fingerprint -sha256 shows it)",
				 pin);
	if (ca_file != NULL && check_ca_file(ca_file, err) != 0)
		return -1;
	stream->ca_file = xstrdup(ca_file);
	stream->ticket_key = xasprintf("%s|%u|%s|%s", stream->host, (unsigned)stream->port,
				       pin != NULL ? pin : "", ca_file != NULL ? ca_file : "");
	return 0;
}

static int verify(int good, X509_STORE_CTX *ctx)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());

	if (!good)
		certificate_explain(SSL_get_app_data(ssl), ctx);
	return good;
}

int trust_apply(struct stream *stream, SSL *ssl)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	X509_STORE *store;
	char name[256];
	bool good;

	if (stream->pinned && stream->ca_file == NULL) {
		SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
		return 0;
	}
	store = get_store(stream->ca_file);
	good = store != NULL && SSL_set1_verify_cert_store(ssl, store);
	X509_STORE_free(store);
	tls_name(stream, name, sizeof(name));
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (host_is_literal(stream->host))
		good = good && X509_VERIFY_PARAM_set1_ip_asc(param, name);
	else
		good = good && SSL_set1_host(ssl, name);
	SSL_set_verify(ssl, SSL_VERIFY_PEER, verify);
	return good ? 0
		    : stream_fail(stream, ERROR_CERTIFICATE,
				  "the trusted certificates cannot be set up");
}
