/* Is the file what LMDB can be trusted with? Private to the floor. */
#ifndef MAILTWIN_STATE_VERIFY_H
#define MAILTWIN_STATE_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define VERIFY_OLD (-1) /* the snapshot asked for is no longer among the file's meta pages */

struct verify_file {
	int fd; /* data.mdb, borrowed */
	size_t page_size;
	size_t txnid; /* of the newest meta page */
	size_t last_page;
	const char *reason; /* what is wrong */
};

/* Looks at the two meta pages, before LMDB sees them; false with a reason. */
bool verify_begin(struct verify_file *file, int fd);
/* Walks every page of a snapshot. only: of this database alone; NULL: of all, and of the list
 * of free pages. Returns 1 if it is sound, 0 if not, with a reason, or VERIFY_OLD. */
int verify_pages(struct verify_file *file, size_t txnid, const char *only);

#endif
