/* How many records of a folder are in which state: what `status` shows, and whether there is something
 * to look at in every run. */
#ifndef MAILTWIN_CORE_TALLY_H
#define MAILTWIN_CORE_TALLY_H

#include <stdint.h>

#include "core/record.h"

struct tally {
	uint32_t messages; /* in both places, or kept here */
	uint32_t unread;
	uint32_t marked;  /* paired, with \Deleted in both sets: `expunge` waits for them */
	uint32_t doubted; /* paired, with a file that has to be looked at: its inode is not known */
	uint32_t held;
	uint32_t skipped;
	uint32_t unfetched;
	uint32_t arriving;
};

void tally_record(struct tally *tally, const struct record *record);
/* times: 1, or -1 to take it away. All are unsigned: a difference may be added, and gives the right sum. */
void tally_add(struct tally *tally, const struct tally *other, int times);

#endif
