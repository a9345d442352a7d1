/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause OR Apache-2.0 */
/*
 * The guard's tables: what policyd writes into mapped arrays and the packet programs look up.
 * docs/design/guard.md says why they look so.
 *
 * A table is an array of lines of 64 bytes in two halves; the low bit of the generation word says which half
 * is in force. All positions in a table are line numbers within its half, and a program masks every one of
 * them: whatever a table holds, a lookup stays inside it and ends.
 */
#ifndef PST_ABI_GUARD_H
#define PST_ABI_GUARD_H

#include "proto/abi/ct.h"
#include "proto/abi/records.h"
#include "proto/abi/types.h"

union pst_line {
	__u64 u64[8];
	__u32 u32[16];
	__u16 u16[32];
	__u8 u8[64];
};
static_assert(sizeof(union pst_line) == 64, "abi");

/* Map names, as in maps.h. */
#define PST_MAP_GUARD       "guard"       /* array of one struct pst_guard; mapped rw by policyd */
#define PST_MAP_FW_LINES    "fw_lines"    /* array of union pst_line, two halves; mapped rw by policyd */
#define PST_MAP_BLOCK_LINES "block_lines" /* array of union pst_line, both halves; mapped rw by policyd */
#define PST_MAP_FW_CACHE    "fw_cache"    /* array of the programs' verdicts, one value a CPU; theirs alone */
#define PST_MAP_SRC_RATES   "src_rates"   /* array of sets of sources, the programs' alone */
#define PST_MAP_GUARD_SIGS  "guard_sigs"  /* array of struct pst_sigs, both halves; mapped rw by policyd */
#define PST_MAP_OFFENDERS   "offenders"   /* array of struct pst_offenders; mapped rw by policyd */
#define PST_MAP_SAMPLES     "drop_samples" /* array of struct pst_sample; mapped rw by policyd */
#define PST_MAP_GUARD_FLOWS "guard_flows"  /* frozen array of struct pst_flow; mapped ro by the collector */
#define PST_MAP_JUDGED      "guard_judged" /* array of struct pst_judged_here, one a CPU; the programs' alone */
#define PST_MAP_GUARD_COUNTS                                                                                 \
	"guard_counts" /* array of struct pst_guard_counts, one a CPU; mapped rw by policyd */

enum pst_limit {
	PST_LIMIT_PACKETS = 0,
	PST_LIMIT_BYTES,
	PST_LIMIT_CONNECTIONS, /* SYNs without ACK */
	PST_LIMITS,
};

#define PST_SRC_WAYS 2 /* sources in a set of `src_rates` */

/* Where protocols are told apart. */
enum pst_sig_protocol {
	PST_SIG_TCP = 0,
	PST_SIG_UDP,
	PST_SIG_ICMP /* and ICMPv6 */,
	PST_SIG_OTHER,
	PST_SIG_PROTOCOLS
};

/*
 * What one source may send: an IPv4 address, or 64 bits of an IPv6 address. Each packet, KiB and connection
 * takes its time (a second divided by the rate), and a source may be so far ahead of the clock. The clock
 * goes in jiffies, so less than 20 ms ahead is too little.
 */
struct pst_rates {
	__u32 cost_ns[PST_LIMITS];  /* 0: no limit */
	__u32 ahead_us[PST_LIMITS]; /* the burst */
};

struct pst_guard_limits {
	/* as struct pst_rates: of all protocols together */
	__u32 cost_ns[PST_LIMITS];
	__u32 ahead_us[PST_LIMITS];
	/* likewise of the SYNs of all sources together */
	__u32 syn_cost_ns;
	__u32 syn_ahead_us;
	__u32 syn_mss; /* that an answer with a cookie names, over IPv4; over IPv6 it is 20 less */
	/* of offenders, below */
	__u32 offend_cost;  /* each packet's, in units of 2^10 ns */
	__u32 offend_ahead; /* who is so far ahead, likewise, is blocked */
	__u32 offend_for;   /* for so long, in units of 2^20 ns */
	__u32 sample_mask;  /* of samples: one of so many and one */
	__u32 pad[3];
};
static_assert(sizeof(struct pst_guard_limits) == 64, "abi");

#define PST_GUARD_PORT_WORDS 1024

#define PST_GUARD_IFACES 256

/* Where the programs are attached, and what differs from interface to interface. */
struct pst_guard_ifaces {
	/* the loader's: by how many what comes in is judged, and the numbers of the first ones */
	__u32 attached;
	__u32 pad;
	__u32 ifindex[PST_GUARD_IFACES];
	/*
	 * policyd's, with PST_GUARD_DROP_IFACES: where something else is done with what cannot be read, as
	 * ifindex << 32 | PST_GUARD_DROP_*. An interface is at ifindex % PST_GUARD_IFACES, or at most
	 * PST_GUARD_IFACE_TRIES - 1 places behind.
	 */
	__u64 drop[PST_GUARD_IFACES];
};
#define PST_GUARD_IFACE_TRIES 8
static_assert(sizeof(struct pst_guard_ifaces) == 8 + 12 * PST_GUARD_IFACES, "abi");

