#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The ready policies in docs/policies: each against acts that it is to catch and acts that it must let go on."""
import concurrent.futures
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402
from pipeline import PATIENCE  # noqa: E402

PENSTOCK = os.path.join(lib.BINDIR, "penstock")
FOLDER = os.path.join(lib.ROOT, "docs", "policies")
FILES = sorted(glob.glob(os.path.join(FOLDER, "*.yaml")))
NAMES = [os.path.basename(f)[:-5] for f in FILES]
# They are for all that runs, so a warning says that they can hold up any of it.
FOR_ALL = {"sensitive-files", "read-only-system", "no-exec-from-tmp", "no-memfd-exec", "no-raw-sockets", "kernel-modules"}

DPKG = {"executable": "/usr/bin/dash", "parent": "/usr/bin/dpkg", "ancestors": ["/usr/bin/apt"]}
READ, WRITE = {"access": ["read"]}, {"access": ["read", "write"]}


def opens(path, exe="/usr/bin/cat", **more):
    return {"operation": "file.open", "path": path, "executable": exe, **READ, **more}


def writes(path, exe="/usr/bin/dash", **more):
    return {**opens(path, exe), **WRITE, **more}


def runs(path, exe="/usr/bin/bash", **more):
    return {"operation": "process.exec", "path": path, "executable": exe, **more}


def does(operation, exe="/usr/bin/python3.11", **more):
    return {"operation": operation, "executable": exe, **more}


def connects(address, port, protocol="tcp", **more):
    return does("net.connect", address=address, port=port, protocol=protocol, **more)


def within(cgroup, acts, **subject):
    return [(want, {**subject, "cgroup": cgroup, **act}) for want, act in acts]


