"""Where the data set is published."""

from __future__ import annotations

__all__ = ["BUCKET_HOST", "BUCKET_NAME", "BUCKET_URL", "DANDI_HOSTS", "DANDI_URL"]

BUCKET_NAME = "allen-brain-observatory"
BUCKET_HOST = f"{BUCKET_NAME}.s3.us-west-2.amazonaws.com"
BUCKET_URL = f"https://{BUCKET_HOST}/visual-coding-neuropixels/ecephys-cache/"
DANDI_URL = "https://api.dandiarchive.org/api/"
# where the archive keeps its bytes: it answers a download with a redirect to one of these
DANDI_HOSTS = frozenset(
    {
        "dandiarchive.s3.amazonaws.com",
        "dandiarchive.s3.us-east-1.amazonaws.com",
        "dandiarchive.s3.us-east-2.amazonaws.com",
        "dandiarchive.s3.us-west-2.amazonaws.com",
    }
)
