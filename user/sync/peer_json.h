/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * JSON that comes from a peer. What it says may end up in a line of a log, or on somebody's terminal: a peer that is broken, or who has its key,
 * is to write nothing else there.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

/* NULL: it is none. Control characters in texts (C0, DEL, C1) have become question marks; what has one in its key is left out. */
json_t *peer_json(const uint8_t *data, size_t len);
/* The same, of what has been read already, but for what is called so on top; "": nothing is. */
void peer_json_clean(json_t *json, const char *but);
