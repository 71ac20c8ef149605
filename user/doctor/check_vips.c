// SPDX-License-Identifier: GPL-2.0-only
/* Shared addresses, and whether frames with their virtual MACs get through. */
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <net/if.h>
#include <string.h>

#include "user/doctor/judge.h"
#include "user/doctor/netlink.h"

static void check_vip(struct doctor *d, const json_t *row)
{
	const char *name = doctor_string(row, "name"), *role = doctor_string(row, "role"),
		   *not_ready = doctor_string(row, "not_ready");
	long long bad = doctor_number(row, "adverts_bad");

	if (bad)
		doctor_warn(
			d,
			"fairlead show events --kind vip says from whom and why; the same password_file and key_file on all "
			"nodes, or another vhid",
			"%s: %lld adverts were refused", name, bad);
	if (!strcmp(role, "disabled"))
		doctor_warn(d, doctor_text(d, "fairlead vip enable %s", name), "%s is disabled by hand", name);
	else if (!strcmp(role, "init"))
		doctor_fail(d, "is its link up, has its device an address, is its password file as it should be?",
			    "%s takes no part: neither master nor backup", name);
	else if (*not_ready)
		doctor_warn(d, "wait; if it lasts, fairlead show gateways and fairlead show sync",
			    "%s is %s, and would not take over yet: %s", name, role, not_ready);
	else if (!bad)
		doctor_ok(d, "%s is %s", name, role);
}

void check_vips(struct doctor *d)
{
	const json_t *rows = doctor_shown(d, "vips");
	json_t *row;
	size_t i;

	if (!rows)
		doctor_skip(d, "no daemon tells");
	else if (!json_array_size(rows))
		doctor_skip(d, "there are no shared addresses");
	json_array_foreach((json_t *)rows, i, row) {
		check_vip(d, row);
	}
}

/* ---- the virtual MAC ---- */

struct wanted {
	uint32_t ifindex;
	uint8_t mac[6];
	bool found;
};

static void on_entry(const struct nlmsghdr *h, void *arg)
{
	const struct ndmsg *ndm = NLMSG_DATA(h);
	struct nlattr *lladdr = nlmsg_find_attr((struct nlmsghdr *)h, sizeof(*ndm), NDA_LLADDR);
	struct wanted *wanted = arg;

	wanted->found |= (uint32_t)ndm->ndm_ifindex == wanted->ifindex && lladdr && nla_len(lladdr) == 6 &&
			 !memcmp(nla_data(lladdr), wanted->mac, 6);
}

/* As `bridge fdb show dev DEVICE` lists what a device takes in besides its own MAC. True too where that can't be read. */
static bool takes_in(uint32_t ifindex, uint8_t vhid)
{
	struct wanted wanted = { .ifindex = ifindex, .mac = { 0, 0, 0x5e, 0, 1, vhid } };
	const struct ndmsg ndm = { .ndm_family = AF_BRIDGE, .ndm_ifindex = (int)ifindex };

	return netlink_dump(NETLINK_ROUTE, RTM_GETNEIGH, &ndm, sizeof(ndm), on_entry, &wanted) || wanted.found;
}

#define SEEN_MS 2000 /* until all switches should know where an address is */

static const char *const let_through =
	"let the virtual switch accept MAC changes and forged transmits (VMware), MAC spoofing (Hyper-V), no MAC filter (libvirt, "
	"Proxmox); a real switch: several MACs on that port (port security), and a short aging time";

/* What status says of a vip that a peer does not hear of on the segment. */
static bool is_unseen(struct doctor *d, const char *name)
{
	static const char *const begins[] = { "announcement-unseen: vip %s: ", "segment-split: vip %s: " };
	const json_t *reasons = json_object_get(doctor_shown(d, "status"), "reasons");
	json_t *reason;
	size_t i;

	json_array_foreach((json_t *)reasons, i, reason) {
		for (size_t j = 0; j < sizeof(begins) / sizeof(begins[0]); j++) {
			const char *begin = doctor_text(d, begins[j], name), *text = json_string_value(reason);

			if (text && !strncmp(text, begin, strlen(begin)))
				return true;
		}
	}
	return false;
}

/* The peer listens on each segment, and tells when it has seen what the master has announced; one that came later has seen nothing. */
void judge_announced(struct doctor *d, const json_t *row, bool unseen)
{
	const json_t *announced = json_object_get(row, "announced_ms");
	const char *name = doctor_string(row, "name");

	if (unseen)
		doctor_fail(
			d, let_through,
			"%s: the other node has not seen on the segment that the addresses are here: frames from the virtual "
			"MAC do not get through",
			name);
	else if (json_is_number(announced) && json_number_value(announced) > SEEN_MS)
		doctor_warn(d, let_through, "%s: the other node saw where the addresses are only after %.0f ms", name,
			    json_number_value(announced));
	else if (json_is_number(announced))
		doctor_ok(d, "%s: the other node saw where the addresses are after %.0f ms", name,
			  json_number_value(announced));
	else
		doctor_ok(d, "%s: just taken, or the other node came later; nothing tells of frames that get lost",
			  name);
}

static bool has_peer(struct doctor *d)
{
	const json_t *rows = doctor_shown(d, "sync");
	json_t *row;
	size_t i;

	json_array_foreach((json_t *)rows, i, row) {
		if (json_is_true(json_object_get(row, "connected")))
			return true;
	}
	return false;
}

static void check_driver(struct doctor *d, const char *name, const struct system_link *link)
{
	char driver[64] = "";

	device_driver(link->name, driver, sizeof(driver));
	if (driver_is_virtual(driver))
		doctor_warn(
			d, let_through,
			"%s: %s (%s) is a virtual machine's, and no other node tells that frames from the virtual MAC get "
			"through: its switch may drop them",
			name, link->name, driver);
	else
		doctor_ok(d, "%s: %s takes in frames to the virtual MAC", name, link->name);
}

static void check_vip_mac(struct doctor *d, const struct config_vip *vip, const json_t *row)
{
	const struct system_link *link = doctor_link(d, vip->interface);

	if (!link || !link->has_mac)
		return;
	if (!link->vid && !(link->flags & IFF_PROMISC) && row && !takes_in(link->ifindex, vip->vhid))
		doctor_fail(
			d,
			doctor_text(d,
				    "fairlead apply; by hand: bridge fdb add 00:00:5e:00:01:%02x dev %s self permanent",
				    vip->vhid, link->name),
			"%s: %s does not take in frames to the virtual MAC 00:00:5e:00:01:%02x", vip->name, link->name,
			vip->vhid);
	else if (!strcmp(doctor_string(row, "role"), "master") &&
		 (has_peer(d) || json_is_number(json_object_get(row, "announced_ms"))))
		judge_announced(d, row, is_unseen(d, vip->name));
	else if (doctor_number(row, "adverts_received")) /* which come from the virtual MAC */
		doctor_ok(d, "%s: adverts of the other node come through", vip->name);
	else
		check_driver(d, vip->name, link);
}

void check_virtual_mac(struct doctor *d)
{
	size_t before = json_array_size(d->rows);

	for (size_t i = 0; d->config && d->system && i < d->config->n_vips; i++)
		check_vip_mac(d, &d->config->vips[i],
			      doctor_row(doctor_shown(d, "vips"), "name", d->config->vips[i].name));
	if (json_array_size(d->rows) == before)
		doctor_skip(d, "there are no shared addresses on a link with MACs");
}
