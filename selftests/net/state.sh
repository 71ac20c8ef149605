#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What is only tried, fails, is undone or unloaded leaves the machine and the maps as they were: links, addresses, routes, tc,
# XDP, every setting of every device, and what of the maps is in force are compared as text (state.py). Traffic goes on.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lab.sh"

out='' err='' status=0

# cli ARGUMENT...: for the router's daemon
cli() {
	out=$(fl router "$@" 2> "$FL_TMP/err")
	status=$?
	err=$(< "$FL_TMP/err")
}

# want STATUS TEXT: of the last command
want() {
	[ "$status" -eq "$1" ] || fail "$2: exit status $status, expected $1; it said: $out $err"
}

# save NAME [INSTANCE]: the router's state
save() {
	in_ns "$router" "$FL_PYTHON" "$FL_NET/state.py" "${@:2}" > "$FL_TMP/$1.state"
	[ "$(wc -l < "$FL_TMP/$1.state")" -gt 100 ] || fail "state.py has seen nothing"
}

# same TEXT NAME [INSTANCE]: the router's state is still the saved one
same() {
	save now "${@:3}"
	check_equal "$1" "$(diff "$FL_TMP/$2.state" "$FL_TMP/now.state")" ""
}

tunnel_mtu() {
	fl router --json show tunnels | json 'next(t["mtu"] for t in d if t["name"] == "he0")'
}

mtu_is() {
	[ "$(tunnel_mtu)" = "$1" ]
}

# changed STATEMENT: a changed copy of the running configuration, in $FL_TMP/new.json
changed() {
	cp "$FL_TMP/router.json" "$FL_TMP/new.json"
	config_edit "$FL_TMP/new.json" "$1"
}

# ---- what only looks ----

looks() {
	local what
	save before "$(instance router)"
	changed "$EVERYTHING"
	cli apply --dry-run "$FL_TMP/new.json"
	want 0 "apply --dry-run"
	check_match "the changes" "$out" '/tunnels/six1'
	check_match "the changes" "$out" '/interfaces/lan/mode'
	cli explain --in lan --src "$LAN_HOST" --dst "$INET_HOST" --proto tcp
	want 0 "explain"
	cli explain --in lan --src "$LAN_HOST" --dst 2001:db8:4444::1 --proto udp
	want 0 "explain of a packet to nowhere known"
	for what in interfaces tunnels gateways routes translations history drops config; do
		cli show "$what"
		want 0 "show $what"
	done
	cli status
	want 0 "status"
	same "machine and maps" before "$(instance router)"
}

# ---- what is refused before it begins ----

# refuses STATUS WORDS
refuses() {
	# shellcheck disable=SC2086 # words
	cli $2
	want "$1" "fairlead $2"
	check_match "fairlead $2: says why" "$err" '^fairlead: .'
	check_equal "fairlead $2: prints nothing else" "$out" ""
}

