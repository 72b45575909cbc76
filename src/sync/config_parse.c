/* libConfuse at work. All options are strings to it: numbers, words and ranges are ours, so that an
 * error can say what was expected. It tells a callback about each value, which is the only way to
 * learn lines and to see that something is given twice; at the end its tree is thrown away.
 * Callbacks have no context of their own: hence the one static pointer (one thread parses). */
#include <confuse.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/process.h"
#include "sync/config_private.h"

struct parser {
	struct raw_config *raw;
	const struct scanned *scanned;
	size_t source;
	size_t ordinal;       /* sections that ended in this file */
	struct setting *list; /* the list being read */
	struct error *err;
};

static struct parser *parser;

void raw_config_init(struct raw_config *raw)
{
	memset(raw, 0, sizeof(*raw));
	raw->arena = arena_new();
}

void raw_config_release(struct raw_config *raw)
{
	for (size_t i = 0; i < raw->n_settings; i++) {
		for (size_t j = 0; j < raw->settings[i]->n; j++)
			wipe(raw->settings[i]->values[j]);
		free(raw->settings[i]->values);
	}
	free(raw->settings);
	free(raw->sections);
	free(raw->sources);
	free(raw->includes);
	arena_free(&raw->arena);
	memset(raw, 0, sizeof(*raw));
}

size_t raw_config_add_source(struct raw_config *raw, const struct source *source)
{
	raw->sources =
		grow(raw->sources, raw->n_sources, &raw->sources_room, sizeof(*raw->sources));
	raw->sources[raw->n_sources] = *source;
	raw->sources[raw->n_sources].path = arena_strdup(raw->arena, source->path);
	return raw->n_sources++;
}

static struct place place_at(int line)
{
	return (struct place){parser->raw->sources[parser->source].path, line};
}

/* The section that a callback is in: made at its first value, or at its end if it has none. */
static struct section *current_section(const char *title)
{
	struct raw_config *raw = parser->raw;
	struct section *section;
	size_t ordinal = parser->ordinal;

	if (raw->n_sections != 0) {
		section = raw->sections[raw->n_sections - 1];
		if (section->source == parser->source && section->ordinal == ordinal)
			return section;
	}
	section = arena_alloc(raw->arena, sizeof(*section));
	section->name = arena_strdup(raw->arena, title);
	section->source = parser->source;
	section->ordinal = ordinal;
	section->place = place_at(ordinal < parser->scanned->n_sections
					  ? parser->scanned->section_lines[ordinal]
					  : 0);
	for (size_t i = 0; i < raw->n_sections; i++) {
		if (strcmp(raw->sections[i]->name, title) == 0) {
			section_error(parser->err, section, "given twice; first at %s:%d",
				      raw->sections[i]->place.file, raw->sections[i]->place.line);
			return NULL;
		}
	}
	raw->sections =
		grow(raw->sections, raw->n_sections, &raw->sections_room, sizeof(*raw->sections));
	raw->sections[raw->n_sections++] = section;
	return section;
}

static const struct option *find_option(const char *name)
{
	for (size_t i = 0; i < n_account_options; i++) {
		if (strcmp(account_options[i].name, name) == 0)
			return &account_options[i];
	}
	return NULL;
}

static const struct setting *find_setting(const struct raw_config *raw,
					  const struct section *section,
					  const struct option *option)
{
	for (size_t i = 0; i < raw->n_settings; i++) {
		if (raw->settings[i]->section == section && raw->settings[i]->option == option)
			return raw->settings[i];
	}
	return NULL;
}

static struct setting *new_setting(const struct section *section, const struct option *option,
				   int line)
{
	struct raw_config *raw = parser->raw;
	const struct setting *other = find_setting(raw, section, option);
	struct setting *setting = arena_alloc(raw->arena, sizeof(*setting));

	*setting = (struct setting){.section = section,
				    .option = option,
				    .place = place_at(line),
				    .source = parser->source};
	if (other != NULL) {
		setting_error(parser->err, setting, "given twice; first at %s:%d",
			      other->place.file, other->place.line);
		return NULL;
	}
	raw->settings =
		grow(raw->settings, raw->n_settings, &raw->settings_room, sizeof(*raw->settings));
	raw->settings[raw->n_settings++] = setting;
	return setting;
}

static void add_value(struct setting *setting, const char *value)
{
	setting->values = xreallocarray(setting->values, setting->n + 1, sizeof(char *));
	setting->values[setting->n++] = arena_strdup(parser->raw->arena, value);
}

