#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Holds the parser, configs/fairlead.schema.json, fairlead.json(5), and the examples in configs/ and README.md against each other.

usage: schema_test.py [--update]

config/valid and config/invalid are fed to a JSON Schema validator and to the parser; both must say the same. Of each
invalid document the parser's report must be that of NAME.err; --update writes those, to be read before they are
committed. The parser is build/config_check (built here), and build/fairleadd -n where it is there.
Prints "ok NAME" or "not ok NAME: why", exit status 0 or 1.
"""

import json
import os
import re
import subprocess
import sys

import jsonschema

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
CORPUS = os.path.join(HERE, "config")
BUILD = os.path.join(TOP, os.environ.get("FL_BUILD") or os.environ.get("BUILD") or "build")
CHECK = os.path.join(BUILD, "config_check")
DAEMON = os.path.join(BUILD, "fairleadd")
SCHEMA = os.path.join(TOP, "configs", "fairlead.schema.json")
MANUAL = os.path.join(TOP, "docs", "man", "fairlead.json.5")
README = os.path.join(TOP, "README.md")

# Documents that the schema lets pass and the parser refuses, and why a schema can't tell.
PARSER_ONLY = {
    "the pair": """ha-fit ha-interface-tunnel present-of-both vip-fit""",
    "gateways and groups": """gateway-nothing-to-probe group-families group-names group-underlay tunnel-over-group monitor-backwards
        monitor-targets monitor-times""",
    "names": """alias-unknown alias-unknown-far rule-address-names rule-gateway-names
        nat-interface-names nat-names nat-names-only rule-interface-typo rule-port-aliases rule-protocol-unknown rule-tagged rule-tagged-none gateway-disabled-tunnel gateway-interface-far gateway-interface-typo npt-from-tunnel npt-from-unknown
        npt-interface-disabled npt-interface-inet npt-interface-typo route-gateway-disabled route-gateway-interface
        route-gateway-none route-gateway-tunnel route-gateway-typo tunnel-name-device tunnel-name-interface
        tunnel-underlay-far tunnel-underlay-tunnel tunnel-underlay-unknown""",
    "items against each other": """alias-loop alias-mixed rule-family rule-icmp-family rule-icmp-protocol
        rule-max-states-none rule-ports-protocol rule-same-name rule-tcp-flags-mask rule-tcp-flags-protocol
        nat-family nat-one-to-one nat-port-protocol nat-port-range nat-static-and-port interface-same-device tunnel-remote-is-local tunnel-same-ends
        tunnel-same-ends-client tunnel-same-ends-interface tunnel-same-ends-name tunnel-update-fit client-remote-local client-remote-twice client-address-own
        client-address-twice client-link-local-twice client-routes-same client-routes-top-route gateway-address-outside
        gateway-address-family gateway-address-own gateway-address-v4-on-tunnel npt-external-overlap npt-from-twice npt-internal-twice route-family-tunnel
        route-family-v4-over-v6 route-family-v6-over-v4 route-over-broker route-twice""",
    "what comes first and last": "alias-backwards nat-translate-port-backwards rule-port-backwards",
    "bits of an address": """alias-host-bits nat-translate-to-multicast client-address-loopback client-routes-host-bits client-routes-multicast
        gateway-address-unspecified npt-host-bits npt-link-local route-destination-host-bits
        route-destination-v4-host-bits tunnel-address-twice-spelt tunnel-address-unusable""",
    "files": "alias-file-missing",
    "the same key again": "duplicate-key duplicate-key-escaped",
    "JSON that Jansson refuses for the sake of C strings": "syntax-escaped-nul",
    "lone surrogates, which Python's JSON lets pass": "syntax-surrogate",
    "bytes, where a schema counts characters": "interface-device-byte-a0 interface-device-utf8",
    "Python's $, which also matches before a last newline": "tunnel-remote-newline",
}

failed = False


def result(name, why=None):
    global failed
    failed = failed or bool(why)
    print(f"not ok {name}: {why}" if why else f"ok {name}", flush=True)


def build_check():
    sources = [os.path.join(CORPUS, "config_check.c")]
    sources += [os.path.join(TOP, "user", "lib", f) for f in ("addr.c", "file.c", "log.c", "range.c")]
    folder = os.path.join(TOP, "user", "config")
    sources += [os.path.join(folder, f) for f in sorted(os.listdir(folder)) if f.endswith(".c")]
    os.makedirs(BUILD, exist_ok=True)
    flags = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-I.", "-Iinclude"]
    subprocess.run([os.environ.get("CC", "cc"), *flags, "-o", CHECK, *sources, "-ljansson"], cwd=TOP, check=True)


def run_parser(path):
    """Exit status and report, each line without program and file."""
    run = subprocess.run([CHECK, path], capture_output=True, timeout=60)
    prefix = f"fairlead: {path}: "
    lines = run.stderr.decode("utf-8", "backslashreplace").splitlines()
    if not all(line.startswith(prefix) for line in lines):
        return run.returncode, f"lines without {prefix!r}:\n{run.stderr!r}"
    return run.returncode, "".join(line[len(prefix):] + "\n" for line in lines)


def refuse_constant(text):
    raise ValueError(text + " is no JSON")


def load(path):
    with open(path, "rb") as f:
        return json.loads(f.read().decode("utf-8"), parse_constant=refuse_constant)


def schema_accepts(validator, path):
    """None, or the first thing the schema has against it."""
    try:
        document = load(path)
        error = next(validator.iter_errors(document), None)
    except (ValueError, RecursionError) as e:
        return str(e)[:100]
    return error and f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"


def test_document(validator, path, expect_valid, parser_only=False):
    status, report = run_parser(path)
    against = schema_accepts(validator, path)
    if status != (0 if expect_valid else 2):
        return f"exit status of config_check is {status}:\n{report}"
    if os.path.exists(DAEMON):
        daemon = subprocess.run([DAEMON, "-n", "-c", path], capture_output=True, timeout=60)
        if daemon.returncode != status:
            return f"exit status of fairleadd -n is {daemon.returncode}, of config_check {status}:\n{daemon.stderr!r}"
    if expect_valid and against:
        return f"the schema refuses it: {against}"
    if not expect_valid and parser_only and against:
        return f"listed as something that a schema can't tell, but it says {against}"
    if not expect_valid and not parser_only and not against:
        return "the schema accepts it"
    return None


def test_golden(path, update):
    """The report is that of NAME.err; valid documents have one where they give warnings."""
    status, report = run_parser(path)
    golden = path[: -len(".json")] + ".err"
    if update:
        if report:
            with open(golden, "w", encoding="utf-8") as f:
                f.write(report)
        elif os.path.exists(golden):
            os.unlink(golden)
        return None
    expected = ""
    if os.path.exists(golden):
        with open(golden, encoding="utf-8") as f:
            expected = f.read()
    elif status:
        return "there is no .err file for it"
    return None if report == expected else f"report is\n{report}instead of\n{expected}"


def test_fixed_point(path):
    """What is printed parses, and prints the same again."""
    first = subprocess.run([CHECK, "--print", path], capture_output=True, check=True).stdout
    again = subprocess.run([CHECK, "--print", "/dev/stdin"], input=first, capture_output=True)
    if again.returncode or again.stdout != first:
        return f"exit status {again.returncode}, {again.stderr!r}"
    if json.loads(first) != load(path):
        return "what is printed is not what was read"
    return None


def test_corpus(validator, update):
    parser_only = {name for names in PARSER_ONLY.values() for name in names.split()}
    for kind in ("valid", "invalid"):
        folder = os.path.join(CORPUS, kind)
        names = sorted(f[: -len(".json")] for f in os.listdir(folder) if f.endswith(".json"))
        for name in names:
            path = os.path.join(folder, name + ".json")
            why = test_document(validator, path, kind == "valid", name in parser_only) or test_golden(path, update)
            result(f"config/{kind}/{name}", why or (test_fixed_point(path) if kind == "valid" else None))
        stray = {f[: -len(".err")] for f in os.listdir(folder) if f.endswith(".err")} - set(names)
        result(f"config/{kind}: every .err has its .json", ", ".join(sorted(stray)))
        if kind == "invalid":
            result("every parser-only document is there", ", ".join(sorted(parser_only - set(names))))
            result("at least 60 invalid documents", None if len(names) >= 60 else f"{len(names)}")


def test_examples(validator):
    folder = os.path.join(TOP, "configs")
    for f in sorted(os.listdir(folder)):
        if f.endswith(".json") and f != os.path.basename(SCHEMA):
            path = os.path.join(folder, f)
            status, report = run_parser(path)
            why = test_document(validator, path, True) or (report if status or report else None)
            result(f"configs/{f}", why or (None if "description" in load(path) else "has no description"))


# ---- keys ----


def resolve(schema, node):
    """The node with its $ref followed; keys beside it win."""
    while "$ref" in node:
        target = schema["$defs"][node["$ref"].rpartition("/")[2]]
        node = {**target, **{k: v for k, v in node.items() if k != "$ref"}}
    return node


def schema_keys(schema, node, path, out):
    """out: pointer -> (required, default as JSON text, description), as config_check --keys has them."""
    node = resolve(schema, node)
    for branch in node.get("anyOf", []):
        schema_keys(schema, branch, path, out)
    for key, child in node.get("properties", {}).items():
        child = resolve(schema, child)
        default = json.dumps(child["default"]) if "default" in child else ""
        out[f"{path}/{key}"] = (key in node.get("required", []), default, child.get("description", ""))
        schema_keys(schema, child, f"{path}/{key}", out)
    for child in node.get("patternProperties", {}).values():
        schema_keys(schema, child, path + "/NAME", out)
    if isinstance(node.get("items"), dict):
        schema_keys(schema, node["items"], path + "/N", out)
    return out


def parser_keys():
    text = subprocess.run([CHECK, "--keys"], capture_output=True, check=True, text=True).stdout
    rows = (line.split("\t") for line in text.splitlines())
    return {pointer: (required == "required", default) for pointer, required, default in rows}


def manual_keys(text):
    """pointer -> (required, default), from the .It lines under each .Ss that ends with a pointer."""
    out, path = {}, None
    for line in text.splitlines():
        if line.startswith((".Ss", ".Sh")):
            title = re.fullmatch(r"\.Ss (?:.* )?(/\S*)", line)
            path = title and title[1].rstrip("/")
        item = re.match(r"\.It Ic (\S+)", line)
        if item and path is not None:
            default = re.search(r"default (Qq )?(\S+|\[.*\])$", line)
            value = "" if not default else f'"{default[2]}"' if default[1] else default[2]
            out[f"{path}/{item[1]}"] = (", required" in line, value)
    return out


def difference(one, other):
    """What two sets of keys with what is said of them differ by, as text; "" for nothing."""
    keys = sorted(set(one) ^ set(other)) + [k for k in sorted(set(one) & set(other)) if one[k] != other[k]]
    return "; ".join(f"{k}: {one.get(k, 'absent')} and {other.get(k, 'absent')}" for k in keys)


def test_keys(schema, manual):
    tables, in_schema, in_manual = parser_keys(), schema_keys(schema, schema, "", {}), manual_keys(manual)
    result("the parser's tables and the schema: keys, required, defaults",
           difference(tables, {k: v[:2] for k, v in in_schema.items()}))
    # the manual describes "description" once, for all objects
    without = {k: v for k, v in tables.items() if not k.endswith("/description")}
    result("the parser's tables and the manual: keys, required, defaults", difference(without, in_manual))
    result("the manual has the description of every object", None if ".It Ic description :" in manual else "it has not")
    result("every key of the schema has its line of description",
           ", ".join(k for k, v in in_schema.items() if not v[2] or "\n" in v[2]))
    objects = [k for k in tables if "/" in k.lstrip("/")] + ["/x"]
    parents = {k.rpartition("/")[0] for k in objects}
    result("description is allowed in every object", ", ".join(p for p in parents if p + "/description" not in tables))


def test_timeouts(schema, manual):
    """The manual's table: names and numbers are the parser's, and the columns the schema's words."""
    text = subprocess.run([CHECK, "--timeouts"], capture_output=True, check=True, text=True).stdout
    title = re.search(r"^\.It Sy timeout Ta Sy (.*)$", manual, re.M)[1].split(" Ta Sy ")
    result("the manual's sets of timeouts and the schema's", difference(dict.fromkeys(title),
           dict.fromkeys(schema["properties"]["optimization"]["enum"])))
    rows = re.findall(r"^\.It ((?:tcp|udp|icmp|other)_\w+ Ta [\d Ta]+)$", manual, re.M)
    table = {row.split(" Ta ")[0]: row.split(" Ta ")[1:] for row in rows}
    result("the manual's timeouts and the parser's",
           difference({line.split()[0]: line.split()[1:] for line in text.splitlines()}, table))