refused() {
	cp "$FL_TMP/router.json" "$FL_TMP/old.json"
	save before "$(instance router)"
	changed 'd["gateways"]["he_gw"]["interface"] = "heo"
d["interfaces"]["lan"]["mdoe"] = "auto"
d["prefix_translations"][0]["external"] = "2001:db8:bb::/129"'
	cli apply "$FL_TMP/new.json"
	want 2 "apply of three mistakes"
	check_equal "findings" "$(grep -c '^fairlead: .*new.json: /' <<< "$err")" 3
	cli --json check "$FL_TMP/new.json"
	want 2 "check of three mistakes"
	check_equal "their pointers" "$(json 'sorted(f["pointer"] for f in d)' <<< "$out")" \
		"['/gateways/he_gw/interface', '/interfaces/lan/mdoe', '/prefix_translations/0/external']"
	changed 'd["interfaces"]["dmz"] = { "device": "nowhere0" }'
	cli apply --strict "$FL_TMP/new.json"
	want 1 "apply --strict of a configuration with a warning"
	check_match "the warning" "$err" '/interfaces/dmz/device: '
	cli apply --strict --dry-run "$FL_TMP/new.json"
	want 1 "apply --strict --dry-run of it"
	in_ns "$router" ip tuntap add tun7 mode tun
	ip -n "$router" link set tun7 up
	changed 'd["interfaces"]["vpn"] = { "device": "tun7", "mode": "native" }'
	cli apply --strict "$FL_TMP/new.json"
	want 1 "apply --strict of a mode that the device can't have"
	check_match "the warning" "$err" '/interfaces/vpn/mode: warning: .*no Ethernet header'
	cli apply --dry-run "$FL_TMP/new.json"
	want 0 "apply --dry-run of it"
	check_match "the warning" "$err" '/interfaces/vpn/mode: warning: .*no Ethernet header'
	ip -n "$router" link del tun7
	head -c 5000 /dev/urandom > "$FL_TMP/new.json"
	cli apply "$FL_TMP/new.json"
	want 2 "apply of random bytes"
	for words in '' stauts 'show tunnel' 'apply --confirm 0' 'apply --nothing' 'rollback x' 'unload --no' explain \
		'--instance ../x status' 'status now'; do
		refuses 2 "$words"
	done
	refuses 1 confirm
	refuses 1 'rollback 99'
	check "the file is not touched" cmp "$FL_TMP/router.json" "$FL_TMP/old.json"
	same "machine and maps" before "$(instance router)"
}

# ---- what the kernel refuses, half way ----

EVERYTHING='d["tunnels"]["he0"].update(mtu=1400, ttl=99, address=["2001:db8:1::2/64", "2001:db8:1::3/64"])
d["interfaces"]["lan"]["mode"] = "tc"
d["interfaces"]["wan"]["family"] = "inet6"
d["prefix_translations"].append({ "interface": "wan", "internal": "2001:db8:aa::/64", "external": "2001:db8:cc::/64" })
d["tunnels"]["six1"] = { "type": "6in4", "underlay": "wan", "local": "203.0.113.20", "remote": "198.51.100.20", "address": "2001:db8:6::2/64" }
d["gateways"]["six_gw"] = { "interface": "six1", "address": "2001:db8:6::1", "monitor": False }
d["routes"].append({ "destination": "2001:db8:66::/48", "gateway": "six_gw" })
'
TAKEN='d["tunnels"]["taken"] = { "type": "6in4", "underlay": "wan", "local": "203.0.113.20", "remote": "198.51.100.21", "address": "2001:db8:7::2/64" }
'
TWIN='d["tunnels"]["twin"] = { "type": "6in4", "underlay": "wan", "local": "interface", "remote": "198.51.100.10", "address": "2001:db8:8::2/64" }
'
ROUTE='d["routes"].append({ "destination": "2001:db8:77::/48", "gateway": "he_gw" })
'

# failed PATTERN [late]: apply of new.json, in the midst of traffic, must fail with this and leave everything
failed() {
	cp "$FL_TMP/router.json" "$FL_TMP/old.json"
	fl router --json show history > "$FL_TMP/history"
	save before "$(instance router)"
	pinging 50
	cli apply "$FL_TMP/new.json"
	want 1 "apply"
	check_match "why" "$err" "$1"
	cli apply --confirm 60 "$FL_TMP/new.json"
	want 1 "apply --confirm"
	none_lost
	if [ "${2:-}" != late ]; then # what only the kernel knows, when it is asked
		cli apply --dry-run "$FL_TMP/new.json"
		want 1 "apply --dry-run"
		check_match "why" "$err" "$1"
	fi
	check "the file is not touched" cmp "$FL_TMP/router.json" "$FL_TMP/old.json"
	check_equal "history" "$(fl router --json show history)" "$(cat "$FL_TMP/history")"
	check "status" fl router status
	same "machine and maps" before "$(instance router)"
}

tunnel_name_taken() {
	ip -n "$router" link add taken type bridge
	changed "$EVERYTHING$TAKEN"
	failed 'tunnel taken: a device of that name exists'
	ip -n "$router" link del taken
}

