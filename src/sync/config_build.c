/* From settings to a configuration: values become numbers, words and paths, defaults are filled in,
 * and what goes only together or not at all is checked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/process.h"
#include "base/text.h"
#include "sync/config_private.h"

static void copy_list(struct string_list *list, char *const *values, size_t n)
{
	list->strings = xcalloc(n + 1, sizeof(char *));
	list->n = n;
	for (size_t i = 0; i < n; i++)
		list->strings[i] = xstrdup(values[i]);
}

static void free_list(struct string_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->strings[i]);
	free(list->strings);
}

static void store_number(void *field, size_t size, uint64_t value)
{
	uint16_t number16 = (uint16_t)value;
	uint32_t number32 = (uint32_t)value;

	if (size == sizeof(number16))
		memcpy(field, &number16, size);
	else if (size == sizeof(number32))
		memcpy(field, &number32, size);
	else
		memcpy(field, &value, sizeof(value));
}

static int apply_number(void *field, const struct setting *setting, struct error *err)
{
	const struct option *option = setting->option;
	uint64_t value;

	if (!parse_number(setting->values[0], option->max, &value) || value < option->min)
		return setting_error(err, setting, "expected a number from %llu to %llu, not %s",
				     (unsigned long long)option->min,
				     (unsigned long long)option->max, setting->values[0]);
	store_number(field, option->size, value);
	return 0;
}

static int apply_boolean(void *field, const struct setting *setting, struct error *err)
{
	static const char *const yes[] = {"yes", "true", "on"}, *const no[] = {"no", "false",
									       "off"};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		bool is_yes = ascii_case_equal(setting->values[0], yes[i]);

		if (is_yes || ascii_case_equal(setting->values[0], no[i])) {
			memcpy(field, &is_yes, sizeof(is_yes));
			return 0;
		}
	}
	return setting_error(err, setting, "expected yes or no, not %s", setting->values[0]);
}

static int apply_choice(void *field, const struct setting *setting, struct error *err)
{
	struct text words = {0};

	for (const struct choice *c = setting->option->choices; c->word != NULL; c++) {
		if (strcmp(c->word, setting->values[0]) == 0) {
			memcpy(field, &c->value, sizeof(c->value));
			text_release(&words);
			return 0;
		}
		text_printf(&words, "%s%s",
			    words.len == 0 ? ""
			    : c[1].word    ? ", "
					   : " or ",
			    c->word);
	}
	setting_error(err, setting, "expected %s, not %s", text_get(&words), setting->values[0]);
	text_release(&words);
	return -1;
}

static int apply_path(char **field, const struct setting *setting, struct error *err)
{
	const char *value = setting->values[0];

	free(*field);
	*field = *value == '\0' ? NULL : expand_path(value);
	if (*value != '\0' && *field == NULL)
		return setting_error(err, setting,
				     "expected an absolute path or one that begins with ~/, not %s",
				     value);
	return 0;
}

/* From "${VARIABLE}": what stands in the file was checked before. */
static int check_characters(const struct setting *setting, struct error *err)
{
	for (size_t i = 0; i < setting->n; i++) {
		for (const char *p = setting->values[i]; *p != '\0'; p++) {
			unsigned char c = (unsigned char)*p;

			if (c == 0x7f || (c < 0x20 && c != '\t'))
				return setting_error(err, setting,
						     "expected no control character (\\x%02X)", c);
		}
	}
	return 0;
}

/* A literal password in a file that others can read is theirs too. */
static int check_secret_file(const struct raw_config *raw, const struct setting *setting,
			     struct error *err)
{
	const struct source *source = &raw->sources[setting->source];

	if (source->owner != geteuid() && source->owner != 0)
		return setting_error(err, setting,
				     "expected a file that belongs to you or root, as it holds a "
				     "password; copy it, or use password-command");
	if ((source->mode & 077) != 0)
		return setting_error(err, setting,
				     "the file holds a password and others can read it (mode "
				     "%03o); run: chmod 600 %s",
				     (unsigned)(source->mode & 0777), source->path);
	return 0;
}