# What each file says of an act: None (no rule, or `allow`), alert, deny or kill.
ACTS = {
    "sensitive-files": [
        ("deny", opens("/etc/shadow")),
        ("deny", opens("/etc/shadow-", "/usr/sbin/nginx", uid=33)),
        ("deny", writes("/etc/gshadow", "/usr/bin/vim.basic")),
        ("deny", does("file.rename", path="/tmp/x", to="/etc/shadow")),
        ("deny", does("file.link", path="/etc/shadow", to="/tmp/x")),
        ("deny", does("file.chmod", path="/etc/shadow")),
        ("deny", opens("/etc/ssh/ssh_host_ed25519_key")),
        ("deny", opens("/home/ann/.ssh/id_rsa", "/usr/bin/curl", uid=1000)),
        ("deny", opens("/root/.ssh/id_ed25519", "/usr/bin/tar")),
        ("deny", opens("/home/ann/.gnupg/private-keys-v1.d/ab.key", uid=1000)),
        ("deny", opens("/home/ann/.aws/credentials", "/usr/bin/node", uid=1000)),
        ("deny", opens("/root/.kube/config")),
        ("deny", opens("/etc/kubernetes/pki/ca.key")),
        ("deny", opens("/etc/kubernetes/admin.conf")),
        ("deny", opens("/home/ann/.docker/config.json", uid=1000)),
        ("alert", writes("/home/ann/.ssh/authorized_keys", uid=1000)),
        ("alert", writes("/root/.ssh/authorized_keys2", "/usr/bin/vim.basic")),
        (None, opens("/root/.ssh/authorized_keys", "/usr/sbin/sshd")),
        (None, opens("/etc/shadow", "/usr/bin/sudo")),
        (None, opens("/etc/shadow", "/usr/sbin/unix_chkpwd")),
        (None, does("file.rename", "/usr/bin/passwd", path="/etc/nshadow", to="/etc/shadow")),
        (None, writes("/etc/shadow+", "/usr/sbin/useradd")),
        (None, opens("/etc/shadow", "/usr/lib/openssh/sshd-session")),
        (None, opens("/etc/passwd", "/usr/bin/id", uid=1000)),
        (None, opens("/etc/ssh/ssh_config", "/usr/bin/ssh", uid=1000)),
        (None, opens("/etc/ssh/ssh_host_rsa_key", "/usr/sbin/sshd")),
        (None, opens("/etc/ssh/ssh_host_rsa_key.pub")),
        (None, opens("/home/ann/.ssh/id_rsa", "/usr/bin/ssh", uid=1000)),
        (None, opens("/home/ann/.ssh/id_rsa.pub", uid=1000)),
        (None, opens("/home/ann/.ssh/known_hosts", uid=1000)),
        (None, opens("/home/ann/.gnupg/private-keys-v1.d/ab.key", "/usr/bin/gpg-agent", uid=1000)),
        (None, opens("/home/ann/.kube/config", "/usr/local/bin/kubectl", uid=1000)),
        (None, opens("/etc/kubernetes/pki/ca.crt", "/usr/bin/kubelet")),
        (None, {**writes("/etc/shadow"), **DPKG}),
        (None, {**writes("/etc/ssh/ssh_host_rsa_key"), **DPKG}),
    ],
    "read-only-system": [
        ("deny", writes("/usr/bin/ls")),
        ("deny", writes("/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/bin/python3.11")),
        ("deny", writes("/boot/vmlinuz-6.1", "/usr/bin/cp")),
        ("deny", writes("/etc/ld.so.preload")),
        ("deny", {**opens("/etc/crontab"), "access": ["append"]}),
        ("deny", writes("/etc/cron.d/x")),
        ("deny", writes("/etc/sudoers.d/x")),
        ("deny", writes("/etc/systemd/system/x.service")),
        ("deny", writes("/etc/pam.d/sshd")),
        ("deny", does("file.rename", path="/tmp/ls", to="/usr/bin/ls")),
        ("deny", does("file.unlink", path="/usr/bin/sudo")),
        ("deny", does("file.chmod", path="/usr/bin/find")),
        ("deny", does("file.symlink", path="/usr/lib/x.so")),
        ("deny", writes("/usr/local/bin/x", uid=1000)),
        (None, opens("/usr/bin/ls")),
        (None, {**opens("/usr/lib/libx.so", "/usr/bin/ls"), "access": ["read", "execute"]}),
        (None, writes("/usr/bin/ls.dpkg-new", "/usr/bin/dpkg")),
        (None, does("file.rename", "/usr/bin/dpkg", path="/usr/bin/ls.dpkg-new", to="/usr/bin/ls")),
        (None, {**writes("/boot/initrd.img-6.1"), **DPKG}),
        (None, {**does("file.symlink", path="/etc/systemd/system/x.wants/y"), **DPKG}),
        (None, does("file.symlink", "/usr/bin/systemctl", path="/etc/systemd/system/x.wants/y")),
        (None, writes("/etc/sudoers.tmp", "/usr/sbin/visudo")),
        (None, writes("/usr/local/bin/x")),
        (None, writes("/etc/resolv.conf", "/usr/sbin/NetworkManager")),
        (None, writes("/etc/ld.so.cache~", "/usr/sbin/ldconfig")),
        (None, writes("/var/cache/man/index.db", "/usr/bin/mandb", uid=6)),
        (None, writes("/tmp/ccabc.s", "/usr/lib/gcc/x86_64-linux-gnu/12/cc1", uid=1000)),
    ],
    "no-exec-from-tmp": [
        ("deny", runs("/tmp/x", uid=33)),
        ("deny", runs("/tmp/a/b/.hidden")),
        ("deny", runs("/var/tmp/x", "/usr/bin/perl")),
        ("deny", runs("/dev/shm/x", "/usr/bin/python3.11")),
        ("deny", runs("/tmp/go-build1/x", "/usr/bin/bash")),
        ("deny", {**runs("/tmp/x", uid=1000), **DPKG}),
        ("kill", runs("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", arguments=["ld.so", "/tmp/x"])),
        ("kill", runs("/lib64/ld-linux-x86-64.so.2", arguments=["/lib64/ld-linux-x86-64.so.2", "/dev/shm/.x"])),
        (None, runs("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", arguments=["ld.so", "--verify", "/usr/bin/ls"])),
        (None, {**runs("/tmp/fileAbc/pkg.config"), **DPKG}),
        (None, runs("/tmp/go-build1/b001/exe/main", "/usr/local/go/bin/go", uid=1000)),
        (None, runs("/usr/bin/ls", arguments=["ls", "/tmp/x"])),
        (None, runs("/usr/lib/gcc/x86_64-linux-gnu/12/cc1", "/usr/bin/gcc-12", arguments=["cc1", "-o", "/tmp/x.s"])),
        (None, runs("/home/ann/build/conftest", uid=1000)),
        (None, writes("/tmp/x")),
    ],
    "no-memfd-exec": [
        ("deny", runs("/memfd:x", flags=["memfd", "unlinked"])),
        ("deny", runs("/memfd:x", "/usr/bin/runc", flags=["memfd"], uid=1000)),
        ("alert", runs("/opt/x", flags=["unlinked"])),
        (None, runs("/memfd:runc_cloned:/proc/self/exe", "/usr/bin/runc", flags=["memfd"])),
        (None, runs("/usr/bin/ls")),
        (None, runs("/usr/bin/ls", flags=["upper"])),
        (None, does("process.memfd", "/usr/bin/pulseaudio", uid=1000)),
        (None, opens("/memfd:wayland", "/usr/bin/weston", flags=["memfd"])),
    ],
    "no-raw-sockets": [
        ("deny", does("net.socket", family="packet")),
        ("deny", does("net.socket", family="xdp")),
        ("deny", does("net.socket", family="inet", protocol=255)),
        ("deny", does("cap.use", capabilities=["CAP_NET_RAW"])),
        (None, does("net.socket", "/usr/bin/tcpdump", family="packet")),
        (None, does("cap.use", "/usr/sbin/dhclient", capabilities=["CAP_NET_RAW"])),
        (None, does("net.socket", family="inet", protocol="icmp", uid=1000)),
        (None, does("net.socket", family="inet", protocol="tcp")),
        (None, does("net.socket", family="unix")),
        (None, does("net.socket", "/usr/sbin/ip", family="netlink")),
        (None, does("cap.use", "/usr/sbin/ip", capabilities=["CAP_NET_ADMIN"])),
        (None, does("cap.use", "/usr/bin/apt", capabilities=["CAP_SETUID"])),
    ],
    "kernel-modules": [
        ("deny", does("process.module", "/usr/bin/kmod", module="rootkit")),
        ("deny", does("process.module", "/usr/bin/kmod")),
        ("deny", does("process.module", module="ext4")),
        ("deny", does("process.module", "/tmp/loader", module="overlay")),
        ("deny", does("process.module", "/usr/bin/kmod", module="usb_storage")),
        (None, does("process.module", "/usr/bin/kmod", module="ext4")),
        (None, does("process.module", "/usr/bin/udevadm", module="virtio_net")),
        (None, does("process.module", "/usr/lib/systemd/systemd-modules-load", module="kvm_intel")),
        (None, does("process.bpf")),
    ],
    "egress-allow-list": within("/system.slice/example.service", [
        ("deny", connects("203.0.113.9", 443)),
        ("deny", connects("10.0.3.4", 22)),
        ("deny", connects("10.0.0.53", 443)),
        ("deny", connects("2001:db8:200::1", 443)),
        ("deny", does("net.sendmsg", address="203.0.113.9", port=53, protocol="udp")),
        ("deny", does("net.sendmsg", address="203.0.113.9", port=443, protocol="udp")),
        ("deny", does("net.socket", family="packet")),
        ("deny", does("net.socket", family="vsock")),
        (None, connects("127.0.0.1", 8080)),
        (None, connects("::1", 8080)),
        (None, connects("10.0.0.53", 53, "udp")),
        (None, does("net.sendmsg", address="10.0.0.53", port=53, protocol="udp")),
        (None, connects("10.0.3.4", 5432)),
        (None, connects("198.51.100.7", 443)),
        (None, connects("2001:db8:100::7", 443)),
        (None, does("net.connect", family="unix")),
        (None, does("net.connect", family=0)),
        (None, does("net.socket", family="inet6", protocol="tcp")),
        (None, {**connects("203.0.113.9", 443), "cgroup": "/system.slice/other.service"}),
    ]),
    "database-server": within("/system.slice/system-postgresql.slice/postgresql@15-main.service", [
        ("deny", runs("/usr/bin/dash", "/usr/lib/postgresql/15/bin/postgres")),
        ("deny", runs("/usr/bin/curl", "/usr/bin/dash")),
        ("deny", runs("/usr/lib/postgresql/15/bin/postgres", flags=["memfd"])),
        ("deny", writes("/etc/cron.d/x", "/usr/lib/postgresql/15/bin/postgres")),
        ("deny", writes("/usr/lib/postgresql/15/lib/x.so", "/usr/lib/postgresql/15/bin/postgres")),
        ("deny", writes("/root/.ssh/authorized_keys", "/usr/sbin/mariadbd")),
        ("deny", does("file.unlink", path="/var/log/auth.log")),
        ("deny", does("file.rename", path="/var/lib/postgresql/x", to="/etc/x")),
        ("deny", connects("203.0.113.9", 443)),
        ("deny", connects("10.0.3.4", 22)),
        ("deny", does("net.bind", address="0.0.0.0", port=4444, protocol="tcp", family="inet")),
        ("deny", does("net.listen", address="0.0.0.0", port=4444, protocol="tcp")),
        ("deny", does("net.socket", family="packet")),
        ("deny", does("process.ptrace", target="/usr/lib/postgresql/15/bin/postgres")),
        ("deny", does("process.memfd")),
        ("deny", does("file.mount", path="/mnt")),
        ("kill", does("process.setid", gained=["CAP_SETUID"])),
        (None, runs("/usr/lib/postgresql/15/bin/postgres", "/usr/bin/dash")),
        (None, runs("/usr/sbin/mariadbd", "/usr/lib/systemd/systemd-executor")),
        (None, runs("/usr/bin/dash", "/usr/lib/postgresql/15/bin/pg_ctl")),
        (None, runs("/usr/bin/pg_ctlcluster", "/usr/lib/systemd/systemd", uid=0)),
        (None, writes("/var/lib/postgresql/15/main/base/5/1", "/usr/lib/postgresql/15/bin/postgres")),
        (None, writes("/dev/shm/PostgreSQL.1", "/usr/lib/postgresql/15/bin/postgres")),
        (None, writes("/proc/123/oom_score_adj", "/usr/lib/postgresql/15/bin/postgres")),
        (None, writes("/var/lib/mysql/ibdata1", "/usr/sbin/mariadbd")),
        (None, does("file.rename", path="/var/lib/postgresql/15/main/a", to="/var/lib/postgresql/15/main/b")),
        (None, opens("/etc/ssl/certs/ca-certificates.crt", "/usr/lib/postgresql/15/bin/postgres")),
        (None, does("net.bind", address="0.0.0.0", port=5432, protocol="tcp")),
        (None, does("net.listen", address="::", port=3306, protocol="tcp")),
        (None, does("net.bind", family="unix")),
        (None, does("net.accept", address="10.0.3.1", port=5432, protocol="tcp")),
        (None, connects("10.0.3.4", 5432)),
        (None, connects("127.0.0.1", 40000, "udp")),
        (None, does("net.connect", family="unix")),
        (None, does("net.socket", family="inet", protocol="tcp")),
        (None, does("process.setid", gained=["CAP_NET_BIND_SERVICE"])),
        (None, {**runs("/usr/bin/dash"), "cgroup": "/system.slice/cron.service"}),
    ], uid=112),
    "web-server": within("/system.slice/nginx.service", [
        ("deny", runs("/usr/bin/dash", "/usr/sbin/nginx")),
        ("deny", opens("/etc/shadow", "/usr/sbin/nginx")),
        ("deny", opens("/home/ann/.ssh/id_rsa", "/usr/sbin/nginx")),
        ("deny", opens("/var/www/html/.git/config", "/usr/sbin/nginx")),
        ("deny", opens("/srv/app/.env", "/usr/sbin/nginx")),
        ("deny", opens("/proc/1/environ", "/usr/sbin/nginx")),
        ("deny", writes("/var/www/html/shell.php", "/usr/sbin/nginx")),
        ("deny", writes("/etc/nginx/nginx.conf", "/usr/sbin/nginx")),
        ("deny", does("file.unlink", "/usr/sbin/nginx", path="/var/log/nginx/access.log")),
        ("deny", connects("203.0.113.9", 4444)),
        ("deny", connects("10.0.2.5", 22)),
        ("deny", does("net.sendmsg", address="203.0.113.9", port=53, protocol="udp")),
        ("deny", does("net.bind", address="0.0.0.0", port=4444, protocol="tcp")),
        ("deny", does("net.socket", family="packet")),
        ("deny", does("process.ptrace", target="/usr/sbin/nginx")),
        ("deny", does("process.bpf")),
        ("kill", does("process.setid", gained=["CAP_SETUID"])),
        ("deny", does("file.rename", "/usr/sbin/nginx", path="/var/lib/nginx/body/1", to="/var/www/html/x.php")),
        ("deny", does("file.link", "/usr/sbin/nginx", path="/etc/nginx/x.key", to="/tmp/x")),
        (None, opens("/var/www/html/index.html", "/usr/sbin/nginx")),
        (None, opens("/var/www/html/.well-known/acme-challenge/x", "/usr/sbin/nginx")),
        (None, opens("/etc/nginx/.htpasswd", "/usr/sbin/nginx")),
        (None, opens("/etc/ssl/private/x.key", "/usr/sbin/nginx", uid=0)),
        (None, {**opens("/var/log/nginx/access.log", "/usr/sbin/nginx"), "access": ["append"]}),
        (None, writes("/var/lib/nginx/body/0000000001", "/usr/sbin/nginx")),
        (None, does("file.rename", "/usr/sbin/nginx", path="/var/cache/nginx/x.1", to="/var/cache/nginx/x")),
        (None, connects("10.0.2.5", 8080)),
        (None, connects("10.0.0.53", 53, "udp")),
        (None, connects("127.0.0.1", 9000)),
        (None, does("net.connect", family="unix")),
        (None, does("net.accept", address="192.0.2.1", port=443, protocol="tcp")),
        (None, does("net.socket", family="inet", protocol="tcp")),
        (None, does("process.setid", uid=0)),
        (None, does("net.bind", address="0.0.0.0", port=443, protocol="tcp", uid=0)),
        (None, runs("/usr/sbin/nginx", "/usr/sbin/nginx", uid=0)),
        (None, {**runs("/usr/bin/dash"), "cgroup": "/system.slice/php8.2-fpm.service"}),
    ], uid=33),
    "container-escape": within("/docker/1", [
        ("deny", writes("/proc/sys/kernel/core_pattern")),
        ("deny", writes("/host/proc/sys/kernel/core_pattern")),
        ("deny", writes("/proc/sys/kernel/modprobe")),
        ("deny", writes("/sys/fs/cgroup/rdma/release_agent")),
        ("deny", writes("/tmp/cgrp/release_agent")),
        ("deny", writes("/sys/kernel/uevent_helper")),
        ("deny", writes("/proc/sys/fs/binfmt_misc/register")),
        ("deny", writes("/proc/sysrq-trigger")),
        ("deny", writes("/sys/power/state")),
        ("deny", opens("/proc/kcore")),
        ("deny", opens("/dev/mem")),
        ("deny", opens("/dev/sda1")),
        ("deny", opens("/dev/nvme0n1", "/usr/sbin/debugfs")),
        ("deny", opens("/run/docker.sock")),
        ("deny", writes("/host/etc/kubernetes/manifests/x.yaml")),
        ("deny", does("file.mount", path="/mnt")),
        ("deny", does("file.pivot_root", path="/mnt")),
        ("deny", does("process.module", module="x")),
        ("deny", does("process.bpf")),
        ("deny", does("cap.use", capabilities=["CAP_SYS_MODULE"])),
        ("deny", does("cap.use", capabilities=["CAP_MKNOD"])),
        ("deny", does("process.ptrace", target="/usr/bin/sshd")),
        ("deny", runs("/usr/bin/bash", "/usr/bin/nsenter", namespaces={"mnt": "host"})),
        ("deny", runs("/memfd:runc_cloned:x", flags=["memfd"])),
        ("alert", runs("/usr/bin/docker")),
        ("alert", does("process.namespace", "/usr/bin/unshare")),
        (None, opens("/proc/sys/kernel/core_pattern")),
        (None, writes("/var/log/app.log")),
        (None, writes("/tmp/core_pattern")),
        (None, opens("/dev/null")),
        (None, opens("/proc/cpuinfo")),
        (None, writes("/proc/self/oom_score_adj")),
        (None, runs("/usr/sbin/nginx")),
        (None, {**runs("/usr/bin/ls"), **DPKG}),
        (None, does("process.ptrace", "/usr/bin/gdb", target="/app/x", namespaces={"pid": "other", "mnt": "other"})),
        (None, does("cap.use", capabilities=["CAP_NET_BIND_SERVICE"])),
        (None, does("cap.use", "/usr/bin/dpkg", capabilities=["CAP_CHOWN"])),
        (None, does("file.mount", "/usr/bin/runc", path="/proc", namespaces={"mnt": "other"})),
        (None, runs("/app/start", "/memfd:runc_cloned:/proc/self/exe", namespaces={"mnt": "host"})),
        (None, connects("203.0.113.9", 443)),
        (None, {**writes("/proc/sys/kernel/core_pattern"), "container": False}),
    ], container=True, namespaces={"mnt": "other"}),
}


