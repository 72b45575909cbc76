/* The guard against mass deletion: thresholds, both directions, what does not count. */
#include "core/guard.h"

#include <stdio.h>

#include "base/memory.h"
#include "check.h"

/* One folder, deletions in one direction. G1, G3 */
static void test_one_folder(void)
{
	static const struct {
		uint64_t paired, deletions;
		unsigned percent;
		bool exempt, hold;
	} rows[] = {
		{40, 20, 50, false, false}, /* half is not more than half */
		{40, 21, 50, false, true},
		{39, 20, 50, false, true},
		{20, 20, 50, false, true},  /* all of it */
		{19, 19, 50, false, false}, /* fewer than 20 are an everyday act */
		{1000, 500, 50, false, false},
		{1000, 501, 50, false, true},
		{100, 30, 25, false, true}, /* guard = 25 */
		{100, 25, 25, false, false},
		{100, 100, 100, false, false},
		{100, 100, 0, false, false}, /* guard = 0: off */
		{100, 100, 50, true, false}, /* \Trash */
		{0, 0, 50, false, false},
		{0, 20, 50, false, true}, /* more than there are: nonsense is held */
		{110, 30, 50, false, false},
		{UINT32_MAX, UINT32_MAX, 50, false, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int d = 0; d < DIRECTION_COUNT; d++) {
			struct guard_folder folder = {.paired = rows[i].paired,
						      .exempt = rows[i].exempt};

			folder.deletions[d] = rows[i].deletions;
			guard_check(&folder, 1, rows[i].percent,
				    rows[i].exempt ? 0 : rows[i].paired);
			CU_ASSERT_EQUAL(folder.hold[d], rows[i].hold);
			CU_ASSERT(!folder.hold[!d]);
		}
	}
}

/* Ten folders of 1,000 that lose as many each as the row says, in an account of so many. G2 */
static void test_account(void)
{
	static const struct {
		uint64_t each, account;
		unsigned percent;
		bool hold;
	} rows[] = {
		{250, 10000, 50, false}, /* a quarter is not more than a quarter */
		{251, 10000, 50, true},  {99, 1000, 50, false}, /* fewer than 1,000 in all */
		{100, 3999, 50, true},   {100, 4000, 50, false},
		{251, 20000, 50, false}, /* folders that are as they were count too */
		{251, 10000, 0, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct guard_folder folders[10];

		for (size_t f = 0; f < ARRAY_SIZE(folders); f++)
			folders[f] = (struct guard_folder){.paired = 1000,
							   .deletions = {0, rows[i].each}};
		guard_check(folders, ARRAY_SIZE(folders), rows[i].percent, rows[i].account);
		for (size_t f = 0; f < ARRAY_SIZE(folders); f++) {
			CU_ASSERT_EQUAL(folders[f].hold[DIRECTION_REMOTE], rows[i].hold);
			CU_ASSERT(!folders[f].hold[DIRECTION_LOCAL]);
		}
	}
}

/* Both directions count by themselves; an exempt folder holds nothing and adds nothing; a folder that
 * loses nothing is not held with the others. G3, G4 */
static void test_together(void)
{
	struct guard_folder folders[] = {
		{.paired = 1000, .deletions = {600, 400}},
		{.paired = 5000, .deletions = {5000, 5000}, .exempt = true},
		{.paired = 1000, .deletions = {0, 400}},
		{.paired = 1000, .deletions = {0, 0}},
	};

	guard_check(folders, ARRAY_SIZE(folders), 50, 3000);
	CU_ASSERT(folders[0].hold[DIRECTION_LOCAL]);
	CU_ASSERT(!folders[0].hold[DIRECTION_REMOTE]); /* 800 of 3,000 are fewer than 1,000 */
	CU_ASSERT(!folders[1].hold[DIRECTION_LOCAL] && !folders[1].hold[DIRECTION_REMOTE]);
	folders[2].deletions[DIRECTION_REMOTE] = 600;
	guard_check(folders, ARRAY_SIZE(folders), 50, 3000);
	CU_ASSERT(folders[0].hold[DIRECTION_REMOTE]); /* 1,000 of 3,000 in the account */
	CU_ASSERT(folders[2].hold[DIRECTION_REMOTE]);
	CU_ASSERT(!folders[1].hold[DIRECTION_REMOTE]);
	CU_ASSERT(!folders[3].hold[DIRECTION_REMOTE]);
	guard_check(folders, 0, 50, 0);
}

int main(void)
{
	static const struct test_case cases[] = {
		{"G1 one folder", test_one_folder},
		{"G2 the account", test_account},
		{"G3, G4 together", test_together},
	};

	return run_tests("guard", cases, ARRAY_SIZE(cases));
}
