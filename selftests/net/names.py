#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Names of tunnel remotes, and what brokers are told: see names.sh. --how restarted: by a daemon that was killed and came again."""

import base64
import json
import os
import subprocess
import time
import urllib.parse

from policylab import *
from wire import main

WAIT = 20  # seconds at most; on a busy machine

lab = PolicyLab()
lab.args.instance = "router"
DIRECTORY = os.path.dirname(lab.args.config)
WORLD = os.path.join(DIRECTORY, "world.json")


# ---- the world ----


def answers(http=None, **dns):
    """dns: by the first label of the name."""
    with open(WORLD) as f:
        said = json.load(f)
    for name, answer in dns.items():
        said["dns"].pop(name + ".example.net", None)
        if answer is not None:
            said["dns"][name + ".example.net"] = answer
    said["http"] = http or said["http"]
    with open(WORLD + ".new", "w") as f:
        json.dump(said, f)
    os.rename(WORLD + ".new", WORLD)


def logged(what, **fields):
    with open(os.path.join(DIRECTORY, "world.log")) as f:
        lines = [json.loads(line) for line in f]
    return [line for line in lines if line["what"] == what and all(line.get(k) == v for k, v in fields.items())]


def told(secure=True):
    return logged("http", secure=secure)


def addresses_told(secure=True):
    return [urllib.parse.parse_qs(urllib.parse.urlsplit(r["path"]).query).get("myip", [None])[0] for r in told(secure)]


def until(text, test):
    end = time.monotonic() + WAIT
    while not (result := test()):
        if time.monotonic() > end:
            raise Failure("%s: not in %d s; tunnels: %s; events: %s" % (text, WAIT, lab.fl("show", "tunnels"), events()[-8:]))
        time.sleep(0.05)
    return result


# ---- the router ----


def tunnel(name):
    return lab.tunnel(name)


def remote(name):
    return tunnel(name)["remote"]


def events(kind=None):
    return [(e["kind"], e["name"], e["event"], e.get("reason", "")) for e in lab.fl("show", "events") if kind in (None, e["kind"])]


def apply(change=None, instance="router"):
    with open(lab.args.config) as f:
        config = json.load(f)
    if change:
        change(config)
    with open(lab.args.config, "w") as f:
        json.dump(config, f)
    command = [os.environ["FL_BUILD"] + "/fairlead", "--instance", "%s-%s" % (lab.args.lab, instance), "apply", lab.args.config]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=20, text=True)
    check_equal(run.returncode, 0, "exit status of apply: " + run.stdout)
    return run.stdout


def ping(device, address):
    command = ["ping", "-6", "-n", "-q", "-c", "1", "-W", "0.2", "-I", device, address]
    subprocess.run(["nsenter", "--net=/run/netns/" + lab.ns("router"), *command], stdout=subprocess.DEVNULL, check=False, timeout=20)


def new_address(old, new):
    """As a DHCP client does it: routes go with the old address and are made anew."""
    lab.run("router", "ip", "addr", "del", old, "dev", "lte0")
    lab.run("router", "ip", "addr", "add", new, "dev", "lte0")
    lab.run("router", "ip", "route", "add", "198.51.100.8/29", "via", "198.18.5.1")


# ---- names ----


def first_unresolved():
    row = tunnel("he0")
    check_equal((row["remote"], row["remote_name"]), ("", "tunnel.example.net"), "remote")
    until("the reason", lambda: tunnel("he0")["reason"] == "name not resolved: tunnel.example.net: Could not contact DNS servers")
    row = tunnel("ip0")  # whose question nobody answers
    check_equal(row["reason"], "name not resolved: other.example.net: not answered yet", "not answered")
    check(any(r.startswith("tunnel he0: name not resolved: tunnel.example.net: ") for r in lab.fl("status")["reasons"]), "status")
    check(any(e[:3] == ("name", "tunnel.example.net", "not resolved") for e in events()), "an event")
    check(until("ip2", lambda: remote("ip2")) == "198.51.100.40", "the answer of /etc/hosts")