/* What policyd tells the programs; each word is one store. */
struct pst_guard {
	__u64 fw_generation;    /* its low bit: the half of `fw_lines` in force; 0: no firewall */
	__u64 block_generation; /* likewise of `block_lines`; 0: no allow and block list */
	/* policyd's own: the last numbers that it gave; none comes twice, also after "no firewall" */
	__u64 fw_last;
	__u64 block_last;
	__u64 flags;     /* PST_GUARD_CT etc. */
	__u64 bad_flags; /* bit n: what has n in the lower six bits of its TCP flags is bad; 0: not looked at
			  */
	__u64 sig_generation; /* as fw_generation, of `guard_sigs` */
	__u64 can;            /* PST_GUARD_CAN_*: the loader's, of the programs on this kernel */
	struct pst_guard_limits limits;
	__u64 syn_ports[PST_GUARD_PORT_WORDS]; /* with PST_GUARD_SYN_PORTS or _EXCEPT; port n: bit n % 64 of
						  word n / 64 */
	struct pst_rates by_protocol[PST_SIG_PROTOCOLS]; /* limits of one source, by enum pst_sig_protocol */
	__u32 scrub_ifindex; /* with PST_GUARD_SCRUB: where what signatures and limits drop goes; 0: nowhere
			      */
	__u32 vxlan_port;    /* of UDP, with PST_GUARD_INNER_VXLAN */
	__u32 pad[6];
	struct pst_guard_ifaces ifaces;
};
static_assert(
	sizeof(struct pst_guard) == 256 + 8 * PST_GUARD_PORT_WORDS + sizeof(struct pst_guard_ifaces), "abi");

#define PST_GUARD_CAN_SYN_COOKIES 1
#define PST_GUARD_AT_XDP          2 /* on some interface: no mark is set there, no reject answered */
#define PST_GUARD_MOVED           4 /* no program reads these tables any more, or soon: ask the loader */

#define PST_GUARD_CT             1  /* connections are tracked: rules name their state */
#define PST_GUARD_CT_LOOSE       2  /* a segment that no connection explains begins one: after the start */
#define PST_GUARD_LIMITS         4  /* the limits are looked at */
#define PST_GUARD_DROP_TRUNCATED 8  /* what of it cannot be read is dropped */
#define PST_GUARD_DROP_MALFORMED 16 /* and what contradicts itself */
#define PST_GUARD_DROP_NO_IP     32 /* and what is neither IPv4 nor IPv6 */
/* Dry runs: what such a step would drop is counted as its event and goes on. */
#define PST_GUARD_DRY_LISTS     (1 << 6)
#define PST_GUARD_DRY_LIMITS    (1 << 7)
#define PST_GUARD_DRY_FLAGS     (1 << 8)
#define PST_GUARD_DRY_OFFENDERS (1 << 9)
#define PST_GUARD_SYN           (1 << 16) /* SYNs above the rate of all are not let through */
#define PST_GUARD_SYN_COOKIES   (1 << 17) /* but answered, when somebody listens */
#define PST_GUARD_SYN_PORTS     (1 << 18) /* those to `syn_ports`, whoever listens */
#define PST_GUARD_SYN_EXCEPT    (1 << 20) /* not those to `syn_ports`, although somebody listens */
#define PST_GUARD_DROP_IFACES   (1 << 19) /* some interfaces have their own PST_GUARD_DROP_* */
/* What is in tunnels is judged in their place; a bit for each of enum pst_tunnel. */
#define PST_GUARD_INNER_IPIP  (1 << 21)
#define PST_GUARD_INNER_GRE   (1 << 22)
#define PST_GUARD_INNER_VXLAN (1 << 23)

#define PST_GUARD_OFFENDERS   (1 << 24) /* who goes on to send what is dropped is blocked for a time */
#define PST_GUARD_FORGEABLE   (1 << 25) /* whether or not its address is shown to be its own */
#define PST_GUARD_SAMPLES     (1 << 26) /* of what steps against floods take, for policyd */
#define PST_GUARD_BY_PROTOCOL (1 << 27) /* `by_protocol` is looked at */
#define PST_GUARD_SCRUB       (1 << 28) /* `scrub_ifindex` is looked at */
#define PST_GUARD_FLOWS       (1 << 29) /* flows are told what became of them: `guard_flows`, `guard_judged` */