route_taken() {
	ip -n "$router" -6 route add 2001:db8:77::/48 via "$LAN_HOST" dev lan0 metric 1024
	changed "$EVERYTHING$ROUTE"
	failed "2001:db8:77::/48 that is not fairlead's" late
	ip -n "$router" -6 route del 2001:db8:77::/48 via "$LAN_HOST" dev lan0 metric 1024
}

# "local": "interface" of the one turns out to be what the other has in numbers
ends_alike() {
	changed "$EVERYTHING$TWIN"
	failed 'tunnels "he0" and "twin" would have the same ends, 203.0.113.20 and 198.51.100.10'
}

twin_says() {
	[ "$(fl router --json show tunnels | json 'next(t["reason"] for t in d if t["name"] == "twin")')" = "$1" ]
}

addresses() {
	local address
	ip -n "$router" -4 addr flush dev wan0
	for address in "$@"; do
		ip -n "$router" addr add "$address/24" dev wan0
	done
	ip -n "$router" route add default via 203.0.113.1
}

# And only later, by a new address: the tunnel that was there stays, the other waits
ends_alike_later() {
	addresses 203.0.113.21 203.0.113.20
	changed "$TWIN"
	check "apply" fl router apply "$FL_TMP/new.json"
	twin_says '' || fail "the twin is not well: $(fl router show tunnels)"
	check "status" fl router status
	addresses 203.0.113.20
	slowwait 5 twin_says 'another tunnel has the same ends' || fail "the twin says nothing: $(fl router show tunnels)"
	cli status
	want 1 "status"
	check_match "why" "$out" 'tunnel twin: another tunnel has the same ends'
	check "the first goes on" pings "$lan" "$INET_HOST"
	addresses 203.0.113.21 203.0.113.20
	slowwait 5 twin_says '' || fail "the twin does not come back: $(fl router show tunnels)"
	check "the first goes on" pings "$lan" "$INET_HOST"
	check "rollback" fl router rollback
	addresses 203.0.113.20
	check "status" fl router status
}

# The same without what was in the way: so the failures were for that reason. And back
goes_then() {
	save before "$(instance router)"
	changed "$EVERYTHING$TAKEN$ROUTE"
	pinging 100
	check "apply" fl router apply "$FL_TMP/new.json"
	check_match "the devices" "$(in_ns "$router" ip link show)" ' taken@'
	check_match "the routes" "$(in_ns "$router" ip -6 route show)" '2001:db8:77::/48 .*dev he0'
	check_equal "mode of lan" "$(fl router --json show interfaces | json '[i["mode"] for i in d if i["name"] == "lan"]')" "['tc']"
	check "rollback" fl router rollback
	none_lost
	save now "$(instance router)"
	# a tunnel or translation that comes back may do so under another index
	check_equal "the machine after rollback" "$(diff <(grep -v ^fl_ "$FL_TMP/before.state") <(grep -v ^fl_ "$FL_TMP/now.state"))" ""
}

# ---- on trial ----

trial_over() {
	cp "$FL_TMP/router.json" "$FL_TMP/old.json"
	save before
	changed "$EVERYTHING"
	cli apply --confirm 2 "$FL_TMP/new.json"
	want 0 "apply --confirm"
	check_match "it says what to do" "$out" '2 s unless you run .fairlead confirm.'
	check_equal "MTU on trial" "$(tunnel_mtu)" 1400
	cli status
	want 1 "status on trial"
	check_match "why" "$out" '^DEGRADED: the configuration is on trial'
	cli apply --dry-run "$FL_TMP/router.json"
	want 1 "apply --dry-run on trial"
	check_match "why" "$err" 'a configuration waits for'
	slowwait 5 mtu_is 1480 || fail "not undone after two seconds"
	check "status after that" fl router status
	check "the file was never touched" cmp "$FL_TMP/router.json" "$FL_TMP/old.json"
	grep -v '^neigh ' "$FL_TMP/before.state" > "$FL_TMP/machine.state"
	save now
	check_equal "the machine" "$(diff "$FL_TMP/machine.state" <(grep -v '^neigh ' "$FL_TMP/now.state"))" ""
}

