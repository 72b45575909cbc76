#include "base/digest.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "base/memory.h"

struct digest {
	EVP_MD_CTX *context;
};

/* SHA-256 is in every provider, so a call fails only for want of memory; and a hash that
 * is silently wrong would pair messages that are not the same. */
static void must(bool done)
{
	if (!done)
		abort();
}

static EVP_MD *sha256;

static void find_sha256(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	must(sha256 != NULL);
}

/* Looked up once: EVP_sha256() is looked up anew in every call that is given it, under a lock, which
 * takes longer than hashing a short header. */
static const EVP_MD *get_sha256(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_sha256);
	return sha256;
}

void digest_prepare(void)
{
	get_sha256();
}

struct digest *digest_new(void)
{
	struct digest *digest = xcalloc(1, sizeof(*digest));

	digest->context = EVP_MD_CTX_new();
	must(digest->context != NULL);
	must(EVP_DigestInit_ex(digest->context, get_sha256(), NULL) == 1);
	return digest;
}

void digest_free(struct digest **digest)
{
	if (*digest == NULL)
		return;
	EVP_MD_CTX_free((*digest)->context);
	free(*digest);
	*digest = NULL;
}

void digest_reset(struct digest *digest)
{
	/* Without a type the algorithm is the one before. */
	must(EVP_DigestInit_ex(digest->context, NULL, NULL) == 1);
}

void digest_add(struct digest *digest, const void *data, size_t len)
{
	must(EVP_DigestUpdate(digest->context, data, len) == 1);
}

void digest_finish(struct digest *digest, uint8_t out[DIGEST_SIZE])
{
	must(EVP_DigestFinal_ex(digest->context, out, NULL) == 1);
}

void digest_of(const void *data, size_t len, uint8_t out[DIGEST_SIZE])
{
	must(EVP_Digest(data, len, out, NULL, get_sha256(), NULL) == 1);
}