#define PST_TCP_FLAGS 64 /* combinations of FIN, SYN, RST, PSH, ACK and URG, the lower six bits */

/* What was around a packet. */
enum pst_tunnel {
	PST_TUNNEL_NONE = 0,
	PST_TUNNEL_IPIP, /* IPv4 or IPv6 in either */
	PST_TUNNEL_GRE,
	PST_TUNNEL_VXLAN,
	PST_TUNNELS,
};

struct pst_guard_count {
	__u64 packets;
	__u64 bytes; /* of the frame */
};

/* Why a packet passed or was dropped. */
enum pst_guard_reason {
	PST_GUARD_OFF = 0,     /* no step is switched on: passed */
	PST_GUARD_PASSED,      /* no step that is on drops it */
	PST_GUARD_BLOCKED,     /* its source is on the block list: dropped */
	PST_GUARD_TRUNCATED,   /* a header ends behind the packet's end: as its flag says */
	PST_GUARD_MALFORMED,   /* a header contradicts itself: likewise */
	PST_GUARD_FW_ACCEPT,   /* a rule accepts */
	PST_GUARD_FW_DROP,     /* a rule drops */
	PST_GUARD_FW_REJECT,   /* a rule rejects: dropped; at tc answered, else PST_GUARD_UNANSWERED counts it
				*/
	PST_GUARD_FW_POLICY,   /* no rule says: the policy accepts */
	PST_GUARD_FW_NO_MATCH, /* no rule says: the policy drops */
	PST_GUARD_RATE,        /* its source is over a limit: dropped */
	PST_GUARD_NO_IP,       /* neither IPv4 nor IPv6, as ARP: as its flag says; no rule is asked */
	PST_GUARD_BAD_FLAGS,   /* TCP flags that no stack sends: dropped */
	PST_GUARD_SIGNATURE,   /* a signature matches: dropped */
	PST_GUARD_SYN_COOKIE,  /* a SYN above the rate of all: answered with a cookie */
	PST_GUARD_SYN_LIMIT,   /* likewise, and dropped */
	PST_GUARD_OFFENDER,    /* its source is blocked for what it sent before: dropped */
	PST_GUARD_FW_STEP, /* a rule passes it on to the step behind the rules, which has nothing against it
			    */
	PST_GUARD_REASONS,
};

#define PST_GUARD_REASONS_ROOM 64

/* Counted beside the reasons: what tracking and limits did with their tables, and what steps that run dry
 * would have dropped. */
enum pst_guard_event {
	PST_GUARD_FLOW_FULL = 47, /* dropped, and not in `guard_flows`: no place, or too many new ones */
	PST_GUARD_CT_BEGUN,
	PST_GUARD_CT_CONFIRMED, /* by both sides, and moved to where no flood of beginnings reaches */
	PST_GUARD_CT_EVICTED,   /* gave way to another one before its time */
	PST_GUARD_CT_FULL,      /* not kept: no room and none that may give way */
	PST_GUARD_RATE_FULL,    /* no place for a source: its packet was not limited */
	PST_GUARD_DRY_BLOCKED,  /* by the lists */
	PST_GUARD_DRY_RATE,     /* by a limit; it took nothing of its source's share */
	PST_GUARD_DRY_BAD_FLAGS,
	PST_GUARD_DRY_SIGNATURE,
	PST_GUARD_DRY_OFFENDER,
	PST_GUARD_OFFENDER_BLOCKED, /* a source was blocked */
	PST_GUARD_OFFENDER_FULL,    /* no place for a source: its packet was not counted against it */
	PST_GUARD_SCRUBBED,         /* dropped, and sent to the scrubbing interface instead */
	PST_GUARD_UNANSWERED,       /* rejected and not answered: at XDP, above the rate, what may not be */
	PST_GUARD_LOG_HELD,         /* not logged: its rule was above its rate of records */
	PST_GUARD_UNMARKED,         /* passed without the mark that a rule gives it */
	PST_GUARD_EVENTS,
};
static_assert((int)PST_GUARD_EVENTS <= PST_GUARD_REASONS_ROOM, "abi");
#define PST_GUARD_FIRST_EVENT PST_GUARD_FLOW_FULL
static_assert((int)PST_GUARD_REASONS <= (int)PST_GUARD_FIRST_EVENT, "abi");

/*
 * Flows of which the guard dropped or answered packets: a slot table as `flows`, with a slot that is free
 * again after PST_GUARD_FLOW_IDLE_NS. So it is not `flows`, whose slots forged packets would take.
 */
#define PST_GUARD_FLOW_SLOTS   16384
#define PST_GUARD_FLOW_IDLE_NS 3000000000ULL

