"""boto3: one download_file for each object, in sixteen threads; each cuts large objects into
chunks, with threads of its own."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config

endpoint, bucket, prefix, target = sys.argv[1:]
client = boto3.client("s3", endpoint_url=endpoint,
                      config=Config(max_pool_connections=160, s3={"addressing_style": "path"}))


def get(key):
    client.download_file(bucket, key, os.path.join(target, os.path.basename(key)))


with ThreadPoolExecutor(16) as pool:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        list(pool.map(get, [entry["Key"] for entry in page["Contents"]]))
