"""awscrt: the S3 client of the AWS tools, which cuts objects into parts itself."""

import os
import sys
import urllib.parse
import urllib.request
import xml.etree.ElementTree

from awscrt.auth import AwsCredentialsProvider
from awscrt.http import HttpHeaders, HttpRequest
from awscrt.io import ClientBootstrap, DefaultHostResolver, EventLoopGroup
from awscrt.s3 import S3Client, S3RequestTlsMode, S3RequestType

endpoint, bucket, prefix, target = sys.argv[1:]
query = urllib.parse.urlencode({"list-type": 2, "prefix": prefix})
with urllib.request.urlopen(f"{endpoint}/{bucket}/?{query}") as answer:
    listing = xml.etree.ElementTree.parse(answer)
keys = [key.text for key in listing.iter("{http://s3.amazonaws.com/doc/2006-03-01/}Key")]
group = EventLoopGroup()
client = S3Client(
    bootstrap=ClientBootstrap(group, DefaultHostResolver(group)),
    region="us-east-1",
    credential_provider=AwsCredentialsProvider.new_environment(),
    tls_mode=S3RequestTlsMode.DISABLED,
    throughput_target_gbps=10,
)
host = urllib.parse.urlsplit(endpoint).netloc


def get(key):
    request = HttpRequest("GET", f"/{bucket}/{urllib.parse.quote(key)}", HttpHeaders([("host", host)]))
    name = os.path.join(target, os.path.basename(key))
    return client.make_request(type=S3RequestType.GET_OBJECT, request=request, recv_filepath=name)


for request in [get(key) for key in keys]:
    request.finished_future.result()