/*
 * What the guard made of packets that passed, for the flow program, which sees them a little later on the
 * same CPU: by the packet's addresses, ports, interface and protocol. Who takes an entry empties it, and none
 * counts for longer than some jiffies.
 */
#define PST_JUDGED_ENTRIES 128
#define PST_JUDGED_JIFFIES 16

struct pst_judged {
	__u64 key[6]; /* those of struct pst_flow_key; without netns and direction */
	__u64 word;   /* PST_JUDGED; 0: empty */
	__u64 jiffies;
};

struct pst_judged_here {
	__u64 jiffies; /* of the last one */
	__u64 pad[7];
	struct pst_judged entry[PST_JUDGED_ENTRIES];
};
static_assert(sizeof(struct pst_judged_here) == 64 * (PST_JUDGED_ENTRIES + 1), "abi");

/* What a packet is by its protocol, and what became of it. */
enum pst_guard_protocol {
	PST_GUARD_TCP = 0,
	PST_GUARD_UDP,
	PST_GUARD_ICMP,
	PST_GUARD_ICMPV6,
	PST_GUARD_SCTP,
	PST_GUARD_GRE,
	PST_GUARD_ARP,
	PST_GUARD_OTHER, /* and what cannot be read */
	PST_GUARD_PROTOCOLS,
};

enum pst_guard_verdict {
	PST_GUARD_PASS = 0,
	PST_GUARD_DROP,
	PST_GUARD_ANSWER, /* by the guard itself, in its place */
	PST_GUARD_VERDICTS,
};

/*
 * Interfaces that are counted apart, by each CPU: its own choice, when it sees the first packet of one, of a
 * free place among PST_GUARD_COUNTED_TRIES. A place is ifindex and the cells of the same number. Who finds
 * none counts in PST_GUARD_COUNTED_OTHER. When an interface is gone policyd adds its cells to those of
 * PST_GUARD_COUNTED_GONE, which no program writes, zeroes them and then the place.
 */
#define PST_GUARD_COUNTED_IFACES 64
#define PST_GUARD_COUNTED_TRIES  4
#define PST_GUARD_COUNTED_STEP   21 /* place n: ifindex + n * so many, modulo PST_GUARD_COUNTED_IFACES */
#define PST_GUARD_COUNTED_OTHER  PST_GUARD_COUNTED_IFACES
#define PST_GUARD_COUNTED_GONE   (PST_GUARD_COUNTED_IFACES + 1)
#define PST_GUARD_COUNTED_PLACES (PST_GUARD_COUNTED_IFACES + 2)

/* A line holds the verdicts of one protocol and direction. */
#define PST_GUARD_CELLS 64
#define PST_GUARD_CELL(dir, protocol, verdict)                                                               \
	(((dir) == PST_DIR_OUT ? 32u : 0u) | (unsigned)(protocol) << 2 | (unsigned)(verdict))
static_assert((int)PST_GUARD_PROTOCOLS <= 8 && (int)PST_GUARD_VERDICTS <= 4, "abi");

#define PST_SIGS        64
#define PST_FW_COUNTERS 16256 /* more than PST_FW_RULES_MAX: rules that go count while others come */

/*
 * Of one CPU, which alone adds to it by plain stores. policyd sets a rule's place to 0 before a new rule
 * counts there, frees places of interfaces that are gone, and else only reads.
 */
struct pst_guard_counts {
	struct pst_guard_count reason[PST_GUARD_REASONS_ROOM]; /* by enum pst_guard_reason, pst_guard_event */
	struct pst_guard_count rule[PST_FW_COUNTERS];          /* by pst_fw_entry.counter */
	struct pst_guard_count sig[PST_SIGS];                  /* by pst_sig.counter */
	__u32 ifindex[PST_GUARD_COUNTED_IFACES];               /* whose place it is; 0: it is free */
	struct pst_guard_count
		iface[PST_GUARD_COUNTED_PLACES * PST_GUARD_CELLS]; /* by place, PST_GUARD_CELL */
};
static_assert(sizeof(struct pst_guard_counts) == (1 << 18) + 256 + (66 << 10), "abi");

/*
 * Offenders: sources of which so much was dropped by flags, signatures and limits that they are blocked for a
 * time. A place is a source and a word that is stored whole: a moment, bits of the source's hash, what the
 * source is blocked for, and whether it is. The moment is, of one that is blocked, when that ends; else up to
 * when its offences count. One that has passed leaves the place free.
 * policyd reads, and frees a place by a word of 0.
 */
#define PST_OFFENDER_SETS 16384
#define PST_OFFENDER_WAYS 4

