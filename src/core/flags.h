/* Flags and keywords of a message (RFC 9051 section 2.3.2, maildir(5)).
 *
 * A message's flags are four bytes: eight bits for the system flags and the number of a set
 * of keywords. Sets are interned in a pool, one pool an account: few distinct sets occur,
 * whatever the number of messages. Two sets are equal if and only if their numbers are. */
#ifndef MAILTWIN_CORE_FLAGS_H
#define MAILTWIN_CORE_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the ASCII order of their Maildir letters. */
enum system_flag {
	FLAG_DRAFT = 1 << 0,     /* D \Draft */
	FLAG_FLAGGED = 1 << 1,   /* F \Flagged */
	FLAG_FORWARDED = 1 << 2, /* P $Forwarded */
	FLAG_ANSWERED = 1 << 3,  /* R \Answered */
	FLAG_SEEN = 1 << 4,      /* S \Seen */
	FLAG_DELETED = 1 << 5,   /* T \Deleted */
};
#define FLAGS_ALL 0x3fU

#define KEYWORDS_NONE 0U

struct flags {
	uint32_t system : 8;    /* enum system_flag */
	uint32_t keywords : 24; /* a set in the account's keyword pool; 0 is the empty set */
};

struct keyword_pool; /* safe for use by several threads */

struct keyword_pool *keyword_pool_new(void);
void keyword_pool_free(struct keyword_pool **pool);

/* The id (from 1, without gaps, in the order of first sight) of a keyword. Case does not
 * count (RFC 9051 2.3.2); the first spelling is kept. 0 for an empty name, one with a NUL, and
 * a new one past 100,000. */
uint32_t keyword_id(struct keyword_pool *pool, const char *name, size_t len);
/* Lives as long as the pool; NULL if there is no such id. */
const char *keyword_name(struct keyword_pool *pool, uint32_t id);
uint32_t keyword_count(struct keyword_pool *pool); /* ids are 1..count */

/* Sets. All return the number of the resulting set. Where a set would be too large (over 1024
 * keywords) or one too many, and for the id 0, they return the first set unchanged. */
uint32_t keywords_add(struct keyword_pool *pool, uint32_t set, uint32_t id);
uint32_t keywords_union(struct keyword_pool *pool, uint32_t a, uint32_t b);
uint32_t keywords_minus(struct keyword_pool *pool, uint32_t a, uint32_t b);
uint32_t keywords_intersection(struct keyword_pool *pool, uint32_t a, uint32_t b);
/* The ids of a set, ascending; returns their number, fills at most room of them. */
size_t keywords_ids(struct keyword_pool *pool, uint32_t set, uint32_t *ids, size_t room);
bool keywords_has(struct keyword_pool *pool, uint32_t set, uint32_t id);

bool flags_equal(struct flags a, struct flags b);
bool flags_empty(struct flags flags);
struct flags flags_union(struct keyword_pool *pool, struct flags a, struct flags b);
struct flags flags_minus(struct keyword_pool *pool, struct flags a, struct flags b);
struct flags flags_intersection(struct keyword_pool *pool, struct flags a, struct flags b);

/* Adds one flag as IMAP names it ("\Seen", "$Forwarded", "junk"). \Recent and unknown flags
 * that begin with a backslash are left out. */
void flags_add_imap(struct keyword_pool *pool, struct flags *flags, const char *name, size_t len);

/* Maildir letters of system flags, ASCII order; out has room for 7 bytes. */
void flags_to_letters(uint32_t system, char out[7]);
uint32_t flags_from_letter(char letter); /* the system flag, 0 if it is none */

#endif
