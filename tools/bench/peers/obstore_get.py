"""obstore: sixteen requests at a time; large objects in ranges of 8 MiB."""

import asyncio
import os
import sys

import obstore
from obstore.store import S3Store

PART = 8 << 20


async def main(endpoint, bucket, prefix, target):
    store = S3Store(bucket, endpoint=endpoint, client_options={"allow_http": True},
                    virtual_hosted_style_request=False)
    turn = asyncio.Semaphore(16)

    async def part(file, path, start, end):
        async with turn:
            os.pwrite(file, await obstore.get_range_async(store, path, start=start, end=end), start)

    async def whole(path, name):
        async with turn:
            body = await (await obstore.get_async(store, path)).bytes_async()
            with open(name, "wb") as file:
                file.write(body)

    async def large(path, name, size):
        file = os.open(name, os.O_WRONLY | os.O_CREAT, 0o644)
        await asyncio.gather(*(part(file, path, at, min(at + PART, size)) for at in range(0, size, PART)))
        os.close(file)

    waiting = []
    async for batch in obstore.list(store, prefix):
        for meta in batch:
            name = os.path.join(target, os.path.basename(meta["path"]))
            small = meta["size"] <= PART
            waiting.append(whole(meta["path"], name) if small else large(meta["path"], name, meta["size"]))
    await asyncio.gather(*waiting)


asyncio.run(main(*sys.argv[1:]))
