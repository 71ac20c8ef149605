/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between the daemon and fairlead-https, the program that it starts for one HTTP or HTTPS request (GET). Text, so that an older daemon and
 * a newer program of an upgrade understand each other.
 *
 * Standard input, to its end: four strings, each with a 0 behind it: the url, the IPv4 address of its host (empty: the url has it), user
 * and password (no user: both empty). Standard output: HTTP's status, a line feed and the beginning of the answer; status 0: there was
 * no answer, and what follows says why.
 */
#pragma once

#define HTTPS_PROGRAM "fairlead-https"
#define HTTPS_SOCKET_FD 3	 /* to be connected: a TCP socket that is bound and marked */
#define HTTPS_STRINGS 4		 /* of a request */
#define HTTPS_REQUEST_MAX 16384	 /* bytes */
#define HTTPS_BODY_MAX 512	 /* bytes of an answer that are looked at; with a 0 */
#define HTTPS_TIMEOUT_MS 20000	 /* from the beginning to the whole answer */
#define HTTPS_KILL_AFTER_MS 2000 /* more, and it has not even told that */
