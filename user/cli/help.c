// SPDX-License-Identifier: GPL-2.0-only
/* The table of commands, and what it says of them. */
#include <stdio.h>
#include <string.h>

#include "user/cli/cli.h"
#include "user/lib/instance.h"

const struct cli_command cli_commands[] = {
	{ "check", "[FILE] [--strict]", "parse and validate a configuration; needs no daemon",
	  "FILE is " INSTANCE_CONFIG " if none is named, `-` reads standard input.\n"
	  "Every finding is a line on stderr. Exit status 2 when there is an error, else 0;\n"
	  "with --strict 1 when there is a warning. --json prints the findings.\n",
	  cmd_check },
	{ "apply", "[FILE] [--confirm S] [--dry-run] [--strict] [--local]", "make a configuration the running one",
	  "FILE is the daemon's own if none is named, `-` reads standard input.\n"
	  "All of it or nothing: on success it is also written over the daemon's own file, and the version\n"
	  "before is kept (`fairlead show history`).\n"
	  "  --confirm S  undo it after S seconds unless `fairlead confirm` comes first; until then the\n"
	  "               daemon's own file is the old one, and so is what a restart comes up with. If FILE\n"
	  "               is the own file, the old text is written back there; the answer says where yours is\n"
	  "  --dry-run    change nothing, list what would differ, as JSON pointers\n"
	  "  --strict     refuse it when there is a warning\n"
	  "  --local      of the primary of a pair: for this node alone\n"
	  "On the primary of a pair every other node that is there checks its part too, and takes it with this one or\n"
	  "nobody does; its findings bear its name. One that is not there gets it when it is back.\n",
	  cmd_apply },
	{ "confirm", "", "keep what `apply --confirm` put on trial", "", cmd_confirm },
	{ "rollback", "[N]", "back to the version that is N before the running one",
	  "N is 1 if it is left out; `fairlead show history` lists them in the column BACK. What is made the\n"
	  "running one is a new version itself, so `rollback` twice leads back to where it began.\n"
	  "While a configuration is on trial, `rollback` without N ends the trial.\n",
	  cmd_rollback },
	{ "status", "", "is all as it should be? Exit status 1 when not",
	  "The first line is `OK`, or `DEGRADED:` and why. Of a pair both nodes are told of, this one's on the left; what\n"
	  "is wrong with the other one alone is no reason here.\n",
	  cmd_status },
	{ "show",
	  "interfaces|tunnels|translations|routes|gateways|groups|rules|nat|aliases|vips|sync|drops|config|history|states|events …",
	  "one table each",
	  "  interfaces    mode that runs and why, packets\n"
	  "  tunnels       ends, MTU, packets, drops by reason\n"
	  "  translations  prefix translations and their packets\n"
	  "  routes        of the configuration and to clients, as they are installed\n"
	  "  gateways      what their probes say of them, and why they are what they are\n"
	  "  groups        which members carry\n"
	  "  rules         in the file's order, what they have counted; then what passes or not without one\n"
	  "  nat           translations of addresses, the same\n"
	  "  aliases       what they hold, with those that they name, and how much of it came at run time\n"
	  "  vips          shared addresses, and who has them\n"
	  "  sync          the peers: connected or not and why, what both have of each other\n"
	  "  drops         by reason and interface\n"
	  "  config        the running configuration\n"
	  "  history       its versions, the newest first\n"
	  "  states        connections, who began them on the left. Of many the first come as soon as they are found:\n"
	  "    --rule         name, or index as in the file; default_action: those that no rule passed\n"
	  "    --host         address or prefix of one end, also as it is translated; twice: between the two\n"
	  "    --gateway, --interface, --proto, --port\n"
	  "    --sort bytes   those with the most bytes first\n"
	  "    --limit N      so many at most\n"
	  "    --count        only how many\n"
	  "  events        what happened, the newest last\n"
	  "    --since        45s, 30m, 1h, 2d, 1w ago, or since YYYY-MM-DD[ HH:MM[:SS]], local time unless a Z follows\n"
	  "    --kind         daemon, apply, alias, states, nat, interface, gateway, group, tunnel, name, hook, vip, sync or drill\n"
	  "    --name         of the gateway, alias, …\n",
	  cmd_show },
	{ "explain", "--in IF|self --src A --dst A --proto P [--sport N] [--dport N] [--tcp-flags F] [--icmp-type T]",
	  "what would happen to a packet",
	  "Runs that packet through the programs' own code and the live maps, without sending it and without\n"
	  "leaving a trace.\n"
	  "  --in         interface or tunnel by which it comes in; self: the router's own\n"
	  "  --src        with --in self an address of the router; :: or 0.0.0.0: the one that it would choose\n"
	  "  --proto      name of /etc/protocols, or number\n"
	  "  --sport, --dport  number, or name of /etc/services; of TCP and UDP\n"
	  "  --tcp-flags  letters of FSRPAUEW; S if left out\n"
	  "  --icmp-type  number, or name as in nftables: echo-request (if left out), packet-too-big, …\n",
	  cmd_explain },
	{ "log", "[--rule NAME|N] [--host A] [--interface IF] [--verdict V] [--last N] [--follow] [--pcap -|FILE]",
	  "packets that are logged: those that come, or the last ones",
	  "Which packets are logged, `log` in the rules says. A line for each until it is interrupted, with --json an\n"
	  "object. What was lost because it came too fast is counted in a line of its own.\n"
	  "  --rule       name, or index as in `fairlead show rules`; default_action: those that no rule matched\n"
	  "  --host       address or prefix of one end; twice: between the two\n"
	  "  --interface  that it came in by or leaves by\n"
	  "  --verdict    pass, block, reject or drop\n"
	  "  --last N     the last N that the daemon remembers (of 4096), and ends; with --follow goes on\n"
	  "  --pcap       packets as pcapng into FILE; -: to standard output, for `tcpdump -r -`. Interface, direction,\n"
	  "               rule and verdict are in each packet's comment\n",
	  cmd_log },
	{ "alias", "add|remove|test NAME ADDRESS", "change or ask the running alias",
	  "ADDRESS is an address, a prefix or a range first-last. Rules follow at once and as a whole; states stay.\n"
	  "It is not written down anywhere: the next apply, and a restart, take what the configuration says.\n"
	  "  add     of the families that the alias has already; any, if it is empty or (in part) a file's\n"
	  "  remove  an entry of the alias itself, just as it is there\n"
	  "  test    also in aliases that it names; says which entry has it; exit status 1 when none has\n",
	  cmd_alias },
	{ "gateway", "down|up|auto NAME", "what a gateway is, by hand",
	  "  down  as if nothing answered: groups go to others, rules do as their when_down says\n"
	  "  up    as if all were well\n"
	  "  auto  what its probes say\n"
	  "It lasts until the machine is started anew.\n",
	  cmd_gateway },
	{ "vip", "disable|enable [NAME] | maintenance on|off", "virtual addresses, by hand",
	  "  disable      gives the vip up, all of them without NAME, and hears and answers nothing for it\n"
	  "               until \"vip enable\" or the next boot\n"
	  "  maintenance  on: hands all over and stays behind every other node, but takes over if no other is left;\n"
	  "               also over a boot, until off\n",
	  cmd_vip },
	{ "sync", "states|config|diff|keys", "the nodes of a pair send each other what they have",
	  "  states  all connections, both ways; what it comes to is in \"show sync\"\n"
	  "  config  the primary pushes what the other nodes don't have, also where theirs was changed by hand\n"
	  "  diff    what that would change there, as JSON pointers; exit status 1 when one is not there to be asked.\n"
	  "          On the secondary: what has been changed there since the primary's last push\n"
	  "  keys    those that are no more in the key file, and hold for a peer that has no other, end now\n",
	  cmd_sync },
	{ "drill", "SCENARIO [--target NAME] [--max-gap-ms N] [--report FILE] [--yes] | --list",
	  "what will happen to a pair one day, done now: what do users see of it",
	  "Looks whether all is well, does it, measures, and undoes it, whatever becomes of this program. What is\n"
	  "measured by is in the configuration's `drill`. Exit status 1 when it fails or is not begun.\n"
	  "  --list          the scenarios\n"
	  "  --target NAME   interface or gateway, where the scenario takes one\n"
	  "  --max-gap-ms N  instead of the configuration's limit\n"
	  "  --report FILE   the result, as JSON, besides the one that both nodes keep in their state directories\n"
	  "  --yes           don't ask\n",
	  cmd_drill },
	{ "kill", "states SELECTOR...|--all [--reset]", "end connections: what comes of them then is judged anew",
	  "Selectors are those of `fairlead help show`. It says how many it were.\n"
	  "  --all    all of them\n"
	  "  --reset  TCP resets to both ends, so that their connections end at once\n",
	  cmd_kill },
	{ "doctor", "[--bundle FILE]", "checks host and pair; says what to do about each finding",
	  "A row for each finding: check, result (ok, warn, fail or skipped), finding, remedy. Exit status 1 when\n"
	  "something failed. Works without a daemon, too: then that is a finding, and what only the daemon knows\n"
	  "is skipped. Checks of your own (`checks` in the configuration) are run, each for 10 s at most.\n"
	  "  --bundle FILE  writes a tar for support: findings, configuration, tables, drills, events, what ip, nft,\n"
	  "                 ss, bpftool and journalctl say; without passwords, keys, tokens, users and descriptions\n",
	  cmd_doctor },
	{ "unload", "--yes", "take fairlead out of the kernel: programs, maps, tunnel devices, routes",
	  "Says what is no longer protected; the daemon ends. Works without a daemon too: then `fairleadd --unload`\n"
	  "takes away what the last one left. Without --yes nothing is done, exit status 2.\n",
	  cmd_unload },
	{ "keygen", "", "a key for a pair, printed; needs no daemon",
	  "The same goes into ha.key_file of each node, a file of mode 0600:\n"
	  "  (umask 077; fairlead keygen > /etc/fairlead/sync.key)\n",
	  cmd_keygen },
	{ "help", "[COMMAND]", "the commands, or more on one", "", cmd_help },
	{ 0 },
};

static void overview(void)
{
	puts("usage: fairlead [--instance NAME] [--json] COMMAND\n");
	for (const struct cli_command *c = cli_commands; c->name; c++)
		printf("  %-9s %s\n", c->name, c->summary);
	puts("\n"
	     "  --instance NAME  which daemon (" INSTANCE_DEFAULT ")\n"
	     "  --json           the answer as JSON\n"
	     "  --version\n\n"
	     "`fairlead help COMMAND` says more. Exit status: 0 done, 1 failed or a check found something,\n"
	     "2 the input is wrong, 3 no daemon answers. Manual: fairlead(8).");
}

int cmd_help(const struct cli *cli, int argc, char **argv)
{
	(void)cli;
	if (argc < 2) {
		overview();
		return CLI_DONE;
	}
	for (const struct cli_command *c = cli_commands; c->name; c++) {
		if (strcmp(argv[1], c->name))
			continue;
		printf("usage: fairlead [--instance NAME] [--json] %s%s%s\n\n%s.\n%s", c->name,
		       *c->arguments ? " " : "", c->arguments, c->summary, c->help);
		return CLI_DONE;
	}
	return cli_usage(NULL, "no command \"%s\"", argv[1]);
}
