# SPDX-License-Identifier: GPL-2.0-only
"""fairleadd as the unit of configs/systemd runs it: a systemd of the guest's own is the first process of a PID namespace in the
router, and nothing of the unit is changed but where its output goes. What the unit withholds, the daemon must not need.
"""

import os
import re
import signal
import socket

import packet
from guestlab import *
from rfc6296 import Translation

args = arguments()
lab = Lab("lan", "router", "peer")
lab.instance = "default"  # the unit names none
UNITS, UNIT, BLOCK = "/etc/systemd/system/", "fairleadd.service", "fairlead-block.service"
DRILL = ("fairlead-drill.service", "fairlead-drill.timer")
SBIN, LIBEXEC = "/usr/local/sbin", "/usr/local/libexec/fairlead"
FILE, LOG = "/etc/fairlead/fairlead.json", "/run/fairleadd.log"
SYSTEMD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../configs/systemd/")
SHIPPED = SYSTEMD + UNIT
EXTERNAL = "2001:db8:bb::/64"
TRANSLATIONS = [{"interface": "he0", "internal": LAN_NET, "external": EXTERNAL}]
# what a systemd begins with and this one needs not: it shares the guest with another first process
MASKED = ("systemd-udevd.service", "systemd-udev-trigger.service", "systemd-journald.service", "systemd-journal-flush.service",
          "systemd-tmpfiles-setup.service", "systemd-tmpfiles-setup-dev.service", "systemd-modules-load.service", "systemd-random-seed.service",
          "systemd-remount-fs.service", "systemd-update-utmp.service", "systemd-sysctl.service", "systemd-logind.service", "dev-hugepages.mount",
          "dev-mqueue.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-kernel-config.mount", "sys-fs-fuse-connections.mount",
          "systemd-sysusers.service", "systemd-firstboot.service", "ldconfig.service", "modprobe@configfs.service")
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_SYS_ADMIN": 21, "CAP_PERFMON": 38, "CAP_BPF": 39}  # linux/capability.h
SLOW = 150  # seconds at most for a start, most of which is the verifier's work, in an emulator beside others
systemd = ends = None


def config(mode="native", **tunnel):
    config = lab.config(mode, prefix_translations=TRANSLATIONS)
    config["tunnels"]["he0"].update(tunnel)
    return config


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def write_config(value):
    write(FILE, json.dumps(value))


def tail(path):
    if not os.path.exists(path):
        return "nothing in " + path
    with open(path, errors="replace") as f:
        return f.read()[-3000:]


def inside(*command, **how):
    """A command among the processes that systemd sees: it listens to no other."""
    first = until("systemd is there", lambda: run("pgrep", "-P", str(systemd.pid), fail=False).strip())
    return run("nsenter", "--target", first, "--pid", "--mount", *command, **how)


def systemctl(*words, fail=True, seconds=SLOW):
    return inside("systemctl", *words, fail=fail, seconds=seconds)


def shown(*properties):
    """name -> value, of the unit."""
    said = systemctl("show", UNIT, "-p", ",".join(properties), fail=False)
    return {name: dict(re.findall(r"^(\w+)=(.*)$", said, re.MULTILINE)).get(name) for name in properties}


def state_is(*wanted):
    values = shown("ActiveState", "Result")
    return (values["ActiveState"], values["Result"]) == wanted


def reaches(state, result="success", restarts=None):
    """restarts: by systemd itself, that many."""
    def is_there():
        return state_is(state, result) and restarts in (None, shown("NRestarts")["NRestarts"])
    try:
        until("%s is %s" % (UNIT, state), is_there, SLOW)
    except Failure as why:
        raise Failure("%s: %s\n%s\n%s" % (why, shown("ActiveState", "Result", "NRestarts"), tail(LOG), tail("/run/systemd.log"))) from None


