"""The way of the system that cotec replaces, in a few lines: a shared dictionary says of each
object whether it is there. When all objects have been registered, threads download them in order
with boto3, and each of the processing processes takes the next product, looks once a second whether
all of its objects are there, and processes it."""

import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

endpoint, bucket, target, out, workers, sizes, processor, *products = sys.argv[1:]
POLL_SECONDS = 1.0
THREADS = 16


def process(state, registered, waiting):
    while (product := waiting.get()) is not None:
        while not all(state[key] for key in registered[product]):
            time.sleep(POLL_SECONDS)
        command = [processor, sizes, product, Path(target) / product, Path(out) / product]
        subprocess.run(command, check=True)


def main():
    client = boto3.client("s3", endpoint_url=endpoint, config=Config(max_pool_connections=THREADS, s3={"addressing_style": "path"}))
    whole = TransferConfig(use_threads=False)
    with multiprocessing.Manager() as manager:
        state, registered, waiting = manager.dict(), {}, multiprocessing.Queue()
        for product in products:
            listed = client.list_objects_v2(Bucket=bucket, Prefix=f"{product}/")["Contents"]
            registered[product] = [entry["Key"] for entry in listed]
            state.update(dict.fromkeys(registered[product], False))
            waiting.put(product)
        processes = [multiprocessing.Process(target=process, args=(state, registered, waiting)) for _ in range(int(workers))]
        for one in processes:
            waiting.put(None)
            one.start()

        def get(key):
            path = Path(target) / key
            path.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(bucket, key, path, Config=whole)
            state[key] = True

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(get, [key for product in products for key in registered[product]]))
        for one in processes:
            one.join()
        sys.exit(any(one.exitcode for one in processes))


if __name__ == "__main__":
    main()