def first_resolved():
    answers(tunnel=[1, "198.51.100.10"], other=[60, "198.51.100.30"])
    until("resolved", lambda: remote("he0") == "198.51.100.10" and tunnel("he0")["reason"] == "")
    until("an outer packet to it", lambda: ping("he0", "2001:db8:1::1") or logged("outer", to="198.51.100.10"))
    packet = logged("outer", to="198.51.100.10")[0]
    check_equal((packet["device"], packet["source"]), ("net1", "198.18.5.2"), "it leaves by")
    check(all(q["source"] == "203.0.113.2" for q in logged("dns")), "questions are the router's own")
    check(("name", "tunnel.example.net", "resolved", "the remote of he0 is 198.51.100.10 now") in events(), "an event")
    answers(tunnel=[1, "198.51.100.11", "198.51.100.12"])  # soon, for its time is short; see below


# ---- brokers ----


def first_told():
    request = until("the broker is told", told)[0]
    url = urllib.parse.urlsplit(request["path"])
    check_equal(url.path, "/nic/update", "path")
    check_equal(urllib.parse.parse_qs(url.query), {"x": ["1"], "hostname": ["123456"], "myip": ["198.18.5.2"]}, "query")
    check_equal(request["authorization"], "Basic " + base64.b64encode(b"me:top secret").decode(), "account")
    syn = logged("syn", source=request["source"])[0]
    check_equal((syn["device"], syn["source"]), ("net1", "198.18.5.2"), "the other WAN")
    row = until("told", lambda: tunnel("he0")["update"]["status"] == "told" and tunnel("he0"))
    check_equal((row["update"]["address"], row["update"]["answer"]), ("198.18.5.2", "good"), "shown")
    check(("tunnel", "he0", "broker told", "good") in events(), "an event")
    request = until("by http", lambda: told(secure=False))[0]
    check_equal((request["authorization"], request["path"]), (None, "/up?myip=203.0.113.2"), "without an account")
    check_equal({(s["device"]) for s in logged("syn", source="203.0.113.2")}, {"net0"}, "the first WAN")


def first_rate():
    """Each address is told no sooner than the interval after the one before; what is over by then is not told."""
    new_address("198.18.5.2/24", "198.18.5.3/24")
    until("the tunnel follows", lambda: tunnel("he0")["local"] == "198.18.5.3")
    new_address("198.18.5.3/24", "198.18.5.4/24")
    until("told", lambda: tunnel("he0")["update"]["address"] == "198.18.5.4")
    check_equal([a for a in addresses_told() if a != "198.18.5.3"], ["198.18.5.2", "198.18.5.4"], "told")
    check_equal(told()[-1]["source"], "198.18.5.4", "from there")
    times = [r["time"] for r in told()]
    check(all(b - a >= 0.9 for a, b in zip(times, times[1:])), "not before its time")


def first_follows():
    """An address that is given first is taken, one that is still among them kept; a failure changes nothing."""
    until("the new address", lambda: remote("he0") == "198.51.100.11")
    check(("name", "tunnel.example.net", "changed", "the remote of he0 is 198.51.100.11 now, was 198.51.100.10") in events(), "an event")
    until("an outer packet to it", lambda: ping("he0", "2001:db8:1::1") or logged("outer", to="198.51.100.11"))
    answers(tunnel=[60, "198.51.100.12", "198.51.100.11"])
    before = len(logged("dns"))
    apply()
    until("asked again", lambda: len(logged("dns")) > before)
    answers(tunnel="servfail", other=[60, "198.51.100.20"])
    apply()
    until("the other", lambda: remote("ip0") == "198.51.100.20")
    check_equal((remote("he0"), tunnel("he0")["reason"]), ("198.51.100.11", ""), "stays")


def first_same():
    """A name is resolved to what another tunnel's remote is: the one that is given as an address has it."""
    until("the reason", lambda: tunnel("ip0")["reason"] == "another tunnel has the same ends")
    check_equal(tunnel("ip1")["reason"], "", "the other")
    check(any(e[2] == "not all follows" and "the remote of tunnel \"ip0\", is 198.51.100.20 now" in e[3] for e in events()), "an event")
    check("which is that of tunnel \"ip1\" too" in apply(), "a warning")
    answers(other=[60, "198.51.100.30"])
    apply()
    until("apart again", lambda: tunnel("ip0")["reason"] == "")


