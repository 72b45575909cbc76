/* The guard against mass deletion: thresholds, both directions, what does not count, what the user says. */
#include "core/guard.h"

#include <stdio.h>

#include "base/memory.h"
#include "check.h"

static bool rule_seen[GUARD_RULE_COUNT];

static void check(struct guard_folder *folders, size_t n, const struct guard_input *input)
{
	guard_check(folders, n, input);
	for (size_t i = 0; i < n; i++) {
		for (int d = 0; d < DIRECTION_COUNT; d++)
			rule_seen[folders[i].answer[d].rule] = true;
	}
}

static bool is_held(const struct guard_folder *folder, enum direction direction)
{
	return folder->answer[direction].verb == GUARD_HOLD;
}

/* One folder, deletions in one direction. Rule 0: an everyday act. */
static void test_one_folder(void)
{
	enum { EXEMPT = 1, BEFORE = 2 };
	static const struct {
		int rule;
		uint64_t paired, deletions;
		unsigned percent, bits;
		enum guard_verb verb[3]; /* guarded, allowed, undone */
	} rows[] = {
#define PASS {GUARD_PASS, GUARD_PASS, GUARD_PASS}
#define HOLD                                       \
	{                                          \
		GUARD_HOLD, GUARD_PASS, GUARD_UNDO \
	}
		{0, 40, 20, 50, 0, PASS}, /* half is not more than half */
		{1, 40, 21, 50, 0, HOLD},
		{1, 39, 20, 50, 0, HOLD},
		{1, 20, 20, 50, 0, HOLD}, /* all of it */
		{0, 19, 19, 50, 0, PASS}, /* fewer than 20 are an everyday act */
		{0, 1000, 500, 50, 0, PASS},
		{1, 1000, 501, 50, 0, HOLD},
		{1, 100, 30, 25, 0, HOLD}, /* guard = 25 */
		{0, 100, 25, 25, 0, PASS},
		{0, 100, 100, 100, 0, PASS},
		{3, 100, 100, 0, 0, PASS},       /* guard = 0: off */
		{3, 100, 100, 50, EXEMPT, PASS}, /* \Trash */
		{4, 0, 0, 50, 0, PASS},
		{4, 100, 0, 50, BEFORE, PASS},
		{1, 0, 20, 50, 0, HOLD}, /* more than there are: nonsense is held */
		{0, 110, 30, 50, 0, PASS},
		{5, 110, 30, 50, BEFORE, HOLD}, /* it grew */
		{5, 110, 1, 50, BEFORE, HOLD},
		{5, 110, 30, 0, BEFORE, HOLD},
		{5, 110, 30, 50, BEFORE | EXEMPT, HOLD},
		{1, UINT32_MAX, UINT32_MAX, 50, 0, HOLD},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows) * DIRECTION_COUNT; i++) {
		size_t at = i / DIRECTION_COUNT, d = i % DIRECTION_COUNT;
		bool exempt = (rows[at].bits & EXEMPT) != 0;

		for (int said = DELETIONS_GUARDED; said <= DELETIONS_UNDONE; said++) {
			struct guard_input input = {rows[at].percent, exempt ? 0 : rows[at].paired,
						    (enum deletion_policy)said};
			struct guard_folder f = {.paired = rows[at].paired, .exempt = exempt};
			bool asked = said != DELETIONS_GUARDED && rows[at].verb[0] == GUARD_HOLD;

			f.deletions[d] = rows[at].deletions;
			f.held_before[d] = (rows[at].bits & BEFORE) != 0;
			check(&f, 1, &input);
			CU_ASSERT_EQUAL(f.answer[d].verb, rows[at].verb[said]);
			CU_ASSERT_EQUAL(f.answer[d].rule, asked ? 6 : rows[at].rule);
			CU_ASSERT_EQUAL(f.answer[!d].verb, GUARD_PASS);
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
		struct guard_input input;

		for (size_t f = 0; f < ARRAY_SIZE(folders); f++)
			folders[f] = (struct guard_folder){.paired = 1000,
							   .deletions = {0, rows[i].each}};
		input = (struct guard_input){rows[i].percent, rows[i].account, DELETIONS_GUARDED};
		check(folders, ARRAY_SIZE(folders), &input);
		for (size_t f = 0; f < ARRAY_SIZE(folders); f++) {
			CU_ASSERT_EQUAL(is_held(&folders[f], DIRECTION_REMOTE), rows[i].hold);
			CU_ASSERT(!is_held(&folders[f], DIRECTION_LOCAL));
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
	struct guard_input input = {50, 3000, DELETIONS_GUARDED};

	check(folders, ARRAY_SIZE(folders), &input);
	CU_ASSERT(is_held(&folders[0], DIRECTION_LOCAL));
	CU_ASSERT(!is_held(&folders[0], DIRECTION_REMOTE)); /* 800 of 3,000 are fewer than 1,000 */
	CU_ASSERT(!is_held(&folders[1], DIRECTION_LOCAL) &&
		  !is_held(&folders[1], DIRECTION_REMOTE));
	folders[2].deletions[DIRECTION_REMOTE] = 600;
	check(folders, ARRAY_SIZE(folders), &input);
	CU_ASSERT_EQUAL(folders[0].answer[DIRECTION_REMOTE].rule,
			2); /* 1,000 of 3,000 in the account */
	CU_ASSERT_EQUAL(folders[2].answer[DIRECTION_REMOTE].rule, 1);
	CU_ASSERT(!is_held(&folders[1], DIRECTION_REMOTE));
	CU_ASSERT(!is_held(&folders[3], DIRECTION_REMOTE));
	check(folders, 0, &input);
}

static void test_coverage(void)
{
	for (int rule = 0; rule < GUARD_RULE_COUNT; rule++)
		CU_ASSERT(rule_seen[rule]);
}

int main(void)
{
	static const struct test_case cases[] = {
		{"G1, G3 to G6 one folder", test_one_folder},
		{"G2 the account", test_account},
		{"G2 to G4 together", test_together},
		{"a row for every rule", test_coverage},
	};

	return run_tests("guard", cases, ARRAY_SIZE(cases));
}
