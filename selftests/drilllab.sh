# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What tests of `fairlead drill` have in common, whose namespaces include a host that measures and a server outside. Sourced after lib.sh.

host='' outside='' # what the namespaces are really called
PORT=7000	# of the server
FROM=monitor@host # drill.from

# An ssh to the only machine that there is
fake_ssh() {
	mkdir "$FL_TMP/bin"
	cat > "$FL_TMP/bin/ssh" <<-SH
	#!/bin/sh
	while [ "\$1" != -- ]; do shift; done
	shift
	[ "\$1" = "$FROM" ] || { echo "ssh: no such host" >&2; exit 255; }
	exec nsenter --net=/run/netns/$host -- env TMPDIR=$FL_TMP sh -c "\$2"
	SH
	mkdir "$FL_TMP/other"
	printf '#!/bin/sh\necho "ssh: nobody is there" >&2\nexit 255\n' > "$FL_TMP/other/ssh"
	chmod +x "$FL_TMP/bin/ssh" "$FL_TMP/other/ssh"
	PATH=$FL_TMP/bin:$PATH
}

# Echoes
server() {
	background "$outside" "$FL_PYTHON" -c '
import selectors, socket, sys
ready = selectors.DefaultSelector()
ready.register(socket.create_server(("", int(sys.argv[1])), backlog=1000), selectors.EVENT_READ)
while True:
    for key, _ in ready.select():
        if key.data is None:
            ready.register(key.fileobj.accept()[0], selectors.EVENT_READ, 1)
            continue
        try: data = key.fileobj.recv(4096)
        except OSError: data = b""
        if data: key.fileobj.sendall(data)
        else: ready.unregister(key.fileobj); key.fileobj.close()
' "$PORT"
}

# drill_at NODE ARGUMENT...: its result is in $FL_TMP/result, its exit status is returned
drill_at() {
	fl "$1" --json drill "${@:2}" --yes > "$FL_TMP/result" 2> "$FL_TMP/drill.err"
}

drill() {
	drill_at a "$@"
}

of_result() {
	json "$1" < "$FL_TMP/result"
}
