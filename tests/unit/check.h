/* A CUnit program in one call: registers a table of tests as one suite, runs it, prints what
 * failed, and gives the exit status for main. */
#ifndef MAILTWIN_TESTS_UNIT_CHECK_H
#define MAILTWIN_TESTS_UNIT_CHECK_H

#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>

struct test_case {
	const char *name;
	void (*run)(void);
};

static inline int run_tests(const char *suite_name, const struct test_case *cases, size_t n)
{
	CU_pSuite suite;
	unsigned failed;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	suite = CU_add_suite(suite_name, NULL, NULL);
	for (size_t i = 0; suite != NULL && i < n; i++)
		CU_add_test(suite, cases[i].name, cases[i].run);
	CU_basic_set_mode(CU_BRM_NORMAL);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures() + (CU_get_number_of_tests_run() != n);
	CU_cleanup_registry();
	return failed != 0;
}

#endif
