// SPDX-License-Identifier: GPL-2.0-only
/* Events of virtual addresses, for people, scripts and programs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/daemon/daemon.h"
#include "user/daemon/pairing.h"
#include "user/daemon/vips_internal.h"

const char *vips_role_text(enum carp_role role)
{
	static const char *const texts[] = {
		[CARP_INIT] = "init", [CARP_BACKUP] = "backup", [CARP_MASTER] = "master", [CARP_DISABLED] = "disabled"
	};

	return texts[role];
}

/* As BSD's kernels log it, for what reads logs: disabled is INIT there. */
static const char *role_logged(enum carp_role role)
{
	static const char *const texts[] = {
		[CARP_INIT] = "INIT", [CARP_BACKUP] = "BACKUP", [CARP_MASTER] = "MASTER", [CARP_DISABLED] = "INIT"
	};

	return texts[role];
}

const char *vips_hold_text(unsigned int holds)
{
	return holds & CARP_HOLD_DISABLED   ? "disabled by hand"
	       : holds & CARP_HOLD_KEY	    ? "its password file can't be used"
	       : holds & CARP_HOLD_PAIR_KEY ? "the key file of \"ha\" can't be used"
	       : holds & CARP_HOLD_LEFT_OUT ? "a peer that is heard has ended the key that this node has"
	       : holds & CARP_HOLD_LINK	    ? "its link is down"
					    : "its device has no address to send adverts from";
}

static void put_why(const struct vhid_event *e, char *to, size_t len)
{
	char from[ADDR_STRLEN] = "another node";

	if (e->from.family)
		addr_format(&e->from, from);
	switch (e->why) {
	case CARP_WHY_START:
		snprintf(to, len, "it can take part");
		break;
	case CARP_WHY_HELD:
		snprintf(to, len, "%s", vips_hold_text(e->holds));
		break;
	case CARP_WHY_TIMEOUT:
		snprintf(to, len, "no advert has come for too long");
		break;
	case CARP_WHY_LEFT:
		snprintf(to, len, "%s gives them up", from);
		break;
	case CARP_WHY_BETTER:
		snprintf(to, len, "better than %s, and preempts", from);
		break;
	case CARP_WHY_DEMOTED:
		snprintf(to, len, "%s is demoted further", from);
		break;
	case CARP_WHY_YIELDS:
		snprintf(to, len, "%s is better", from);
		break;
	case CARP_WHY_LATE:
		snprintf(to, len, "this node was held up for so long that another has taken them");
		break;
	case CARP_WHY_HANDS_OVER:
		snprintf(to, len, "handed over by hand");
		break;
	}
}

void vips_log_role(struct daemon *d, const struct config_vip *vip, enum carp_role before, enum carp_role role,
		   const char *why)
{
	char what[32];

	snprintf(what, sizeof(what), "%s -> %s", vips_role_text(before), vips_role_text(role));
	if (strcmp(role_logged(before), role_logged(role)) != 0)
		journal_say(d->journal, JOURNAL_NOTICE, "carp: %s %u: state transition: %s -> %s",
			    vip->interface->device, vip->vhid, role_logged(before), role_logged(role));
	journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_VIP, vip->name, what,
		      json_pack("{s:s,s:i}", "interface", vip->interface->name, "vhid", vip->vhid), "%s", why);
}

static void tell_role(struct daemon *d, const struct config_vip *vip, const struct vhid_event *e)
{
	char why[128];

	put_why(e, why, sizeof(why));
	vips_log_role(d, vip, e->before, e->role, why);
	vip_hooks_tell(d->vips->hooks, e->name, e->role, why);
	if (e->role == CARP_MASTER)
		ha_states_taken_over(d);
}

/* What no event has told scripts. */
void vips_settle_hooks(struct daemon *d)
{
	struct vhid_view *views;
	size_t n = vips_views(d, &views);

	for (size_t i = 0; i < n; i++) {
		const struct vhid_event e = { .why = views[i].carp.why,
					      .holds = views[i].carp.holds,
					      .from = views[i].master };
		char why[128];

		put_why(&e, why, sizeof(why));
		vip_hooks_settle(d->vips->hooks, &views[i], why);
	}
	free(views);
}

static json_t *details_of(const struct config_vip *vip, const struct vhid_event *e, const char *from)
{
	return json_pack("{s:s,s:i,s:s}", "interface", vip->interface->name, "vhid", e->vhid, "from", from);
}

static json_t *timed(const struct config_vip *vip, const struct vhid_event *e, const char *from, const char *what)
{
	json_t *details = details_of(vip, e, from);

	json_object_set_new(details, what, json_real((double)e->ns / 1e6));
	return details;
}