static int apply(struct account_config *account, const struct setting *setting, struct error *err)
{
	void *field = (char *)account + setting->option->offset;

	switch (setting->option->kind) {
	case OPTION_TEXT:
		free(*(char **)field);
		*(char **)field = xstrdup(setting->values[0]);
		return 0;
	case OPTION_PATH: return apply_path(field, setting, err);
	case OPTION_NUMBER: return apply_number(field, setting, err);
	case OPTION_BOOLEAN: return apply_boolean(field, setting, err);
	case OPTION_CHOICE: return apply_choice(field, setting, err);
	case OPTION_LIST:
		free_list(field);
		copy_list(field, setting->values, setting->n);
		return 0;
	}
	return 0;
}

static int apply_all(struct account_config *account, const struct raw_config *raw,
		     const struct section *section, struct error *err)
{
	for (size_t i = 0; i < raw->n_settings; i++) {
		const struct setting *setting = raw->settings[i];

		if (setting->section != section)
			continue;
		if (check_characters(setting, err) != 0)
			return -1;
		if (setting->option->check != NULL && setting->option->check(setting, err) != 0)
			return -1;
		if (setting->option->secret && check_secret_file(raw, setting, err) != 0)
			return -1;
		if (apply(account, setting, err) != 0)
			return -1;
	}
	return 0;
}

static void set_defaults(struct account_config *account, const char *name)
{
	static char everything[] = "*";
	static char *const patterns[] = {everything};

	account->name = xstrdup(name);
	copy_list(&account->folders, patterns, 1);
	account->trash = xstrdup("");
	account->after_sync = xstrdup("");
	account->delete_folders = true;
	account->guard = 50;
	account->connections = 3;
	account->compress = -1;
	account->timeout = 60;
}

/* An empty string is an option that was not given, except where that means something. */
static void drop_empty(char **field)
{
	if (*field != NULL && **field == '\0') {
		free(*field);
		*field = NULL;
	}
}

static void fill_in(struct account_config *account)
{
	char **optional[] = {&account->host,        &account->user,
			     &account->password,    &account->password_command,
			     &account->fingerprint, &account->tunnel};

	for (size_t i = 0; i < ARRAY_SIZE(optional); i++)
		drop_empty(optional[i]);
	if (account->port == 0)
		account->port = account->tls == TLS_IMPLICIT ? 993 : 143;
	if (account->state == NULL) {
		char *base = xdg_directory("XDG_STATE_HOME", ".local/state");

		account->state = xasprintf("%s/mailtwin/%s", base, account->name);
		free(base);
	}
}

static int check_login(const struct account_config *account, const struct section *section,
		       struct error *err)
{
	if (account->password != NULL && account->password_command != NULL)
		return section_error(err, section,
				     "expected password or password-command, not both");
	if (account->tunnel != NULL || account->auth == AUTH_EXTERNAL)
		return 0;
	if (account->user == NULL)
		return section_error(err, section, "user: missing; expected the name to log in");
	if (account->password == NULL && account->password_command == NULL)
		return section_error(err, section,
				     "password-command: missing; expected a command that prints "
				     "the password");
	return 0;
}

static int check_account(const struct account_config *account, const struct section *section,
			 struct error *err)
{
	if (account->host == NULL && account->tunnel == NULL)
		return section_error(err, section,
				     "host: missing; expected the name of the IMAP server");
	if (check_login(account, section, err) != 0)
		return -1;
	if (account->maildir == NULL)
		return section_error(err, section,
				     "maildir: missing; expected the directory for the mail");
	if (account->fingerprint != NULL && (account->tls == TLS_NONE || account->tunnel != NULL))
		return section_error(err, section,
				     "fingerprint: expected only with TLS, which tls = 'none' and "
				     "tunnel leave out");
	return 0;
}

