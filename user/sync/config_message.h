/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What nodes of a pair say to each other about their configurations; JSON objects, of which unknown keys are passed over.
 *
 *   TELL     both ways, at first and when anything of it changes: "role"; "version", what was last pushed, 0: nothing ever was, and "pushed",
 *            the hash of that; "hash" of the part that runs; "trial" while one runs: an object with "round" and "hash" if it was pushed
 *   PREPARE  primary: "round", "version", "hash", "part" (config_part.h), "node"; "confirm_s" of a trial, "strict"; "dry": only say what
 *            would come of it
 *   VERDICT  secondary: "round", "ok", "error", "findings", "changes" (as `apply --dry-run` has them)
 *   COMMIT   primary: "round"
 *   DONE     secondary: "round", "ok", "error"
 *   END      primary: "round", "keep": true, all have it; false, back to what was before the round. A trial goes on between DONE and END.
 *
 * A connection that ends takes back what is prepared, and nothing else: the versions tell the rest when there is one again.
 */
#pragma once

enum config_message {
	CONFIG_TELL = 32,
	CONFIG_PREPARE,
	CONFIG_VERDICT,
	CONFIG_COMMIT,
	CONFIG_DONE,
	CONFIG_END,
};