def test_tunnel_names(schema, manual):
    """The refused names: those of the manual, of the schema's pattern, and of the parser."""
    pattern = next(iter(schema["properties"]["tunnels"]["patternProperties"]))
    in_schema = set(re.match(r"\^\(\?!\(\?:([^)]*)\)", pattern)[1].split("|"))
    common = next(iter(schema["properties"]["interfaces"]["patternProperties"]))
    in_schema -= set(re.match(r"\^\(\?!\(\?:([^)]*)\)", common)[1].split("|"))
    listed = re.search(r"refused names: begin(.*)refused names: end", manual, re.S)[1]
    in_manual = set(re.findall(r"\.Ql (\S+)", listed))
    result("refused tunnel names: schema and manual", ", ".join(sorted(in_schema ^ in_manual)))
    refused = {n for n in in_manual | {"he0", "sittun", "tun"} if tunnel_name_refused(n)}
    result("refused tunnel names: parser and manual", ", ".join(sorted(refused ^ in_manual)))


def tunnel_name_refused(name):
    tunnel = {"type": "6in4", "underlay": "wan", "local": "interface", "remote": "198.51.100.1",
              "address": "2001:db8::1/64"}
    document = {"interfaces": {"wan": {"device": "eth0"}}, "tunnels": {name: tunnel}}
    run = subprocess.run([CHECK, "/dev/stdin"], input=json.dumps(document).encode(), capture_output=True)
    return run.returncode != 0 and f"/tunnels/{name}: found the name".encode() in run.stderr