#define PST_OFFENDER_UNIT        10 /* the moment: CLOCK_BOOTTIME, in units of 2^10 ns */
#define PST_OFFENDER_TIME        ((1ULL << 48) - 1)
#define PST_OFFENDER_TAG         (0xfffULL << 48)
#define PST_OFFENDER_CAUSE_SHIFT 60 /* three bits: enum pst_offence */
#define PST_OFFENDER_BLOCKED     (1ULL << 63)

enum pst_offence {
	PST_OFFENCE_RATE = 0,
	PST_OFFENCE_SIGNATURE,
	PST_OFFENCE_FLAGS,
	PST_OFFENCES,
};

struct pst_offender {
	__u64 source; /* IPv4: in the upper half, as in the packet; IPv6: the first 64 bits; 0: none */
	__u64 word;
};

struct pst_offenders {
	struct pst_offender way[PST_OFFENDER_WAYS];
};
static_assert(sizeof(struct pst_offenders) == 64, "a cache line");

/* The set behind the last one has no sources: the first word says until when anybody is blocked at all, the
 * last one is policyd's own. */
#define PST_OFFENDER_HEAD PST_OFFENDER_SETS

/*
 * Samples of what steps against floods take, dropped or not: a packet by lot, into a slot by lot. So whose
 * share among them is a tenth sent a tenth, or about. policyd reads them and empties the slots; two programs
 * that write one at a time may mix theirs.
 */
#define PST_SAMPLES 1024

struct pst_sample {
	__u8 source[16]; /* as struct pst_flow_key has it */
	__u16 packets;
	__u8 event; /* PST_GUARD_DRY_* of the step, whether it runs dry or not; 0: empty */
	__u8 sig;   /* of a signature: its counter */
	__u32 ifindex;
	__u64 pad;
};
static_assert(sizeof(struct pst_sample) == 32, "abi");

/*
 * Signatures of floods. What a packet may match is known from three words, one by its protocol and one by
 * each of its ports, which are and-ed: bit n stands for signature n. These alone are looked at, the lowest
 * first. The payload is what follows the ports, of TCP the header, of ICMP the checksum.
 */
struct pst_sig {
	__u16 sport[2]; /* first and last */
	__u16 dport[2];
	__u16 len[2]; /* of the payload */
	__u16 offset; /* in the payload, of what is compared */
	__u8 protocol;
	__u8 flags;   /* PST_SIG_* */
	__u8 need;    /* bytes that are compared; 0: none, 16 at most */
	__u8 counter; /* its place in pst_guard_counts.sig */
	__u8 pad[6];
	__u64 mask[2]; /* as they lie in the packet */
	__u64 value[2];
	__u64 id; /* policyd's own: whose counter it is */
};
static_assert(sizeof(struct pst_sig) == 64, "abi");

#define PST_SIG_DROP    1 /* else it counts, and the packet goes on */
#define PST_SIG_UNASKED 2 /* not what the host asked for, as far as connections are tracked */
#define PST_SIG_BYTES   16

#define PST_SIG_PORTS 128 /* words by port: its lower bits say which */

/* A half. */
struct pst_sigs {
	__u64 protocol[PST_SIG_PROTOCOLS];
	__u64 last; /* of the first half, policyd's own: the last generation that it gave */
	__u64 pad[3];
	__u64 sport[PST_SIG_PORTS];
	__u64 dport[PST_SIG_PORTS];
	struct pst_sig sig[PST_SIGS];
	__u64 pad2[248];
};
static_assert(sizeof(struct pst_sigs) == 8192, "abi");

/*
 * Stride trees: from a key of 16-bit strides to a value, an interval map. An entry is a value (bit 31 clear)
 * or leads to a node, which splits one stride. Nodes hold the starts of the intervals and an entry for each:
 * either the value, or where the next stride goes on.
 */
#define PST_STRIDE_NODE 0x80000000u
#define PST_STRIDE_KIND 0x60000000u
/* up to 8 intervals in one line: 7 starts, and in its second half 8 entries */
#define PST_STRIDE_TINY 0x00000000u
/* up to 32: a line of 31 starts, two of entries */
#define PST_STRIDE_SMALL 0x60000000u
/* up to 1,024: a line of 31 starts, then 32 small nodes */
#define PST_STRIDE_LARGE 0x20000000u
/* an entry for each of the 65,536 values */
#define PST_STRIDE_DENSE 0x40000000u

#define PST_STRIDE_LINE       0x1fffffffu
#define PST_STRIDE_TINY_FAN   8
#define PST_STRIDE_FAN        32
#define PST_STRIDE_SMALL_SIZE 3 /* lines */
#define PST_STRIDE_LARGE_SIZE (1 + PST_STRIDE_FAN * PST_STRIDE_SMALL_SIZE)
#define PST_STRIDE_DENSE_SIZE 4096
#define PST_STRIDES_MAX       8 /* of a key: an IPv6 address */

