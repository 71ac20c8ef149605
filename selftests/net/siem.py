#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What Wazuh makes of log lines, by configs/wazuh: its decoders and rules, as far as those files use them.

usage: siem.py --prefix NAME ONE SPLIT KILLED: tests, with files of lines as siem.sh makes fairleadd send them to syslog: of one node, of two
               that are cut apart and together again, and of those when one dies
       siem.py --alert ID LOG: whether one of the lines makes that rule alert
"""

import argparse
import inspect
import os
import re
import sys
import xml.etree.ElementTree as ElementTree

WAZUH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "configs", "wazuh")
SYSLOG = re.compile(r"^<(\d+)>\w{3} [ \d]\d \d\d:\d\d:\d\d ([^ :\[]+)\[\d+\]: (.*)$")
LEVELS = {"100850": 10, "100851": 12, "100852": 15, "100853": 15, "100854": 8}
ESCAPES = {"w": r"[A-Za-z0-9@_-]", "d": r"[0-9]", "s": r" ", "S": r"[^ ]", "D": r"[^0-9]", ".": r".", "W": r"[^A-Za-z0-9@_-]", "t": r"\t"}
KNOWN = {"decoder": {"parent", "program_name", "prematch", "regex", "order"},
         "rule": {"decoded_as", "field", "description", "group", "if_matched_sid", "same_field"}}


def os_regex(text):
    """A pattern of OS_Regex in Python's: only what follows a backslash can be repeated, all else stands for itself but ^ $ | ( )."""
    out, i = "", 0
    while i < len(text):
        if text[i] != "\\":
            out += text[i] if text[i] in "^$|()" else re.escape(text[i])
            i += 1
            continue
        if text[i + 1] in "()$|<\\":
            out, i = out + re.escape(text[i + 1]), i + 2
            continue
        out, i = out + ESCAPES[text[i + 1]], i + 2
        if i < len(text) and text[i] in "+*":
            lazy = "?" if text[i - 1] == "." else ""
            out, i = out + text[i] + lazy, i + 1
    return re.compile(out)


def load(name):
    with open(os.path.join(WAZUH, name), encoding="utf-8") as f:
        return ElementTree.fromstring("<all>" + f.read() + "</all>")


def only_known(element):
    unknown = {child.tag for child in element} - KNOWN[element.tag]
    if unknown:
        raise ValueError(f"{element.tag}: this test does not know {unknown}")


class Decoders:
    def __init__(self):
        self.all = load("fairlead_decoders.xml").findall("decoder")
        for decoder in self.all:
            only_known(decoder)
        parents = {d.get("name") for d in self.all if d.find("parent") is None}
        for decoder in self.all:
            if decoder.find("parent") is not None and decoder.findtext("parent") not in parents:
                raise ValueError(f"no decoder is called {decoder.findtext('parent')}")

    def decode(self, program, text):
        """Name and fields; None where no decoder is for the program."""
        top = next((d for d in self.all if d.find("program_name") is not None and
                    os_regex(d.findtext("program_name")).search(program)), None)
        if top is None:
            return None, {}
        for decoder in self.all:
            if decoder.findtext("parent") != top.get("name"):
                continue
            before = os_regex(decoder.findtext("prematch")).search(text)
            if not before:
                continue
            regex = decoder.find("regex")
            rest = text[before.end():] if regex.get("offset") == "after_prematch" else text
            match = os_regex(regex.text).search(rest)
            if match:
                order = [word.strip() for word in decoder.findtext("order").split(",")]
                if len(order) != len(match.groups()):
                    raise ValueError(f"{regex.text}: {len(match.groups())} groups, {len(order)} names")
                return top.get("name"), dict(zip(order, match.groups()))
        return top.get("name"), {}


class Rules:
    def __init__(self):
        self.all = load("fairlead_rules.xml").findall("group/rule")
        for rule in self.all:
            only_known(rule)
        self.seen = []  # (time, id, fields)

    def judge(self, when, name, fields):
        """The rule that alerts; None."""
        hit = next((rule for rule in self.all if rule.find("if_matched_sid") is None and rule.findtext("decoded_as") == name and
                    all(os_regex(field.text).search(fields.get(field.get("name"), "")) for field in rule.findall("field"))), None)
        if hit is None:
            return None
        self.seen.append((when, hit.get("id"), fields))
        for rule in self.all:
            if rule.findtext("if_matched_sid") != hit.get("id"):
                continue
            same = rule.findtext("same_field")
            times = [t for t, sid, other in self.seen
                     if sid == hit.get("id") and other[same] == fields[same] and when - t <= int(rule.get("timeframe"))]
            if len(times) >= int(rule.get("frequency")):
                return rule
        return hit


