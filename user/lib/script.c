// SPDX-License-Identifier: GPL-2.0-only
#include "user/lib/script.h"

#include <errno.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

/* Who could write it would be root by it. */
const char *script_trouble(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return errno == ENOENT ? "there is no such file"
				       : "it can't be looked at; is each directory above it readable?";
	if (!S_ISREG(st.st_mode))
		return "it is no regular file";
	if (st.st_mode & S_IWOTH)
		return "everybody may write it: chmod o-w";
	if (st.st_uid && st.st_uid != geteuid())
		return "it belongs to another user, who could change what is run here: chown root";
	if (access(path, X_OK))
		return "it is not executable: chmod +x";
	return NULL;
}
