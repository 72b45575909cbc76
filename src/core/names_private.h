/* What the names on the wire and the directories on disk must agree on. */
#ifndef MAILTWIN_CORE_NAMES_PRIVATE_H
#define MAILTWIN_CORE_NAMES_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

/* In a folder's name "%2F" is a '/' inside a level; "%252F" is a "%2F" that the mailbox itself
 * has, "%25252F" its "%252F", and so on: on the way in each gets one "25" more, on the way out
 * one less. The length of such a group at p ('%', any number of "25", "2F"), 0 if there is none. */
size_t name_slash_group(const char *p, size_t len);

/* Whether the first level is INBOX in any ASCII case. */
bool name_below_inbox(const char *name);

/* A copy with that first level in upper case; caller frees. */
char *name_canonical(const char *name);

#endif