restart_on_trial() {
	save before
	changed "$EVERYTHING"
	check "apply --confirm" fl router apply --confirm 60 "$FL_TMP/new.json"
	check_equal "MTU on trial" "$(tunnel_mtu)" 1400
	pinging 100
	daemon_kill router
	daemon_start router "$router" "$FL_TMP/router.json" || return
	none_lost
	check_equal "MTU after the restart" "$(tunnel_mtu)" 1480
	check "status" fl router status
	cli confirm
	want 1 "confirm after the restart"
	save now
	check_equal "the machine" "$(diff <(grep -v '^neigh ' "$FL_TMP/before.state") <(grep -v '^neigh ' "$FL_TMP/now.state"))" ""
}

# ---- a second daemon ----

second_daemon() {
	save before "$(instance router)"
	out=$(in_ns "$router" timeout 20 "$FL_BUILD/fairleadd" -c "$FL_TMP/router.json" --instance "$(instance router)" 2>&1)
	status=$?
	want 1 "a second daemon in the background"
	check_match "it names the first" "$out" "pid ${fl_daemon_pid[router]}"
	out=$(in_ns "$router" timeout 20 "$FL_BUILD/fairleadd" --unload --instance "$(instance router)" 2>&1)
	status=$?
	want 1 "fairleadd --unload beside it"
	check "the first one answers" fl router status
	same "machine and maps" before "$(instance router)"
}

# as nobody COMMAND...
as_nobody() {
	setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"
}

# Who can't have the lock can't keep the daemon from starting; a file that an earlier version made is for root alone too
lock_of_root() {
	local lock
	lock=/run/fairlead/$(instance router).lock
	check_equal "mode" "$(stat -c %a "$lock")" 600
	daemon_kill router
	chmod 644 "$lock"
	daemon_start router "$router" "$FL_TMP/router.json" || return
	check_equal "mode of one that was there" "$(stat -c %a "$lock")" 600
	daemon_kill router
	check_not "locked by a stranger" as_nobody flock -n "$lock" true
	mv "$lock" "$FL_TMP/lock"
	ln -s "$FL_TMP/lock" "$lock"
	out=$(in_ns "$router" timeout 20 "$FL_BUILD/fairleadd" -c "$FL_TMP/router.json" --instance "$(instance router)" 2>&1)
	status=$?
	want 1 "a start with a link for a lock"
	check_match "it names the file" "$out" "$lock"
	rm "$lock"
	daemon_start router "$router" "$FL_TMP/router.json"
}

# limited: in $limited, the programs with what the systemd unit leaves them
limited=
limited() {
	local capabilities
	limited=$FL_TMP/limited
	[ ! -e "$limited" ] || return 0
	capabilities=$(sed -n 's/^CapabilityBoundingSet=//p' "$FL_ROOT/configs/systemd/fairleadd.service" |
		tr '[:upper:] ' '[:lower:],' | sed 's/cap_/+/g')
	mkdir "$limited"
	ln -s "$FL_BUILD/fairlead" "$limited/fairlead"
	printf '#!/bin/bash\nexec setpriv --bounding-set=-all,%s --inh-caps=-all --no-new-privs "%s" "$@"\n' "$capabilities" \
		"$FL_BUILD/fairleadd" > "$limited/fairleadd"
	chmod +x "$limited/fairleadd"
}

as_the_unit() {
	FL_BUILD=$limited daemon_start router "$router" "$FL_TMP/router.json"
}

modes_of_all() {
	fl router --json show interfaces | json '[(i["name"], i["mode"], i["reason"]) for i in d]'
}

# With no more rights than the systemd unit gives: what an earlier daemon has left, with all rights or with these, is taken over
rights_of_the_unit() {
	local modes
	limited
	check_not "CAP_SYS_ADMIN, which is nearly all" grep -q sys_admin "$limited/fairleadd"
	modes=$(modes_of_all)
	for _ in 1 2; do
		daemon_kill router
		pinging 100
		as_the_unit || return
		none_lost
		check "status" fl router status
		check_equal "modes" "$(modes_of_all)" "$modes"
		check_equal "filters" "$(in_ns "$router" tc filter show dev lan0 ingress | grep -c fl_tc_in)" 1
	done
	changed "$EVERYTHING"
	check "apply" fl router apply "$FL_TMP/new.json"
	check "rollback" fl router rollback
	check_equal "modes" "$(modes_of_all)" "$modes"
	daemon_kill router
	daemon_start router "$router" "$FL_TMP/router.json"
}

