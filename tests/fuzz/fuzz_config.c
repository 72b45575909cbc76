/* The configuration: any text is refused with its place, or gives accounts that are complete; and
 * nothing of one text is left for the next. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "sync/config_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void check_account(const struct account_config *account)
{
	require(account->name[0] != '\0' && strchr(account->name, '/') == NULL);
	require(account->maildir[0] == '/' && account->state[0] == '/');
	require(account->host != NULL || account->tunnel != NULL);
	require(account->port != 0 && account->guard <= 100 && account->timeout > 0);
	require(account->connections >= 1 && account->connections <= 32 && account->compress != 1);
	require(account->folders.n != 0);
	require(account->password == NULL || account->password_command == NULL);
	for (size_t i = 0; i < account->folders.n; i++)
		require(utf8_valid(account->folders.strings[i],
				   strlen(account->folders.strings[i])));
}

/* 0, or -1 with the error. */
static int parse(const char *data, size_t size, struct error *err)
{
	struct source source = {.path = "f", .mode = 0600, .owner = 0};
	struct config *config = NULL;
	struct raw_config raw;
	int result;

	raw_config_init(&raw);
	result = config_parse(&raw, raw_config_add_source(&raw, &source), data, size, err);
	if (result == 0)
		result = config_build(&raw, "f", &config, err);
	if (result == 0) {
		require(config->n_accounts != 0 && config->jobs >= 1 && config->jobs <= 100);
		for (size_t i = 0; i < config->n_accounts; i++)
			check_account(&config->accounts[i]);
	}
	config_free(&config);
	raw_config_release(&raw);
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char fine[] = "account a { tunnel = t maildir = '/m' }";
	struct error err = {0}, again = {0};
	int result = parse((const char *)data, size, &err);

	if (result != 0)
		require(err.kind == ERROR_CONFIG && starts_with(err.text, "f:"));
	require(parse(fine, strlen(fine), NULL) == 0);
	require(parse((const char *)data, size, &again) == result);
	require(strcmp(err.text, again.text) == 0);
	return 0;
}
