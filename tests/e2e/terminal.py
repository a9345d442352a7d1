# SPDX-License-Identifier: Apache-2.0
"""A program on a terminal of its own: what it writes, as it is; keys; its size."""
import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios

import pipeline

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    def __init__(self, args, rows=50, cols=200, env=None):
        self.master, slave = pty.openpty()
        self.resize(rows, cols)
        self.text = ""
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.p = subprocess.Popen(args, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env=env,
                                  preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)

    def resize(self, rows, cols):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", rows, cols, 0, 0))

    def raw(self):
        """What it has written so far."""
        while select.select([self.master], [], [], 0)[0]:
            try:
                part = os.read(self.master, 65536)
            except OSError:  # the other end is closed
                break
            self.text += self.decoder.decode(part)
        return self.text

    def read(self):
        """The same without colours."""
        return COLOUR.sub("", self.raw()).replace("\r\n", "\n")

    def see(self, pattern):
        def look():
            found = re.search(pattern, self.read(), re.M)
            if not found and self.p.poll() is not None:
                found = re.search(pattern, self.read(), re.M)
                if not found:
                    raise AssertionError(f"it ended with {self.p.returncode} without '{pattern}':\n{self.read()[-3000:]}")
            return found
        try:
            return pipeline.wait_for(look, f"'{pattern}'")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.read()[-3000:]}") from None

    def press(self, keys):
        os.write(self.master, keys if isinstance(keys, bytes) else keys.encode())

    def wait(self, seconds=None):
        def ended():
            self.raw()  # a terminal that nobody reads would hold it up
            return self.p.poll() is not None
        pipeline.wait_for(ended, "the program to end", seconds)
        self.raw()
        return self.p.returncode

    def close(self):
        if self.p.poll() is None:
            self.p.send_signal(signal.SIGTERM)
            self.p.send_signal(signal.SIGHUP)
            try:
                self.wait(3)  # interactive shells do not care
            except AssertionError:
                self.p.kill()
                self.p.wait()
        os.close(self.master)
