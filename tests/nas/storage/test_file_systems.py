"""What a folder is on, by the system's table of mounts."""

import pytest

from nas.storage.file_systems import network_file_system

MOUNTS = """\
22 1 253:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
40 22 0:35 / /home rw,relatime shared:20 master:3 - nfs4 server:/home rw,vers=4.2
41 40 0:36 / /home/me/local rw,relatime - ext4 /dev/vdb rw
42 22 0:37 / /mnt/my\\040board rw,nosuid - fuse.sshfs pi@board:/ rw
43 22 0:38 / /share rw - ext4 /dev/vdc rw
44 22 0:39 / /share rw - cifs //nas/share rw
45 22 0:40 / /win rw - 9p C:\\134 rw
46 22 0:41 / /disk rw - fuseblk /dev/sdb1 rw
nonsense
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/run", None),
        ("/home", "nfs4"),
        ("/home/me/run", "nfs4"),
        ("/homes/run", None),
        ("/home/me/local/run", None),
        ("/mnt/my board/run", "fuse.sshfs"),
        ("/share/run", "cifs"),
        ("/win/run", "9p"),
        ("/disk/run", None),
    ],
)
def test_the_nearest_and_latest_mount_tells(tmp_path, path, kind):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert network_file_system(path, mounts) == kind


def test_without_a_table_nothing_is_known(tmp_path):
    assert network_file_system("/home/me", tmp_path / "none") is None
