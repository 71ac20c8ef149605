/* SPDX-License-Identifier: GPL-2.0-only */
/* What strings of the file may be. Each function says what would do, when `text` doesn't, else NULL. */
#pragma once

const char *name_shape_fault(const char *text); /* of anything that has a name; some are taken, though */
const char *name_fault(const char *text);	/* of items in this file */
const char *name_interface_fault(const char *text);
const char *name_tunnel_fault(const char *text); /* of tunnels, and so of their devices */
const char *name_device_fault(const char *text); /* of a device of the system's */
const char *name_node_fault(const char *text);
const char *name_remote_fault(const char *text); /* a host's IPv4 address, or a host name */
const char *name_url_fault(const char *text);
const char *name_word_fault(const char *text); /* anything but nothing */
const char *name_host_fault(const char *text); /* of a host, in the DNS: no address */
const char *name_path_fault(const char *text); /* of a file */
const char *name_rule_fault(const char *text); /* of a rule; of digits only: a number, for the commands */
