/* SHA-256, fed in pieces (OpenSSL's, which uses the processor's own instructions). */
#ifndef MAILTWIN_BASE_DIGEST_H
#define MAILTWIN_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_SIZE 32

struct digest;

struct digest *digest_new(void); /* ready to be fed */
void digest_free(struct digest **digest);
void digest_reset(struct digest *digest); /* ready to be fed again */
void digest_add(struct digest *digest, const void *data, size_t len);
/* The digest must be reset before it is fed again. */
void digest_finish(struct digest *digest, uint8_t out[DIGEST_SIZE]);

/* All at once. */
void digest_of(const void *data, size_t len, uint8_t out[DIGEST_SIZE]);

#endif