/*
 * Firewall. Each field of a packet that rules look at (a dimension) has a stride tree that yields its class:
 * the line of a bit vector over the rules, the first rule lowest, in chunks of one line: a summary (bit n:
 * chunk n is not empty) and a reference for each chunk. The first rule that a packet matches is the lowest
 * bit that the vectors of all its classes share.
 */
#define PST_FW_CHUNK_RULES 512
#define PST_FW_CHUNKS_MAX  31
#define PST_FW_RULES_MAX   (PST_FW_CHUNKS_MAX * PST_FW_CHUNK_RULES)
#define PST_FW_NEXT_MAX    64 /* rules that only count, log or mark: a packet may match all of them */
#define PST_FW_PAIRED_MAX  64 /* rules with PST_FW_PAIRED: a packet may match all of them but for that */
#define PST_FW_ROOTS       3
#define PST_FW_REF_LINE    0x00ffffffu
#define PST_FW_REF_WORDS   24 /* from this bit on: which of the chunk's 8 words are not zero */

enum pst_fw_dim {
	PST_FW_SADDR = 0, /* roots: IPv4 (2 strides), IPv6 (8) */
	PST_FW_DADDR,
	PST_FW_SPORT, /* roots: has ports, has none */
	PST_FW_DPORT,
	PST_FW_PROTO, /* protocol, with PST_FW_PROTO_6 for IPv6 */
	PST_FW_L4,    /* roots: TCP (flags), ICMP and ICMPv6 (type << 8 | code), others */
	PST_FW_STATE, /* enum pst_ct_state */
	PST_FW_DSCP,
	PST_FW_VLAN,  /* id of the outer tag; roots: tagged, untagged */
	PST_FW_IFACE, /* index, 2 strides */
	PST_FW_DIMS,
};

#define PST_FW_PROTO_6 256

enum pst_ct_state {
	PST_CT_UNTRACKED = 0,
	PST_CT_NEW,
	PST_CT_ESTABLISHED,
	PST_CT_RELATED,
	PST_CT_INVALID,
	PST_CT_STATES,
};

/* Line 0 of a half, then its dimensions. */
struct pst_fw_head {
	__u32 n_rules;
	__u32 n_chunks;
	__u32 used;   /* bit n: dimension n is looked at */
	__u32 rules;  /* line of the first struct pst_fw_entry */
	__u32 policy; /* enum pst_fw_action when no rule says */
	__u32 generation;
	__u32 names; /* line of the first name, each a line, of rules that log */
	__u32 pad;
	/* pairs of address and port, IPv4 and IPv6: lines less one (a power of two), and the first */
	__u32 pair_mask[2];
	__u32 pairs[2];
	__u64 seed[2]; /* of their places, secret */
};
static_assert(sizeof(struct pst_fw_head) == 64, "abi");

struct pst_fw_dim_head {
	__u32 root[PST_FW_ROOTS]; /* stride entries; values are lines of classes */
	__u32 pad;
};
static_assert(sizeof(struct pst_fw_dim_head) == 16, "abi");

#define PST_FW_DIM_LINE    1 /* dimension n: line 1 + n / 4 */
#define PST_FW_DIMS_A_LINE 4
#define PST_FW_FIRST_LINE  (PST_FW_DIM_LINE + (PST_FW_DIMS + PST_FW_DIMS_A_LINE - 1) / PST_FW_DIMS_A_LINE)

enum pst_fw_action {
	PST_FW_ACCEPT = 0,
	PST_FW_DROP,
	PST_FW_REJECT, /* at XDP: dropped without an answer, with its own reason */
	PST_FW_NEXT,   /* says nothing: the next rule that matches does */
	PST_FW_STEP,   /* says nothing either, nor may another rule or the policy: the next step does */
	PST_FW_ACTIONS,
};

#define PST_FW_LOG  0x100 /* flags beside the action */
#define PST_FW_MARK 0x200
#define PST_FW_WITH 12 /* from this bit on, three of them: enum pst_fw_with */

/* The rule matches only if address and port together are in its list, of the source or of the destination, */
#define PST_FW_PAIR(side)     (0x400u << (side))
#define PST_FW_PAIR_NOT(side) (0x8000u << (side)) /* or, with this flag, only if they are not. */
#define PST_FW_PAIRED         (PST_FW_PAIR(0) | PST_FW_PAIR(1))

/* From this bit on, of rules that log: their name is in line pst_fw_head.names + it. */
#define PST_FW_NAME 18

/*
 * Pairs are found by a keyed hash of rule, side, address and port in lines that are looked at one after the
 * other until one has a free slot. A slot of IPv4 is address << 32 | port << 16 | tag; three of IPv6 to a
 * line: two words of address each, and behind all of them port << 16 | tag each. The tag says whose pair it
 * is, and is not 0.
 */
