/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses that cases talk about; where they are routed is in links.c. */
#pragma once

#define LAN_HOST "2001:db8:10::10"
#define LAN_HOST4 "192.0.2.10"
#define NET_HOST "2001:db8:4000::1"    /* by WAN */
#define NET_HOST4 "198.18.0.1"	       /* by WAN */
#define LL_NET_HOST "2001:db8:4800::1" /* by WAN, next hop link-local */
#define HE_HOST "2001:db8:2000::1"     /* by HE0 */
#define HE1_HOST "2001:db8:7000::1"    /* by HE1 */
#define DYN_HOST "2001:db8:3000::1"    /* by DYN0 */
#define NPT_HOST "2001:db8:9000::1"    /* by NPT */
#define C2_HOST "2001:db8:b002::5"     /* clients of BK0 */
#define C3_HOST "2001:db8:b003::5"
#define VLAN_HOST "2001:db8:70::10"
#define ROUTER "2001:db8:10::1"
#define ROUTER4 "192.0.2.1"

#define LOCAL4 "198.51.100.1" /* of every tunnel */
#define HE0_REMOTE "203.0.113.1"
#define C2_REMOTE "203.0.113.2"
#define C3_REMOTE "203.0.113.3"
#define HE1_REMOTE "203.0.113.4"
#define DYN0_REMOTE "203.0.113.5"
