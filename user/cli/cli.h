/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fairlead: asks the daemon over its control socket and prints the answer. One file a command or family of commands; each
 * command returns the program's exit status.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "user/config/config.h"

enum {
	CLI_DONE = 0,
	CLI_FAILED = 1, /* the request failed, or a check found something */
	CLI_WRONG = 2,	/* the input is wrong */
	CLI_NOBODY = 3, /* no daemon answers */
};

struct cli {
	const char *instance;
	bool json;
	int timeout_s; /* that an answer is waited for; 0: as long as an apply may take */
};

struct cli_command {
	const char *name;
	const char *arguments;
	const char *summary;					  /* one line in `fairlead help` */
	const char *help;					  /* what `fairlead help NAME` says below it */
	int (*run)(const struct cli *cli, int argc, char **argv); /* argv[0] is the command's name */
};

extern const struct cli_command cli_commands[]; /* the last one has no name */

int cmd_check(const struct cli *cli, int argc, char **argv);
int cmd_apply(const struct cli *cli, int argc, char **argv);
int cmd_confirm(const struct cli *cli, int argc, char **argv);
int cmd_rollback(const struct cli *cli, int argc, char **argv);
int cmd_status(const struct cli *cli, int argc, char **argv);
int cmd_show(const struct cli *cli, int argc, char **argv);
int cmd_gateway(const struct cli *cli, int argc, char **argv);
int cmd_vip(const struct cli *cli, int argc, char **argv);
int cmd_sync(const struct cli *cli, int argc, char **argv);
int cmd_alias(const struct cli *cli, int argc, char **argv);
int cmd_show_states(const struct cli *cli, int argc, char **argv); /* argv[0] is "states" */
int cmd_show_events(const struct cli *cli, int argc, char **argv); /* argv[0] is "events" */
int cmd_kill(const struct cli *cli, int argc, char **argv);
int cmd_log(const struct cli *cli, int argc, char **argv);
int cmd_explain(const struct cli *cli, int argc, char **argv);
int cmd_doctor(const struct cli *cli, int argc, char **argv);
int cmd_unload(const struct cli *cli, int argc, char **argv);
int cmd_keygen(const struct cli *cli, int argc, char **argv);
int cmd_drill(const struct cli *cli, int argc, char **argv);
int cmd_help(const struct cli *cli, int argc, char **argv);

/* ---- usage.c ---- */

/* Tells what is wrong with the command line, and where help is. Returns CLI_WRONG. */
int cli_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A whole number from min to max; false (told nothing) if it is none. */
bool cli_number(const char *text, long min, long max, long *out);

/* ---- client.c ---- */

struct answer {
	json_t *json; /* owns the rest */
	const json_t *result;
	const char *error;
	const json_t *findings;
	const char *file; /* that the findings are of, where the daemon has chosen it */
};

/*
 * Asks. `request` is released. Returns the daemon's status, CLI_NOBODY, or CLI_FAILED; in the last two cases
 * answer->result is NULL and it was told why. The daemon's own error is not told yet.
 */
int cli_ask(const struct cli *cli, json_t *request, struct answer *answer);
/* And sends the body, `len` bytes, with it; NULL: none. */
int cli_ask_with(const struct cli *cli, json_t *request, const char *body, size_t len, struct answer *answer);
/* Takes one event. False: nobody wants more. */
typedef bool cli_line_fn(void *arg, const json_t *event);
/*
 * Asks what is to be followed, and has each() take the events of the answer and, with "follow", those that come behind it. Tells what is
 * wrong. Returns when the answer is all, nobody reads our output any more, or the daemon has ended (CLI_NOBODY).
 */
int cli_follow(const struct cli *cli, json_t *request, cli_line_fn *each, void *arg);
/* Takes a line, which it may change. False: that was the last one. */
typedef bool cli_text_fn(void *arg, char *line);
/* Takes the answer's result, which may be NULL. False: nothing comes behind it. */
typedef bool cli_begin_fn(void *arg, const json_t *result);
/* Asks what is answered by more lines than can be held: has each() take them as they come, unread. Tells what is wrong. */
int cli_stream(const struct cli *cli, json_t *request, cli_begin_fn *begin, cli_text_fn *each, void *arg);
/* False when certainly none is. */
bool cli_daemon_there(const struct cli *cli);
void cli_answer_free(struct answer *answer);
/* Prints findings and error of an answer to stderr (with --json also as an object to stdout when there is no result). */
void cli_tell(const struct cli *cli, const struct answer *answer, const char *file);

/* ---- states.c ---- */

/* Which states: the options that `show states` and `kill states` have in common, and those of one of them. CLI_DONE or CLI_WRONG, told. */
int cli_take_states(const char *command, bool kill, int argc, char **argv, json_t *request);

/* ---- print.c ---- */

void cli_print_json(const json_t *json);
/*
 * An array of objects as a table. keys: column names in their order, separated by blanks; keys of the rows that are not
 * among them follow. none: what to print when there is no row.
 */
int cli_print_table(const json_t *rows, const char *keys, const char *none);
/* One object, a line a key. */
void cli_print_object(const json_t *object, const char *keys);
/* A value as a cell: malloc'ed. Arrays are joined by commas, objects as key=value; of objects in an array the number. */
char *cli_text(const char *key, const json_t *value);