# The pins of programs that are not attached in all places yet
new_pins() {
	find "/sys/fs/bpf/fairlead/$(instance router)" -name 'prog_fl_tc_out_*' | wc -l
}

pinned_or_up() {
	[ "$(new_pins)" -ne "$1" ] || answers router
}

# Killed between the pinning of its programs and their attaching, or in the midst of that: whatever is attached is known still
killed_at_start() {
	local modes pid pause before
	limited
	modes=$(modes_of_all)
	daemon_kill router
	for pause in 0 0 0.01 0.02 0.03; do
		before=$(new_pins)
		nsenter --net=/run/netns/"$router" -- "$limited/fairleadd" -f -c "$FL_TMP/router.json" --instance "$(instance router)" \
			>> "$FL_TMP/router.log" 2>&1 &
		pid=$!
		slowwait 10 pinned_or_up "$before"
		sleep "$pause"
		kill -KILL "$pid"
		wait "$pid" 2> /dev/null
	done
	as_the_unit || return
	check "status" fl router status
	check_equal "modes" "$(modes_of_all)" "$modes"
	check_equal "pins of programs that are no more" "$(new_pins)" 0
}

# A configuration that another user owns (copied there by scp or cp -p) is applied, and is root's from then on
file_of_another() {
	limited
	daemon_kill router
	chown nobody "$FL_TMP/router.json"
	chmod 600 "$FL_TMP/router.json"
	out=$(in_ns "$router" timeout 20 "$limited/fairleadd" -f -c "$FL_TMP/router.json" --instance "$(instance router)" 2>&1)
	status=$?
	want 2 "a start with a file that may not be read"
	check_match "whose it is, and what to do" "$out" 'belongs to nobody .*chown root'
	chmod 644 "$FL_TMP/router.json"
	as_the_unit || return
	changed 'd["tunnels"]["he0"]["ttl"] = 77'
	cli apply "$FL_TMP/new.json"
	want 0 "apply"
	check_equal "owner and mode" "$(stat -c '%u %a' "$FL_TMP/router.json")" "0 644"
	check_match "the log" "$(cat "$FL_TMP/router.log")" 'router.json belonged to user [0-9]+ and group'
	cli rollback
	want 0 "rollback"
	daemon_kill router
	daemon_start router "$router" "$FL_TMP/router.json"
}

# A root file system that can't be written: no history, but a router
state_read_only() {
	local wrapped=$FL_TMP/wrapped
	mkdir "$wrapped"
	ln -s "$FL_BUILD/fairlead" "$wrapped/fairlead"
	cat > "$wrapped/fairleadd" <<-SH
	#!/bin/bash
	[ -n "\$FL_UNSHARED" ] || FL_UNSHARED=1 exec unshare -m "\$0" "\$@"
	mount -t tmpfs -o ro none /var/lib/fairlead || exit
	exec "$FL_BUILD/fairleadd" "\$@"
	SH
	chmod +x "$wrapped/fairleadd"
	daemon_kill router
	FL_BUILD=$wrapped daemon_start router "$router" "$FL_TMP/router.json" || return
	slowwait 10 pings "$lan" "$INET_HOST" 1 || fail "it does not carry"
	check_match "the log" "$(cat "$FL_TMP/router.log")" 'no history is kept'
	cli status
	want 1 "status"
	check_match "why" "$out" '^DEGRADED: no history is kept: .*/history'
	daemon_kill router
	daemon_start router "$router" "$FL_TMP/router.json" || return
	check "status" fl router status
}

# ---- unload ----

