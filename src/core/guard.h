/* The guard against mass deletion (DESIGN section 5, "Guard"). Pure arithmetic: it is told what a run
 * would delete, and says what is to be held. Rules G1 to G6 of docs/sync-rules.md. */
#ifndef MAILTWIN_CORE_GUARD_H
#define MAILTWIN_CORE_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUARD_FOLDER_LEAST 20
#define GUARD_ACCOUNT_PERCENT 25
#define GUARD_ACCOUNT_LEAST 1000

enum direction { DIRECTION_LOCAL, DIRECTION_REMOTE, DIRECTION_COUNT }; /* the side that loses */

enum deletion_policy {
	DELETIONS_GUARDED,
	DELETIONS_ALLOWED,
	DELETIONS_UNDONE
}; /* what the user says */

struct guard_input {
	unsigned percent;        /* of a folder; 0 turns all off */
	uint64_t account_paired; /* of all folders that are not exempt, those not in the list too */
	enum deletion_policy deletions;
};

enum guard_verb { GUARD_PASS, GUARD_HOLD, GUARD_UNDO };

#define GUARD_RULE_COUNT 7  /* of those that are answered here */
#define GUARD_RULE_UNSEEN 7 /* not all folders were seen: sync/hold.c */

struct guard_answer {
	enum guard_verb verb;
	int rule; /* 0: none, an everyday act */
};

struct guard_folder {
	uint64_t paired;                     /* messages both sides had when the run began */
	uint64_t deletions[DIRECTION_COUNT]; /* of paired messages */
	bool held_before[DIRECTION_COUNT];   /* there are some among them */
	bool exempt;                         /* \Trash, \Junk, unguarded: counts in neither */
	struct guard_answer answer[DIRECTION_COUNT]; /* out */
};

void guard_check(struct guard_folder *folders, size_t n, const struct guard_input *input);

#endif
