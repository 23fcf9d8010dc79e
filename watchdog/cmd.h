/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The subcommands. Each takes its own argument vector (argv[0] is the subcommand's name), speaks to
 * the user itself and returns an enum exit_code. One file each: cmd_NAME.c.
 */
#ifndef OOMSNAP_CMD_H
#define OOMSNAP_CMD_H

int cmd_check(int argc, char **argv);
int cmd_dump(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_watch(int argc, char **argv);

#endif
