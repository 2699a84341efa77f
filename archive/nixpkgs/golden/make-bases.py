#!/usr/bin/env python3
"""Makes base-*.tar.xz, docker archives in the dialects that tars come in, and base-members.sha256: the digest of all
that Python's tarfile writes when it copies their layers, as nixpkgs' stream_layered_image.py does.

    python3 make-bases.py

Needs Python 3.13, or 3.9 or later with the fix of CVE-2024-6232 (before it, tarfile moved `hdrcharset` to the front).
The archives are in xz so that they stay small; layers are not tars, which nothing here minds.
"""
import hashlib, io, json, lzma, pathlib, tarfile

HERE = pathlib.Path(__file__).parent


def member(name, data=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def archive(format, members, **options):
    layers = [info.name for info, _ in members]
    config = {"config": {"Env": None}, "rootfs": {"diff_ids": [f"sha256:{i:064x}" for i in range(len(layers))]}}
    manifest = [{"Config": "config.json", "RepoTags": None, "Layers": layers}]
    texts = [member("config.json", json.dumps(config).encode()), member("manifest.json", json.dumps(manifest).encode())]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format, **options) as tar:
        for info, data in members + texts:
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def copied(tar_bytes):
    base = tarfile.open(fileobj=io.BytesIO(tar_bytes))
    manifest = json.load(base.extractfile("manifest.json"))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w|") as tar:
        for layer in manifest[0]["Layers"]:
            info = base.getmember(layer)
            tar.addfile(info, base.extractfile(info))
        end = tar.offset
    return out.getvalue()[:end]


LONG = "l" * 70 + "/" + "m" * 70 + "/layer.tar"
SYM, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE
BASES = {
    "gnu": archive(tarfile.GNU_FORMAT, [
        member(LONG, b"1" * 513, uid=2097152, gid=4000000000, mtime=-1, uname="root", mode=0o100444),
        member("a/layer.tar", type=SYM, linkname="../" + LONG),
        member("b/layer.tar", b"2" * 512, mtime=8**11),
        member("é" * 60, b"3"),
        member("c/layer.tar", type=HARD, linkname="b/layer.tar"),
    ]),
    "ustar": archive(tarfile.USTAR_FORMAT, [
        member(LONG, b"1" * 511, uname="u" * 32),
        member("old", b"2", type=tarfile.AREGTYPE),
        member("contiguous", b"3", type=tarfile.CONTTYPE),
        member("unknown", b"4", type=b"Z"),
        member("é/layer.tar", b"5"),
    ]),
    "pax": archive(tarfile.PAX_FORMAT, [
        member(LONG, b"1", mtime=2.5, uname="a\udcffb", gname="g" * 33),
        member("a", b"2", mtime=-1.5, pax_headers={"SCHILY.xattr.user.x": "v\n=1", "path": "a", "hdrcharset": "BINARY"}),
        member("b", b"3", pax_headers={"uid": "junk", "gid": "77", "atime": "1.25", "linkpath": "elsewhere"}),
        member("c/layer.tar", type=SYM, linkname="../" + LONG, mtime=1700000000.123456),
        member("d", b"4", mtime=3.5, uid=2097152),
    ], pax_headers={"comment": "for all", "mtime": "1e3"}),
}

sums = []
for name, tar_bytes in BASES.items():
    (HERE / f"base-{name}.tar.xz").write_bytes(lzma.compress(tar_bytes))
    sums.append(f"{hashlib.sha256(copied(tar_bytes)).hexdigest()}  {name}\n")
(HERE / "base-members.sha256").write_text("".join(sums))
