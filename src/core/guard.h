/* The guard against mass deletion (DESIGN section 5, "Guard"). Pure arithmetic: it is told what a run
 * would delete, and says what is to be held. */
#ifndef MAILTWIN_CORE_GUARD_H
#define MAILTWIN_CORE_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUARD_FOLDER_LEAST 20
#define GUARD_ACCOUNT_PERCENT 25
#define GUARD_ACCOUNT_LEAST 1000

enum direction { DIRECTION_LOCAL, DIRECTION_REMOTE, DIRECTION_COUNT }; /* the side that loses */

struct guard_folder {
	uint64_t paired;                     /* messages both sides had when the run began */
	uint64_t deletions[DIRECTION_COUNT]; /* of paired messages, those held before included */
	bool exempt;                         /* \Trash, \Junk, unguarded: counts in neither */
	bool hold[DIRECTION_COUNT];          /* out */
};

/* percent: of a folder; 0 turns all off. account_paired: of all folders that are not exempt, those that
 * are not in the list too. */
void guard_check(struct guard_folder *folders, size_t n, unsigned percent, uint64_t account_paired);

#endif
