/* SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding: the client's half.
 *
 * The password is used as it is: RFC 4013 (SASLprep) changes nothing in ASCII, and for other
 * characters servers differ in whether they prepare it at all. */
#include "imap/imap_private.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/memory.h"

#define DIGEST 32
#define ITERATIONS_MAX 10000000 /* a hostile server must not keep us busy for hours */

struct scram {
	char *password;
	struct text first; /* with the header "n,," */
	struct text final;
	unsigned char server_signature[DIGEST];
};

#define HEADER_OCTETS 3

struct scram *scram_new(const char *user, const char *password, const char *nonce)
{
	struct scram *scram = xcalloc(1, sizeof(*scram));

	scram->password = xstrdup(password);
	text_puts(&scram->first, "n,,n=");
	for (; *user != '\0'; user++) {
		if (*user == ',')
			text_puts(&scram->first, "=2C");
		else if (*user == '=')
			text_puts(&scram->first, "=3D");
		else
			text_putc(&scram->first, *user);
	}
	text_printf(&scram->first, ",r=%s", nonce);
	return scram;
}

void scram_free(struct scram **scram)
{
	if (*scram == NULL)
		return;
	OPENSSL_cleanse((*scram)->password, strlen((*scram)->password));
	free((*scram)->password);
	text_release(&(*scram)->first);
	text_release(&(*scram)->final);
	free(*scram);
	*scram = NULL;
}

const char *scram_first(const struct scram *scram)
{
	return text_get(&scram->first);
}

static void mac(const unsigned char *key, const char *data, size_t len, unsigned char out[DIGEST])
{
	unsigned got = DIGEST;

	HMAC(EVP_sha256(), key, DIGEST, (const unsigned char *)data, len, out, &got);
}

/* The value of "c=..." in a comma-separated message. */
static bool field(const char *message, char name, const char **value, size_t *len)
{
	const char *p = message;

	while (*p != '\0') {
		size_t part = strcspn(p, ",");

		if (part >= 2 && p[0] == name && p[1] == '=') {
			*value = p + 2;
			*len = part - 2;
			return true;
		}
		p += part + (p[part] == ',');
	}
	return false;
}

struct challenge {
	const char *nonce;
	size_t nonce_len;
	unsigned char salt[256];
	int salt_len;
	int iterations;
};

static bool decode_salt(const char *salt, size_t len, struct challenge *challenge)
{
	unsigned char out[400];
	int got;

	if (len == 0 || len > 340 || len % 4 != 0)
		return false;
	got = EVP_DecodeBlock(out, (const unsigned char *)salt, (int)len);
	if (got < 0)
		return false;
	got -= (salt[len - 1] == '=') + (salt[len - 2] == '=');
	if (got > (int)sizeof(challenge->salt))
		return false;
	memcpy(challenge->salt, out, (size_t)got);
	challenge->salt_len = got;
	return true;
}

static bool read_challenge(const struct scram *scram, const char *message,
			   struct challenge *challenge)
{
	const char *ours = strstr(text_get(&scram->first), ",r=") + 3, *salt, *count;
	size_t salt_len, count_len;
	uint64_t iterations;

	if (!field(message, 'r', &challenge->nonce, &challenge->nonce_len) ||
	    !field(message, 's', &salt, &salt_len) || !field(message, 'i', &count, &count_len))
		return false;
	if (challenge->nonce_len <= strlen(ours) ||
	    memcmp(challenge->nonce, ours, strlen(ours)) != 0)
		return false;
	if (!decode_salt(salt, salt_len, challenge) ||
	    !scan_number(&count, count + count_len, ITERATIONS_MAX, &iterations) || iterations == 0)
		return false;
	challenge->iterations = (int)iterations;
	return true;
}

const char *scram_final(struct scram *scram, const char *server_first, struct error *err)
{
	unsigned char salted[DIGEST], client_key[DIGEST], stored[DIGEST], signature[DIGEST];
	unsigned char server_key[DIGEST], proof[DIGEST];
	char encoded[DIGEST * 2];
	struct challenge challenge;
	struct text auth = {0};

	if (!read_challenge(scram, server_first, &challenge)) {
		error_set(err, ERROR_LOGIN, "the server's SCRAM challenge makes no sense");
		return NULL;
	}
	PKCS5_PBKDF2_HMAC(scram->password, (int)strlen(scram->password), challenge.salt,
			  challenge.salt_len, challenge.iterations, EVP_sha256(), DIGEST, salted);
	mac(salted, "Client Key", 10, client_key);
	mac(salted, "Server Key", 10, server_key);
	EVP_Digest(client_key, DIGEST, stored, NULL, EVP_sha256(), NULL);
	text_clear(&scram->final);
	text_printf(&scram->final, "c=biws,r=%.*s", (int)challenge.nonce_len, challenge.nonce);
	text_printf(&auth, "%s,%s,%s", text_get(&scram->first) + HEADER_OCTETS, server_first,
		    text_get(&scram->final));
	mac(stored, auth.data, auth.len, signature);
	mac(server_key, auth.data, auth.len, scram->server_signature);
	for (int i = 0; i < DIGEST; i++)
		proof[i] = client_key[i] ^ signature[i];
	EVP_EncodeBlock((unsigned char *)encoded, proof, DIGEST);
	text_printf(&scram->final, ",p=%s", encoded);
	text_release(&auth);
	OPENSSL_cleanse(salted, sizeof(salted));
	OPENSSL_cleanse(client_key, sizeof(client_key));
	return text_get(&scram->final);
}

int scram_verify(struct scram *scram, const char *server_final, struct error *err)
{
	char expected[DIGEST * 2];
	const char *value;
	size_t len;

	EVP_EncodeBlock((unsigned char *)expected, scram->server_signature, DIGEST);
	if (!field(server_final, 'v', &value, &len) || len != strlen(expected) ||
	    CRYPTO_memcmp(value, expected, len) != 0)
		return error_set(err, ERROR_LOGIN,
				 "the server could not prove that it knows the password (SCRAM)");
	return 0;
}
