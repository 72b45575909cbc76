#include "core/guard.h"

static bool exceeds(uint64_t part, uint64_t whole, unsigned percent, uint64_t least)
{
	return part >= least && part * 100 > whole * percent;
}

static bool account_exceeds(const struct guard_folder *folders, size_t n, int direction,
			    const struct guard_input *input)
{
	uint64_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += folders[i].exempt ? 0 : folders[i].deletions[direction];
	return exceeds(total, input->account_paired, GUARD_ACCOUNT_PERCENT, GUARD_ACCOUNT_LEAST);
}

static struct guard_answer answer(enum guard_verb verb, int rule)
{
	return (struct guard_answer){.verb = verb, .rule = rule};
}

/* Before the user was asked: held, or not. */
static struct guard_answer weigh(const struct guard_folder *folder, int direction, bool all,
				 const struct guard_input *input)
{
	if (folder->deletions[direction] == 0)
		return answer(GUARD_PASS, 4);
	if (folder->held_before[direction])
		return answer(GUARD_HOLD, 5);
	if (folder->exempt || input->percent == 0)
		return answer(GUARD_PASS, 3);
	if (exceeds(folder->deletions[direction], folder->paired, input->percent,
		    GUARD_FOLDER_LEAST))
		return answer(GUARD_HOLD, 1);
	return all ? answer(GUARD_HOLD, 2) : answer(GUARD_PASS, 0);
}

void guard_check(struct guard_folder *folders, size_t n, const struct guard_input *input)
{
	for (int d = 0; d < DIRECTION_COUNT; d++) {
		bool all = account_exceeds(folders, n, d, input);

		for (size_t i = 0; i < n; i++) {
			folders[i].answer[d] = weigh(&folders[i], d, all, input);
			if (folders[i].answer[d].verb != GUARD_HOLD)
				continue;
			switch (input->deletions) {
			case DELETIONS_GUARDED: break;
			case DELETIONS_ALLOWED: folders[i].answer[d] = answer(GUARD_PASS, 6); break;
			case DELETIONS_UNDONE: folders[i].answer[d] = answer(GUARD_UNDO, 6); break;
			}
		}
	}
}