#define PST_FW_PAIR_TAG(rule, side) (((rule) << 1 | (side)) + 1)
#define PST_FW_PAIRS_4              8  /* of IPv4 to a line */
#define PST_FW_PAIRS_6              3  /* of IPv6 */
#define PST_FW_PAIR_TAGS_6          12 /* the u32 where the first one's tag is */
#define PST_FW_PAIR_LINES           8  /* that a look-up reads at most */

/* What a reject is answered with. */
enum pst_fw_with {
	PST_FW_WITH_DEFAULT = 0, /* TCP: a reset; else port unreachable */
	PST_FW_WITH_PORT,        /* of ICMP and ICMPv6, TCP too: port unreachable, */
	PST_FW_WITH_ADMIN,       /* administratively prohibited, */
	PST_FW_WITH_HOST,        /* host (v6: address) unreachable, */
	PST_FW_WITH_NET,         /* net unreachable (v6: no route) */
	PST_FW_WITHS,
};

/* No rule may set it: what the guard itself sends has it on its way out, and is not tracked. */
#define PST_GUARD_OWN_MARK 0x70737463

/* What a rule does; in the order of the rules, four a line. */
struct pst_fw_entry {
	__u32 action;  /* enum pst_fw_action | flags */
	__u32 counter; /* its place in pst_guard_counts.rule */
	__u32 mark;
	__u32 id; /* for people: the rule's number in the source */
};
static_assert(sizeof(struct pst_fw_entry) == 16, "abi");
#define PST_FW_ENTRIES_A_LINE 4

/* What rules see of a packet. */
struct pst_fw_packet {
	__u8 addr[2][16]; /* source, destination; IPv4 as ::ffff:a.b.c.d */
	__u16 key[PST_FW_DIMS];
	__u8 root[PST_FW_DIMS];
	__u16 pad;
	__u32 ifindex;
	__u32 pad2;
};

/*
 * Address lists (block and allow). Single addresses lie in buckets of one line: their place is a keyed hash,
 * so that nobody who can get addresses into a list can choose those that share a bucket. What its bucket has
 * no room for goes one bucket on, or two from there, or three from there and so on, so that full buckets do
 * not run together; and the bucket says how many steps its addresses went. Prefixes of both lists and the
 * addresses of the allow list lie in stride trees (IPv4: 2 strides, IPv6: 8), whose values say where a record
 * is: its line times 8 and its word, or 0. An entry matches while its expiry is above the present second of
 * CLOCK_BOOTTIME; a slot whose expiry has passed is free.
 *
 * IPv4 bucket: 7 words of address << 32 | expiry, then a word of their reasons (a byte each) and, in its
 * highest byte, how far addresses of this bucket went. IPv6 bucket: 3 times two words of address, 3 half
 * words of expiry, a half word of 3 reasons and how far. Record: reason << 40 | prefix length << 32 | expiry.
 */
#define PST_BLOCK_SLOTS_4   7
#define PST_BLOCK_SLOTS_6   3
#define PST_BLOCK_EXPIRES_6 12 /* u32: expiry of slot 0 */
#define PST_BLOCK_MORE_4    7  /* u64: reasons and how far */
#define PST_BLOCK_MORE_6    15 /* u32 */
#define PST_BLOCK_FAR_4     56 /* from this bit on */
#define PST_BLOCK_FAR_6     24
#define PST_BLOCK_FAR_MAX   31
#define PST_BLOCK_NEVER     0xffffffffu /* an expiry that never comes */

/* Line 0 of a half. */
struct pst_block_head {
	__u64 seed[3]; /* secret; the last two odd */
	__u32 generation;
	__u32 entries;  /* when it was built */
	__u32 bucket_4; /* line of the first IPv4 bucket, and how many there are */
	__u32 buckets_4;
	__u32 bucket_6;
	__u32 buckets_6;
	__u32 allow[2]; /* stride entries: IPv4, IPv6 */
	__u32 block[2];
};
static_assert(sizeof(struct pst_block_head) == 64, "abi");

enum pst_block_kind {
	PST_BLOCK_NONE = 0, /* on no list */
	PST_BLOCK_ALLOWED,  /* on the allow list */
	PST_BLOCK_ADDRESS,  /* blocked by itself */
	PST_BLOCK_PREFIX,   /* blocked as part of a prefix */
};

/* What an address matched. The prefix is the address's first @len bits. */
struct pst_block_hit {
	__u32 expires; /* second of CLOCK_BOOTTIME, or PST_BLOCK_NEVER */
	__u8 kind;     /* enum pst_block_kind */
	__u8 len;
	__u8 reason; /* place in the table of texts; 0: none was given */
	__u8 pad;
};
static_assert(sizeof(struct pst_block_hit) == 8, "abi");