static int note_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	const struct section *section = NULL;
	const struct option *option = &jobs_option;
	bool is_list;

	*(const char **)result = value;
	if (cfg->title != NULL) {
		section = current_section(cfg->title);
		option = find_option(opt->name);
		if (section == NULL || option == NULL)
			return -1;
	} else if (strcmp(opt->name, jobs_option.name) != 0) {
		return error_set(parser->err, ERROR_CONFIG,
				 "%s:%d: %s: expected inside of an account", place_at(0).file,
				 cfg->line, opt->name);
	}
	/* The first value after '=' is the only one of the list so far. */
	is_list = option->kind == OPTION_LIST;
	if (!is_list || opt->nvalues == 1)
		parser->list = new_setting(section, option, cfg->line);
	if (parser->list == NULL)
		return -1;
	if (!is_list || *value != '\0') /* { '' } is the empty list */
		add_value(parser->list, value);
	return 0;
}

static int end_section(cfg_t *cfg, cfg_opt_t *opt)
{
	cfg_t *section = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);

	(void)cfg;
	if (section == NULL || current_section(section->title) == NULL)
		return -1;
	parser->ordinal++;
	return 0;
}

static int note_include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
	struct raw_config *raw = parser->raw;

	(void)opt;
	if (argc != 1 || argv[0][0] == '\0')
		return error_set(parser->err, ERROR_CONFIG,
				 "%s:%d: include: expected one file name or pattern",
				 place_at(0).file, cfg->line);
	raw->includes =
		grow(raw->includes, raw->n_includes, &raw->includes_room, sizeof(*raw->includes));
	raw->includes[raw->n_includes++] = (struct include){
		.pattern = arena_strdup(raw->arena, argv[0]), .place = place_at(cfg->line)};
	return 0;
}

/* The first error is the one that counts: ours, or libConfuse's own. */
__attribute__((format(printf, 2, 0))) static void note_error(cfg_t *cfg, const char *fmt,
							     va_list args)
{
	char where[160] = "", text[200];

	if (parser->err == NULL || parser->err->kind != ERROR_NONE)
		return;
	if (cfg->title != NULL)
		snprintf(where, sizeof(where), "account %s: ", cfg->title);
	if (strstr(fmt, "no such option") != NULL)
		snprintf(text, sizeof(text), "%s: unknown option; mailtwin.conf(5) lists them",
			 va_arg(args, const char *));
	else
		vsnprintf(text, sizeof(text), fmt, args);
	error_set(parser->err, ERROR_CONFIG, "%s:%d: %s%s", place_at(0).file, cfg->line, where,
		  text);
}

static cfg_opt_t describe(const struct option *option)
{
	bool list = option->kind == OPTION_LIST;

	return (cfg_opt_t){.name = option->name,
			   .type = CFGT_STR,
			   .flags = CFGF_NODEFAULT | (list ? CFGF_LIST : CFGF_NONE),
			   .parsecb = note_value};
}

/* Ends with an entry without a name, as libConfuse wants it; caller frees. */
static cfg_opt_t *describe_account(void)
{
	cfg_opt_t *opts = xcalloc(n_account_options + 1, sizeof(*opts));

	for (size_t i = 0; i < n_account_options; i++)
		opts[i] = describe(&account_options[i]);
	return opts;
}

static cfg_t *new_parser(cfg_opt_t *account)
{
	cfg_opt_t opts[] = {
		describe(&jobs_option),
		CFG_SEC("account", account, CFGF_MULTI | CFGF_TITLE),
		CFG_FUNC("include", note_include),
		CFG_END(),
	};
	cfg_t *cfg = cfg_init(opts, CFGF_NONE);

	if (cfg == NULL)
		abort();
	cfg_set_error_function(cfg, note_error);
	cfg_set_validate_func(cfg, "account", end_section);
	return cfg;
}

static int parse_text(const struct text *text)
{
	cfg_opt_t *account = describe_account();
	cfg_t *cfg = new_parser(account);
	FILE *file = fmemopen(text->data, text->len, "r");
	int result = file != NULL ? cfg_parse_fp(cfg, file) : CFG_FILE_ERROR;

	if (file != NULL)
		fclose(file);
	cfg_free(cfg);
	free(account);
	if (result == CFG_SUCCESS && parser->err->kind == ERROR_NONE)
		return 0;
	if (parser->err->kind == ERROR_NONE)
		error_set(parser->err, ERROR_CONFIG, "%s: cannot be read", place_at(0).file);
	return -1;
}

int config_parse(struct raw_config *raw, size_t source, const char *data, size_t len,
		 struct error *err)
{
	struct scanned scanned;
	struct error local = {0};
	struct parser self = {.raw = raw, .scanned = &scanned, .source = source, .err = &local};
	int result;

	if (config_scan(&scanned, raw->sources[source].path, data, len, err) != 0)
		return -1;
	parser = &self;
	result = parse_text(&scanned.text);
	parser = NULL;
	scanned_release(&scanned);
	if (result != 0)
		error_set(err, local.kind, "%s", local.text);
	return result;
}
