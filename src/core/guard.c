#include "core/guard.h"

static bool exceeds(uint64_t part, uint64_t whole, unsigned percent, uint64_t least)
{
	return part >= least && part * 100 > whole * percent;
}

void guard_check(struct guard_folder *folders, size_t n, unsigned percent, uint64_t account_paired)
{
	for (int d = 0; d < DIRECTION_COUNT; d++) {
		uint64_t total = 0;
		bool all;

		for (size_t i = 0; i < n; i++)
			total += folders[i].exempt ? 0 : folders[i].deletions[d];
		all = exceeds(total, account_paired, GUARD_ACCOUNT_PERCENT, GUARD_ACCOUNT_LEAST);
		for (size_t i = 0; i < n; i++) {
			struct guard_folder *f = &folders[i];

			f->hold[d] = percent != 0 && !f->exempt && f->deletions[d] != 0 &&
				     (all || exceeds(f->deletions[d], f->paired, percent,
						     GUARD_FOLDER_LEAST));
		}
	}
}