def alert(rules, decoders, line, when):
    """(id, level, text) or None"""
    _, program, text = SYSLOG.match(line).groups()
    name, fields = decoders.decode(program, text)
    rule = rules.judge(when, name, fields)
    if rule is None:
        return None
    return rule.get("id"), int(rule.get("level")), re.sub(r"\$\((\w+)\)", lambda m: fields[m.group(1)], rule.findtext("description"))


def test_ids(_):
    assert {rule.get("id"): int(rule.get("level")) for rule in Rules().all} == LEVELS
    rule = next(rule for rule in Rules().all if rule.get("id") == "100852")
    assert (rule.get("frequency"), rule.get("timeframe"), rule.findtext("if_matched_sid"), rule.findtext("same_field")) == \
        ("2", "10", "100850", "vhid")


def test_priority(lines):
    for line in lines:
        if ": carp: " in line:
            assert line.startswith("<29>"), line  # daemon, notice


def test_transitions(lines):
    decoders, rules = Decoders(), Rules()
    got = [alert(rules, decoders, line, 0) for line in lines if ": carp: " in line]
    master = "CARP failover: eth0 VHID {} became MASTER"
    assert sorted(got[:4], key=str) == sorted([None, None, ("100850", 10, master.format(7)), ("100850", 10, master.format(9))], key=str), got
    assert got[4:] == [
        ("100851", 12, "CARP: eth0 VHID 7 entered INIT state - possible split-brain"),
        None,
        ("100852", 15, "CRITICAL: possible CARP split-brain - multiple MASTER transitions for VHID 7"),
    ], got


def test_not_in_time(lines):
    decoders, rules = Decoders(), Rules()
    line = next(line for line in lines if "BACKUP -> MASTER" in line)
    assert alert(rules, decoders, line, 0)[0] == "100850"
    assert alert(rules, decoders, line, 11)[0] == "100850"
    assert alert(rules, decoders, line, 12)[0] == "100852"


def alerts(lines):
    """All of a log, in its order and with its times."""
    decoders, rules = Decoders(), Rules()
    got = []
    for line in lines:
        hours, minutes, seconds = re.search(r"(\d\d):(\d\d):(\d\d)", line).groups()
        one = alert(rules, decoders, line, int(hours) * 3600 + int(minutes) * 60 + int(seconds))
        if one:
            got.append(one)
    return got


def test_split_brain(_, split):
    got = alerts(split)
    told = [text for sid, level, text in got if (sid, level) == ("100853", 15)]
    assert told, split
    for text in told:
        assert re.match(r"CRITICAL: split-brain - 172\.16\.255\.[12] is MASTER too on lan VHID 7$", text), text
    assert [text for sid, level, text in got if sid == "100850"] == ["CARP failover: eth1 VHID 7 became MASTER"], got


def test_lost(_, split):
    told = sorted(text for sid, level, text in alerts(split) if (sid, level) == ("100854", 8))
    assert told == ["The sync link to fw-a is lost", "The sync link to fw-b is lost"], told


def test_killed(_, __, killed):
    assert sorted(alerts(killed)) == [("100850", 10, "CARP failover: eth1 VHID 7 became MASTER"),
                                      ("100854", 8, "The sync link to fw-a is lost")], alerts(killed)


def test_nothing_else(*logs):
    for lines in logs:
        others = [line for line in lines if not re.search(r": (carp: |vip \S+: split-brain|sync \S+: lost)", line)]
        for line in others + [line.replace("fairleadd[", "sshd[") for line in lines]:
            assert alert(Rules(), Decoders(), line, 0) is None, line
    assert any("started" in line for line in logs[0])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--prefix", default="")
    parser.add_argument("--alert")
    parser.add_argument("logs", nargs="+")
    args = parser.parse_args()
    logs = []
    for log in args.logs:
        with open(log, encoding="utf-8") as f:
            logs.append(f.read().splitlines())
    if args.alert:
        decoders, rules = Decoders(), Rules()
        return args.alert not in [(alert(rules, decoders, line, 0) or ("",))[0] for line in logs[0]]
    failed = False
    for test in [value for name, value in globals().items() if name.startswith("test_")]:
        name = args.prefix + test.__name__[5:].replace("_", "-")
        try:
            test(*logs[:len(inspect.signature(test).parameters)] if test is not test_nothing_else else logs)
            print("ok", name)
        except Exception as e:  # whatever it is: the files are wrong
            failed = True
            print("not ok", name)
            print("#", type(e).__name__, e)
    return failed


sys.exit(main())
