/* What a message is known by when UIDs and names are of no help (DESIGN section 3):
 * the content hash, SHA-256 cut to 128 bits over the message without any CR, with NUL as
 * 0x80 and without line ends at its end (the form that survives what servers do); and the
 * header hash, the same over the header block (up to, not including, the first empty line),
 * leaving out the fields X-TUID and X-OfflineIMAP with their folded lines. The Message-ID beside them
 * is no identity (two messages may have the same), but it outlives servers that rewrite all else. */
#ifndef MAILTWIN_CORE_FINGERPRINT_H
#define MAILTWIN_CORE_FINGERPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hash {
	uint8_t bytes[16]; /* all zero: none */
};

bool hash_equal(const struct hash *a, const struct hash *b); /* none equals nothing */
bool hash_is_none(const struct hash *hash);
struct hash hash_of_string(const char *string); /* of a server-side id; none for NULL or "" */

struct fingerprint {
	struct hash content;
	struct hash header;
	uint64_t size;       /* octets fed */
	uint64_t wire_size;  /* octets with every bare LF sent as CR LF */
	uint64_t message_id; /* hash of the first Message-ID, without white space; 0: none */
};

struct fingerprinter; /* streaming: feed it pieces of any length */

struct fingerprinter *fingerprinter_new(void);
void fingerprinter_free(struct fingerprinter **printer);
void fingerprinter_reset(struct fingerprinter *printer);
void fingerprinter_feed(struct fingerprinter *printer, const void *data, size_t len);
/* Ends the message; the printer must be reset before it is fed again. */
void fingerprinter_finish(struct fingerprinter *printer, struct fingerprint *out);

#endif
