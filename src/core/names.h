/* Folder names. Everywhere inside mailtwin a folder's name is UTF-8 with '/' between levels,
 * without the prefix of the personal namespace, and INBOX in upper case (DESIGN section 5).
 * On the wire a mailbox has modified UTF-7 (RFC 3501 5.1.3) and the server's delimiter;
 * on disk a directory has the names of layout.h. */
#ifndef MAILTWIN_CORE_NAMES_H
#define MAILTWIN_CORE_NAMES_H

#include <stdbool.h>
#include <stddef.h>

struct namespace
{
	const char *prefix; /* as on the wire, e.g. "INBOX." ; "" for none */
	char delimiter;     /* '\0': NIL, the server has no hierarchy */
	bool utf8;          /* UTF8=ACCEPT is enabled: names on the wire are UTF-8 */
};

/* Modified UTF-7 to UTF-8; NULL if it is not valid (the caller then uses the raw bytes).
 * Caller frees. */
char *utf7_decode(const char *wire);
char *utf7_encode(const char *utf8); /* bytes that are not UTF-8 are kept raw; caller frees */

/* The folder's name of a mailbox. An invalid modified UTF-7 name keeps its raw bytes. A '/'
 * inside a level (delimiter is another) becomes "%2F", and "%2F" in it, whatever the delimiter,
 * "%252F"; likewise back. Below a prefix what would be taken for INBOX gets one level INBOX more
 * ("INBOX.INBOX" is "INBOX/INBOX"; names.c). Never fails; caller frees. */
char *name_from_wire(const struct namespace *ns, const char *wire);
/* The mailbox of a folder's name; NULL if the server's delimiter makes it impossible
 * (a level contains the delimiter, or there is no hierarchy). Caller frees. */
char *name_to_wire(const struct namespace *ns, const char *name);

bool name_is_inbox(const char *name); /* exactly the folder INBOX, any ASCII case */

/* A list of patterns as in the option `folders`: '*' matches anything, '%' anything but '/',
 * '!' in front excludes; case counts except in INBOX; the last match decides; if the first
 * pattern begins with '!', a '*' goes before it. is_virtual folders (\All, \Flagged,
 * \Important) are chosen only by a pattern without a wildcard. */
bool patterns_match(const char *const *patterns, size_t n, const char *name, bool is_virtual);

/* One pattern, no '!'. */
bool pattern_match(const char *pattern, const char *name);

#endif