def first_refused():
    answers(http=[200, "badauth"])
    new_address("198.18.5.4/24", "198.18.5.5/24")
    row = until("refused", lambda: tunnel("he0")["update"]["status"] == "refused" and tunnel("he0"))
    check_equal((row["update"]["address"], row["update"]["answer"]), ("198.18.5.4", "badauth"), "shown")
    check("tunnel he0: its broker refuses the update: badauth" in lab.fl("status")["reasons"], "status")
    check(any(e[:3] == ("tunnel", "he0", "broker refuses") for e in events()), "an event")
    n = len(told())
    new_address("198.18.5.5/24", "198.18.5.6/24")
    until("the tunnel follows", lambda: tunnel("he0")["local"] == "198.18.5.6")
    apply()
    time.sleep(1.2)  # its interval, which is what the daemon looks at each second
    check_equal(len(told()), n, "asked no more")


def first_untrusted():
    """The certificate is of another name; then the password's file is open to all."""
    n = len(told())
    answers(wrong=[60, "192.0.2.80"], http=[200, "good 198.18.5.6"])
    apply(lambda c: c["tunnels"]["he0"]["update"].update(url="https://wrong.example.net/nic/update"))
    update = until("no answer", lambda: (u := tunnel("he0")["update"])["status"] == "failing" and u)
    check(update["answer"].startswith("no answer: ") and "certificate" in update["answer"], "why")
    check_equal(len(told()), n, "nothing was said")
    os.chmod(DIRECTORY + "/password", 0o644)
    said = apply(lambda c: c["tunnels"]["he0"]["update"].update(url="https://broker.example.net/nic/update"))
    check("/tunnels/he0/update/password_file: warning: the broker would not be told: " in said, "a warning, in " + said)
    until("not used", lambda: tunnel("he0")["update"]["answer"].endswith("others than its owner may use it: chmod 600"))
    os.chmod(DIRECTORY + "/password", 0o600)
    apply()
    until("told again", lambda: tunnel("he0")["update"]["status"] == "told")
    check_equal((len(told()) - n, addresses_told()[-1]), (1, "198.18.5.6"), "once")
    with open(DIRECTORY + "/router.log") as log:
        check("secret" not in log.read() and "secret" not in json.dumps(lab.fl("show", "events")), "the password is in no log")


def first_under_way():
    """A configuration that is applied meanwhile lets a request go on."""
    n = len(told())
    answers(http=[200, "good", 1])
    new_address("198.18.5.6/24", "198.18.5.7/24")
    until("the broker is asked", lambda: len(told()) > n)
    apply()
    check_equal(tunnel("he0")["update"]["status"], "asking", "shown after apply")
    until("told", lambda: tunnel("he0")["update"]["status"] == "told")
    check_equal((len(told()) - n, tunnel("he0")["update"]["address"]), (1, "198.18.5.7"), "once")


def first_other_address():
    """At the broker's first address nobody is at home."""
    answers(home=[60, "192.0.2.53", "192.0.2.80"], http=[200, "good"])
    apply(lambda c: c["tunnels"]["ip0"]["update"].update(url="http://home.example.net:8080/up"))
    until("no answer", lambda: tunnel("ip0")["update"]["status"] == "failing")
    check_equal(logged("syn")[-1]["to"], "192.0.2.53", "asked first")
    apply()
    until("told", lambda: tunnel("ip0")["update"]["status"] == "told")
    check_equal((logged("syn")[-1]["to"], told(False)[-1]["host"]), ("192.0.2.80", "home.example.net:8080"), "asked then")


# ---- after a restart ----


def restarted_knows():
    """Nobody answers, and nothing has changed: the tunnels are as they were, and no broker is told."""
    check_equal((remote("he0"), remote("ip0")), ("198.51.100.11", "198.51.100.30"), "remotes")
    check_equal(tunnel("he0")["reason"], "", "reason")
    n = len(told()), len(told(False))
    time.sleep(0.3)  # the daemon has looked when it began
    check_equal((len(told()), len(told(False))), n, "told")
    check_equal(tunnel("he0")["update"]["status"], "told", "shown")


def restarted_forgets():
    """What is known of a tunnel that tells no broker any more is forgotten when no configuration before can come back."""
    path = "/var/lib/fairlead/%s-router/updates.json" % lab.args.lab
    for n in (2, 1):
        apply(lambda c: c["tunnels"]["ip0"].pop("update", None))
        with open(path) as f:
            check_equal(sorted(json.load(f)), ["he0", "ip0"][:n], "what is kept")


main([value for name, value in list(globals().items()) if name.startswith(lab.how + "_")], lab.prefix + lab.how + "/")