unload_asks() {
	save before "$(instance router)"
	cli unload
	want 2 "unload without --yes"
	check_match "what it would do" "$err" 'unload --yes'
	check "the daemon answers" fl router status
	same "machine and maps" before "$(instance router)"
}

# gone: nothing of fairlead's is left, and all is as it was before the first start
gone() {
	same "as before fairlead" clean
	check_not "pins" test -e "/sys/fs/bpf/fairlead/$(instance router)"
	check_not "the control socket" test -e "/run/fairlead/$(instance router).sock"
	check_not "saved settings" test -e "/run/fairlead/$(instance router).sysctl"
	check_equal "programs in the namespace" "$(in_ns "$router" bpftool net show | grep -c fl_)" 0
	cli status
	want 3 "status"
}

ended() {
	! kill -0 "$1" 2> /dev/null
}

# The kernel keeps the neighbours that packets go to, for us
manages() {
	pings "$lan" "$INET_HOST" 1 && ip -n "$router" neigh show | grep -q managed
}

unload_yes() {
	local pid=${fl_daemon_pid[router]}
	promptly 8 manages || fail "no neighbour is managed: $(ip -n "$router" neigh show)"
	cli --json unload --yes
	want 0 "unload --yes"
	check_match "what no longer holds" "$(json 'd["no_longer"]' <<< "$out")" 'tunnel he0'
	slowwait 5 ended "$pid" || fail "the daemon still runs"
	wait "$pid" || fail "the daemon ended with $?"
	gone
}

unload_without_daemon() {
	daemon_start router "$router" "$FL_TMP/router.json" || return
	slowwait 5 pings "$lan" "$INET_HOST" 1 || fail "it does not carry"
	promptly 8 manages || fail "no neighbour is managed: $(ip -n "$router" neigh show)"
	changed "$EVERYTHING"
	check "apply --confirm" fl router apply --confirm 60 "$FL_TMP/new.json"
	daemon_kill router
	out=$(in_ns "$router" "$FL_BUILD/fairlead" --instance "$(instance router)" unload 2>&1)
	status=$?
	want 2 "unload without --yes"
	check "the programs are still there" pings "$lan" "$INET_HOST"
	out=$(in_ns "$router" "$FL_BUILD/fairlead" --instance "$(instance router)" unload --yes 2>&1)
	status=$?
	want 0 "unload --yes"
	check_match "what no longer holds" "$out" 'tunnel he0'
	check_match "what was on trial" "$out" 'tunnel six1'
	gone
	out=$(in_ns "$router" "$FL_BUILD/fairlead" --instance "$(instance router)" unload --yes 2>&1)
	status=$?
	want 0 "unload of nothing"
	gone
}

# The first start of all fails: the machine is as if there had been none
first_start_fails() {
	ip -n "$router" link add he0 type bridge
	save before
	out=$(in_ns "$router" timeout 20 "$FL_BUILD/fairleadd" -c "$FL_TMP/router.json" --instance "$(instance router)" 2>&1)
	status=$?
	want 1 "a start with the tunnel's name taken"
	check_match "why" "$out" 'tunnel he0: a device of that name exists'
	same "the machine" before
	nothing_of_it
	ip -n "$router" link del he0
	# and late, when programs, devices and routes have been set up
	cp "$FL_TMP/router.json" "$FL_TMP/old.json"
	config_edit "$FL_TMP/router.json" "$ROUTE"
	ip -n "$router" -6 route add 2001:db8:77::/48 via "$LAN_HOST" dev lan0 metric 1024
	save before
	out=$(in_ns "$router" timeout 20 "$FL_BUILD/fairleadd" -c "$FL_TMP/router.json" --instance "$(instance router)" 2>&1)
	status=$?
	want 1 "a start with a route in the way"
	check_match "why" "$out" "2001:db8:77::/48 that is not fairlead's"
	same "the machine" before
	nothing_of_it
	ip -n "$router" -6 route del 2001:db8:77::/48 via "$LAN_HOST" dev lan0 metric 1024
	cp "$FL_TMP/old.json" "$FL_TMP/router.json"
}

