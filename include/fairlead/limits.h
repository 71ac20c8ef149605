/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sizes that the BPF programs and the daemon agree on. Maps whose size the daemon sets at load say so.
 */
#pragma once

/* Of every pinned struct in include/fairlead; another number: rebuilt, never reinterpreted. */
#define FL_LAYOUT_VERSION 9

#define FL_PORTS_MAX 512	    /* interfaces and tunnels; port 0 is nobody's, fl-icmp-rx has one too */
#define FL_IFINDEX_MAX 65536	    /* ifindexes below are found by array, those above by hash */
#define FL_ENDPOINTS_MAX 32768	    /* tunnel remotes; twice what a configuration may hold, so that two sets fit */
#define FL_CLIENT_ROUTES_MAX 131072 /* prefixes behind broker clients, and routes, both sets */
#define FL_NPT_MAX 2048		    /* prefix translations, both sets; index 0 is none */
#define FL_NEXTHOPS_MAX 16384	    /* neighbours on fairlead's ports; index 0 is none */
#define FL_FAILED_MAX 4096	    /* neighbours that have not answered of late */
#define FL_VIP_ADDRESSES_MAX 4096   /* virtual addresses */
#define FL_PEERS_MAX 32		    /* nodes besides this one */
#define FL_LOCALS_MAX 4096	    /* addresses of the router */
#define FL_HELD_MAX 65536	    /* destinations whose routes a change of configuration moves */
#define FL_ROUTE_MTUS_MAX 256	    /* different MTUs that routes are locked to */
#define FL_FLOW_WAYS 4		    /* entries of the flow cache for one hash value */
#define FL_FLOW_SETS 16384	    /* of hash values; a power of two */
#define FL_FLOWS (FL_FLOW_SETS * FL_FLOW_WAYS) /* a CPU: 4 MB */
#define FL_ICMP_BUCKETS 256		       /* rate limit of ICMP errors, by destination; a power of two */
#define FL_ICMP_RATES 3			       /* so many times: errors, Packet Too Big, TCP resets */
#define FL_EIM_MAX 65536		       /* endpoint-independent mappings have two entries each */
#define FL_FRAGMENTS_MAX 4096		       /* fragmented datagrams whose ports are remembered */

#define FL_STATE_BUCKETS 8192	   /* until the daemon says how many */
#define FL_STATE_SOURCES_MAX 65536 /* (rule, source) whose states are counted */

#define FL_EXT_HEADERS_MAX 8 /* IPv6 extension headers that are walked; more: dropped */
