# SPDX-License-Identifier: GPL-2.0-only
"""An XDP program of another owner on the wan: fairlead leaves it there, and works beside it or in its dispatcher."""

import re

from guestlab import *

args = arguments()
lab = Lab("lan", "router", "peer")
PROGRAM = lab.build + "/bpf/foreign.bpf.o"
ends = None


def test_start():
    global ends
    lab.wires()
    lab.addresses()
    lab.hosts()
    ends = Ends(lab, lab.port("lan", "eth0"), lab.port("peer", "net0"))
    lab.run("router", "ip", "link", "set", "dev", "wan0", "xdpdrv", "obj", PROGRAM, "sec", "xdp")
    lab.start(lab.config())


def seen():
    """What the foreign program has counted."""
    maps = [m for m in json.loads(run("bpftool", "-j", "map", "show")) if m.get("name") == "foreign_seen"]
    check_equal(len(maps), 1, "the foreign programs that are loaded")
    dump = json.loads(run("bpftool", "-j", "map", "dump", "id", str(maps[0]["id"])))
    return dump[0]["formatted"]["value"]


def carries():
    before = seen()
    for _ in range(3):
        ends.round_trip()
    check(seen() >= before + 3, "the foreign program saw %d packets of 3" % (seen() - before))


def on_wan():
    return lab.run("router", "ip", "-d", "link", "show", "dev", "wan0")


def test_program_is_respected():
    row = lab.interface("wan")
    check_equal(row["mode"], "tc", "the mode of wan (%s)" % row["reason"])
    check(re.fullmatch(r'XDP program "foreign" \(id \d+\) of another owner is attached; tc runs', row["reason"]), "the reason: " + row["reason"])
    carries()


def test_program_stays():
    before = re.search(r"prog/xdp id (\d+)", on_wan())
    check(before, "the program is gone: " + on_wan())
    lab.unload()
    check(before.group(0) in on_wan(), "the program went with unload: " + on_wan())
    ends.lan.flush()
    lab.run("router", "ip", "link", "set", "dev", "wan0", "xdpdrv", "off")


def components():
    """Names of the programs in wan0's dispatcher."""
    shown = lab.run("router", "xdp-loader", "status", "wan0")
    return sorted(re.findall(r"^ =>\s+\d+\s+(\S+)", shown, re.M)), shown


def test_dispatcher():
    """Linux 6.1 lets us join. Later ones refuse programs that change a packet's size, where the dispatcher's own do not."""
    lab.run("router", "xdp-loader", "load", "-m", "native", "wan0", PROGRAM)
    check_equal(components()[0], ["foreign"], "the dispatcher's programs")
    lab.start(lab.config())
    row, (names, shown) = lab.interface("wan"), components()
    print("# wan with a dispatcher: %s, %s" % (row["mode"], row["reason"]))
    if KERNEL <= (6, 1) or row["mode"] == "native":
        check("joined the XDP dispatcher" in row["reason"], "the reason: " + row["reason"])
        check_equal(names, ["fl_xdp_generic", "foreign"], "the dispatcher's programs (%s)" % shown)
    else:
        check_equal(row["mode"], "tc", "the mode of wan")
        check(re.search(r"dispatcher .* cannot be joined \(.+\); tc runs", row["reason"]), "the reason: " + row["reason"])
        check_equal(names, ["foreign"], "the dispatcher's programs (%s)" % shown)


def test_dispatcher_carries():
    """The foreign program sees at least what XDP does not finish: its place in the dispatcher is its owner's choice."""
    ends.round_trip()
    before = seen()
    for _ in range(3):
        ends.round_trip()
    if lab.interface("wan")["mode"] == "tc":
        check(seen() >= before + 3, "the foreign program saw %d packets of 3" % (seen() - before))


def test_dispatcher_again():
    """Another daemon finds its program there, and still one."""
    expected = components()[0]
    lab.daemon.terminate()
    lab.daemon.wait()
    ends.round_trip()
    lab.start(lab.config())
    ends.round_trip()
    check_equal(components()[0], expected, "the dispatcher's programs")


def test_dispatcher_is_left():
    """By an interface that is for tc from now on; and joined again."""
    expected = components()[0]
    for mode, want in (("tc", ["foreign"]), ("auto", expected)):
        config = lab.config()
        config["interfaces"]["wan"]["mode"] = mode
        lab.apply(config)
        names, shown = components()
        check_equal(names, want, "the dispatcher's programs with mode %s (%s)" % (mode, shown))
        ends.round_trip()


def test_dispatcher_stays():
    lab.unload()
    names, shown = components()
    check_equal(names, ["foreign"], "the dispatcher's programs after unload (%s)" % shown)
    check(seen() > 0, "the foreign program has counted nothing")


main(tests_of(globals()), args)