def test_examples_in_text(validator, where, examples):
    """Each is a configuration, without errors and warnings."""
    result(f"{where} has examples", None if examples else "none found")
    for i, text in enumerate(examples):
        run = subprocess.run([CHECK, "/dev/stdin"], input=text.encode(), capture_output=True)
        error = next(validator.iter_errors(json.loads(text)), None)
        why = run.stderr.decode() or (error and error.message)
        result(f"example {i + 1} of {where}", why or (f"exit status {run.returncode}" if run.returncode else None))


def main():
    with open(SCHEMA, encoding="utf-8") as f:
        schema = json.load(f)
    with open(MANUAL, encoding="utf-8") as f:
        manual = f.read()
    with open(README, encoding="utf-8") as f:
        readme = f.read()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    build_check()
    test_corpus(validator, "--update" in sys.argv[1:])
    test_examples(validator)
    test_keys(schema, manual)
    test_timeouts(schema, manual)
    test_tunnel_names(schema, manual)
    part = manual[manual.index(".Sh EXAMPLES"):]
    test_examples_in_text(validator, "the manual", re.findall(r"^\.Bd -literal.*?\n(\{.*?^\})\n\.Ed$", part, re.S | re.M))
    test_examples_in_text(validator, "the README", re.findall(r"^```json\n(.*?)^```$", readme, re.S | re.M))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
