"""An S3 server in a process of its own (moto's), filled from a folder.

``python s3_server.py FOLDER`` puts the files of a folder into a public bucket, prints the address
they begin at, and then obeys lines on its standard input: ``put KEY PATH`` and ``delete KEY``,
each answered with ``done``. It ends with its standard input.
"""

from __future__ import annotations

import sys
from pathlib import Path

import boto3
from moto.server import ThreadedMotoServer

BUCKET = "allen-brain-observatory"
PREFIX = "visual-coding-neuropixels/ecephys-cache/"


def main() -> None:
    folder = Path(sys.argv[1])
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=address,
        region_name="us-west-2",
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",
    )
    client.create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
    )

    def put(key: str, path: Path) -> None:
        body = path.read_bytes()
        client.put_object(Bucket=BUCKET, Key=PREFIX + key, Body=body, ACL="public-read")

    for path in sorted(folder.rglob("*")):
        if path.is_file():
            put(path.relative_to(folder).as_posix(), path)
    print(f"{address}/{BUCKET}/{PREFIX}", flush=True)
    for line in sys.stdin:
        command, key, *rest = line.rstrip("\n").split(" ", 2)
        if command == "put":
            put(key, Path(rest[0]))
        else:
            client.delete_object(Bucket=BUCKET, Key=PREFIX + key)
        print("done", flush=True)
    server.stop()


if __name__ == "__main__":
    main()