def install():
    """As make install does it, and as systemctl enable."""
    run("install", "-m", "755", lab.build + "/fairleadd", lab.build + "/fairlead", SBIN)
    run("install", "-D", "-m", "755", "-t", LIBEXEC, lab.build + "/fairlead-https", lab.build + "/fairlead-fault")
    for unit in DRILL:
        with open(SYSTEMD + unit) as f:
            write(UNITS + unit, f.read().replace("@sbindir@", SBIN))
    for unit in (UNIT, BLOCK):
        with open(SYSTEMD + unit) as f:
            write(UNITS + unit, f.read().replace("@sbindir@", SBIN))
        write(UNITS + unit + ".d/output.conf", "[Service]\nStandardOutput=append:%s\nStandardError=append:%s\n" % (LOG, LOG))
    wants = UNITS + "sysinit.target.wants/"
    os.makedirs(wants, exist_ok=True)
    os.path.lexists(wants + BLOCK) or os.symlink(UNITS + BLOCK, wants + BLOCK)
    for name in MASKED:
        os.path.lexists(UNITS + name) or os.symlink("/dev/null", UNITS + name)


def main_pid():
    return int(run("pgrep", "-x", "fairleadd"))


class Pinging:
    """Pings from the LAN, none of which is lost."""

    def __enter__(self):
        with wire.namespace(lab.ns("lan")):
            self.ping = subprocess.Popen(["ping", "-n", "-q", "-i", "0.1", "-w", str(2 * SLOW), INET_HOST], stdout=subprocess.PIPE, text=True)
        time.sleep(1)

    def __exit__(self, kind, *_):
        self.ping.send_signal(signal.SIGINT)
        said = self.ping.communicate(timeout=20)[0]
        if kind is None:
            check(" 0% packet loss" in said, said.strip())
            check(int(said.split(" packets transmitted")[0].split()[-1]) > 10, said.strip())


def tunnel():
    return lab.fl("show", "tunnels")[0]


def forwarding():
    return [lab.run("router", "cat", "/proc/sys/net/" + key).strip() for key in ("ipv6/conf/wan0/forwarding", "ipv6/conf/lan0/forwarding")]


def test_verify():
    install()
    for unit in (UNIT, BLOCK) + DRILL:
        said = run("systemd-analyze", "verify", "--man=no", UNITS + unit)
        check(unit not in said, "systemd-analyze verify: " + said)
        if unit.endswith(".timer"):
            continue
        run("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=45", UNITS + unit)


def kernel_forwards():
    """A ping from the LAN to what wan0 leads to, and without tunnel or translation."""
    ping = ["ping", "-n", "-q", "-c", "2", "-i", "0.2", "-W", "1", "2001:db8:b007::2"]
    with wire.namespace(lab.ns("lan")):
        return subprocess.run(ping, stdout=subprocess.DEVNULL).returncode == 0


def rules():
    return lab.run("router", "ip", "-4", "rule") + lab.run("router", "ip", "-6", "rule")


def test_boot_with_wrong_file():
    """The machine forwards by itself, but nothing before fairlead does."""
    global systemd
    lab.wires()
    lab.addresses()
    lab.hosts()
    lab.ip("router", "addr add 2001:db8:b007::1/64 dev wan0 nodad")
    lab.ip("peer", """addr add 2001:db8:b007::2/64 dev net0 nodad
        route add %s via 2001:db8:b007::1""" % LAN_NET)
    lab.run("router", "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1", "net.ipv4.ip_forward=1")
    check(kernel_forwards(), "nothing passes from the start: what follows would tell nothing")
    write(FILE, "{ \"node\": 7 }")
    with wire.namespace(lab.ns("router")), open("/run/systemd.log", "wb") as f:
        systemd = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "/lib/systemd/systemd", "--system", "--unit=" + UNIT,
             "--show-status=no", "--log-target=console", "--log-level=info"],
            env={"container": "fairlead-test", "PATH": os.environ["PATH"]}, stdin=subprocess.DEVNULL, stdout=f, stderr=f)
    reaches("failed", "exit-code")
    check("ActiveState=active" in systemctl("show", BLOCK, "-p", "ActiveState"), "%s: %s" % (BLOCK, tail(LOG)))
    check_equal(rules().count("not from all iif lo blackhole"), 2, "rules that block")
    check(not kernel_forwards(), "the kernel forwards")
    said = tail(LOG)
    check("forwards nothing from now on" in said and "nothing is forwarded on this machine" in said, said)
    check("ordering cycle" not in tail("/run/systemd.log"), tail("/run/systemd.log"))
    lab.ip("peer", """addr del 2001:db8:b007::2/64 dev net0
        route del %s""" % LAN_NET)
    lab.run("router", "sysctl", "-qw", "net.ipv6.conf.all.forwarding=0", "net.ipv4.ip_forward=0")


