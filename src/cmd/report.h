/* What is said about a run, as JSON (DESIGN section 8) and for people. Each function makes one line
 * without its end; the caller frees. Nothing is printed here. */
#ifndef MAILTWIN_CMD_REPORT_H
#define MAILTWIN_CMD_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/record.h"
#include "sync/sync.h"

struct summary_number {
	const char *name; /* in the JSON; in upper case behind MAILTWIN_ for hooks */
	uint64_t value;
};
#define SUMMARY_NUMBERS (2 + CHANGE_COUNT + 6)
/* In the order of the JSON. */
void summary_numbers(const struct sync_summary *summary,
		     struct summary_number numbers[SUMMARY_NUMBERS]);

struct status_counts { /* of a folder, or summed up for an account */
	uint64_t folders;
	uint64_t messages;
	uint64_t unread;
	uint64_t held;
	uint64_t parked;
	uint64_t skipped;
	int64_t last_sync; /* seconds since 1970; 0: never */
};

char *json_change(const char *account, const struct sync_change *change);
char *json_problem(const char *account, enum problem_kind kind, const char *folder,
		   const char *message);
char *json_summary(const char *account, int status, const struct sync_summary *summary,
		   double seconds);
char *json_status_folder(const char *account, const char *folder,
			 const struct status_counts *counts);
char *json_status_account(const char *account, const struct status_counts *counts, int64_t now,
			  int status);
char *json_folder(const char *account, const struct folder_line *line);

/* account NULL: it is named already. */
char *human_change(const char *account, const struct sync_change *change);
char *human_problem(const char *account, const char *folder, const char *message);
char *human_summary(const char *account, const struct sync_summary *summary, double seconds,
		    bool dry_run);
bool summary_has_changes(const struct sync_summary *summary);
char *human_number(uint64_t value); /* 1,234,567 */
char *human_size(uint64_t octets);  /* 12.3 MB */
char *human_age(int64_t seconds);   /* 5 minutes ago */

#endif