def policy(*args):
    return subprocess.run([PENSTOCK, "policy", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=PATIENCE)


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


class Library(unittest.TestCase):
    def test_all_are_good_and_only_tell(self):
        p = policy("check", "--json", FOLDER)
        self.assertEqual((p.returncode, p.stderr), (0, ""))
        told = json.loads(p.stdout)
        self.assertEqual([(w["name"], w["mode"]) for w in told["policies"]], [(n, "audit") for n in NAMES])
        self.assertEqual({os.path.basename(w["file"])[:-5] for w in told["warnings"]}, FOR_ALL)
        for w in told["warnings"]:
            self.assertRegex(w["message"], r"can (kill|hold up) any process of the host: the policy \".*\" has no scope$")

    def test_all_are_tried_and_in_the_table_of_the_page(self):
        self.assertEqual(sorted(ACTS), NAMES)
        rows = re.findall(r"^\| \[([a-z-]+)\]\(([a-z-]+)\.yaml\) \|", read(os.path.join(FOLDER, "README.md")), re.M)
        self.assertEqual(sorted(n for n, _ in rows), NAMES)
        self.assertEqual([n for n, file in rows if n != file], [])

    def test_each_says_what_to_adapt(self):
        for path in FILES:
            self.assertRegex(read(path), r"\n# Adapt: \w", path)


class Acts(unittest.TestCase):
    """Each act against the file as it is, which holds nothing up, and with `mode: enforce`."""

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.dir.cleanup)
        for path in FILES:
            text, n = re.subn(r"^  mode: audit$", "  mode: enforce", read(path), flags=re.M)
            assert n == 1, path
            with open(os.path.join(cls.dir.name, os.path.basename(path)), "w", encoding="utf-8") as f:
                f.write(text)

    def check(self, name, want, act):
        """The rule that takes the act."""
        for folder, holds in ((FOLDER, False), (self.dir.name, want in ("deny", "kill"))):
            p = policy("test", "--json", "--act", json.dumps(act), os.path.join(folder, name + ".yaml"))
            told = json.loads(p.stdout)
            says = told.get("would", told["action"])
            self.assertEqual(None if says in ("none", "allow") else says, want, (name, act, told))
            self.assertEqual(p.returncode, int(holds), (name, act, told))
        return told.get("rule")

    def test_of_the_table(self):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for name, acts in ACTS.items():
                rules = list(pool.map(lambda a, name=name: self.check(name, *a), acts))
                named = {r["name"] for d in yaml.safe_load_all(read(os.path.join(FOLDER, name + ".yaml"))) for r in d["spec"]["rules"]}
                with self.subTest(policy=name):
                    self.assertEqual(named - set(rules), set(), "rules that no act of the table is taken by")
                    self.assertTrue(any(want is None and not rule for (want, _), rule in zip(acts, rules)), "an act of which it says nothing")

    def test_together_they_let_a_host_work(self):
        """What packages, compilers and servers do, against all files at once."""
        nginx = {"cgroup": "/system.slice/nginx.service"}
        for act in (
            {**writes("/usr/bin/x.dpkg-new", "/usr/bin/dpkg"), "uid": 0},
            {**runs("/var/lib/dpkg/info/x.postinst", "/usr/bin/dpkg"), "ancestors": ["/usr/bin/apt"]},
            connects("203.0.113.9", 443, executable="/usr/lib/apt/methods/https", uid=42),
            runs("/usr/bin/as", "/usr/bin/gcc-12", uid=1000),
            writes("/tmp/ccx.o", "/usr/bin/x86_64-linux-gnu-as", uid=1000),
            opens("/usr/include/stdio.h", "/usr/lib/gcc/x86_64-linux-gnu/12/cc1", uid=1000),
            {**connects("127.0.0.1", 9000, uid=33), **nginx},
            {**opens("/var/www/html/index.html", "/usr/sbin/nginx", uid=33), **nginx},
            {**does("net.accept", "/usr/sbin/nginx", address="192.0.2.1", port=443, protocol="tcp", uid=33), **nginx},
            runs("/usr/bin/ping", uid=1000),
        ):
            with self.subTest(act=act):
                p = policy("test", "--json", "--act", json.dumps(act), self.dir.name)
                self.assertEqual((p.returncode, json.loads(p.stdout)["action"] in ("none", "allow")), (0, True), p.stdout)


if __name__ == "__main__":
    unittest.main()