def test_start():
    global ends
    write_config(config())
    systemctl("start", UNIT)
    reaches("active")
    check("blackhole" not in rules(), "it is blocked still: " + rules())
    ends = Ends(lab, lab.port("lan", "eth0"), lab.port("peer", "net0"), inside=Translation(LAN_NET, EXTERNAL).outward(LAN_HOST))


    lab.ip("peer", """tunnel add sit1 mode sit local %s remote %s ttl 64
        link set dev sit1 up
        addr add %s/64 dev sit1 nodad
        route add %s dev sit1""" % (PEER, WAN_ROUTER, TUNNEL_PEER, EXTERNAL))


def test_what_is_withheld():
    with open("/proc/%d/status" % main_pid()) as f:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    with open(SHIPPED) as f:
        names = re.search(r"^CapabilityBoundingSet=(.*)$", f.read(), re.MULTILINE).group(1).split()
    mask = sum(1 << CAPABILITIES[name] for name in names)
    for which in ("CapBnd", "CapEff", "CapPrm"):
        check_equal(int(status[which], 16), mask, which)
    check_equal((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"), "NoNewPrivs and Seccomp")
    mounts = {}
    with open("/proc/%d/mountinfo" % main_pid()) as f:
        for line in f:
            words = line.split()
            mounts[words[4]] = words[5].split(",")[0]
    for where, how in (("/", "ro"), ("/sys/fs/cgroup", "ro"), ("/etc/fairlead", "rw"), ("/sys/fs/bpf", "rw"), ("/var/lib/fairlead", "rw")):
        check_equal(mounts.get(where), how, "how %s is mounted for the daemon" % where)


def test_what_a_hook_may_do():
    """What HOOKS in fairleadd(8) says: a service that is confined as the daemon is runs a script in its place."""
    script, out, secret = "/etc/fairlead/hooks/test.sh", "/var/lib/fairlead/hook.out", "/etc/fairlead/secret"
    tries = {"read": ("cat " + FILE, True), "etc": ("touch /etc/fairlead/by-hook", True), "state": ("touch /var/lib/fairlead/by-hook", True),
             "tmp": ("touch /tmp/by-hook", True), "address": ("ip addr add 192.0.2.200/32 dev lo", True),
             "route": ("ip route add 192.0.2.201/32 dev lo", True), "ping": ("ping -6 -n -c 1 -W 5 " + LAN_HOST, True),
             "unit": ("systemctl start --no-block hook-other.service", True), "root": ("touch /by-hook", False),
             "usr": ("touch /usr/by-hook", False), "secret": ("cat " + secret, False), "user": ("setpriv --reuid=65534 --clear-groups true", False),
             "mount": ("mount -t tmpfs none /mnt", False)}
    write(script, "#!/bin/sh\n" + "".join("%s > /dev/null 2>&1 && echo %s\n" % (what, name) for name, (what, _) in tries.items()) + "true\n")
    os.chmod(script, 0o755)
    write(secret, "")
    os.chown(secret, 65534, 65534)
    os.chmod(secret, 0o600)
    with open(SHIPPED) as f:
        text = re.sub(r"^(Type|ExecStart|ExecReload|Restart\w*)=.*\n", "", f.read(), flags=re.MULTILINE)
    write(UNITS + "hook.service", text.replace("[Service]", "[Service]\nType=oneshot\nExecStart=%s\nStandardOutput=truncate:%s" % (script, out)))
    write(UNITS + "hook-other.service", "[Service]\nType=oneshot\nExecStart=/bin/touch /run/by-other\n")
    systemctl("daemon-reload")
    systemctl("start", "hook.service")
    with open(out) as f:
        could = f.read().split()
    check_equal(sorted(could), sorted(name for name, (_, may) in tries.items() if may), "what it could do")
    until("the other unit has run", lambda: os.path.exists("/run/by-other"))
    for address in ("addr del 192.0.2.200/32 dev lo", "route del 192.0.2.201/32 dev lo"):
        lab.ip("router", address)


def test_the_machine_is_set():
    check_equal(forwarding(), ["1", "1"], "forwarding of wan0 and lan0")
    check_equal([lab.interface(name)["mode"] for name in ("wan", "lan")], ["native", "native"], "the modes")


def test_carries():
    for _ in range(3):
        ends.round_trip()
    lab.ping("lan", INET_HOST)
    lab.ping("router", TUNNEL_PEER)
    check(tunnel()["tx_packets"] >= 6, "the tunnel's counters: %s" % tunnel())


def test_explain():
    answer = lab.fl("explain", "--in", "lan", "--src", LAN_HOST, "--dst", INET_HOST, "--proto", "tcp", "--dport", "443")
    check_equal((answer["verdict"], answer["tunnel"], answer["translated_source"]), ("forward", "he0", ends.inside), "the verdict")


def test_outer_fragments():
    """They come to the daemon by its raw socket."""
    token = lab.token()
    inner = packet.udp6(INET_HOST, ends.inside, data=token + bytes(1000))
    ends.lan.flush()
    for offset, part in ((0, inner[:800]), (800, inner[800:])):
        ends.wan.send_to(WAN_ROUTER_MAC, packet.ip4(PEER, WAN_ROUTER, packet.IPV6, part, ident=7, offset=offset, mf=not offset))
    p = ends.lan.expect("the packet, whole", lambda p: p.data.startswith(token), 10)
    check_sound(p)
    check_fields(p, src=INET_HOST, dst=LAN_HOST, hop=63, src_mac=LAN_ROUTER_MAC, dst_mac=LAN_HOST_MAC)


def test_apply_and_rollback():
    """The file of apply lies in a /tmp that the daemon does not see."""
    with Pinging():
        lab.apply(config("tc", mtu=1400))
        check_equal((tunnel()["mtu"], lab.interface("wan")["mode"]), (1400, "tc"), "MTU and mode")
        with open(FILE) as f:
            check_equal(json.load(f)["tunnels"]["he0"]["mtu"], 1400, "the MTU in " + FILE)
        check_equal(len(lab.fl("show", "history")), 2, "versions")
        check_equal(lab.cli("rollback").returncode, 0, "the exit status of rollback")
        check_equal((tunnel()["mtu"], lab.interface("wan")["mode"]), (1480, "native"), "MTU and mode")
    ends.round_trip()


def test_reload():
    write_config(config(mtu=1420))
    with Pinging():
        systemctl("reload", UNIT)
        until("the file is in force", lambda: tunnel()["mtu"] == 1420)
        write_config(config())
        systemctl("reload", UNIT)
        until("the file is in force", lambda: tunnel()["mtu"] == 1480)


def test_killed():
    """Packets go on, and the daemon is back and has taken over what it found."""
    before, packets = main_pid(), tunnel()["tx_packets"]
    with Pinging():
        os.kill(before, signal.SIGKILL)
        reaches("active", restarts="1")
    check(main_pid() != before, "it is the same process")
    check(tunnel()["tx_packets"] > packets + 10, "the counters began anew: %s, before %d" % (tunnel(), packets))
    ends.round_trip()


def order(what, **more):
    """Of a drill, by the control socket."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("/run/fairlead/default.sock")
        s.sendall((json.dumps({"command": "drill", "order": what, "id": "test", **more}) + "\n").encode())
        answer = json.loads(s.makefile().readline())
    check_equal(answer["status"], 0, "%s: %s" % (what, answer))
    return answer["result"]


def test_power_fails_in_a_drill():
    """systemd ends all of the service when its daemon has died, but for what is to undo that; and starts it only then."""
    before, packets = main_pid(), tunnel()["tx_packets"]
    addresses = lab.run("router", "ip", "-o", "addr", "show", "dev", "lan0", "scope", "global")
    order("reserve", seconds=300)
    order("fault", fault="power", targets=["lan"], seconds=4)
    until("the daemon is dead", lambda: not os.path.exists("/proc/%d" % before))
    until("the link is down", lambda: ",UP" not in lab.run("router", "ip", "link", "show", "dev", "lan0"))
    time.sleep(2)  # longer than RestartSec
    check(not run("pgrep", "-x", "fairleadd", fail=False).strip(), "a daemon is there again: %s" % tail("/run/systemd.log"))
    reaches("active")
    until("it answers", lambda: lab.cli("status").returncode < 2, SLOW)
    fault = order("look")["fault"]
    check_equal((fault["fault"], fault["errors"]), ("power", []), "what it says of the fault")
    check(fault["undone_ms"] - fault["done_ms"] >= 4000, "it was undone too early: %s" % fault)
    check_equal(lab.run("router", "ip", "-o", "addr", "show", "dev", "lan0", "scope", "global"), addresses, "the addresses")
    order("release", scenario="power", result="passed")
    check(tunnel()["tx_packets"] >= packets, "the counters began anew: %s, before %d" % (tunnel(), packets))
    lab.ping("lan", INET_HOST)
    ends.round_trip()


def test_restart():
    before = main_pid()
    with Pinging():
        systemctl("restart", UNIT)
        check(main_pid() != before, "it is the same process")
        systemctl("restart", BLOCK)  # nothing to do: what programs ask of the kernel's routing stays as it is
        check("is at work, and guards its devices" in tail(LOG), tail(LOG))
        check("blackhole" not in rules(), "something is blocked: " + rules())
    ends.round_trip()


def test_stop_and_start():
    with Pinging():
        systemctl("stop", UNIT)
        check(state_is("inactive", "success"), "after stop: %s" % shown("ActiveState", "Result"))
        check_equal(lab.cli("status").returncode, 3, "the exit status of `fairlead status`")
        ends.round_trip()
        systemctl("start", UNIT)
    check(state_is("active", "success"), "after start: %s" % shown("ActiveState", "Result"))


def test_wrong_file():
    """Another try would not make it right: it stays down, and packets go on."""
    restarts = shown("NRestarts")
    with Pinging():
        write(FILE, "{ \"node\": 7 }")
        systemctl("restart", UNIT, fail=False)
        reaches("failed", "exit-code")
        time.sleep(3)
        check_equal((shown("ActiveState")["ActiveState"], shown("NRestarts")), ("failed", restarts), "the state, three seconds later")
        write_config(config())
        systemctl("start", UNIT)
        reaches("active")
    ends.round_trip()


def test_unload():
    restarts = shown("NRestarts")
    check_equal(lab.cli("unload", "--yes").returncode, 0, "the exit status of unload")
    reaches("inactive")
    time.sleep(2)
    check_equal((shown("ActiveState")["ActiveState"], shown("NRestarts")), ("inactive", restarts), "the state, two seconds later")
    check_equal(forwarding(), ["0", "0"], "forwarding of wan0 and lan0")
    with wire.namespace(lab.ns("router")):
        left = run("bpftool", "net", "show")
        check("fl_" not in left, "programs are left: " + left)
        check("he0" not in run("ip", "-br", "link"), "he0 is left")


atexit.register(lambda: systemd and systemd.kill())
# An emulated start of the daemon takes half a minute: this one does on one kernel
tests = [test for test in tests_of(globals()) if test is not test_power_fails_in_a_drill or not os.uname().release.startswith("6.1.")]
main(tests, args)