/*
 * A trial: what the programs would do to a packet, for `penstock why`. The loader arms the one entry, runs an
 * attached program by BPF_PROG_TEST_RUN and reads what it noted. In such a run the packet comes in over the
 * loopback interface, where the guard never is, so no real packet is taken for one. A trial changes nothing
 * but this entry: where it would move on a connection or a source's share, it does so to a copy here.
 */
#define PST_MAP_GUARD_WHY     "guard_why" /* array of one struct pst_guard_why; the loader's */
#define PST_GUARD_WHY_IFINDEX 1

enum pst_guard_why_state {
	PST_GUARD_WHY_NONE = 0, /* did not run */
	PST_GUARD_WHY_DONE,
	PST_GUARD_WHY_DISTURBED, /* a real packet came in between: nothing here is to be believed */
};

enum pst_guard_why_source {
	PST_GUARD_SOURCE_NONE = 0, /* limits were not looked at */
	PST_GUARD_SOURCE_KNOWN,    /* has a place in `src_rates` */
	PST_GUARD_SOURCE_NEW,      /* would take a free one */
	PST_GUARD_SOURCE_FULL,     /* finds none: is not limited */
};

#define PST_GUARD_WHY_PASSED 16 /* rules on the way that are named */
#define PST_GUARD_WHY_TAGGED 0x10000

/* What becomes of its connection when the packet passes. */
enum pst_guard_why_then {
	PST_GUARD_WHY_STAYS = 0,
	PST_GUARD_WHY_BEGINS,
	PST_GUARD_WHY_IS_CONFIRMED,
	PST_GUARD_WHY_GOES_ON,
};

/* Of the rate of all SYNs. */
enum pst_guard_why_syn {
	PST_GUARD_WHY_SYN_NONE = 0, /* not asked */
	PST_GUARD_WHY_SYN_WITHIN,
	PST_GUARD_WHY_SYN_OVER,
};

/* What its source has used of a limit. */
struct pst_guard_why_share {
	__u32 source; /* enum pst_guard_why_source */
	__u32 pad;
	__u64 until[PST_LIMITS];     /* up to when it has */
	__u64 cost[PST_LIMITS];      /* of this packet, in ns */
	__u64 moved[1 + PST_LIMITS]; /* the copy that is moved on */
	struct pst_rates rates;
};

struct pst_guard_why {
	/* the loader's */
	__u32 armed;
	__u32 ifindex; /* by which the packet is to come in */
	/* the programs' */
	__u32 state;         /* enum pst_guard_why_state */
	__u32 reason;        /* enum pst_guard_reason */
	__u64 fw_generation; /* 0, of this and the next: that step is off */
	__u64 block_generation;
	__u64 flags;             /* PST_GUARD_CT etc. */
	__u64 now_ns;            /* CLOCK_BOOTTIME; 0: no step asked for the time */
	struct pst_flow_key key; /* what the parser read; family 0: no IP */
	__u32 tcp_flags;
	__u32 later_fragment;
	struct pst_block_hit hit;            /* the source's */
	struct pst_guard_why_share share[2]; /* of all protocols together, of its own */
	/* connections */
	__u32 ct_state;            /* enum pst_ct_state */
	__u32 ct_found;            /* bit 0: in `ct`, bit 1: in `ct_new` */
	struct pst_ct_entry ct[2]; /* as found */
	__u32 ct_then;             /* enum pst_guard_why_then */
	/* rules */
	__u32 vlan; /* PST_GUARD_WHY_TAGGED | id */
	__u32 dscp;
	__u32 cached;              /* the verdict was kept from an earlier packet */
	__u32 verdict;             /* counter << 16 | action; 0xffff0000: the policy's */
	__u32 rule;                /* its place in the order; all bits set: none takes it */
	struct pst_fw_entry entry; /* what that one does */
	__u32 n_passed;            /* rules on the way that only count */
	/* floods */
	__u32 syn; /* enum pst_guard_why_syn */
	__u64 bad_flags;
	__u64 sig_generation; /* 0: off */
	__u32 dry;            /* bit n: what would drop it but runs dry has event PST_GUARD_DRY_BLOCKED + n */
	__u32 sig;            /* counter of the last signature that matched; PST_SIGS: none */
	__u64 offender;       /* the source's word, if it is blocked; 0: it is not */
	/* tunnels: `key` is what is inside, unless that could not be read */
	struct pst_flow_key outer;
	__u32 tunnel; /* enum pst_tunnel */
	__u32 pad;
	__u32 passed[PST_GUARD_WHY_PASSED]; /* their ids */
};
static_assert(sizeof(struct pst_guard_why) % 8 == 0, "abi");

#endif
