/* Directories of folders below the Maildir root (DESIGN section 5, "Folder names").
 *
 *   nested:    each level is a directory:  "A/B" -> "A/B", INBOX -> "INBOX"
 *   maildir++: INBOX is the root:          "A/B" -> ".A.B", INBOX -> ".", "INBOX/x" -> ".INBOX.x"
 *
 * %XX (upper-case hex of the byte) stands for what a name may not hold, "%00" for an empty level;
 * a level over 255 bytes is cut at 230 and gets "%~" and 16 hex digits of its hash, and so does a
 * maildir++ directory's name as a whole. "%2F" in a name (a '/' inside a level) is kept as it is. Escaping is injective; a directory
 * name is unescaped only if escaping the result gives the same bytes again. */
#ifndef MAILTWIN_CORE_LAYOUT_H
#define MAILTWIN_CORE_LAYOUT_H

#include <stdbool.h>

enum layout { LAYOUT_NESTED, LAYOUT_MAILDIRPP };

/* The relative path of a folder's directory, "." for the root; caller frees. The result never
 * leaves the root: no level is ".", "..", empty, or contains '/'. */
char *layout_path(enum layout layout, const char *name);

/* The folder's name of a directory's relative path; NULL if no folder can have this path
 * (a maildir++ directory without a leading dot, an escape that is not canonical, a cut level).
 * Caller frees. */
char *layout_name(enum layout layout, const char *path);

#endif
