# SPDX-License-Identifier: Apache-2.0
"""The guard's tables as policyd writes them, for tests of what stands below it."""
import mmap
import os
import struct

import lib

ACCEPT, DROP = 0, 1  # enum pst_fw_action
REASONS = ("off", "passed", "blocked", "truncated", "malformed", "fw_accept", "fw_drop", "fw_reject", "fw_policy", "fw_no_match")
CAN = 7 * 8  # offset in struct pst_guard
SIG_GENERATION = 6 * 8
# In it: flags, bad_flags, limits to vxlan_port, ifaces.drop.
POLICYD_WORDS = ((32, 40), (40, 48), (64, 8424), (8448 + 8 + 4 * 256, 8448 + 8 + 12 * 256))
COUNTS = (1 << 18) + 256 + (66 << 10)  # bytes of struct pst_guard_counts


class Tables:
    """The pinned maps of an instance; writes rule sets without a rule, which is all that is not policyd's to say."""

    def __init__(self, instance):
        self.maps, self.sizes = {}, {}
        for name in ("guard", "fw_lines", "guard_counts"):
            fd = lib.obj_get(instance.pin("maps", name))
            size = {"guard": 4096}.get(name) or self.bytes(fd)
            self.maps[name] = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
            self.sizes[name] = size
            os.close(fd)

    @staticmethod
    def bytes(fd):
        with open(f"/proc/self/fdinfo/{fd}") as f:
            info = dict(line.split(":", 1) for line in f)
        return int(info["value_size"]) * int(info["max_entries"])

    def close(self):
        for m in self.maps.values():
            m.close()

    def generation(self):
        return struct.unpack_from("Q", self.maps["guard"])[0]

    def force(self, policy):
        """No rule, this policy, in the half that is not in force."""
        generation = max(self.generation() + 1, 2)
        at = (generation & 1) * self.sizes["fw_lines"] // 2
        self.maps["fw_lines"][at:at + 64] = struct.pack("6I40x", 0, 0, 0, 0, policy, generation & 0xffffffff)
        struct.pack_into("Q", self.maps["guard"], 0, generation)

    def sig_generation(self, to=None):
        if to is not None:
            struct.pack_into("Q", self.maps["guard"], SIG_GENERATION, to)
        return struct.unpack_from("Q", self.maps["guard"], SIG_GENERATION)[0]

    def moved(self):
        """PST_GUARD_MOVED"""
        return bool(struct.unpack_from("Q", self.maps["guard"], CAN)[0] & 4)

    def set_moved(self):
        struct.pack_into("Q", self.maps["guard"], CAN, struct.unpack_from("Q", self.maps["guard"], CAN)[0] | 4)

    def off(self):
        struct.pack_into("Q", self.maps["guard"], 0, 0)

    def packets(self, reason):
        at = 16 * REASONS.index(reason)
        return sum(struct.unpack_from("Q", self.maps["guard_counts"], cpu + at)[0]
                   for cpu in range(0, self.sizes["guard_counts"], COUNTS))
