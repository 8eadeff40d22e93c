"""The same with dask.distributed: four workers of one thread process, and a fifth downloads two
products at a time with boto3, the objects of each in threads."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from distributed import Client, Nanny, Scheduler, SpecCluster

endpoint, bucket, target, out, workers, sizes, processor, *products = sys.argv[1:]


def download(product):
    client = boto3.client("s3", endpoint_url=endpoint, config=Config(max_pool_connections=16, s3={"addressing_style": "path"}))
    keys = [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket, Prefix=f"{product}/")["Contents"]]

    def get(key):
        path = Path(target) / key
        path.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, key, path, Config=TransferConfig(use_threads=False))

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(get, keys))
    return product


def process(product):
    subprocess.run([processor, sizes, product, Path(target) / product, Path(out) / product], check=True)


def main():
    processors = {f"process-{number}": {"cls": Nanny, "options": {"nthreads": 1, "resources": {"process": 1}}}
                  for number in range(int(workers))}
    downloader = {"download": {"cls": Nanny, "options": {"nthreads": 2, "resources": {"download": 2}}}}
    scheduler = {"cls": Scheduler, "options": {"host": "127.0.0.1", "port": 0, "dashboard": False}}
    with SpecCluster(workers=processors | downloader, scheduler=scheduler) as cluster, Client(cluster) as client:
        done = []
        for number, product in enumerate(products):
            there = client.submit(download, product, resources={"download": 1}, priority=-number)
            done.append(client.submit(process, there, resources={"process": 1}, priority=-number))
        client.gather(done)


if __name__ == "__main__":
    main()
