/* SPDX-License-Identifier: GPL-2.0-only */
/* An instance: one daemon with its own socket, files, maps and programs; several run side by side under different names. */
#pragma once

#include <stdbool.h>

#define INSTANCE_DEFAULT "default"
#define INSTANCE_NAME_MAX 32
#define INSTANCE_CONFIG "/etc/fairlead/fairlead.json"
#define INSTANCE_RUN_DIR "/run/fairlead"
#define INSTANCE_STATE_DIR "/var/lib/fairlead"

/* The name becomes part of file names: letters, digits, `_`, `-` and `.`, and not a dot first. */
bool instance_name_valid(const char *name);

/* Malloc'ed, or NULL when memory is out. */
char *instance_socket(const char *name);    /* /run/fairlead/NAME.sock */
char *instance_lock_file(const char *name); /* /run/fairlead/NAME.lock */
char *instance_state_dir(const char *name); /* /var/lib/fairlead/NAME */