nothing_of_it() {
	check_not "pins" test -e "/sys/fs/bpf/fairlead/$(instance router)"
	check_not "the control socket" test -e "/run/fairlead/$(instance router).sock"
	check_not "saved settings" test -e "/run/fairlead/$(instance router).sysctl"
}

# A default route that the system has itself, with the metric of ours, stays and is used; ours comes when it goes
learned_default() {
	ip -n "$router" -6 route add default via "$LAN_HOST" dev lan0 metric 1024 proto ra
	daemon_start router "$router" "$FL_TMP/router.json" || return
	check_match "the log" "$(cat "$FL_TMP/router.log")" '/routes/0: warning: the system has a default route of its own, .*by lan0 via'
	check_equal "default routes" "$(ip -n "$router" -6 route show default | grep -o 'dev [a-z0-9]*' | xargs)" "dev lan0"
	cli status
	want 1 "status"
	check_match "status" "$out" "^DEGRADED: route ::/0 by he_gw: the system's own default by lan is used"
	cli apply "$FL_TMP/router.json"
	want 0 "apply"
	check_match "apply" "$err" '/routes/0: warning: the system has a default route of its own'
	cli apply --dry-run "$FL_TMP/router.json"
	want 0 "apply --dry-run"
	check_match "apply --dry-run" "$err" '/routes/0: warning: the system has a default route of its own'
	cli apply --strict "$FL_TMP/router.json"
	want 1 "apply --strict"
	check_match "apply --strict" "$err" '/routes/0: warning: the system has a default route of its own'
	ip -n "$router" -6 route del default dev lan0 proto ra
	slowwait 10 fl router status || fail "ours has not come: $(ip -n "$router" -6 route show default)"
	check_equal "default routes" "$(ip -n "$router" -6 route show default | grep -o 'dev [a-z0-9]*' | xargs)" "dev he0"
	# the same way as ours would be: nothing is wrong
	cli unload --yes
	want 0 "unload"
	config_edit "$FL_TMP/router.json" 'd["gateways"]["isp_gw"] = { "interface": "wan", "address": "203.0.113.1", "monitor": False }
d["routes"].append({ "destination": "0.0.0.0/0", "gateway": "isp_gw" })'
	daemon_start router "$router" "$FL_TMP/router.json" || return
	cli status
	want 0 "status with the system's default the same as ours"
	cli unload --yes
	cp "$FL_TMP/old.json" "$FL_TMP/router.json"
	gone
}

# ---- all of it ----

# Not every setting as it is by default: what was there before is what counts
lab() {
	lab_up && broker_python || return
	in_ns "$router" sysctl -qw net.ipv6.conf.lan0.forwarding=1 net.ipv6.conf.wan0.accept_ra=1 \
		net.ipv4.conf.wan0.forwarding=1 net.ipv4.conf.all.accept_redirects=0
	in_ns "$router" tc qdisc add dev lan0 clsact # empty: somebody may be about to use it
	save clean
	router_config auto
}

start() {
	daemon_start router "$router" "$FL_TMP/router.json" || return
	warm_up
}

scenario() {
	started lab || return
	run_test first-start-fails first_start_fails
	run_test learned-default learned_default
	run_test first-start start || return
	run_test looks looks
	run_test refused refused
	run_test tunnel-name-taken tunnel_name_taken
	run_test route-taken route_taken
	run_test ends-alike ends_alike
	run_test ends-alike-later ends_alike_later
	run_test without-hindrance-and-back goes_then
	run_test trial-over trial_over
	run_test restart-on-trial restart_on_trial
	run_test second-daemon second_daemon
	run_test lock-of-root lock_of_root
	run_test rights-of-the-unit rights_of_the_unit
	run_test killed-at-start killed_at_start
	run_test file-of-another file_of_another
	run_test state-read-only state_read_only
	python_tests socket_hostile.py --pid "${fl_daemon_pid[router]}" --socket "/run/fairlead/$(instance router).sock"
	run_test unload-asks unload_asks
	run_test unload unload_yes
	run_test unload-without-daemon unload_without_daemon
}

scenario
teardown
finish
