#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What fairlead may change on a machine, as sorted lines of text: two of them are compared by diff.

state.py [INSTANCE]

Run it in the network namespace. Links, addresses, routes, hooks and settings; with INSTANCE also what of its maps is in force:
not counters, caches, or the set of tables that no packet looks at.
"""

import json
import os
import struct
import subprocess
import sys

CONF = ("/proc/sys/net/ipv4/conf", "/proc/sys/net/ipv6/conf")
PINS = "/sys/fs/bpf/fairlead/"
VOLATILE = {"preferred_life_time", "valid_life_time", "stats64", "expires", "age", "used", "operstate", "link_netnsid"}


def run(*command):
    text = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, timeout=30).stdout
    return json.loads(text or "[]")


def line(kind, value):
    return "%s %s" % (kind, json.dumps(value, sort_keys=True))


def steady(value):
    if isinstance(value, dict):
        return {k: steady(v) for k, v in value.items() if k not in VOLATILE}
    return [steady(v) for v in value] if isinstance(value, list) else value


def program(described):
    """Which one: another daemon loads fairlead's own anew, and puts it in the place of the same one."""
    if not described:
        return None
    if described.get("name", "").startswith("fl_"):
        return [described["name"], described.get("tag")]
    return described.get("id")


def devices():
    return [link["ifname"] for link in run("ip", "-j", "link", "show")]


def managed():
    """Neighbours that somebody has the kernel keep; they come and go while packets do."""
    for neighbour in run("ip", "-j", "neigh", "show"):
        if "managed" in neighbour or "extern_learn" in neighbour:
            yield line("neigh", [neighbour["dst"], neighbour["dev"]])


def hooks():
    for device in devices():
        for qdisc in run("tc", "-j", "qdisc", "show", "dev", device):
            yield line("qdisc", [device, qdisc["kind"], qdisc.get("handle")])
        for side in ("ingress", "egress"):
            for entry in run("tc", "-j", "filter", "show", "dev", device, side):
                if "options" in entry:
                    keep = {k: entry["options"].get(k) for k in ("handle", "match", "fh")}
                    yield line("filter", [device, side, entry.get("pref"), entry["kind"], keep, program(entry["options"].get("prog"))])


def machine():
    for link in run("ip", "-j", "-d", "link", "show"):
        keep = ("ifindex", "ifname", "mtu", "flags", "address", "link", "master", "ifalias", "altnames", "promiscuity")
        yield line("link", {k: link.get(k) for k in keep})
        for attached in link.get("xdp", {}).get("attached", []):
            yield line("xdp", [link["ifname"], attached["mode"], program(attached.get("prog"))])
    for link in run("ip", "-j", "addr", "show"):
        for address in link.get("addr_info", []):
            yield line("addr", [link["ifname"], steady(address)])
    for family in ("-4", "-6"):
        for route in run("ip", "-j", family, "route", "show", "table", "all"):
            yield line("route", steady(route))
        for rule in run("ip", "-j", family, "rule", "show"):
            yield line("rule", rule)
    yield from hooks()
    for root in CONF:
        for device in os.listdir(root):
            for name in os.listdir(os.path.join(root, device)):
                path = os.path.join(root, device, name)
                try:
                    with open(path, encoding="ascii") as f:
                        yield "%s %s" % (path, f.read().strip())
                except OSError:
                    pass


# ---- the maps ----

PORTS_MAX = 512  # FL_PORTS_MAX
TABLES = {"fl_ep_in": "fl_ep", "fl_clients": "fl_ep", "fl_npt_prefix": "fl_npt"}


def dump(instance, name):
    """[(key, value)] with the fields' names; elements of arrays that are all zeros left out."""
    rows = run("bpftool", "-j", "map", "dump", "pinned", PINS + instance + "/" + name)
    return [(row["formatted"]["key"], row["formatted"]["value"]) for row in rows if any(int(b, 16) for b in row["value"])]


def element(instance, name, index):
    """Of an array: dumping a large one takes long."""
    key = [str(b) for b in struct.pack("=I", index)]
    return run("bpftool", "-j", "map", "lookup", "pinned", PINS + instance + "/" + name, "key", *key)["formatted"]["value"]


def maps(instance):
    control = element(instance, "fl_control", 0)
    now = control["gen"] & 1  # the set in force
    yield line("fl_control", {"set": now, **{k: control[k] for k in ("layout", "forward", "held_until_ns", "routing", "icmp_ifindex")}})
    for table, array in TABLES.items():
        for key, index in dump(instance, table):
            if key["set"] != now:
                continue
            if key.get("remote") == 0:  # for strangers to this address: a port
                yield line(table, [key, index])
            else:  # of fl_ep_in the value has the tunnel's port before the endpoint
                place = index & 0xFFFF if table == "fl_ep_in" else index
                yield line(table, [key, index, element(instance, array, place)])
    for key, value in dump(instance, "fl_ports"):
        if key // PORTS_MAX == now:
            yield line("fl_ports", [key % PORTS_MAX, value])
    for row in dump(instance, "fl_locals"):
        yield line("fl_locals", row)
    for key, numbers in dump(instance, "fl_vlans"):
        if numbers["port"][now]:
            yield line("fl_vlans", [key, numbers["port"][now]])
    for link in run("ip", "-j", "link", "show"):
        yield line("fl_ifindex", [link["ifname"], element(instance, "fl_ifindex", link["ifindex"])["port"][now]])


def main():
    lines = list(machine())
    lines += maps(sys.argv[1]) if len(sys.argv) > 1 else managed()
    print("\n".join(sorted(lines)))


if __name__ == "__main__":
    main()
