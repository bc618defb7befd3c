"""What the disk under a log is like: its kind, its room, and who else has a file of it open."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import psutil

__all__ = ["SHARED", "file_system", "holders", "room"]

SHARED = frozenset(
    {"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "beegfs",
     "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "vboxsf", "vmhgfs", "fuse.vmhgfs-fuse", "drvfs",
     "webdav", "davfs"}
)  # fmt: skip
"""File systems that other machines may write at the same time, where SQLite cannot keep its shared memory."""


def file_system(path: Path) -> str:
    """Return the kind of file system that ``path`` is on, or will be; empty where it cannot be known."""
    place = os.path.realpath(path)
    kind, longest = "", -1
    with contextlib.suppress(OSError, psutil.Error):
        for partition in psutil.disk_partitions(all=True):
            mount = partition.mountpoint
            inside = place == mount or place.startswith(mount.rstrip("/") + "/")
            if inside and len(mount) >= longest:  # of two at one place, the later one is what is seen
                kind, longest = partition.fstype.lower(), len(mount)
    return kind


def holders(path: Path) -> list[str]:
    """Return ``"process 12 (name)"`` for each other process that has the file open, as far as the system tells."""
    found = []
    place = os.path.realpath(path)
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            if process.pid == os.getpid():
                continue
            if any(os.path.realpath(link) == place for link in Path(f"/proc/{process.pid}/fd").iterdir()):
                found.append(f"process {process.pid} ({process.name()})")
    return found


def room(path: Path) -> str:
    """Return a sentence on how full the disk is, and what of this run could be deleted to make room."""
    words = []
    folder = path if path.is_dir() else path.parent
    with contextlib.suppress(OSError):
        words.append(f"{shutil.disk_usage(folder).free / 1e6:,.0f} MB are free on its disk")
    size = 0
    for file in folder.glob("trials/*/ckpt/**/*"):
        with contextlib.suppress(OSError):
            size += file.stat().st_size if file.is_file() else 0
    if size:
        words.append(f"the checkpoints in {folder / 'trials'} hold {size / 1e6:,.0f} MB and may be deleted")
    return "; ".join(words)