/* What both nodes have found together. */
static void tell_pair(struct daemon *d, const struct config_vip *vip, const struct vhid_event *e, const char *from)
{
	const char *segment = vip->interface->name;
	bool won = e->role == CARP_MASTER;

	switch (e->kind) {
	case VHID_SPLIT_BRAIN:
		journal_write(
			d->journal, JOURNAL_ALERT, JOURNAL_VIP, e->name, "split-brain", timed(vip, e, from, "for_ms"),
			"%s is master too, for %.1f s now: they did not hear each other", from, (double)e->ns / 1e9);
		break;
	case VHID_ONE_MASTER:
		journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_VIP, e->name, "one master",
			      timed(vip, e, from, "for_ms"), "%s stays, %s yields, after %.1f s with two",
			      won ? "this node" : from, won ? from : "this node", (double)e->ns / 1e9);
		break;
	case VHID_SEGMENT:
		journal_write(
			d->journal, JOURNAL_WARNING, JOURNAL_VIP, e->name, "segment-split", details_of(vip, e, from),
			"adverts of %s are heard by the sync link only: the segment of %s is cut, a switch drops them, or they are refused",
			won ? "this node" : from, segment);
		break;
	case VHID_SEGMENT_WHOLE:
		journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_VIP, e->name, "segment-whole",
			      timed(vip, e, from, "for_ms"),
			      "adverts are heard on the segment of %s again, or nobody waits for them", segment);
		break;
	case VHID_DEAF:
		journal_write(d->journal, JOURNAL_WARNING, JOURNAL_VIP, e->name, "demoted", details_of(vip, e, from),
			      "no frame comes in by %s, though they do at %s", segment, from);
		break;
	case VHID_HEARS:
		journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_VIP, e->name, "not demoted",
			      timed(vip, e, from, "for_ms"), "frames come in by %s again", segment);
		break;
	case VHID_UNSEEN:
		journal_write(d->journal, JOURNAL_WARNING, JOURNAL_VIP, e->name, "announcement-unseen",
			      timed(vip, e, from, "for_ms"),
			      "%s has not seen on %s where the addresses are: a switch may drop frames from "
			      "00:00:5e:00:01:%02x, and send hosts' frames to the old place",
			      from, segment, e->vhid);
		break;
	case VHID_SEEN:
		journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_VIP, e->name, "announcement-seen",
			      timed(vip, e, from, "for_ms"), "%s sees on %s where the addresses are", from, segment);
		break;
	default:
		journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_VIP, e->name, "announced",
			      timed(vip, e, from, "after_ms"),
			      "%s has seen where the addresses are, %.1f ms after this node took them", from,
			      (double)e->ns / 1e6);
	}
}

static void tell_fault(struct daemon *d, const struct config_vip *vip, const struct vhid_event *e, const char *from)
{
	journal_write(d->journal, JOURNAL_WARNING, JOURNAL_VIP, e->name, "bad advert", details_of(vip, e, from),
		      "from %s: %s", from, carp_fault_text(e->fault));
}

static void tell_vip(struct daemon *d, const struct config_vip *vip, const struct vhid_event *e)
{
	char from[ADDR_STRLEN] = "";

	if (e->from.family)
		addr_format(&e->from, from);
	switch (e->kind) {
	case VHID_ROLE:
		tell_role(d, vip, e);
		break;
	case VHID_FAULT:
		tell_fault(d, vip, e, from);
		break;
	case VHID_RIVAL:
		journal_write(d->journal, JOURNAL_ALERT, JOURNAL_VIP, e->name, "split-brain", details_of(vip, e, from),
			      "%s is master too, and is not believed: %s", from, carp_fault_text(e->fault));
		break;
	case VHID_UNSENT:
		journal_write(d->journal, JOURNAL_WARNING, JOURNAL_VIP, e->name, "can't send", NULL, "adverts: %s",
			      strerror(-e->err));
		break;
	case VHID_SENT:
		journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_VIP, e->name, "can send",
			      json_pack("{s:f}", "for_ms", (double)e->ns / 1e6),
			      "adverts can be sent again, after %.1f s", (double)e->ns / 1e9);
		break;
	case VHID_LEASE:
		journal_write(d->journal, JOURNAL_NOTICE, JOURNAL_VIP, e->name, "another has it", NULL,
			      "what the last daemon had is another node's now");
		break;
	default:
		tell_pair(d, vip, e, from);
	}
}

void vips_tell(struct daemon *d, const struct vhid_event *e)
{
	const struct config_vip *vip;
	size_t i;

	if (!*e->name) {
		pairing_tell(d, e);
		return;
	}
	vip = vips_find(d->vips, e->name, &i);
	if (vip)
		tell_vip(d, vip, e);
}