static int check_name(const struct section *section, struct error *err)
{
	const char *p = section->name;

	while (ascii_is_alpha(*p) || ascii_is_digit(*p) || (*p != '\0' && strchr("@._+-", *p)))
		p++;
	if (*p == '\0' && p != section->name && section->name[0] != '.' && p - section->name <= 200)
		return 0;
	return section_error(err, section,
			     "expected a name of letters, digits and @ . _ + -, not beginning "
			     "with a dot");
}

/* One root inside of another, or the same: two accounts would fight over the files. */
static bool overlap(const char *a, const char *b)
{
	size_t len_a = strlen(a), len_b = strlen(b), len = len_a < len_b ? len_a : len_b;

	return strncmp(a, b, len) == 0 &&
	       (len_a == len_b || a[len] == '/' || b[len] == '/' || len == 1);
}

static int check_apart(const struct config *config, size_t i, const struct section *section,
		       struct error *err)
{
	const struct account_config *account = &config->accounts[i], *other;

	for (size_t j = 0; j < i; j++) {
		other = &config->accounts[j];
		if (overlap(account->maildir, other->maildir))
			return section_error(err, section,
					     "maildir: expected a directory apart from that of "
					     "account %s (%s)",
					     other->name, other->maildir);
		if (strcmp(account->state, other->state) == 0)
			return section_error(err, section,
					     "state: expected another directory than that of "
					     "account %s (%s)",
					     other->name, other->state);
	}
	return 0;
}

static int build_account(struct config *config, const struct raw_config *raw, size_t i,
			 struct error *err)
{
	struct account_config *account = &config->accounts[i];
	const struct section *section = raw->sections[i];

	config->n_accounts = i + 1;
	set_defaults(account, section->name);
	if (check_name(section, err) != 0 || apply_all(account, raw, section, err) != 0)
		return -1;
	fill_in(account);
	if (check_account(account, section, err) != 0)
		return -1;
	return check_apart(config, i, section, err);
}

static int build(struct config *config, const struct raw_config *raw, struct error *err)
{
	config->jobs = 4;
	for (size_t i = 0; i < raw->n_settings; i++) {
		if (raw->settings[i]->section == NULL &&
		    apply_number(&config->jobs, raw->settings[i], err) != 0)
			return -1;
	}
	if (raw->n_sections == 0)
		return error_set(
			err, ERROR_CONFIG,
			"%s: no account in it; expected at least one: account NAME { ... }",
			config->path);
	config->accounts = xcalloc(raw->n_sections, sizeof(*config->accounts));
	for (size_t i = 0; i < raw->n_sections; i++) {
		if (build_account(config, raw, i, err) != 0)
			return -1;
	}
	return 0;
}

int config_build(const struct raw_config *raw, const char *path, struct config **config,
		 struct error *err)
{
	*config = xcalloc(1, sizeof(**config));
	(*config)->path = xstrdup(path);
	if (build(*config, raw, err) == 0)
		return 0;
	config_free(config);
	return -1;
}

static void release_account(struct account_config *account)
{
	char *strings[] = {account->name,
			   account->host,
			   account->user,
			   account->password,
			   account->password_command,
			   account->ca_file,
			   account->fingerprint,
			   account->tunnel,
			   account->maildir,
			   account->trash,
			   account->state,
			   account->after_sync};

	wipe(account->password);
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		free(strings[i]);
	free_list(&account->folders);
	free_list(&account->unguarded);
	free_list(&account->disable_extension);
}

void config_free(struct config **config)
{
	if (*config == NULL)
		return;
	for (size_t i = 0; i < (*config)->n_accounts; i++)
		release_account(&(*config)->accounts[i]);
	free((*config)->accounts);
	free((*config)->path);
	free(*config);
	*config = NULL;
}
