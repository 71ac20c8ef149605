# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# How the demo talks: a heading, a few words, the command as it could be typed, what the command prints.

bold='' green='' red='' blue='' off=''
pause=0
if [ -t 1 ]; then
	pause=${PAUSE:-2}
	if [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
		bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' blue=$'\e[36m' off=$'\e[0m'
	fi
fi

shown=0		# steps
wrong=()	# what did not go as it should
output=''	# of the last command

# step TITLE [TEXT]
step() {
	shown=$((shown + 1))
	[ $shown -eq 1 ] || sleep "$pause"
	printf '\n%s%2d  %s%s\n' "$bold" $shown "$1" "$off"
	shift
	[ $# -eq 0 ] || say "$@"
}

# say TEXT...: a line each
say() {
	local line
	for line in "$@"; do
		printf '%s\n' "${line:+    $line}"
	done
}

# prompt HOST COMMAND...
prompt() {
	local host=$1
	shift
	printf '\n    %s%s#%s %s%s%s\n' "$blue" "$host" "$off" "$bold" "$*" "$off"
}

# wrong TEXT: goes on, but the demo has failed
wrong() {
	wrong+=("step $shown: $*")
	printf '    %sThis should not be: %s%s\n' "$red" "$*" "$off"
}

# print: the output of a command on standard input, as it comes, blank lines at the end left out; kept in $DEMO_DIR/output
print() {
	local line blank=0
	: > "$DEMO_DIR/output"
	while IFS= read -r line || [ -n "$line" ]; do
		if [ -z "$line" ]; then
			blank=1
			continue
		fi
		[ $blank -eq 0 ] || echo
		blank=0
		say "$line"
		printf '%s\n' "$line" >> "$DEMO_DIR/output"
	done
	output=$(< "$DEMO_DIR/output")
}

# run HOST COMMAND: a line of shell, shown and run there. STATUS=N if that is how it has to end
run() {
	local host=$1 status
	prompt "$@"
	in_host "$host" bash -c "$2" < /dev/null 2>&1 | print
	status=${PIPESTATUS[0]}
	output=$(< "$DEMO_DIR/output")
	[ "$status" -eq "${STATUS:-0}" ] || wrong "exit status $status of: $2"
}

# expect PATTERN WHAT: in what the last command printed
expect() {
	grep -qE -- "$1" <<< "$output" || wrong "$2"
}

# good TEXT: what the step has shown
good() {
	printf '\n    %s✔%s %s\n' "$green" "$off" "$*"
}
